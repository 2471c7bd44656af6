"""A connection to PostgreSQL that breaks at every call, before the server sees it and after."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from threading import Timer
from typing import Any

import psycopg
import pytest

from airflow_model_provider import Client
from airflow_model_provider.exceptions import OutcomeUnknown, RegistryUnavailable
from airflow_model_provider.registry.database import Database
from airflow_model_provider.registry.registry import Registry
from tests.support.databases import PostgresServer
from tests.support.plan import FOR_EVER, sample
from tests.support.postgres_proxy import PostgresProxy, postgres_proxy
from tests.unit.faults.operations import OPERATIONS, Operation
from tests.unit.faults.scene import DONE, IMPATIENT, NOT_DONE, PATIENT, UNKNOWN, Scene

#: How many calls, or answers to calls, of one operation are lost in the short form, besides those of each COMMIT.
SOME = 3
BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED"


def chosen(calls: list[str]) -> list[tuple[int, bool]]:
    """Which calls are lost, or only the answers to them."""
    commits = [index for index, call in enumerate(calls) if commits_with(call)]
    both = (False, True)
    return sorted({*product(commits, both), *sample([*product(range(len(calls)), both)], SOME)})


def leaves_doubt(calls: list[str], index: int) -> bool:
    """Whether a call makes a change visible."""
    if not commits_with(calls[index]):
        return calls[index].startswith(("INSERT INTO mr_resolution", "UPDATE mr_version SET state"))
    said = "; ".join(calls[: index + 1]).split("; ")
    begun = max(place for place, words in enumerate(said) if words.startswith("BEGIN"))
    return any(not words.startswith("SELECT") or "UPDATE" in words for words in said[begun + 1 : -1])


def commits_with(call: str) -> bool:
    """Whether a call ends a transaction, perhaps after something else."""
    return call.endswith("COMMIT")


def commit_of(calls: list[str]) -> int:
    """The first call that ends a transaction."""
    return [commits_with(call) for call in calls].index(True)


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_a_lost_call_is_made_again_and_a_lost_server_is_an_error_that_says_which(
    operation: Operation, postgres_scene: Scene, proxy: PostgresProxy
) -> None:
    """
    The connection breaks before or after the server has done what the call says.

    Once: done, exactly once. For good: not done, unless it was COMMIT whose answer did not come, or that of a
    statement which is a transaction of its own; that is said to be not known.
    """
    scene, plan = postgres_scene, proxy.plan
    calls = scene.rehearse(operation, plan)
    for index, proxy.answer_only in chosen(calls):
        outcome = scene.perform(operation, plan.failing(index))
        assert outcome.said == DONE, (calls[index], outcome.error)
        outcome = scene.perform(operation, plan.failing(index, FOR_EVER), patience=IMPATIENT)
        assert outcome.said == (UNKNOWN if leaves_doubt(calls, index) else NOT_DONE), calls[index]
    scene.check_end()


@pytest.mark.parametrize("times", [2, 3, 4])
def test_the_question_what_became_of_a_commit_is_asked_again(
    times: int, postgres_scene: Scene, proxy: PostgresProxy
) -> None:
    """The answer to COMMIT is lost, and then so are those to the next calls: done, exactly once."""
    scene, operation = postgres_scene, OPERATIONS["promote by force"]
    calls = scene.rehearse(operation, proxy.plan)
    proxy.answer_only = True

    assert scene.perform(operation, proxy.plan.failing(commit_of(calls), times)).said == DONE
    scene.check_end()


@pytest.fixture
def unnoticed(proxy: PostgresProxy) -> Iterator[PostgresProxy]:
    """A server that does not learn of broken connections."""
    proxy.noticed.clear()
    yield proxy
    proxy.noticed.set()


def test_a_transaction_that_is_still_open_is_said_to_be_not_known(
    postgres_scene: Scene, unnoticed: PostgresProxy
) -> None:
    """COMMIT was lost, and the server still waits for it: for longer than patience lasts."""
    scene, operation = postgres_scene, OPERATIONS["promote by force"]
    commit = commit_of(scene.rehearse(operation, unnoticed.plan))
    outcome = scene.perform(operation, unnoticed.plan.failing(commit), patience=IMPATIENT)

    assert outcome.said == UNKNOWN
    assert "neither committed nor rolled back" in str(outcome.error)


def test_a_transaction_that_is_still_open_is_waited_for(
    postgres_scene: Scene, unnoticed: PostgresProxy
) -> None:
    """COMMIT was lost; once the server has learned of it the change is made again: done, exactly once."""
    scene, operation = postgres_scene, OPERATIONS["promote by force"]
    commit = commit_of(scene.rehearse(operation, unnoticed.plan))
    Timer(0.2, unnoticed.noticed.set).start()

    assert scene.perform(operation, unnoticed.plan.failing(commit)).said == DONE
    scene.check_end()


def test_a_registry_is_made_whole_or_not_at_all(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls of the first opening are lost: the database holds no table, or all; the next opening succeeds."""
    url = postgres.new_database(empty=True)
    with postgres_proxy(url) as proxy, proxy.plan.failing():
        Registry.open(proxy.url).close()
    calls, tables = proxy.plan.calls, names(url)
    assert "mr_version" in tables
    some = sorted({calls.index("COMMIT"), *sample(range(len(calls)), 2)})
    for index, answer_only, times in product(some, (False, True), (FOR_EVER, 1)):
        monkeypatch.setitem(
            Database.__init__.__kwdefaults__, "patience", PATIENT if times == 1 else IMPATIENT
        )
        url = postgres.new_database(empty=True) if names(url) else url
        error = opening_error(url, index, answer_only=answer_only, times=times)

        assert (error is None) == (times == 1)
        assert isinstance(error, OutcomeUnknown) == (times > 1 and calls[index] == "COMMIT")
        assert names(url) in ([], tables)
    Registry.open(url).close()
    assert names(url) == tables


def opening_error(url: str, index: int, *, answer_only: bool, times: int) -> RegistryUnavailable | None:
    """Open a registry while calls are lost."""
    with postgres_proxy(url) as proxy, proxy.plan.failing(index, times):
        proxy.answer_only = answer_only
        try:
            Registry.open(proxy.url).close()
        except RegistryUnavailable as err:
            return err
    return None


def names(url: str) -> list[str]:
    """The tables of a database."""
    with psycopg.connect(url) as connection:
        query = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
        return [name for (name,) in connection.execute(query)]


def test_what_was_done_is_read_back_where_its_answer_was_lost(
    postgres_scene: Scene, proxy: PostgresProxy
) -> None:
    """COMMIT is sent with the event, so that the event's number and time are lost with the answer."""
    client = Client(proxy.url, store=postgres_scene.address.store)
    registry, proxy.answer_only = client.workspace.registry, True
    acts: list[Callable[[str], Any]] = [
        lambda model: client.register_model_version(model, {"n": 1}, stage="production").number,
        lambda model: client.register_model_version(model, {"n": 2}).number,
        lambda model: registry.set_stage(model, 2, "production", force=True, reason="better"),
        lambda model: registry.rollback(model, "production", reason="worse"),
        lambda model: registry.set_stage(model, 1, "archived", reason="old"),
    ]
    told = []
    for act in acts:
        with proxy.plan.failing():
            act("rehearsed")
        with proxy.plan.failing(commit_of(proxy.plan.calls)):
            told.append(act("iris"))

    assert told == [1, 2, *reversed(registry.history("iris")[:3])]
    assert [event.reason for event in registry.history("iris")] == ["old", "worse", "better", None]
    client.workspace.close()


def test_a_promotion_and_a_whole_version_are_two_round_trips(
    postgres_scene: Scene, proxy: PostgresProxy, tmp_path: Path
) -> None:
    """BEGIN goes with what is asked first, COMMIT with the event; over an open connection nothing else is said."""
    client = Client(proxy.url, store=postgres_scene.address.store)
    (file := tmp_path / "weights").write_bytes(b"1")
    acts: list[Callable[[], Any]] = [
        lambda: client.register_model_version("iris", {"weights": file}, stage="production", force=True),
        lambda: client.get_model_version("iris", 1).set_stage("production", force=True),
    ]
    acts[0]()
    said = []
    for act in acts:
        with proxy.plan.failing():
            act()
        said.append([call.split("; ") for call in proxy.plan.calls])
    client.workspace.close()
    registration, (_read, *promotion) = said

    for calls in (registration, promotion):
        assert [len(calls), calls[0][0], calls[1][-1]] == [2, BEGIN, "COMMIT"]
        assert calls[1][:-1] == [words for words in calls[1] if "INSERT INTO mr_stage_event" in words]
