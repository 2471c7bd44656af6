"""What the settings keep for some days only goes with ``gc`` (R11)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_model_provider import settings
from airflow_model_provider.exceptions import (
    ArtifactNotFound,
    InvalidConfiguration,
    ModelNotFound,
    VersionInUse,
)
from airflow_model_provider.named_artifacts import NamedArtifact
from airflow_model_provider.references import Reference, Wanted
from airflow_model_provider.registry import retention
from airflow_model_provider.registry.entities import Attempt, Link, Relation, RunKey
from airflow_model_provider.selectors import Selector
from airflow_model_provider.settings import variable
from airflow_model_provider.upkeep import Garbage, collect, verify
from airflow_model_provider.workspace import Saving

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_model_provider.workspace import Workspace

RUN = RunKey("default", "scoring", "monday")
#: Days that have passed as soon as something is there, and days that have not.
PASSED, AHEAD = "1e-9", "1"


@pytest.fixture
def keep(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Set for how many days something is kept."""
    return lambda **days: [monkeypatch.setenv(variable(name), value) for name, value in days.items()]


@pytest.fixture
def filled(workspace: Workspace) -> Workspace:
    """Outputs of tasks with and without a version, one saved by hand, and records of two resolutions."""
    version = workspace.registry.create_version("iris")
    workspace.registry.set_stage("iris", 1, "production")
    for name, links in (("held", [Link(version.id, Relation.OUTPUT)]), ("spent", []), ("linked", [])):
        attempt = Attempt(RUN, name, f"try of {name}")
        saved = workspace.save(
            f"output {name}", Saving(name, what=name, output=name), attempt=attempt, links=links
        )
        if name == "linked":
            workspace.registry.link_artifact(version.id, saved.id, Relation.LINKED)
    workspace.save("by hand", Saving("by_hand", what="by_hand"))
    reference = Reference("iris", Selector.parse("production"), Wanted.VERSION)
    for number in (1, 2):
        attempt = Attempt(RUN, "use", f"try {number}", try_number=number)
        workspace.registry.record(workspace.registry.resolve([reference], attempt), attempt)
    return workspace


def names(workspace: Workspace) -> set[str]:
    """Which artifacts are there."""
    found = set()
    for name in ("held", "spent", "linked", "by_hand"):
        try:
            (found_here,) = workspace.registry.resolve([NamedArtifact(name)])
            assert workspace.load(found_here.artifact)
        except ArtifactNotFound:
            continue
        found.add(name)
    return found


def records(workspace: Workspace) -> int:
    """How many resolutions are on record."""
    return len(workspace.registry.resolutions(dag_id="scoring"))


def test_everything_is_kept_by_default(filled: Workspace) -> None:
    """Nothing goes because of its age."""
    assert collect(filled, older_than=0) == Garbage(0, 0, 0)
    assert (len(names(filled)), records(filled)) == (4, 2)


def test_what_is_younger_is_kept(filled: Workspace, keep: Any) -> None:
    """Days are days."""
    keep(keep_outputs=AHEAD, keep_resolutions=AHEAD)

    assert collect(filled, older_than=0) == Garbage(0, 0, 0)
    assert (len(names(filled)), records(filled)) == (4, 2)


def test_outputs_that_no_version_holds_go(filled: Workspace, keep: Any) -> None:
    """With their bytes; what a version holds, and what was saved by hand, stays."""
    keep(keep_outputs=PASSED)
    size = len('"output spent"') - 2
    counted = collect(filled, older_than=0, dry_run=True)

    assert counted == Garbage(blobs=1, size=size, leftovers=0, outputs=1)
    assert len(names(filled)) == 4
    assert collect(filled, older_than=0) == counted
    assert names(filled) == {"held", "linked", "by_hand"}
    assert collect(filled, older_than=0) == Garbage(0, 0, 0)
    assert (list(verify(filled)), records(filled)) == ([], 2)


def test_outputs_of_a_run_that_is_not_over_stay(filled: Workspace, keep: Any) -> None:
    """Its next task may take them."""
    keep(keep_outputs=PASSED)
    other = Attempt(RUN._replace(run_id="tuesday"), "spent", "try of another run")
    filled.save("the other's", Saving("other", what="other", output="other"), attempt=other)
    gone = Garbage(blobs=1, size=len("the other's"), leftovers=0, outputs=1)

    found = [
        collect(filled, older_than=0, dry_run=dry_run, at_work=lambda: {RUN}) for dry_run in (True, False)
    ]

    assert found == [gone] * 2
    assert len(names(filled)) == 4
    assert collect(filled, older_than=0).outputs == 1


def test_records_of_resolutions_go(filled: Workspace, keep: Any) -> None:
    """And nothing else does."""
    keep(keep_resolutions=PASSED)
    counted = collect(filled, older_than=0, dry_run=True)

    assert counted == Garbage(0, 0, 0, resolutions=2)
    assert records(filled) == 2
    assert collect(filled, older_than=0) == counted
    assert (len(names(filled)), records(filled)) == (4, 0)


def test_pins_of_runs_go_with_their_records(filled: Workspace, keep: Any) -> None:
    """Once no task of the run has asked for anything for as long; the version can be deleted then."""
    registry = filled.registry
    registry.create_version("pinned")
    reference = Reference("pinned", Selector.parse(1), pin="run")
    registry.resolve([reference], Attempt(RUN._replace(run_id="old"), "use", "try of use"))
    with pytest.raises(
        VersionInUse, match=r"If the run is over, release its pins.*over: airflow model-registry release-pins"
    ):
        registry.delete_version("pinned", 1)
    keep(keep_resolutions=AHEAD)
    assert collect(filled, older_than=0).pins == 0
    keep(keep_resolutions=PASSED)
    counted = collect(filled, older_than=0, dry_run=True)

    assert counted.pins == 1
    assert collect(filled, older_than=0) == counted
    registry.delete_version("pinned", 1)


def test_pins_of_many_runs_are_released_at_once(filled: Workspace) -> None:
    """Those of a Dag, of a model, of an Airflow; not of a run that was seen lately."""
    registry, reference = filled.registry, Reference("pinned", Selector.parse(1), pin="run")
    registry.create_version("pinned")
    runs = [RUN._replace(run_id=f"run {number}") for number in range(5)]
    for run in [*runs, RUN._replace(dag_id="other")]:
        attempt = Attempt(run, "use", f"try of {run}")
        registry.record(registry.resolve([reference], attempt), attempt)
    hour, none = timedelta(hours=1), timedelta(0)

    assert registry.release_pins(hour) == 0
    registry.create_model("other")
    assert registry.release_pins(none, model="other") == 0
    with pytest.raises(ModelNotFound, match=r"no model 'pined'.*pinned"):
        registry.release_pins(none, model="pined", dry_run=True)
    with pytest.raises(ModelNotFound):
        registry.drop_run_pins(RUN, "pined")
    assert registry.release_pins(none, deployment="elsewhere") == 0
    assert registry.release_pins(none, dag_id="other", dry_run=True) == 1
    alive = {*runs[1:], RUN._replace(run_id="unknown")}
    assert registry.release_pins(none, dag_id=RUN.dag_id, alive=alive, dry_run=True) == 1
    assert registry.release_pins(none, dag_id=RUN.dag_id, alive=[*runs, *alive]) == 0
    assert registry.release_pins(none, dag_id=RUN.dag_id, model="pinned") == 5
    assert registry.release_pins(none) == 1


def test_many_go_in_batches(filled: Workspace, keep: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each in a transaction of its own, so that no writer waits for long."""
    monkeypatch.setattr(retention, "BATCH", 1)
    filled.save("x", Saving("spent", what="", output="y"), attempt=Attempt(RUN, "again", "try of again"))
    keep(keep_outputs=PASSED, keep_resolutions=PASSED)
    found = collect(filled, older_than=0)

    assert (found.outputs, found.resolutions) == (2, 2)
    assert names(filled) == {"held", "linked", "by_hand"}


@pytest.mark.parametrize("days", ["0", "-1", "inf", "nan", "a week"])
def test_a_time_that_is_none_is_refused(keep: Any, days: str) -> None:
    """Not taken for ever or for at once."""
    keep(keep_resolutions=days)

    with pytest.raises(InvalidConfiguration, match=r"keep_resolutions.*not a number of days above zero"):
        settings.retention()


def test_versions_of_runs_that_are_over_are_closed(workspace: Workspace) -> None:
    """By what became of the run's tasks; one that a task made by itself fails; of an unknown run nothing is said."""
    registry, parts = workspace.registry, {"train": True, "evaluate": True}
    runs = {name: RUN._replace(run_id=name) for name in ("good", "killed", "at work", "by itself")}
    for name, run in runs.items():
        if name == "by itself":
            registry.begin_version(name, None, Attempt(run, "train", name))
        else:
            made = registry.version_for_run(name, run, producer="train", producers=parts)
            registry.commit_producer(made.id, "train")
    elsewhere = RUN._replace(deployment="another", run_id="good")
    registry.version_for_run("elsewhere", elsewhere, producer="train", producers=parts)
    outcomes = {
        runs["good"]: {"train": "committed", "evaluate": "skipped"},
        runs["killed"]: {"train": "committed", "evaluate": "failed"},
        runs["by itself"]: {"train": "committed"},
        elsewhere: {"train": "failed"},
    }

    def ended(asked: Any) -> Any:
        return {run: outcomes[run] for run in asked if run in outcomes}

    assert collect(workspace, dry_run=True, ended=ended) == Garbage(0, 0, 0, ended=3)
    assert collect(workspace) == Garbage(0, 0, 0)
    assert collect(workspace, ended=ended) == Garbage(0, 0, 0, ended=3)

    states = {name: str(registry.list_versions(name)[0].state) for name in (*runs, "elsewhere")}
    assert states == {
        "good": "ready",
        "killed": "failed",
        "at work": "producing",
        "by itself": "failed",
        "elsewhere": "producing",
    }
    registry.commit_producer(registry.list_versions("killed")[0].id, "evaluate")
    assert str(registry.list_versions("killed")[0].state) == "ready", "it was alive all the same"


def test_a_run_that_is_not_over_is_not_abandoned(workspace: Workspace, keep: Any) -> None:
    """However long it waits: Airflow says that it is alive. Of another one nobody says so."""
    keep(abandoned_after=PASSED)
    waiting, unknown = RUN._replace(run_id="waiting"), RUN._replace(run_id="unknown")
    for name, run in {"waiting": waiting, "unknown": unknown}.items():
        workspace.registry.version_for_run(name, run, producer="train", producers={"train": True})

    found = [collect(workspace, dry_run=dry_run, at_work=lambda: {waiting}) for dry_run in (True, False)]

    assert found == [Garbage(0, 0, 0, abandoned=1)] * 2
    assert str(workspace.registry.list_versions("waiting")[0].state) == "producing"
    assert collect(workspace) == Garbage(0, 0, 0, abandoned=1)
