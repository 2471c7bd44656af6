"""Models and versions: numbers, names, states, tombstones (R22-R25)."""

from __future__ import annotations

import pytest

from airflow_model_provider.exceptions import (
    AlreadyExists,
    InvalidDefinition,
    ModelNotFound,
    StageNotAssigned,
    VersionInUse,
    VersionNotFound,
)
from airflow_model_provider.registry.entities import RunKey, VersionState
from airflow_model_provider.registry.registry import Registry
from airflow_model_provider.selectors import Selector

RUN = RunKey("default", "training", "scheduled__1")
PARTS = {"train": True, "evaluate": True}


def number(registry: Registry, selector: object, model: str = "iris") -> int:
    """The number of the version that a selector means."""
    return registry.get_version(model, Selector.parse(selector)).number


def test_numbers_start_at_one_and_have_no_gap(registry: Registry) -> None:
    """Versions of each model are counted by themselves; a model is made with its first version."""
    made = [registry.create_version("iris").number for _ in range(3)]

    assert made == [1, 2, 3]
    assert registry.create_version("other").number == 1
    assert [record.name for record in registry.list_models()] == ["iris", "other"]
    assert [record.number for record in registry.list_versions("iris")] == [3, 2, 1]


def test_a_version_that_cannot_be_made_takes_no_number(registry: Registry) -> None:
    """A name that is taken is refused before a number is used."""
    registry.create_version("iris", name="first")
    with pytest.raises(AlreadyExists, match="iris@first"):
        registry.create_version("iris", name="first")

    assert registry.create_version("iris").number == 2


def test_a_deleted_number_is_never_used_again(registry: Registry) -> None:
    """Deleting leaves a tombstone, also when the whole model goes and comes back."""
    registry.create_version("iris")
    registry.create_version("iris", name="gone")
    registry.delete_version("iris", 2)
    with pytest.raises(VersionNotFound, match=r"'2'.*1 \(ready\)"):
        number(registry, 2)
    assert registry.create_version("iris", name="gone").number == 3

    registry.delete_model("iris")
    with pytest.raises(ModelNotFound):
        number(registry, 1)
    assert registry.create_version("iris").number == 4


def test_a_version_that_ever_held_a_stage_stays(registry: Registry) -> None:
    """Neither it nor its model can be deleted; the error says why."""
    registry.create_version("iris")
    registry.create_version("iris")
    registry.set_stage("iris", 1, "production")
    with pytest.raises(VersionInUse, match="it is in stage 'production'"):
        registry.delete_version("iris", 1)
    registry.set_stage("iris", 2, "production", force=True)
    with pytest.raises(VersionInUse, match="it has been in stage 'production'"):
        registry.delete_version("iris", 1)
    with pytest.raises(VersionInUse):
        registry.delete_model("iris")

    assert [record.number for record in registry.list_versions("iris")] == [2, 1]


def test_latest_is_the_newest_that_is_ready(registry: Registry) -> None:
    """A version that is being produced or that failed is not latest."""
    registry.create_version("iris")
    producing = registry.create_version("iris", state=VersionState.PRODUCING)
    failed = registry.create_version("iris", state=VersionState.PRODUCING)
    registry.finish_version(failed.id, VersionState.FAILED)
    assert number(registry, "latest") == 1

    registry.finish_version(producing.id, VersionState.READY)
    assert number(registry, "latest") == 2


def test_selectors_that_mean_nothing_name_what_there_is(registry: Registry) -> None:
    """No model, no version, nothing in the stage: each error lists what exists."""
    with pytest.raises(ModelNotFound, match="has no model 'iris'"):
        number(registry, 1)
    registry.create_version("iris", name="blue")
    with pytest.raises(VersionNotFound, match="has no version 'red'"):
        number(registry, "red")
    with pytest.raises(StageNotAssigned, match=r"in stage 'production'. Versions: 1 'blue' \(ready\)"):
        number(registry, "production")

    assert number(registry, "blue") == number(registry, 1) == 1


def test_what_is_said_about_a_model_and_a_version_can_be_changed(registry: Registry) -> None:
    """Cards are merged key by key; an unknown key is refused."""
    registry.create_model("iris", license="MIT", tags=["flowers"])
    registry.update_model("iris", audience="botanists")
    record = registry.get_model("iris")
    assert (record.card, record.tags) == ({"license": "MIT", "audience": "botanists"}, ("flowers",))
    with pytest.raises(InvalidDefinition, match="'licence' is not part of a model's card"):
        registry.update_model("iris", licence="MIT")
    with pytest.raises(AlreadyExists):
        registry.create_model("iris")

    registry.create_version("iris", description="first", tags=["a"])
    changed = registry.update_version("iris", 1, name="blue", tags=["b"])
    assert (changed.version_name, changed.description, changed.tags) == ("blue", "first", ("b",))


def version_for_run(registry: Registry, producer: str = "train", run: RunKey = RUN) -> int:
    """The id of the version that a run makes."""
    return registry.version_for_run("iris", run, producer=producer, producers=PARTS).id


def test_a_run_makes_one_version(registry: Registry) -> None:
    """Whichever task comes first, and however often; another run or deployment makes its own."""
    first = version_for_run(registry)

    assert version_for_run(registry, "evaluate") == version_for_run(registry) == first
    assert version_for_run(registry, run=RunKey("default", "training", "manual__2")) != first
    assert version_for_run(registry, run=RunKey("other airflow", "training", "scheduled__1")) != first
    assert len(registry.list_versions("iris")) == 3


def test_a_version_is_ready_when_all_its_producers_have_committed(registry: Registry) -> None:
    """One that failed makes it failed; its success at a retry makes it whole again."""
    version = version_for_run(registry)
    assert registry.commit_producer(version, "train") is VersionState.PRODUCING
    assert registry.fail_producer(version, "evaluate") is VersionState.FAILED

    assert registry.commit_producer(version, "evaluate") is VersionState.READY
    assert registry.commit_producer(version, "evaluate") is VersionState.READY


def test_a_closed_run_is_ready_unless_a_producer_failed(registry: Registry) -> None:
    """What was skipped is no longer waited for."""
    version = version_for_run(registry)
    registry.commit_producer(version, "train")
    closed = registry.close_run_version("iris", RUN)
    assert closed is not None
    assert closed.state is VersionState.READY
    assert registry.close_run_version("iris", RunKey("default", "training", "never ran")) is None

    other = RunKey("default", "training", "manual__2")
    version_for_run(registry, run=other)
    closed = registry.close_run_version("iris", other)
    assert closed is not None
    assert closed.state is VersionState.FAILED, "nothing was made at all"


def test_a_cleared_run_whose_version_is_sealed_opens_one_more(registry: Registry) -> None:
    """Before the promotion a cleared task adds to its version; after it, exactly one new version is made (R24)."""
    first = version_for_run(registry)
    registry.commit_producer(first, "train")
    registry.commit_producer(first, "evaluate")
    assert version_for_run(registry) == first
    assert registry.commit_producer(first, "train") is VersionState.READY
    registry.set_stage("iris", 1, "production")

    second = version_for_run(registry, "train")
    assert second != first
    assert version_for_run(registry, "evaluate") == second
    assert version_for_run(registry, "train") == second
