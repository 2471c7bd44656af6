"""A connection to PostgreSQL that breaks at every call, before the server sees it and after (R13)."""

from __future__ import annotations

import pytest

from tests.support.plan import FOR_EVER, sample
from tests.support.postgres_proxy import PostgresProxy
from tests.unit.faults.operations import OPERATIONS, Operation
from tests.unit.faults.scene import DONE, IMPATIENT, NOT_DONE, UNKNOWN, Scene

EVERY = pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
BOTH = pytest.mark.parametrize("answer_only", [False, True], ids=["before", "after"])
#: Calls of one operation that are lost in the short form, besides each COMMIT.
SOME = 4


def chosen(calls: list[str]) -> list[int]:
    """Which calls are lost."""
    commits = [index for index, call in enumerate(calls) if call == "COMMIT"]
    return sorted({*commits, *sample(range(len(calls)), SOME)})


def leaves_doubt(calls: list[str], index: int) -> bool:
    """Whether a call makes a change visible."""
    if calls[index] != "COMMIT":
        return calls[index].startswith("INSERT INTO mr_resolution")
    begun = max(place for place in range(index) if calls[place].startswith("BEGIN"))
    return any(not call.startswith("SELECT") or "UPDATE" in call for call in calls[begun + 1 : index])


@EVERY
@BOTH
def test_a_lost_connection_is_replaced_and_nothing_is_done_twice(
    operation: Operation, answer_only: bool, postgres_scene: Scene, proxy: PostgresProxy
) -> None:
    """It breaks once, before or after the server has done what the call says: done, exactly once."""
    scene, plan = postgres_scene, proxy.plan
    calls = scene.rehearse(operation, plan)
    proxy.answer_only = answer_only
    for index in chosen(calls):
        outcome = scene.perform(operation, plan.failing(index))

        assert outcome.said == DONE, (calls[index], outcome.error)
    scene.check_end()


@EVERY
@BOTH
def test_a_server_that_stays_away_is_an_error_that_says_which(
    operation: Operation, answer_only: bool, postgres_scene: Scene, proxy: PostgresProxy
) -> None:
    """Not done, unless it was COMMIT whose answer did not come, or a record's: that is said to be not known."""
    scene, plan = postgres_scene, proxy.plan
    calls = scene.rehearse(operation, plan)
    proxy.answer_only = answer_only
    for index in chosen(calls):
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

    assert scene.perform(operation, proxy.plan.failing(calls.index("COMMIT"), times)).said == DONE
    scene.check_end()
