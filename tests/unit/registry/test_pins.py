"""What a run and a try keep: a version per run and selector, one state of the stages per try (R8, R9, R14, R24)."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event, text

from airflow_model_provider.addresses import Address
from airflow_model_provider.exceptions import (
    DeploymentClash,
    PinConflict,
    PinnedToNothing,
    StageNotAssigned,
    VersionInUse,
)
from airflow_model_provider.references import Reference
from airflow_model_provider.registry.entities import Attempt, RunKey
from airflow_model_provider.registry.registry import Registry
from airflow_model_provider.resolver import Resolver
from airflow_model_provider.selectors import Selector
from airflow_model_provider.workspace import Workspace
from tests.support.processes import FORK
from tests.support.soak import TIMES

THREADS, PROCESSES = 8, 4
RUN = RunKey("default", "predictions", "manual__1")
RUNS = [RUN._replace(run_id=f"run {number}") for number in range(10 * TIMES)]
IRIS, ROSE = (Reference(name, Selector.parse("production")) for name in ("iris", "rose"))
RUN_IRIS, RUN_ROSE = IRIS.but(pin="run"), ROSE.but(pin="run")
STAGING, LATEST = (Reference("iris", Selector.parse(s), pin="run", default=0) for s in ("staging", "latest"))
#: PostgreSQL: how many wait for a lock.
WAITING = text("SELECT count(*) FROM pg_locks WHERE NOT granted")


def a_try(task: str = "predict", run: RunKey = RUN, **more: Any) -> Attempt:
    """A try of a task; the same arguments are the same try."""
    return Attempt(run, task, f"{run} {task} {more}", **more)


def got(registry: Registry, attempt: Attempt, *references: Reference) -> list[Any]:
    """The version numbers, or defaults, that a try gets, recorded as a task records them."""
    found = registry.resolve(references, attempt)
    registry.record(found, attempt)
    return [item.version.number if item.version else item.value for item in found]


def promote(registry: Registry, number: int, *models: str, stage: str = "production") -> None:
    """Make a version of models the holder of a stage, whoever holds it."""
    for model in models or ("iris",):
        registry.set_stage(model, number, stage, force=True)


@pytest.fixture
def grown(registry: Registry) -> Registry:
    """Three versions of iris and of rose; the first is production."""
    for model in ("iris", "rose"):
        for _ in range(3):
            registry.create_version(model)
    promote(registry, 1, "iris", "rose")
    return registry


@contextmanager
def heard(registry: Registry, listen: Callable[[str], Any], when: str = "before") -> Iterator[None]:
    """Tell ``listen`` of each statement, before or after it is executed."""
    name, engine = f"{when}_cursor_execute", registry._database.engine

    def hear(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        listen(statement.strip())

    event.listen(engine, name, hear)
    yield
    event.remove(engine, name, hear)


def test_a_run_keeps_that_there_was_nothing(registry: Registry) -> None:
    """Where a default was used, a version that comes later in the run is for the next run; no default: it says so."""
    registry.create_version("iris")
    first, later, unaware = (a_try(name) for name in ("first", "later", "unaware"))
    next_run = a_try("first", RUN._replace(run_id="manual__2"))
    answers = [got(registry, first, RUN_IRIS.but(default=7))]
    promote(registry, 1)
    answers += [got(registry, item, RUN_IRIS.but(default=7)) for item in (later, next_run, first)]

    assert answers == [[7], [7], [1], [7]]
    with pytest.raises(
        PinnedToNothing, match=r"iris\[production\] had no version when this Dag run first used it"
    ):
        registry.resolve([RUN_IRIS], unaware)
    with pytest.raises(PinnedToNothing):
        registry.resolve([RUN_IRIS.but(on_missing="wait")], unaware)
    assert got(registry, unaware, IRIS) == [1]
    assert registry.drop_run_pins(RUN) == 1
    assert got(registry, a_try("cleared"), RUN_IRIS.but(default=7)) == [1]


def test_the_first_reader_decides_for_the_run(grown: Registry) -> None:
    """Other tasks, other tries and other map indexes get the same after promotions; pin='task' looks again."""
    first = got(grown, a_try(), RUN_IRIS, LATEST)
    promote(grown, 2)
    grown.create_version("iris")
    later = [a_try(), a_try("report"), a_try(try_number=2), a_try(map_index=1), a_try(map_index=2)]

    assert first == [1, 3]
    assert [got(grown, attempt, RUN_IRIS, LATEST) for attempt in later] == [[1, 3]] * 5
    assert got(grown, a_try("other"), IRIS) == [2]


def test_another_run_or_deployment_decides_for_itself(grown: Registry) -> None:
    """A run is deployment, DAG and run id; who asks outside of a run pins nothing."""
    got(grown, a_try(), RUN_IRIS)
    promote(grown, 2)
    others = [RUN._replace(**{part: "another"}) for part in RUN._fields]

    assert [got(grown, a_try(run=run), RUN_IRIS) for run in others] == [[2]] * 3
    assert got(grown, a_try("late"), RUN_IRIS) == [1]
    assert [str(item.version) for item in grown.resolve([RUN_IRIS])] == ["iris@2"]


def ask(registry: Registry, index: int, start: Any) -> dict[str, list[int]]:
    """Ask in each of many runs, for two models in another order than the neighbour; some promote, too."""
    answers, order = {}, 1 if index % 2 else -1
    for number, run in enumerate(RUNS):
        start.wait()
        if index < 3:
            promote(registry, (number + index) % 3 + 1, "iris", "rose")
        found = got(registry, a_try(f"task {index}", run), *[RUN_IRIS, RUN_ROSE][::order])
        answers[run.run_id] = found[::order]
    return answers


def ask_in_process(url: str, index: int, start: Any) -> dict[str, list[int]]:
    """Ask from a process that shares nothing but the registry."""
    with Registry.open(url) as registry:
        return ask(registry, index, start)


@pytest.mark.parametrize("workers", ["threads", "processes"])
def test_racing_tasks_pin_one_version(grown: Registry, url: str, workers: str) -> None:
    """All tasks of a run ask at once while promotions are made: each gets what the run's only pin says."""
    if workers == "threads":
        start = threading.Barrier(THREADS, timeout=60)
        with ThreadPoolExecutor(THREADS) as pool:
            found = list(pool.map(lambda index: ask(grown, index, start), range(THREADS)))
    else:
        with FORK.Manager() as manager, FORK.Pool(PROCESSES) as processes:
            met = manager.Barrier(PROCESSES, None, 60)
            found = processes.starmap(ask_in_process, [(url, index, met) for index in range(PROCESSES)], 1)
    pins = {run.run_id: got(grown, a_try("late", run), RUN_IRIS, RUN_ROSE) for run in RUNS}

    assert found == [pins] * len(found)
    assert len({number for numbers in pins.values() for number in numbers}) > 1
    assert [grown.drop_run_pins(run) for run in RUNS] == [2] * len(RUNS)


def test_dropped_pins_are_forgotten(grown: Registry) -> None:
    """drop_run_pins counts; of one model or of all, of that run only; the next task decides anew."""
    pinned, other = (RUN_IRIS, LATEST, RUN_ROSE), RUN._replace(run_id="manual__2")
    for run in (RUN, other):
        got(grown, a_try(run=run), *pinned)
    promote(grown, 2, "iris", "rose")

    assert grown.drop_run_pins(RUN, "iris") == 2
    assert got(grown, a_try("cleared"), *pinned) == [2, 3, 1]
    assert [grown.drop_run_pins(RUN), grown.drop_run_pins(RUN)] == [3, 0]
    assert got(grown, a_try("cleared again"), *pinned) == [2, 3, 2]
    assert got(grown, a_try("late", other), *pinned) == [1, 3, 1]


def test_a_pinned_version_cannot_be_deleted(grown: Registry) -> None:
    """Neither can its model; once the pin is dropped, it can."""
    got(grown, a_try(), LATEST)
    with pytest.raises(VersionInUse, match=r"iris@3 .*DAG 'predictions' has pinned it for its run"):
        grown.delete_version("iris", 3)
    with pytest.raises(VersionInUse):
        grown.delete_model("iris")
    grown.drop_run_pins(RUN)

    grown.delete_version("iris", 3)


def test_a_version_that_is_being_deleted_is_not_pinned(grown: Registry, url: str) -> None:
    """The pin waits for a deletion that is under way, and is not written: the run pins what is there then."""
    begins, under_way, deletions = ("BEGIN IMMEDIATE", "INSERT INTO mr_run_pin"), threading.Event(), []
    with Registry.open(url) as other, ThreadPoolExecutor(1) as pool:

        def delete_first(statement: str) -> None:
            if statement.startswith(begins) and not deletions:
                deletions.append(pool.submit(other.delete_version, "iris", 3))
                assert under_way.wait(60)

        def hold(statement: str) -> None:
            if statement.startswith("UPDATE mr_version"):
                under_way.set()
                with grown._database.engine.connect() as looking:
                    while not grown._database.is_sqlite and not looking.execute(WAITING).scalar():
                        looking.rollback()

        with heard(grown, delete_first), heard(other, hold, "after"):
            found = got(grown, a_try(), LATEST)

    assert [item.result() for item in deletions] == [None]
    assert found == got(grown, a_try("late"), LATEST) == [2]


def test_a_try_and_its_run_that_differ_are_a_conflict(grown: Registry) -> None:
    """The task had pinned for itself when another one pinned a newer version for the run."""
    got(grown, a_try(), IRIS)
    promote(grown, 2)
    got(grown, a_try("other"), RUN_IRIS)
    with pytest.raises(PinConflict, match=r"iris\[production\] is version 2 for this Dag run.*pin='task'"):
        got(grown, a_try(), RUN_IRIS)

    assert got(grown, a_try(), IRIS) == [1]
    assert got(grown, a_try(try_number=2), RUN_IRIS) == [2]


@pytest.mark.parametrize("pinned_before", [True, False])
def test_references_to_one_stage_share_the_runs_pin(grown: Registry, pinned_before: bool) -> None:
    """Where one of a task's references says pin='run', all to that stage mean that version, then and later."""
    if pinned_before:
        got(grown, a_try("before"), RUN_IRIS)
        promote(grown, 2)
    workspace: Any = Workspace(Address(grown.url, "", "argument"), grown, store=Any)
    task = Resolver(a_try(), lambda _: workspace, logging.getLogger())
    found = task.resolve([IRIS.but(attribute="number"), RUN_IRIS, ROSE])
    promote(grown, 3)
    found += task.resolve([IRIS, RUN_IRIS.but(attribute="version_name")])

    assert [str(item.version) for item in found] == ["iris@1", "iris@1", "rose@1", "iris@1", "iris@1"]
    assert got(grown, a_try("after"), RUN_IRIS) == [1]


@pytest.mark.parametrize("makes", [False, True])
def test_another_airflow_of_the_same_name_is_refused(grown: Registry, makes: bool) -> None:
    """Its run was cleared as often, and started at another time; a cleared run is still the same one."""

    def act(mark: str | None) -> None:
        if makes:
            grown.version_for_run("iris", RUN, producer="train", run_mark=mark)
        else:
            got(grown, a_try(run_mark=mark), RUN_IRIS)

    act("0 2026-03-01T00:00:00+00:00")
    with pytest.raises(DeploymentClash, match=r"'manual__1' of DAG 'predictions'.*'default'.*DEPLOYMENT"):
        act("0 2026-03-01T00:00:07+00:00")

    for mark in ("0 2026-03-01T00:00:00+00:00", "1 2026-03-02T00:00:00+00:00", None):
        act(mark)


def test_a_try_sees_the_stages_as_of_its_first_read(grown: Registry, url: str) -> None:
    """In another process, too, what it asked and what it never asked before; another try sees what is there now."""
    got(grown, a_try(), IRIS)
    promote(grown, 2, "iris", "rose")
    promote(grown, 3, stage="staging")
    grown.set_stage("rose", 2, "archived")
    with Registry.open(url) as other:
        found = got(other, a_try(), IRIS, RUN_IRIS.but(attribute="number"), ROSE, STAGING)
        with pytest.raises(StageNotAssigned):
            got(other, a_try("late"), ROSE)

    assert found == [1, 1, 1, 0]
    assert got(grown, a_try(try_number=2), STAGING.but(pin="task"), ROSE.but(default=0)) == [3, 0]


def test_the_stage_of_a_version_is_that_of_the_first_read(grown: Registry) -> None:
    """What was production when the try first read is not 'archived' to it a moment later."""
    got(grown, a_try(), IRIS)
    promote(grown, 2)

    assert grown.resolve([IRIS.but(attribute="stage")], a_try())[0].value == "production"


def test_a_version_that_was_in_no_stage_yet_is_in_none_to_the_same_try(grown: Registry) -> None:
    """Promoted since, and even moved out again, it was not 'archived' when the try first read."""
    two = IRIS.but(selector=Selector.parse("2"), attribute="stage")
    got(grown, a_try(), two)
    found = []
    for stage in ("production", "archived"):
        promote(grown, 2, stage=stage)
        found += [grown.resolve([two], attempt)[0].value for attempt in (a_try(), a_try("other"))]

    assert found == ["none", "production", "none", "archived"]


def test_one_read_and_one_record_and_two_more_where_the_run_pins(grown: Registry) -> None:
    """Statements of a task, apart from those that begin and check a transaction."""
    said = list[str]()
    with heard(grown, said.append):
        for attempt, asked in ((a_try(), IRIS), (a_try("first"), RUN_IRIS), (a_try("second"), RUN_IRIS)):
            got(grown, attempt, asked, asked.but(attribute="number"), ROSE)

    said = [item.split()[0] for item in said if not item.startswith(("BEGIN", "SELECT txid"))]
    assert " ".join(said) == "WITH INSERT " + "WITH INSERT WITH INSERT " + "WITH INSERT"
