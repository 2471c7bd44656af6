"""Stages: pointers, history, guards (R27-R29)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from airflow_model_provider.exceptions import (
    StageConflict,
    StageOccupied,
    StageProtected,
    UnknownStage,
    VersionNotFound,
    VersionNotReady,
    VersionSealed,
)
from airflow_model_provider.registry.entities import Attempt, RunKey, VersionState
from airflow_model_provider.registry.registry import Registry
from airflow_model_provider.selectors import Selector

RUN = RunKey("default", "training", "manual__1")


@pytest.fixture
def three(registry: Registry) -> Registry:
    """A registry with three versions of iris."""
    for _ in range(3):
        registry.create_version("iris")
    return registry


def holder(registry: Registry, stage: str = "production") -> int:
    """The number of the version that holds a stage."""
    return registry.get_version("iris", Selector.parse(stage)).number


def test_a_stage_points_to_one_version(three: Registry) -> None:
    """The predecessor is moved out and archived; a version can hold several stages."""
    three.set_stage("iris", 1, "production")
    three.set_stage("iris", 2, "staging")
    three.set_stage("iris", 2, "production", force=True)

    assert holder(three) == holder(three, "staging") == 2
    one, two = (three.get_version("iris", Selector.parse(number)) for number in (1, 2))
    assert (one.stages, one.archived) == ((), True)
    assert (two.stages, two.archived) == (("staging", "production"), False)
    assert two.stage(three.stages) == "staging"


def test_an_occupied_stage_names_its_holder(three: Registry) -> None:
    """Without force nothing is replaced; with expected exactly that holder is."""
    three.set_stage("iris", 1, "production", expected=None)
    with pytest.raises(StageOccupied) as occupied:
        three.set_stage("iris", 2, "production")
    assert occupied.value.holder == 1
    with pytest.raises(StageConflict) as conflict:
        three.set_stage("iris", 2, "production", expected=3)
    assert (conflict.value.expected, conflict.value.holder) == (3, 1)
    with pytest.raises(StageConflict):
        three.set_stage("iris", 2, "production", expected=None)

    three.set_stage("iris", 2, "production", expected=1)
    assert holder(three) == 2
    assert len(three.history("iris")) == 2


def test_promoting_the_holder_again_writes_no_event(three: Registry) -> None:
    """Nothing changes, and no sequence number is used up."""
    first = three.set_stage("iris", 1, "production")
    assert first is not None
    assert three.set_stage("iris", 1, "production") is None
    assert three.set_stage("iris", 1, "production", force=True) is None

    second = three.set_stage("iris", 2, "staging")
    assert second is not None
    assert second.sequence == first.sequence + 1


def test_history_tells_who_when_why_and_from_where(three: Registry) -> None:
    """Each change is an event with a number; times never run backwards."""
    begun = datetime.now(UTC) - timedelta(seconds=1)
    attempt = Attempt(RUN, "promote", "ti-1")
    three.set_stage("iris", 1, "production", who="ada", reason="first")
    three.set_stage("iris", 3, "production", force=True, attempt=attempt)
    newest, oldest = three.history("iris", "production")

    assert (oldest.version, oldest.previous, oldest.who, oldest.reason, oldest.run) == (
        1,
        None,
        "ada",
        "first",
        None,
    )
    assert (newest.version, newest.previous, newest.task_id, newest.run) == (3, 1, "promote", RUN)
    assert newest.sequence > oldest.sequence
    assert begun < oldest.at < newest.at < datetime.now(UTC) + timedelta(seconds=1)
    assert three.history("iris", "staging") == []


def test_archiving_takes_a_version_out_of_all_its_stages(three: Registry) -> None:
    """One event per stage that it left; a second time nothing changes."""
    three.set_stage("iris", 1, "staging")
    three.set_stage("iris", 1, "production")
    three.set_stage("iris", 1, "archived")
    assert three.set_stage("iris", 1, "archived") is None

    record = three.get_version("iris", Selector.parse(1))
    assert (record.stages, record.stage(three.stages)) == ((), "archived")
    assert [(event.stage, event.version) for event in three.history("iris")] == [
        ("production", None),
        ("staging", None),
        ("production", 1),
        ("staging", 1),
    ]
    three.set_stage("iris", 2, "production")
    assert holder(three) == 2


def test_a_version_that_is_not_ready_is_refused(registry: Registry) -> None:
    """The error names the tasks that have not committed; those upstream of the promoting task need not have."""
    version = registry.version_for_run(
        "iris", RUN, producer="train", producers={"train": True, "evaluate": True}
    )
    registry.commit_producer(version.id, "train")
    with pytest.raises(VersionNotReady, match="evaluate") as refused:
        registry.set_stage("iris", 1, "production")
    assert refused.value.missing == ("evaluate",)
    assert registry.history("iris") == []

    promoting = Attempt(RUN, "promote", "try 1")
    other = Attempt(RUN._replace(run_id="manual__2"), "promote", "try 1")
    with pytest.raises(VersionNotReady, match="evaluate"):  # the tasks of another run are others
        registry.set_stage("iris", 1, "staging", attempt=other, settled=["evaluate"])
    with pytest.raises(VersionNotReady, match=r"'evaluate'.*Promote it in a step behind it"):
        registry.set_stage("iris", 1, "staging", attempt=promoting)
    assert registry.set_stage("iris", 1, "staging", attempt=promoting, settled=["evaluate"]) is not None
    assert registry.set_stage("iris", 1, "production", allow_incomplete=True) is not None


def test_a_failed_version_is_refused(registry: Registry) -> None:
    """A failed producer is never excused by standing upstream."""
    version = registry.version_for_run("iris", RUN, producer="train", producers={"train": True})
    registry.fail_producer(version.id, "train")

    promoting = Attempt(RUN, "promote", "try 1")
    for allowed in (False, True):
        with pytest.raises(VersionNotReady, match="iris@1 is incomplete: task 'train' failed") as refused:
            registry.set_stage(
                "iris", 1, "production", attempt=promoting, settled=["train"], allow_incomplete=allowed
            )
        assert "incomplete=True" not in str(refused.value)
    block = registry.create_version("iris", state=VersionState.PRODUCING)
    with pytest.raises(VersionNotReady, match="iris@2 is still being produced"):
        registry.set_stage("iris", block.number, "production")
    registry.finish_version(block.id, VersionState.FAILED)
    with pytest.raises(VersionNotReady, match="iris@2 is incomplete"):
        registry.set_stage("iris", block.number, "production", allow_incomplete=True)


@pytest.mark.parametrize("stage", ["prodction", "none", "latest", "Production"])
def test_an_undeclared_stage_is_refused(three: Registry, stage: str) -> None:
    """Only declared stages can be assigned."""
    with pytest.raises(UnknownStage):
        three.set_stage("iris", 1, stage)


def test_declared_stages_can_be_assigned(url: str) -> None:
    """A team's own stages are stages as any other."""
    with Registry.open(url, stages=("staging", "production", "champion")) as registry:
        registry.create_version("iris")
        registry.set_stage("iris", 1, "champion")

        assert registry.get_version("iris", Selector.parse("champion", registry.stages)).number == 1


def test_a_missing_version_names_those_there_are(three: Registry) -> None:
    """Promoting a number that isn't there changes nothing."""
    with pytest.raises(VersionNotFound, match=r"'9'.*3 \(ready\), 2 \(ready\), 1 \(ready\)"):
        three.set_stage("iris", 9, "production")

    assert three.history("iris") == []


def test_what_was_promoted_is_sealed(three: Registry) -> None:
    """Its metadata can't be overwritten; what comes later stands beside it."""
    version = three.get_version("iris", Selector.parse(1))
    three.log_version_metadata(version.id, {"accuracy": 0.9})
    three.set_stage("iris", 1, "staging")
    with pytest.raises(VersionSealed, match="metadata 'accuracy'"):
        three.log_version_metadata(version.id, {"accuracy": 1.0, "drift": 0.1})
    three.log_version_metadata(version.id, {"drift": 0.1})
    three.log_version_metadata(version.id, {"drift": 0.2})

    assert three.get_metadata(version.id) == {"accuracy": 0.9, "drift": 0.2}
    assert three.get_version("iris", Selector.parse(1)).sealed_at is not None


def test_archiving_is_refused_as_a_whole_and_rehearsed_as_a_whole(url: str) -> None:
    """One of its stages may not be left: none is, and a dry run says the same; expected= is asked of no stage, too."""
    with Registry.open(
        url, protected={"champion": ["user:alice"]}, stages=["staging", "champion"]
    ) as registry:
        for _ in range(2):
            registry.create_version("iris")
        registry.set_stage("iris", 1, "staging", who="bob")
        registry.set_stage("iris", 1, "champion", who="alice")
        for dry_run in (True, False):
            with pytest.raises(StageProtected, match="champion"):
                registry.set_stage("iris", 1, "archived", who="bob", dry_run=dry_run)
        with pytest.raises(StageConflict):
            registry.set_stage("iris", 2, "archived", expected=1)
        assert len(registry.history("iris")) == 2
        assert registry.set_stage("iris", 1, "archived", who="alice", dry_run=True) is None
        last = registry.set_stage("iris", 1, "archived", who="alice")

        assert registry.history("iris")[0] == last
        assert [(item.stage, item.version) for item in registry.history("iris")[:2]] == [
            ("champion", None),
            ("staging", None),
        ]


def test_nobody_known_is_no_user(url: str) -> None:
    """A rule for any user asks for one, so that the history names who it was (R42)."""
    with Registry.open(url, protected={"production": ["user:*"]}) as registry:
        registry.create_version("iris")
        with pytest.raises(StageProtected, match="nobody known may not change"):
            registry.set_stage("iris", 1, "production")

        assert registry.set_stage("iris", 1, "production", who="ada")
