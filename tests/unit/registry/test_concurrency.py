"""Many processes at once: real ones, started together, checked by what they left."""

from __future__ import annotations

import logging
import os
import re
import signal
import threading
import time
from collections import Counter
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from airflow_model_provider.exceptions import RegistryUnavailable, StageConflict, StageOccupied
from airflow_model_provider.registry.database import Database
from airflow_model_provider.registry.entities import RunKey
from airflow_model_provider.registry.registry import Registry
from airflow_model_provider.selectors import Selector
from tests.support.databases import PostgresServer
from tests.support.processes import FORK
from tests.support.soak import TIMES

if TYPE_CHECKING:
    from collections.abc import Callable

PROCESSES = 4 if TIMES == 1 else 8
VERSIONS, PROMOTIONS, KILLS = 25 * TIMES, 10 * TIMES, 3 * TIMES


def make_versions(url: str, _index: int) -> list[int]:
    """Make versions and return their numbers."""
    with Registry.open(url) as registry:
        return [registry.create_version("iris").number for _ in range(VERSIONS)]


def ask_for_version(url: str, _index: int) -> int:
    """Ask for the version of a run."""
    with Registry.open(url) as registry:
        run = RunKey("default", "training", "manual__1")
        return registry.version_for_run("iris", run, producer="train", producers={"train": True}).number


def compare_and_set(url: str, index: int) -> int:
    """Promote with expected= until enough promotions of this process have won; return the conflicts."""
    won = conflicts = 0
    with Registry.open(url) as registry:
        while won < PROMOTIONS:
            holder = registry.get_version("iris", Selector.parse("production")).number
            candidate = holder % 10 + 1
            try:
                registry.set_stage("iris", candidate, "production", expected=holder, who=str(index))
                won += 1
            except StageConflict:
                conflicts += 1
    return conflicts


def claim(url: str, index: int) -> bool:
    """Try to be the first holder of a stage."""
    with Registry.open(url) as registry:
        try:
            return registry.set_stage("iris", index + 1, "production") is not None
        except StageOccupied:
            return False


def at_once(work: Callable[[str, int], Any], url: str) -> list[Any]:
    """Do work in several processes at once."""
    with FORK.Pool(PROCESSES) as pool:
        return pool.starmap(work, [(url, index) for index in range(PROCESSES)], chunksize=1)


def test_concurrent_writers_leave_no_gap(url: str) -> None:
    """Numbers have no gap, each is given to exactly one process (R22)."""
    numbers = [number for made in at_once(make_versions, url) for number in made]

    assert sorted(numbers) == list(range(1, VERSIONS * PROCESSES + 1))


def test_tasks_of_one_run_get_one_version(url: str) -> None:
    """Whichever comes first makes it, all others get the same (R23)."""
    assert set(at_once(ask_for_version, url)) == {1}


def test_exactly_one_is_the_first_holder(url: str) -> None:
    """Of several that promote into a free stage, one wins and the others are told (R27)."""
    with Registry.open(url) as registry:
        for _ in range(PROCESSES):
            registry.create_version("iris")
        assert sum(at_once(claim, url)) == 1

        assert len(registry.history("iris")) == 1


def test_racing_promotions_form_one_line(url: str) -> None:
    """History is a total order in which each event replaces the one before; nothing is lost (R27, R28)."""
    with Registry.open(url) as registry:
        for _ in range(10):
            registry.create_version("iris")
        registry.set_stage("iris", 1, "production")
        at_once(compare_and_set, url)
        events = registry.history("iris", "production")[::-1]

        assert len(events) == 1 + PROMOTIONS * PROCESSES
        assert [event.previous for event in events[1:]] == [event.version for event in events[:-1]]
        assert [event.sequence for event in events] == sorted({event.sequence for event in events})
        assert all(before.at < after.at for before, after in pairwise(events))
        assert events[-1].version == registry.get_version("iris", Selector.parse("production")).number
        assert Counter(event.who for event in events[1:]) == {
            str(index): PROMOTIONS for index in range(PROCESSES)
        }


def test_a_reader_never_sees_half_a_promotion(url: str) -> None:
    """While stages move, one read of both stages always sees the pair that one writer left."""
    with Registry.open(url) as registry, Registry.open(url) as reader:
        registry.create_version("iris")
        registry.set_stage("iris", 1, "production")
        stop = threading.Event()

        def promote() -> None:
            while not stop.is_set():
                number = registry.create_version("iris").number
                registry.set_stage("iris", number, "production", force=True)

        writer = threading.Thread(target=promote)
        writer.start()
        for _ in range(100 * TIMES):
            record = reader.get_version("iris", Selector.parse("production"))
            assert "production" in record.stages
        stop.set()
        writer.join()


def test_a_forked_child_opens_its_own_connections(url: str) -> None:
    """A child neither speaks over its parent's connections nor closes them."""
    with Registry.open(url) as registry:
        registry.create_version("iris")
        child = os.fork()
        if child == 0:
            try:
                os._exit(0 if registry.create_version("iris").number == 2 else 1)
            except BaseException:
                os._exit(2)
        assert os.waitpid(child, 0)[1] == 0

        assert registry.create_version("iris").number == 3


def test_a_killed_writer_leaves_nothing_half_done(url: str) -> None:
    """SIGKILL at any moment: what is there is whole, and the next number follows the last."""
    Registry.open(url).close()
    for number in range(KILLS):
        process = FORK.Process(target=make_versions_forever, args=(url,))
        process.start()
        with Registry.open(url) as registry:
            wait_for_versions(registry, len(registry.list_models()) and len(registry.list_versions("iris")))
        process.join(0.03 * (1 + number % 4))
        os.kill(process.pid or 0, signal.SIGKILL)
        process.join()

    with Registry.open(url) as registry:
        numbers = [record.number for record in registry.list_versions("iris")][::-1]
        assert numbers == list(range(1, len(numbers) + 1))
        assert registry.create_version("iris").number == len(numbers) + 1


def make_versions_forever(url: str) -> None:
    """Make and promote versions until killed."""
    with Registry.open(url) as registry:
        while True:
            number = registry.create_version("iris").number
            registry.set_stage("iris", number, "production", force=True)


def wait_for_versions(registry: Registry, before: int) -> None:
    """Wait until another process has made a version."""
    deadline = time.monotonic() + 60
    while not registry.list_models() or len(registry.list_versions("iris")) <= before:
        assert time.monotonic() < deadline


def test_broken_connections_are_replaced(postgres: PostgresServer, caplog: pytest.LogCaptureFixture) -> None:
    """A database that restarts between two statements is waited for, visibly (R13)."""
    url = postgres.new_database()
    with Registry.open(url) as registry:
        registry.create_version("iris")
        postgres.drop_connections(url)
        assert registry.create_version("iris").number == 2
        postgres.drop_connections(url)

        assert registry.get_version("iris", Selector.parse("latest")).number == 2
    assert "Trying again" in caplog.text


def test_an_outage_is_one_line_and_one_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Which says what happens next; a short one is one line, and one more when it is over."""
    database = Database(f"sqlite:///{tmp_path / 'registry.db'}", patience=0.3)
    answers: list[Any] = [OperationalError("SELECT 1", {}, OSError("connection refused"))] * 2

    def ask(connection: Any) -> Any:
        if not answers:
            raise OperationalError("SELECT 1", {}, OSError("connection refused"))
        answer = answers.pop()
        if isinstance(answer, Exception):
            raise answer
        return answer

    with (
        caplog.at_level(logging.INFO, "airflow_model_provider"),
        pytest.raises(RegistryUnavailable, match="refused"),
    ):
        database.read(ask)
    (line,) = caplog.messages
    assert re.search(
        r"registry.db is not usable yet: connection refused.*Trying again for 0 s, then failing", line
    )
    caplog.clear()
    answers[:] = [1, OperationalError("SELECT 1", {}, OSError("connection refused"))]
    with caplog.at_level(logging.INFO, "airflow_model_provider"):
        assert database.read(ask) == 1
    assert [message.rpartition("registry.db ")[2][:13] for message in caplog.messages] == [
        "is not usable",
        "answers again",
    ]


def test_who_stops_in_the_middle_of_a_promotion_lets_go(
    postgres: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    """As a suspended worker does: the server takes its locks after a while, others go on; awake, it does it again."""
    url = postgres.new_database()
    limits: list[str] = []
    asleep, others = threading.Event(), threading.Event()

    def stop(connection: Any, _cursor: Any, words: str, *_: Any) -> None:
        if "INSERT INTO mr_stage_event" in words and not limits:
            limit = connection.connection.execute("SHOW idle_in_transaction_session_timeout").fetchone()[0]
            limits.append(limit)
            connection.connection.execute("SET LOCAL idle_in_transaction_session_timeout = 100")
            asleep.set()
            others.wait()

    with Registry.open(url) as stopped, Registry.open(url) as other:
        for _ in range(2):
            other.create_version("iris")
        event.listen(stopped._database.engine, "before_cursor_execute", stop)
        sleeper = threading.Thread(target=stopped.set_stage, args=("iris", 1, "production"))
        sleeper.start()
        asleep.wait()
        other.set_stage("iris", 2, "staging")
        others.set()
        sleeper.join()

        assert limits == ["1min"]
        assert [item.version for item in other.history("iris")] == [1, 2]
        assert "Trying again" in caplog.text


def test_metadata_and_deletions_are_no_different(postgres: PostgresServer) -> None:
    """Whatever a transaction begins with."""
    url = postgres.new_database()
    words = "SHOW idle_in_transaction_session_timeout"
    with Registry.open(url) as registry:

        def ask(connection: Any) -> object:
            return connection.exec_driver_sql(words).scalar()

        assert [registry._database.write(ask), registry._database.read(ask)] == ["1min", "0"]


def test_too_many_threads_are_told_in_our_words(url: str) -> None:
    """Not with the name of a pool that they have never heard of."""
    with Registry.open(url) as registry, ExitStack() as held:
        engine = registry._database.engine
        engine.pool._timeout = 0.01  # type: ignore[attr-defined]
        for _ in range(10):
            held.enter_context(engine.connect())
        with pytest.raises(
            RegistryUnavailable, match="other threads of this process use all its connections"
        ):
            registry.list_models()
