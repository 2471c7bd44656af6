"""Promoting, resolving, rolling back and deleting at the same time is as if they came one after the other (R27)."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from airflow_model_provider.exceptions import (
    NothingToRestore,
    StageConflict,
    StageNotAssigned,
    StageOccupied,
    VersionInUse,
    VersionNotFound,
)
from airflow_model_provider.registry.registry import Registry
from airflow_model_provider.selectors import Selector
from tests.support.linearizability import Operation, is_linearizable
from tests.support.soak import TIMES

CLIENTS, OPERATIONS, VERSIONS = 4, 10, 5
HISTORIES = 8 * TIMES
PRODUCTION = Selector.parse("production")

#: The stage's holder and those before it, and what was deleted.
State = tuple[Any, frozenset[int]]
EMPTY: State = (None, frozenset())


def step(state: State, operation: Operation) -> State | None:
    """A stage in a few lines of plain Python."""
    after, answer = _next(state, operation)
    return after if answer == operation.answer else None


def _next(state: State, operation: Operation) -> tuple[State, Any]:
    chain, deleted = state
    holder = chain[0] if chain else None
    if operation.name == "resolve":
        return state, holder
    if operation.name == "rollback":
        earlier = chain[1] if chain else None
        while earlier is not None and (earlier[0] in deleted or earlier[0] == holder):
            earlier = earlier[1]
        return (state, "nothing") if earlier is None else ((earlier, deleted), earlier[0])
    number = operation.arguments[0]
    if number in deleted:
        return state, "not found"
    if operation.name == "delete":
        return (state, "in use") if number == holder else ((chain, deleted | {number}), "deleted")
    expected = operation.arguments[1] if operation.name == "replace" else holder
    if expected != holder:
        return state, ("conflict", holder)
    if number == holder:
        return state, "unchanged"
    if operation.name == "take" and holder is not None:
        return state, ("occupied", holder)
    return ((number, chain), deleted), "promoted"


def ask(registry: Registry, name: str, arguments: tuple[Any, ...]) -> Any:
    """Ask the registry, and return the answer in the words of the plain one."""
    try:
        if name == "resolve":
            return registry.get_version("iris", PRODUCTION).number
        if name == "rollback":
            return registry.rollback("iris", "production").version
        if name == "delete":
            registry.delete_version("iris", arguments[0], purge=True)
            return "deleted"
        options: dict[str, Any] = {"expected": arguments[1]} if name == "replace" else {}
        event = registry.set_stage("iris", arguments[0], "production", force=name == "force", **options)
    except StageNotAssigned:
        return None
    except NothingToRestore:
        return "nothing"
    except VersionNotFound:
        return "not found"
    except VersionInUse:
        return "in use"
    except StageConflict as conflict:
        return "conflict", conflict.holder
    except StageOccupied as occupied:
        return "occupied", occupied.holder
    return "unchanged" if event is None else "promoted"


def some_operations(chance: random.Random) -> list[tuple[str, tuple[Any, ...]]]:
    """What one client does."""
    found: list[tuple[str, tuple[Any, ...]]] = []
    for _ in range(OPERATIONS):
        name = chance.choice(
            ["resolve", "resolve", "force", "force", "replace", "take", "rollback", "delete"]
        )
        number = chance.randint(1, VERSIONS)
        arguments: dict[str, tuple[Any, ...]] = {
            "resolve": (),
            "rollback": (),
            "replace": (number, chance.choice([None, *range(1, VERSIONS + 1)])),
            "delete": (chance.randint(1, VERSIONS - 1),),
        }
        found.append((name, arguments.get(name, (number,))))
    return found


def recorded(url: str, seed: int) -> list[Operation]:
    """Let clients with connections of their own do things at the same time, and write down what they got."""

    def client(number: int) -> list[Operation]:
        done = []
        operations = some_operations(random.Random(1000 * seed + number))
        if number == 0:  # in every history one is promoted that nobody deletes
            operations[0] = ("force", (VERSIONS,))
        with Registry.open(url) as registry:
            for name, arguments in operations:
                begun = time.monotonic_ns()
                answer = ask(registry, name, arguments)
                done.append(Operation(begun, time.monotonic_ns(), name, arguments, answer))
        return done

    with ThreadPoolExecutor(CLIENTS) as pool:
        return [operation for done in pool.map(client, range(CLIENTS)) for operation in done]


def test_histories_are_linearizable(url: str) -> None:
    """The history that was recorded, and the registry's own: its last event is the pointer."""
    with Registry.open(url) as registry:
        for seed in range(HISTORIES):
            for _ in range(VERSIONS):
                registry.create_version("iris")
            history = recorded(url, seed)
            answers = {str(operation.answer) for operation in history}

            assert is_linearizable(history, EMPTY, step), history
            assert "promoted" in answers
            events = registry.history("iris", "production")
            assert [event.sequence for event in events] == sorted(
                (event.sequence for event in events), reverse=True
            )
            assert [event.previous for event in events[:-1]] == [event.version for event in events[1:]]
            assert ask(registry, "resolve", ()) == events[0].version
            _begin_anew(registry)


def _begin_anew(registry: Registry) -> None:
    holders = registry.holders("iris")
    if holders:
        registry.set_stage("iris", holders["iris"]["production"], "archived")
    registry.delete_model("iris", purge=True)
    with registry._database.engine.begin() as connection:  # numbers begin at 1 in a model of this name again
        connection.exec_driver_sql("UPDATE mr_model SET name = 'old ' || id WHERE name = 'iris'")


def op(begun: int, ended: int, name: str, *arguments: Any, answer: Any) -> Operation:
    """Write a history by hand."""
    return Operation(begun, ended, name, arguments, answer)


@pytest.mark.parametrize(
    ("history", "possible"),
    [
        ([op(0, 1, "force", 1, answer="promoted"), op(2, 3, "resolve", answer=1)], True),
        ([op(0, 1, "force", 1, answer="promoted"), op(2, 3, "resolve", answer=None)], False),
        ([op(0, 4, "force", 1, answer="promoted"), op(2, 3, "resolve", answer=None)], True),
        (  # two that read the new one and then the old one
            [
                op(0, 9, "force", 1, answer="promoted"),
                op(1, 2, "resolve", answer=1),
                op(3, 4, "resolve", answer=None),
            ],
            False,
        ),
        (  # two compare-and-sets from the same holder
            [
                op(0, 5, "replace", 1, None, answer="promoted"),
                op(0, 5, "replace", 2, None, answer="promoted"),
            ],
            False,
        ),
        (
            [
                op(0, 5, "replace", 1, None, answer="promoted"),
                op(0, 5, "replace", 2, None, answer=("conflict", 1)),
            ],
            True,
        ),
        (  # a rollback that goes back to what was deleted before
            [
                op(0, 1, "force", 1, answer="promoted"),
                op(2, 3, "force", 2, answer="promoted"),
                op(4, 5, "delete", 1, answer="deleted"),
                op(6, 7, "rollback", answer=1),
            ],
            False,
        ),
    ],
)
def test_the_checker_finds_what_cannot_have_been(history: list[Operation], *, possible: bool) -> None:
    """It can fail."""
    assert is_linearizable(history, EMPTY, step) is possible
