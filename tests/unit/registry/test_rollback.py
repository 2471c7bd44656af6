"""Rolling back: a new event that restores the holder before the present one (R29)."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_model_provider.exceptions import (
    ModelNotFound,
    NothingToRestore,
    StageConflict,
    UnknownStage,
    VersionDeleted,
    VersionInUse,
)
from airflow_model_provider.references import Reference
from airflow_model_provider.registry.entities import Attempt, RunKey
from airflow_model_provider.registry.registry import Registry
from airflow_model_provider.selectors import Selector

RUN = RunKey("default", "rescue", "manual__1")


@pytest.fixture
def five(registry: Registry) -> Registry:
    """Five versions of iris."""
    for _ in range(5):
        registry.create_version("iris")
    return registry


def promote(registry: Registry, *numbers: int) -> None:
    """Make versions the holder of production, one after the other."""
    for number in numbers:
        registry.set_stage("iris", number, "production", force=True)


def holder(registry: Registry) -> int:
    """The number of the version in production."""
    return registry.get_version("iris", Selector.parse("production")).number


def back(registry: Registry, **options: Any) -> int | None:
    """Roll back, and return who holds the stage then."""
    event = registry.rollback("iris", "production", **options)
    assert event.version == holder(registry)
    return event.version


def test_each_rollback_goes_one_further_back(five: Registry) -> None:
    """Until no earlier holder is left; a promotion in between is a holder like others."""
    promote(five, 1, 2, 3)

    assert [back(five), back(five)] == [2, 1]
    with pytest.raises(NothingToRestore) as none_left:
        back(five)
    assert holder(five) == 1
    promote(five, 4)
    assert back(five) == 1
    assert none_left.value.holders == (3, 2)


def test_what_was_rolled_back_is_not_restored(five: Registry) -> None:
    """After a rollback and a new promotion, going back leads past what was found wanting."""
    promote(five, 1, 2)
    back(five)
    promote(five, 3)

    assert back(five) == 1
    with pytest.raises(NothingToRestore):
        back(five)


def test_it_is_an_event_like_others(five: Registry) -> None:
    """With number, time, reason, user or task; the version that goes is archived, the one that comes is not."""
    promote(five, 1, 2)
    event = five.rollback(
        "iris", "production", reason="drift", attempt=Attempt(RUN, "rescue", "a"), expected=2
    )
    assert (event.version, event.previous, event.reason, event.run, event.task_id) == (
        *(1, 2, "drift", RUN),
        "rescue",
    )
    first, *_ = reversed(five.history("iris", "production"))
    one, two = (five.get_version("iris", Selector.parse(number)) for number in (1, 2))

    assert event.restores == first.sequence
    assert [item.restores for item in five.history("iris")] == [first.sequence, None, None]
    assert (one.stages, one.archived, two.stages, two.archived) == (("production",), False, (), True)


def test_the_same_version_twice_is_one_holder(five: Registry) -> None:
    """Left and taken again, or promoted over another: the holder before is another version."""
    promote(five, 1, 2)
    five.set_stage("iris", 2, "archived")
    assert back(five) == 2
    promote(five, 3, 2)

    assert [back(five), back(five), back(five)] == [3, 2, 1]


def test_an_empty_stage_gets_its_last_holder_back(five: Registry) -> None:
    """Archiving is a change like others."""
    promote(five, 1, 2)
    five.set_stage("iris", 2, "archived")
    event = five.rollback("iris", "production", expected=None)

    assert (event.version, event.previous) == (2, None)


def test_deleted_holders_are_skipped(five: Registry) -> None:
    """What was purged can't come back."""
    promote(five, 1, 2, 3, 4)
    five.delete_version("iris", 3, purge=True)
    five.delete_version("iris", 2, purge=True)

    assert back(five) == 1
    promote(five, 5)
    five.delete_version("iris", 4, purge=True)
    five.delete_version("iris", 1, purge=True)
    with pytest.raises(NothingToRestore) as nothing:
        back(five)
    assert str(nothing.value) == (
        "iris[production] cannot be rolled back: no earlier version that still exists was in it. Nothing was changed. "
        "Other versions that have been in it: none. Promote a version instead."
    )


def test_a_given_holder_is_restored(five: Registry) -> None:
    """However long ago it held the stage; a further rollback goes on from there."""
    promote(five, 1, 2, 3, 4)

    assert back(five, to=2) == 2
    assert back(five) == 1
    with pytest.raises(NothingToRestore) as never_held:
        back(five, to=5)
    with pytest.raises(NothingToRestore):
        back(five, to=1)
    assert str(never_held.value) == (
        "iris[production] cannot be rolled back: iris@5 is not an earlier version in it. Nothing was changed. "
        "Other versions that have been in it: iris@4, iris@3, iris@2. Choose one: to=4."
    )


def test_expected_is_compared(five: Registry) -> None:
    """Two people who roll back at the same time go back once."""
    promote(five, 1, 2, 3)
    back(five, expected=3)
    with pytest.raises(StageConflict) as conflict:
        back(five, expected=3)

    assert conflict.value.holder == holder(five) == 2
    assert len(five.history("iris")) == 4


def test_what_is_not_there_is_named(five: Registry) -> None:
    """A stage that was never set, one that isn't declared, a model that doesn't exist."""
    with pytest.raises(NothingToRestore):
        back(five)
    with pytest.raises(UnknownStage):
        five.rollback("iris", "prodution")
    with pytest.raises(ModelNotFound):
        five.rollback("isir", "production")


def test_only_a_purge_deletes_what_was_once_in_a_stage(five: Registry) -> None:
    """And never what is in one; as_of names the tombstone then (R24)."""
    promote(five, 1, 2)
    for number, use in ((1, "it has been in stage 'production'"), (2, "it is in stage 'production'")):
        with pytest.raises(VersionInUse, match=use):
            five.delete_version("iris", number)
    with pytest.raises(VersionInUse, match="it is in stage 'production'"):
        five.delete_version("iris", 2, purge=True)
    when = five.history("iris")[-1].at.isoformat()
    five.delete_version("iris", 1, purge=True)

    with pytest.raises(VersionDeleted, match="iris@1"):
        five.resolve([Reference("iris", Selector.parse("production"), as_of=(when,))])
    assert [item.version for item in five.history("iris")] == [2, 1]
