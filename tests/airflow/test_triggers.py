"""Triggers, run as the triggerer runs them: on an event loop, beside others."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import BaseHook, Connection
from sqlalchemy import event as sqlalchemy_event

from airflow_model_provider import Client, settings
from airflow_model_provider.addresses import Address, find_address
from airflow_model_provider.references import Reference, Wanted
from airflow_model_provider.registry.registry import Registry
from airflow_model_provider.selectors import Selector
from airflow_model_provider.triggers import lookout as lookout_module
from airflow_model_provider.triggers.lookout import lookout
from airflow_model_provider.triggers.model_version import ModelVersionTrigger
from airflow_model_provider.triggers.shared_look import shared_look

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PRODUCTION = Reference("iris", Selector.parse("production"), Wanted.VERSION, on_missing="wait")


@pytest.fixture(autouse=True)
def _new_triggerer() -> Iterator[None]:
    """A triggerer that has looked at nothing yet."""
    for known in (lookout, shared_look):
        known.cache_clear()
    yield
    for known in (lookout, shared_look):
        known.cache_clear()


def promote(registry: Client) -> None:
    """Make a version and promote it."""
    with registry.new_model_version("iris") as version:
        version.save_artifact("marker", 1)
    version.set_stage("production")


def trigger(reference: Reference = PRODUCTION, address: Address | None = None, **changes: Any) -> Any:
    """Make a trigger as a task does, and read it as the triggerer does."""
    made = ModelVersionTrigger.for_reference(
        reference, address or find_address(reference.conn_id), since=datetime.now(UTC)
    )
    kwargs = {**json.loads(json.dumps(made.serialize()[1])), "poll_interval": 0.01, **changes}
    return ModelVersionTrigger(**kwargs)


async def fired(trigger: ModelVersionTrigger) -> Any:
    """Return what the trigger's first event says."""
    async for event in trigger.run():
        return event.payload["state"]
    raise AssertionError("the trigger ended without an event")


class Questions:
    """Counts what is asked of Airflow, which knows one connection."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.asked: list[str] = []
        extra = json.dumps({"url": f"sqlite:///{folder}/stored.db", "store": f"{folder}/stored"})
        self.connection = Connection(conn_id="stored", conn_type="model_registry", extra=extra)
        monkeypatch.setattr(BaseHook, "get_connection", self.get)

    def get(self, conn_id: str) -> Connection:
        self.asked.append(conn_id)
        return self.connection


@pytest.fixture
def questions(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Questions:
    """What triggers ask Airflow."""
    return Questions(monkeypatch, tmp_path)


def test_airflow_is_not_asked_where_the_task_found_no_connection(
    model_registry: Client, questions: Questions
) -> None:
    """The first question would stop a new triggerer for many seconds, with all its triggers."""
    promote(model_registry)

    assert asyncio.run(fired(trigger(address=Address("", "", "AIRFLOW_HOME")))) == "there"
    assert questions.asked == []


def test_airflow_is_asked_once_for_many_looks_of_many_triggers(questions: Questions, tmp_path: Path) -> None:
    """A connection that Airflow keeps."""
    registry = Client(f"sqlite:///{tmp_path}/stored.db", store=f"{tmp_path}/stored")
    stored = PRODUCTION.but(conn_id="stored")
    address = Address("", "", "connection 'stored'")

    async def both() -> list[Any]:
        waiting = [asyncio.ensure_future(fired(trigger(stored, address))) for _ in range(2)]
        await asyncio.wait(waiting, timeout=0.2)
        assert not any(item.done() for item in waiting)
        promote(registry)
        return await asyncio.gather(*waiting)

    assert asyncio.run(both()) == ["there", "there"]
    assert len(questions.asked) <= 2  # the first look of each may come before the other's answer


def test_a_changed_connection_is_noticed(
    questions: Questions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A triggerer lives for weeks."""
    monkeypatch.setattr(lookout_module, "_ADDRESS_HOLDS", 0.0)
    promote(Client(f"sqlite:///{tmp_path}/moved.db", store=f"{tmp_path}/moved"))
    watching = trigger(PRODUCTION.but(conn_id="stored"), Address("", "", "connection 'stored'"))

    async def move() -> Any:
        waiting = asyncio.ensure_future(fired(watching))
        await asyncio.wait([waiting], timeout=0.2)
        assert not waiting.done()
        questions.connection.extra = json.dumps({"url": f"sqlite:///{tmp_path}/moved.db"})
        return await waiting

    assert asyncio.run(move()) == "there"


def test_any_error_of_a_look_is_said_and_the_next_look_comes_later(
    model_registry: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the log of each task that waits; none of them is lost for it."""
    promote(model_registry)
    errors, said, pauses = [ValueError("odd"), RuntimeError("odder")], [], []
    numbers, sleep = Registry.numbers, asyncio.sleep

    def look(self: Registry, references: Any) -> Any:
        if errors:
            raise errors.pop(0)
        return numbers(self, references)

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        await sleep(0)

    monkeypatch.setattr(Registry, "numbers", look)
    monkeypatch.setattr(asyncio, "sleep", pause)
    waiting = [trigger(poll_interval=1.0) for _ in range(2)]
    for one in waiting:
        monkeypatch.setattr(one.log, "warning", lambda text, *values: said.append(text % values))

    async def both() -> list[Any]:
        return await asyncio.gather(*map(fired, waiting))

    assert asyncio.run(both()) == ["there", "there"]
    assert sorted(set(said)) == [
        "RuntimeError: odder Looking again in 4 s.",
        "ValueError: odd Looking again in 2 s.",
    ]
    assert len(said) == 4
    assert pauses[0] == 0 < 1.5 <= pauses[1] <= 2 < 3 <= pauses[2] <= 4


class Statements:
    """Counts what a registry's database is asked."""

    def __init__(self, client: Client) -> None:
        self.count = 0
        sqlalchemy_event.listen(
            client.workspace.registry._database.engine, "before_cursor_execute", self._counted
        )

    def _counted(self, *_: Any) -> None:
        self.count += 1


def test_however_many_wait_the_registry_is_asked_once_per_poll(model_registry: Client) -> None:
    """500 tasks, of three stages and two models: one statement each time, whose answer wakes whom it concerns."""
    promote(model_registry)
    registry, looks = model_registry.workspace.registry, []
    wanted = [Reference("iris", Selector.parse(stage)) for stage in ("production", "staging")]
    wanted.append(Reference("rose", Selector.parse("production")))
    # Version 1 is production already: these wait for a newer one.
    waiting = [trigger(item, newer_than=1, poll_interval=0.05) for item in wanted for _ in range(170)]
    numbers = Registry.numbers

    def counted(self: Registry, references: Any) -> Any:
        before = statements.count
        found = numbers(self, references)
        looks.append((len(references), statements.count - before))
        return found

    async def all_of_them() -> list[set[Any]]:
        tasks = [asyncio.ensure_future(fired(one)) for one in waiting]
        while len(looks) < 4:
            await asyncio.sleep(0.01)
        assert not any(task.done() for task in tasks)
        await asyncio.to_thread(model_registry.register_model_version, "iris", stage="staging")
        done = set(await asyncio.gather(*tasks[170:340]))
        assert not any(task.done() for task in [*tasks[:170], *tasks[340:]])
        for task in tasks:
            task.cancel()
        return [done]

    statements = Statements(model_registry)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Registry, "numbers", counted)
        assert asyncio.run(all_of_them()) == [{"there"}]
    assert registry.last_event("iris", "staging") is not None
    assert {asked for asked, _ in looks[:4]} == {3}
    assert {made for _, made in looks} == {1}


def test_it_ends_when_the_time_is_over(model_registry: Client) -> None:
    """Nothing was promoted."""
    until = (datetime.now(UTC) + timedelta(seconds=0.1)).isoformat()

    assert asyncio.run(fired(trigger(until=until))) == "timeout"


def test_a_registry_that_does_not_answer_holds_up_nobody_else(model_registry: Client) -> None:
    """Neither triggers of another registry nor others that need a thread."""
    released, begun = Event(), Event()

    def hang(_registry: Any) -> bool:
        begun.set()
        return released.wait(30)

    async def beside() -> tuple[int, Any]:
        hanging = [asyncio.ensure_future(lookout("other", stored=False).ask(hang)) for _ in range(20)]
        try:
            await asyncio.to_thread(begun.wait, 30)
            return await asyncio.to_thread(int, "7"), await fired(trigger())
        finally:
            released.set()
            await asyncio.gather(*hanging)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_OTHER", json.dumps({"conn_type": "model_registry"}))
        promote(model_registry)
        assert asyncio.run(asyncio.wait_for(beside(), 20)) == (7, "there")


def test_the_trigger_takes_its_times_from_the_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    """And says where it is to be found again."""
    monkeypatch.setenv(settings.variable("wait_timeout"), "60")
    monkeypatch.setenv(settings.variable("poll_interval"), "5")
    since = datetime(2026, 1, 1, tzinfo=UTC)
    made = ModelVersionTrigger.for_reference(PRODUCTION, Address("", "", "AIRFLOW_HOME"), since=since)

    assert made.serialize() == (
        "airflow_model_provider.triggers.model_version.ModelVersionTrigger",
        {
            "model": "iris",
            "selector": "production",
            "kind": "stage",
            "newer_than": None,
            "newer_than_selector": None,
            "newer_than_kind": None,
            "conn_id": None,
            "since": "2026-01-01T00:00:00+00:00",
            "until": "2026-01-01T00:01:00+00:00",
            "poll_interval": 5.0,
            "stored": False,
        },
    )
