"""What a task does once, in however many tries at once: on both databases (R23, R29)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from airflow_model_provider import Client
from airflow_model_provider.references import Reference
from airflow_model_provider.registry.entities import Attempt, RunKey
from airflow_model_provider.selectors import Selector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

RUN = RunKey("default", "stages", "manual__1")


@pytest.fixture
def client(url: str, tmp_path: Path) -> Iterator[Client]:
    """A client of an empty registry."""
    made = Client(url, store=str(tmp_path / "store"))
    yield made
    made.workspace.close()


def attempt(number: int, task_id: str = "act") -> Attempt:
    """A try of a task."""
    return Attempt(RUN, task_id, f"{task_id}-{number}", try_number=number)


def all_at_once(work: Callable[[int], Any]) -> list[Any]:
    """Four tries of a task, none of which has been told of the others."""
    with ThreadPoolExecutor(4) as threads:
        return list(threads.map(work, range(1, 5)))


def test_tries_at_once_make_one_version(client: Client) -> None:
    """Of a value, and of an artifact that is linked; the model is made with it."""
    values = client.workspace

    def register(number: int) -> int:
        from airflow_model_provider.registering import gather

        held = gather(values, "iris", {"labels": ["setosa"]}, {}, {})
        asked = {"once": True, "attempt": attempt(number), "metadata": {"accuracy": 0.5}}
        return values.register_version("iris", held.items, **asked).version.number

    assert set(all_at_once(register)) == {1}
    labels = client.get_model_version("iris", 1).get_artifact("labels")

    def link(number: int) -> int:
        asked = {"once": True, "attempt": attempt(number, "link"), "linked": [labels.record.id]}
        return values.register_version("iris", [], **asked).version.number

    assert set(all_at_once(link)) == {2}
    (linked,) = client.get_model_version("iris", 2).list_artifacts()
    assert linked.record.id == labels.record.id
    assert client.get_artifact("labels").number == 1


def test_tries_at_once_roll_back_once(client: Client) -> None:
    """Version 3 gives way to 2, and 2 to nobody."""
    for _ in range(3):
        client.register_model_version("iris", stage="production", force=True)
    registry = client.workspace.registry
    events = all_at_once(
        lambda number: registry.rollback("iris", "production", attempt=attempt(number), once=True)
    )

    assert {(event.version, event.sequence) for event in events} == {(2, 4)}
    assert registry.rollback("iris", "production", attempt=attempt(1, "other"), once=True).version == 1


def test_numbers_of_many_selectors_at_once(client: Client) -> None:
    """What waits is told which version each selector means now; a version that is deleted, or not there, is none."""
    for name in ("first", "second", None):
        client.create_model_version("iris", name)
    client.get_model_version("iris", 2).set_stage("production")
    client.delete_model_version("iris", 3)
    asked = ["production", "staging", "latest", 1, 3, 4, "first", "nobody"]
    references = [Reference("iris", Selector.parse(item)) for item in asked] + [
        Reference("rose", Selector.parse("production"))
    ]
    registry = client.workspace.registry

    assert registry.numbers(references) == [2, None, 2, 1, None, None, 1, None, None]
    assert registry.numbers(references[:1]) == [2]
