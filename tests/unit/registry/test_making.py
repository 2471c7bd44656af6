"""Versions in the making: what runs, tasks and programs leave behind, and what becomes of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from airflow_model_provider.exceptions import (
    AlreadyExists,
    DeploymentClash,
    PromotionRefused,
    VersionNotReady,
    VersionSealed,
)
from airflow_model_provider.gates import Gates
from airflow_model_provider.model import new_version_name
from airflow_model_provider.references import Reference, Wanted
from airflow_model_provider.registry.entities import (
    COMMITTED,
    ENDED,
    FAILED,
    SKIPPED,
    Attempt,
    VersionState,
)
from airflow_model_provider.registry.registry import Registry
from airflow_model_provider.selectors import Selector, check_version_name
from tests.unit.registry.runs import PARTS, PROMOTE, RUN, begin, save, state


def test_tasks_that_return_nothing_are_waited_for(registry: Registry) -> None:
    """Whether they write is not known before they end; one that failed fails the version."""
    made = begin(registry)
    for task in ("train", "evaluate"):
        assert registry.commit_producer(made, task) is VersionState.PRODUCING

    assert registry.settle_producer(made, "notify", FAILED, declares=False) is VersionState.FAILED
    assert registry.settle_producer(made, "notify", COMMITTED, declares=False) is VersionState.READY


def test_what_was_skipped_is_not_missed_unless_all_that_declares_was(registry: Registry) -> None:
    """A task that returns nothing makes no version ready where all those that return something were skipped."""
    made = begin(registry)
    registry.settle_producer(made, "notify", COMMITTED, declares=False)
    registry.settle_producer(made, "train", SKIPPED, stopped=["evaluate", "unknown"])
    assert state(registry) == "failed"

    assert registry.commit_producer(made, "evaluate") is VersionState.READY


def test_what_was_skipped_is_not_missed_if_artifacts_were_saved(registry: Registry) -> None:
    """By a task that returns nothing; metadata alone are no contents."""
    made = begin(registry)
    registry.log_version_metadata(made, {"accuracy": 1.0})
    registry.settle_producer(made, "train", SKIPPED, stopped=["evaluate"])
    assert registry.settle_producer(made, "notify", COMMITTED, declares=False) is VersionState.FAILED
    save(registry, made, Attempt(RUN, "notify", "try 1"))

    assert registry.settle_producer(made, "notify", COMMITTED, declares=False) is VersionState.READY


def test_a_promoting_task_waits_for_nothing_that_only_comes_later(registry: Registry) -> None:
    """Neither for itself nor for those that return nothing; what they do then changes the state no more."""
    made = begin(registry)
    registry.commit_producer(made, "train")
    with pytest.raises(VersionNotReady, match="task 'evaluate' can still"):
        registry.set_stage("iris", 1, "production", attempt=PROMOTE)
    registry.commit_producer(made, "evaluate")
    with pytest.raises(VersionNotReady, match="task 'notify' can still"):
        registry.set_stage("iris", 1, "production")
    assert registry.set_stage("iris", 1, "production", attempt=PROMOTE._replace(task_id="notify")) is not None

    assert state(registry) == "ready"
    registry.settle_producer(made, "notify", FAILED, declares=False)
    assert state(registry) == "ready"


def test_an_instance_of_a_mapped_task_waits_for_the_others(registry: Registry) -> None:
    """Until it is told that they are over; a version that lacks elements is not promoted."""
    made = begin(registry)
    registry.commit_producer(made, "evaluate")
    registry.settle_producer(made, "train[0]", COMMITTED)
    second = Attempt(RUN, "train", "try 1", 1)
    with pytest.raises(VersionNotReady, match="iris@1 is still being produced: task 'train' can still"):
        registry.set_stage("iris", 1, "production", attempt=second)
    registry.settle_producer(made, "train[2]", FAILED)
    with pytest.raises(VersionNotReady, match=r"task 'train\[2\]' failed"):
        registry.set_stage("iris", 1, "production", attempt=second, settled=["train"])
    registry.settle_producer(made, "train[2]", COMMITTED)
    save(registry, made, second)

    assert registry.set_stage("iris", 1, "production", attempt=second, settled=["train"]) is not None


def test_a_task_that_promotes_too_early_is_told_of_what_is_to_come(registry: Registry) -> None:
    """Not that it failed."""
    begin(registry)
    with pytest.raises(VersionNotReady, match="still being produced: tasks 'evaluate', 'train' can still"):
        registry.set_stage("iris", 1, "production", attempt=PROMOTE)


def test_nothing_is_promoted_where_all_that_makes_it_was_skipped(registry: Registry) -> None:
    """By the run itself neither."""
    made = begin(registry)
    for task in ("train", "evaluate"):
        registry.settle_producer(made, task, SKIPPED)

    with pytest.raises(VersionNotReady, match="iris@1 is incomplete"):
        registry.set_stage("iris", 1, "production", attempt=PROMOTE)


def test_nothing_is_promoted_where_all_that_makes_it_was_skipped_without_a_word(registry: Registry) -> None:
    """Airflow skips what is behind a skipped task, and that says nothing; saved artifacts stand in its place."""
    made = begin(registry)
    over = {"train", "evaluate"}
    with pytest.raises(VersionNotReady, match="iris@1 is incomplete"):
        registry.set_stage("iris", 1, "production", attempt=PROMOTE, settled=over)
    save(registry, made, Attempt(RUN, "notify", "try 1"))

    assert registry.set_stage("iris", 1, "production", attempt=PROMOTE, settled=over) is not None


def test_a_task_that_runs_again_is_waited_for_again(registry: Registry) -> None:
    """With those that are to run again behind it; after a promotion with its part in it, it makes another version."""
    made = begin(registry)
    for task, declares in PARTS.items():
        registry.settle_producer(made, task, COMMITTED, declares=declares)
    assert begin(registry, again=lambda: ["train", "evaluate"]) == made
    assert registry.commit_producer(made, "train") is VersionState.PRODUCING
    assert registry.commit_producer(made, "evaluate") is VersionState.READY
    registry.set_stage("iris", 1, "production")

    assert begin(registry, "notify") == made, "it had no part in it"
    second = begin(registry, again=lambda: ["train"])
    assert second != made
    assert registry.commit_producer(second, "train") is VersionState.READY, "of the others nothing is to come"


def test_a_closed_run_takes_what_airflow_says(registry: Registry) -> None:
    """A killed instance of a mapped task has said nothing."""
    made = begin(registry)
    for part in ("train[0]", "evaluate"):
        registry.commit_producer(made, part)
    outcomes = {"train[0]": COMMITTED, "train[1]": FAILED, "evaluate": COMMITTED, "notify": SKIPPED}
    closed = registry.close_run_version("iris", RUN, outcomes)

    assert closed is not None
    assert closed.state is VersionState.FAILED
    assert registry.commit_producer(made, "train[1]") is VersionState.READY, "it was cleared"


@pytest.mark.parametrize("by_task", [True, False])
def test_what_was_killed_is_failed_by_upkeep(registry: Registry, by_task: bool) -> None:
    """After days without a word; what turns out to live becomes ready."""
    made = begin(registry) if by_task else registry.begin_version("iris", None, None).id
    assert registry.fail_abandoned(1) == 0
    assert registry.fail_abandoned(1e-9, dry_run=True) == 1
    assert state(registry) == "producing"
    assert registry.fail_abandoned(1e-9) == 1

    assert state(registry) == "failed"
    assert registry.fail_abandoned(1e-9) == 0
    if by_task:
        for task in PARTS:
            registry.commit_producer(made, task)
    else:
        registry.end_version(made, VersionState.READY, None)
    assert state(registry) == "ready"


def test_names_that_only_failed_versions_have_can_be_taken(registry: Registry) -> None:
    """And those that an earlier try of the same task left behind, but not what somebody else is making."""
    first = registry.begin_version("iris", "alpha", None)
    with pytest.raises(AlreadyExists, match="number 1 is still being produced"):
        registry.begin_version("iris", "alpha", None)
    registry.end_version(first.id, VersionState.FAILED, None)
    attempt = Attempt(RUN, "train", "try 1")
    second = registry.begin_version("iris", "alpha", attempt)
    with pytest.raises(AlreadyExists):
        registry.begin_version("iris", "alpha", attempt)

    third = registry.begin_version("iris", "alpha", attempt._replace(attempt_id="try 2"))
    registry.end_version(third.id, VersionState.READY, attempt._replace(attempt_id="try 2"))
    assert (second.number, third.number) == (2, 3)
    assert [state(registry, number) for number in (1, 2, 3)] == ["failed", "failed", "ready"]
    assert registry.get_version("iris", Selector.parse("alpha")).number == 3


def test_a_name_that_was_promoted_never_means_another_version(registry: Registry) -> None:
    """It can be given late, and then stays: not renamed, and not free once the version is purged."""
    registry.create_version("iris", name="alpha")
    registry.create_version("iris")
    for number in (1, 2):
        registry.set_stage("iris", number, "production", force=True)
    with pytest.raises(VersionSealed, match="iris@1 was promoted, so its name 'alpha' cannot be changed"):
        registry.update_version("iris", 1, name="beta")
    assert registry.update_version("iris", 2, name="beta").version_name == "beta"

    registry.delete_version("iris", 1, purge=True)
    with pytest.raises(AlreadyExists, match=r"iris@alpha.*it was promoted"):
        registry.create_version("iris", name="alpha")


@pytest.mark.parametrize(
    "run_id", ["2026", "production", "prod-uction", "latest", "_x", "ünï", " ", "none", "9" * 200, "m__1"]
)
def test_each_run_gives_a_name_that_a_version_can_have(run_id: str) -> None:
    """Numbers, stages and what is near to one are told apart from these."""
    name = new_version_name("{run_id}", run_id)

    assert check_version_name(name, ("staging", "production")) == name


def mark(cleared: int, start: datetime) -> str:
    """How often a run was cleared, and when it started."""
    return f"{cleared} {start.isoformat()}"


def test_a_run_that_is_made_again_goes_on(registry: Registry) -> None:
    """It starts when the one of its id has gone silent; at the same time there must be two Airflows."""
    now = datetime.now(UTC)
    old, again = mark(0, now - timedelta(hours=1)), mark(0, now + timedelta(hours=1))
    made = begin(registry, run_mark=old)
    with pytest.raises(DeploymentClash, match="take-over 'training' 'manual__1'"):
        begin(registry, run_mark=mark(0, now - timedelta(minutes=1)))
    assert begin(registry, run_mark=again) == made
    with pytest.raises(DeploymentClash):
        begin(registry, run_mark=old)

    assert registry.take_over_run(RUN) == 1
    assert begin(registry, run_mark=old) == made
    assert begin(registry, run_mark=mark(1, now)) == made, "it was cleared"


def test_a_gate_asks_for_all_of_a_collection(registry: Registry) -> None:
    """The objection says which elements are there, and which instances have not committed theirs."""
    made = begin(registry)
    for index in (0, 2):
        attempt = Attempt(RUN, "train", f"try {index}", index)
        save(registry, made, attempt)
        registry.commit_producer(made, attempt.producer)
    gates = [Gates(artifacts=["model"])]
    with pytest.raises(
        PromotionRefused, match=r"has 2 elements of artifact 'model' \(indexes 0, 2\).*those of train"
    ):
        registry.set_stage("iris", 1, "production", attempt=PROMOTE, allow_incomplete=True, gates=gates)

    registry.commit_producer(made, "train")
    assert registry.set_stage("iris", 1, "production", allow_incomplete=True, gates=gates) is not None


def test_what_a_mapped_task_saves_into_a_version_of_its_own_is_no_collection(registry: Registry) -> None:
    """In that of its run it is an element."""
    attempt = Attempt(RUN, "train", "try 1", map_index=1)
    own = registry.begin_version("iris", None, attempt)
    save(registry, own.id, attempt)
    registry.end_version(own.id, VersionState.READY, attempt)
    begin(registry)
    wanted = Reference("iris", Selector.parse(1), Wanted.ARTIFACT, "model")
    (found,) = registry.resolve([wanted])

    assert found.artifact is not None
    assert state(registry) == "ready"


def test_mapped_tasks_that_return_nothing_are_not_skipped(registry: Registry) -> None:
    """Airflow names their instances only."""
    made = registry.version_for_run("iris", RUN, producer="notify[0]", producers={"notify": False}).id
    for index in range(2):
        registry.settle_producer(made, f"notify[{index}]", COMMITTED, declares=False)
    closed = registry.close_run_version("iris", RUN, {"notify[0]": COMMITTED, "notify[1]": COMMITTED})

    assert closed is not None
    assert closed.state is VersionState.READY


def test_what_was_skipped_for_another_reason_has_not_failed(registry: Registry) -> None:
    """A task behind a skipped and a failed one is skipped, and stays so when the failed one runs again alone."""
    made = begin(registry)
    registry.settle_producer(made, "train", FAILED, stopped=["evaluate", "notify"])
    begin(registry)
    registry.commit_producer(made, "train")
    outcomes = {"train": COMMITTED, "evaluate": SKIPPED, "notify": SKIPPED}
    closed = registry.close_run_version("iris", RUN, outcomes)

    assert closed is not None
    assert closed.state is VersionState.READY


def test_what_a_removed_instance_made_is_no_part_of_the_version(registry: Registry) -> None:
    """Its task was cleared, and is mapped over less now; what was promoted stays as it was."""
    made = begin(registry)
    for index in range(3):
        save(registry, made, Attempt(RUN, "train", f"try {index}", index))
        registry.settle_producer(made, f"train[{index}]", COMMITTED)
    registry.commit_producer(made, "evaluate")
    outcomes = {"train[0]": COMMITTED, "train[1]": COMMITTED, "train[2]": "removed", "evaluate": COMMITTED}
    closed = registry.close_run_version("iris", RUN, outcomes)

    assert closed is not None
    assert closed.state is VersionState.READY
    assert [item.map_index for item in registry.list_artifacts(made)] == [0, 1]
    registry.set_stage("iris", 1, "production")
    registry.close_run_version("iris", RUN, {**outcomes, "train[1]": "removed"})
    assert [item.map_index for item in registry.list_artifacts(made)] == [0, 1]


@pytest.mark.parametrize(
    ("outcomes", "ended"),
    [
        ({"train": COMMITTED}, "failed"),
        ({"train": ENDED}, "failed"),
        ({"train": SKIPPED, "notify": COMMITTED}, "ready"),
        ({"train": SKIPPED, "notify": ENDED}, "failed"),
        ({"train[0]": COMMITTED, "train[1]": COMMITTED}, "failed"),
        ({"train[0]": COMMITTED, "train[1]": ENDED}, "failed"),
        ({"train[0]": COMMITTED, "train[2]": ENDED}, "ready"),
    ],
)
def test_what_others_have_set_is_not_what_a_task_has_said(
    registry: Registry, outcomes: dict[str, str], ended: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A person marks a task, or the run ends in the middle: what it declares is missing. Its own word counts."""
    made = begin(registry)
    registry.commit_producer(made, "evaluate")
    registry.commit_producer(made, "train[0]")
    registry.settle_producer(made, "train[2]", SKIPPED)
    closed = registry.close_run_version("iris", RUN, {"evaluate": ENDED, "stock[0]": ENDED, **outcomes})

    assert closed is not None
    assert closed.state.value == ended
    assert ("of iris@1 failed: it was" in caplog.text) == (ended == "failed")


def test_a_version_that_waits_for_a_task_is_found(registry: Registry) -> None:
    """Until the task has had its say; not one that was deleted."""
    assert registry.awaiting_version("iris", RUN, "train") is None
    made = begin(registry)
    found = registry.awaiting_version("iris", RUN, "train")
    registry.commit_producer(made, "train")

    assert found is not None
    assert found.id == made
    assert registry.awaiting_version("iris", RUN, "train") is None
    registry.delete_version("iris", 1, force=True)
    assert registry.awaiting_version("iris", RUN, "evaluate") is None


def test_of_what_said_nothing_itself_airflow_knows_better(registry: Registry) -> None:
    """Behind a task that was skipped and one that failed it fails; a mapped task is what its instances are."""
    made = begin(registry)
    registry.settle_producer(made, "train", SKIPPED, stopped=["evaluate"])
    registry.settle_producer(made, "notify", COMMITTED, declares=False)
    save(registry, made, Attempt(RUN, "notify", "try 1"))
    failed = registry.close_run_version("iris", RUN, {"train": SKIPPED, "evaluate": FAILED})
    skipped = registry.close_run_version("iris", RUN, {"evaluate[0]": SKIPPED, "evaluate[1]": SKIPPED})

    assert failed is not None
    assert skipped is not None
    assert [failed.state, skipped.state] == [VersionState.FAILED, VersionState.READY]
