"""Runs of which a part is cleared after their version was promoted: the further version, and what it takes over."""

from __future__ import annotations

import pytest

from airflow_model_provider.exceptions import VersionNotReady
from airflow_model_provider.registry.entities import (
    COMMITTED,
    FAILED,
    SKIPPED,
    Attempt,
    Relation,
    VersionState,
    part_of,
)
from airflow_model_provider.registry.registry import Registry
from tests.unit.registry.runs import PARTS, PROMOTE, RUN, begin, save, state


def promoted(registry: Registry) -> int:
    """The id of the run's version, which was promoted before one of its tasks had ended."""
    made = begin(registry)
    for task, declares in PARTS.items():
        if task != "notify":
            registry.settle_producer(made, task, COMMITTED, declares=declares)
    registry.set_stage("iris", 1, "production", attempt=PROMOTE)
    return made


def test_a_further_version_holds_what_is_not_made_anew(registry: Registry) -> None:
    """What tasks and instances that are not cleared have made, saved, logged and linked."""
    folds = [Attempt(RUN, "train", f"fold {index}", index) for index in range(3)]
    notify, evaluate = (Attempt(RUN, task, f"try of {task}") for task in ("notify", "evaluate"))
    save(
        registry,
        begin(registry, run=RUN._replace(run_id="before")),
        Attempt(RUN, "other", "of before"),
        "data",
    )
    made = begin(registry)
    for fold in folds:
        save(registry, made, fold)
        registry.settle_producer(made, fold.producer, COMMITTED)
    registry.settle_producer(made, "train", COMMITTED)
    for attempt, name in ((notify, "report"), (evaluate, "accuracy")):
        save(registry, made, attempt, name)
        registry.log_version_metadata(made, {attempt.task_id: 1}, attempt)
        registry.settle_producer(made, attempt.task_id, COMMITTED, declares=attempt is evaluate)
    (linked,) = registry.list_artifacts(1)
    registry.link_artifact(made, linked.id, Relation.LINKED)
    registry.log_version_metadata(made, {"by hand": 1}, None)
    registry.set_stage("iris", 2, "production")
    first = registry.list_artifacts(made)

    again = ["train", "train[1]", "evaluate"]
    second = begin(registry, "train[1]", again=lambda: again)
    held = registry.list_artifacts(second)
    assert [(item.name, item.map_index) for item in held] == [
        *(("data", -1), ("model", 0), ("model", 2), ("report", -1))
    ]
    assert {item.id for item in held} < {item.id for item in first}, "nothing is copied"
    assert registry.get_metadata(second) == {"notify": 1}
    save(registry, second, folds[1]._replace(attempt_id="fold 1 again"))
    assert registry.settle_producer(second, "train[1]", COMMITTED) is VersionState.PRODUCING
    assert registry.settle_producer(second, "evaluate", COMMITTED) is VersionState.PRODUCING
    assert registry.settle_producer(second, "train", COMMITTED) is VersionState.READY
    registry.set_stage("iris", 3, "production", force=True)
    assert begin(registry, "train[0]", again=lambda: ["train[0]"]) not in (made, second), (
        "it is in the seal too"
    )
    assert [item.map_index for item in registry.list_artifacts(made) if item.name == "model"] == [0, 1, 2]


def test_a_further_version_holds_what_a_step_has_linked(registry: Registry) -> None:
    """What another run has made is an output of the step that returns its handle, unless that runs again."""
    older = save(
        registry, begin(registry, run=RUN._replace(run_id="before")), Attempt(RUN, "other", "of before")
    )
    made = begin(registry)
    evaluate = Attempt(RUN, "evaluate", "try 1")
    registry.link_artifact(made, older.id, Relation.OUTPUT, evaluate)
    for task, declares in PARTS.items():
        registry.settle_producer(made, task, COMMITTED, declares=declares)
    registry.set_stage("iris", 2, "production")

    second = begin(registry, again=lambda: ["train"])
    assert [item.id for item in registry.list_artifacts(second)] == [older.id]
    registry.commit_producer(second, "train")
    registry.set_stage("iris", 3, "production", force=True)
    third = begin(registry, "evaluate", again=lambda: ["evaluate"])
    assert registry.list_artifacts(third) == []


def test_a_cleared_run_makes_another_version_whichever_task_is_first(registry: Registry) -> None:
    """One that was no part of what was promoted, beside one that was: both write into the same version."""
    made = promoted(registry)
    registry.settle_producer(made, "notify", COMMITTED, declares=PARTS["notify"])

    second = begin(registry, "notify", again=lambda: ["notify", "train"])
    assert second != made
    assert begin(registry, "train", again=lambda: ["notify", "train"]) == second


def test_what_is_settled_while_airflow_is_asked_is_settled(registry: Registry) -> None:
    """Its state there is older: two cleared steps start at the same time, and one ends before the other is known."""
    made = begin(registry)
    for task, declares in PARTS.items():
        registry.settle_producer(made, task, FAILED, declares=declares)

    def asked() -> list[str]:
        begin(registry, "evaluate", again=lambda: [*PARTS])
        registry.settle_producer(made, "evaluate", COMMITTED)
        return [*PARTS]

    assert begin(registry, "train", again=asked) == made
    registry.settle_producer(made, "train", COMMITTED)
    assert state(registry) == "producing"
    assert registry.settle_producer(made, "notify", COMMITTED, declares=False) is VersionState.READY


def test_what_runs_beside_the_making_of_a_further_version_counts_for_it(registry: Registry) -> None:
    """It began with the version before; what it saves and logs meanwhile comes along when it ends."""
    made = promoted(registry)
    second = begin(registry, "train", again=lambda: ["train", "notify"])
    notify = Attempt(RUN, "notify", "try 1")
    report = save(registry, made, notify, "report")
    registry.log_version_metadata(made, {"sent": 1}, notify)
    assert registry.commit_producer(second, "train") is VersionState.PRODUCING

    registry.settle_producer(made, "notify", COMMITTED, declares=PARTS["notify"])
    assert state(registry, 2) == "ready"
    assert report.id in {item.id for item in registry.list_artifacts(second)}
    assert registry.get_metadata(second) == {"sent": 1}


def test_an_instance_that_was_only_marked_is_missed(registry: Registry) -> None:
    """By the task that promotes, which is told which instances have succeeded."""
    made = begin(registry)
    for part in ("train[0]", "train[2]", "evaluate"):
        registry.commit_producer(made, part)
    over = ["train", "evaluate", "train[0]", "train[1]", "train[2]"]
    with pytest.raises(VersionNotReady, match=r"still being produced: task 'train\[1\]' can still"):
        registry.set_stage("iris", 1, "production", attempt=PROMOTE, settled=over)
    registry.commit_producer(made, "train[1]")

    assert registry.set_stage("iris", 1, "production", attempt=PROMOTE, settled=over) is not None


def test_instances_behind_a_step_that_is_skipped_when_it_runs_again_are_skipped(registry: Registry) -> None:
    """A cleared run waits for each instance; nobody else says what became of them."""
    made = begin(registry)
    for part in ("train", "evaluate", "train[0]", "train[1]", "notify"):
        registry.commit_producer(made, part)
    save(registry, made, Attempt(RUN, "notify", "try 1"), "report")
    begin(registry, "evaluate", again=lambda: ["evaluate", "train[0]", "train[1]"])
    assert state(registry, 1) == "producing"

    registry.settle_producer(made, "evaluate", SKIPPED, stopped=["train"])
    assert state(registry, 1) == "ready"


@pytest.mark.parametrize("promoted", [False, True])
@pytest.mark.parametrize("said", [COMMITTED, SKIPPED, FAILED])
def test_what_a_task_has_said_holds_while_airflow_still_calls_it_running(
    registry: Registry, said: str, promoted: bool
) -> None:
    """Airflow hears of the end later: nobody would say it again. One that is only about to run says so itself."""
    made = begin(registry)
    for part in ("train", "notify"):
        registry.commit_producer(made, part)
    registry.settle_producer(made, "evaluate", said)
    before = state(registry, 1)
    if promoted and said == COMMITTED:
        registry.set_stage("iris", 1, "production")

    again = ["train", "evaluate"]
    version = begin(registry, "train", again=lambda: again, running=lambda: again)
    registry.commit_producer(version, "train")
    latest = registry.list_versions("iris")[0].number
    assert state(registry, latest) == before

    begin(registry, "evaluate", again=lambda: ["evaluate"], running=lambda: ["evaluate"])
    assert state(registry, registry.list_versions("iris")[0].number) == "producing"


def test_no_version_is_made_of_a_task_that_still_runs_beside_a_promotion(registry: Registry) -> None:
    """A task behind the promotion starts before Airflow has heard that one before it is over."""
    made = begin(registry)
    for part in ("train", "evaluate"):
        registry.commit_producer(made, part)
    registry.set_stage("iris", 1, "production", attempt=PROMOTE, settled=["evaluate", "train"], force=True)

    again, running = ["train", "report[0]", "report[1]"], ["train", "report[0]"]
    assert begin(registry, "report[0]", again=lambda: again, running=lambda: running) == made


def test_a_mapped_task_of_which_all_instances_are_gone_has_made_nothing(registry: Registry) -> None:
    """Its list is empty now; its own part still says what it said when the list was not."""
    made = begin(registry)
    for part in ("train[0]", "train[1]", "train", "evaluate", "notify"):
        registry.settle_producer(made, part, SKIPPED if part == "evaluate" else COMMITTED)
    assert registry.made_in_run("iris", RUN, ["train[0]"]) == ["train[0]"]
    assert registry.made_in_run("iris", RUN, ["train[0]", "train[1]"]) == ["train", "train[0]", "train[1]"]

    assert registry.leave_out(made, ["train[0]"]) is VersionState.READY
    assert registry.leave_out(made, ["train[1]"]) is VersionState.FAILED


def test_a_deleted_version_has_no_parts(registry: Registry) -> None:
    """A run whose version is gone makes none because Airflow passes over its tasks."""
    registry.commit_producer(begin(registry), "train")
    assert registry.made_in_run("iris", RUN, ["train", "evaluate"]) == ["train"]
    registry.delete_version("iris", 1, force=True)

    assert registry.made_in_run("iris", RUN, ["train"]) == []
    assert registry.made_in_run("iris", RUN._replace(run_id="other"), ["train"]) == []


def test_a_further_version_misses_what_was_deleted(registry: Registry) -> None:
    """The outputs of tasks that do not run again are gone with the version that held them: it is not complete."""
    begin(registry)
    registry.delete_version("iris", 1, force=True)
    second = begin(registry, "evaluate", again=lambda: ["evaluate"])
    registry.commit_producer(second, "evaluate")

    assert state(registry, 2) == "producing"
    with pytest.raises(VersionNotReady, match="'notify', 'train' can still"):
        registry.set_stage("iris", 2, "production")


def changed(registry: Registry, producer: str, *tasks: str, again: tuple[str, ...] = ()) -> int:
    """The id of the version that a run goes on with, whose DAG has other tasks now."""
    return registry.version_for_run(
        "iris",
        RUN,
        producer=producer,
        producers=dict.fromkeys(tasks, True),
        again=lambda: again or (producer,),
    ).id


@pytest.mark.parametrize("sealed", [False, True])
@pytest.mark.parametrize("outcome", ["failed", "pending", "skipped"])
def test_a_step_that_is_no_longer_in_the_dag_is_not_missed(
    registry: Registry, outcome: str, sealed: bool
) -> None:
    """It was renamed before the run was cleared; the part of the old name never runs again."""
    version = begin(registry)
    registry.commit_producer(version, "train")
    save(registry, version, Attempt(RUN, "train", "try 1"))
    if sealed:
        registry.set_stage("iris", 1, "staging", attempt=PROMOTE, settled=["evaluate"], force=True)
    registry.settle_producer(version, "evaluate", outcome)
    registry.settle_producer(version, "notify", "committed", declares=False)

    again = ("train", "report") if sealed else ("report",)
    version = changed(registry, "report", "train", "report", "notify", again=again)
    for task in again:
        assert state(registry, 2 if sealed else 1) == "producing"
        registry.commit_producer(version, task)

    assert state(registry, 2 if sealed else 1) == "ready"


def test_a_step_that_has_come_into_the_dag_is_waited_for(registry: Registry) -> None:
    """Whichever task of the cleared run asks first; it was added after the run had made its version."""
    for number, first in enumerate(("evaluate", "report"), 1):
        run = RUN._replace(run_id=f"manual__{number}")
        version = begin(registry, run=run)
        registry.commit_producer(version, "train")
        registry.settle_producer(version, "notify", "committed", declares=False)
        registry.settle_producer(version, "evaluate", "failed")

        registry.version_for_run(
            "iris",
            run,
            producer=first,
            producers={**PARTS, "report": True},
            again=lambda: ("evaluate", "report"),
        )
        registry.commit_producer(version, "evaluate")
        with pytest.raises(VersionNotReady, match="'report' can still write"):
            registry.set_stage("iris", number, "staging", force=True)
        registry.commit_producer(version, "report")

        assert state(registry, number) == "ready"


@pytest.mark.parametrize("is_renamed", [False, True])
def test_a_further_version_holds_what_a_removed_step_has_made(registry: Registry, is_renamed: bool) -> None:
    """A step that has come into the Dag beside makes no difference; it may also be the first one that asks."""
    version = begin(registry)
    for task in ("train", "evaluate"):
        attempt = Attempt(RUN, task, f"{task}: try 1")
        save(registry, version, attempt, f"made by {task}", output=task)
        registry.log_version_metadata(version, {task: 1}, attempt)
        registry.commit_producer(version, task)
    registry.settle_producer(version, "notify", "committed", declares=False)
    registry.set_stage("iris", 1, "staging")

    first, again = ("added", ("added",)) if is_renamed else ("train", ("train", "added"))
    further = changed(registry, first, "train", "added", "notify", again=again)

    held = ["made by evaluate", *(["made by train"] if is_renamed else [])]
    assert further != version
    assert [item.name for item in registry.list_artifacts(further)] == held
    assert "evaluate" in registry.get_metadata(further)


def test_a_killed_task_that_runs_again_tells_how_the_dag_has_changed(registry: Registry) -> None:
    """It had said nothing before; meanwhile a step was removed, and another one added."""
    version = begin(registry)
    registry.settle_producer(version, "notify", "committed", declares=False)

    registry.version_for_run(
        "iris",
        RUN,
        producer="train",
        producers={"train": True, "notify": False, "report": True},
        again=lambda: ("train", "report"),
        is_first_try=False,
    )

    assert registry.commit_producer(version, "train") is VersionState.PRODUCING
    assert registry.commit_producer(version, "report") is VersionState.READY


@pytest.mark.parametrize("index", [-1, 0])
@pytest.mark.parametrize("behind", [False, True])
def test_a_step_that_skips_itself_when_it_runs_again_has_returned_nothing(
    registry: Registry, index: int, behind: bool
) -> None:
    """Nor has one behind it, which can no longer run; what their code has saved stays."""
    part = part_of("evaluate", index)
    version = begin(registry)
    for task, place in (("train", -1), ("evaluate", index)):
        attempt = Attempt(RUN, task, f"{task}: try 1", place)
        save(registry, version, attempt, f"{task}_returned", output=task)
        registry.commit_producer(version, attempt.producer)
    save(registry, version, Attempt(RUN, "evaluate", "evaluate: try 1", index), "saved")
    registry.settle_producer(version, "notify", "committed", declares=False)
    if index >= 0:
        registry.settle_producer(version, "evaluate", "committed")
    assert state(registry) == "ready"

    again = ("train", part) if behind else (part,)
    begin(registry, producer=again[0], again=lambda: again)
    if behind:
        registry.settle_producer(version, "train", "skipped", stopped=[part])
    else:
        registry.settle_producer(version, part, "skipped")

    held = sorted(item.name for item in registry.list_artifacts(version))
    assert held == (["saved"] if behind else ["saved", "train_returned"])
    assert state(registry) == "ready"
