"""Runs of which tasks are cleared or marked once they are over; run by ``run_shapes.py``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from airflow.sdk import task, task_group
from airflow.sdk.exceptions import AirflowSkipException

from airflow_model_provider import Client, Model, get_step_context, pipeline, step

if TYPE_CHECKING:
    from collections.abc import Callable

REPORTS, EXCUSED, CLOSED, SKIPS, GROUPED = (
    "reports",
    "excused",
    "excused_closed",
    "skips_again",
    "skips_in_group",
)
SHRUNK, EMPTIED, UNWANTED, NESTED = "shrunk", "emptied", "unwanted", "nested"
LISTED = ("listed", "listed_beside")
STOPPED, STOPPED_ALONE, STOPPED_PROMOTED, BROKEN = "stopped", "stopped_alone", "stopped_promoted", "broken"
EMPTY, EMPTY_PROMOTED, EMPTY_BESIDE = "empty", "empty_promoted", "empty_beside"
#: What was mapped over, by round.
NUMBERS = {SHRUNK: ([1, 2, 3], [1]), EMPTIED: ([1, 2, 3], [])}
WAYS = ("turned", "turned_promoted", "turned_promoted_then")
PROMOTED, RENAMED, RENAMED_READY = "excused_promoted", "renamed_promoted", "renamed_ready"
ROUND = [1]


@step
def train() -> Annotated[int, "trained"]:
    """Return the number of the run's version."""
    return int(get_step_context().model.number)


@task
def report(number: int) -> None:
    """Write into the version as any code may."""
    version = Client().get_model_version(REPORTS, number)
    version.log_metadata({f"round_{ROUND[0]}": number})
    version.save_artifact(f"report_{ROUND[0]}", number)


@step
def promote() -> None:
    """Promote what was trained."""
    get_step_context().model.set_stage("staging", force=True)


@step
def promote_in_round_2() -> None:
    """Promote what is made when it runs again."""
    if ROUND[0] > 1:
        get_step_context().model.set_stage("staging")


@step
def check(number: int) -> None:
    """Fail."""
    raise ValueError(number)


@step
def each(i: int) -> Annotated[int, "each"]:
    """Skip the first instance when it runs again."""
    if ROUND[0] > 1 and i == 1:
        raise AirflowSkipException("as planned")
    return i


@step
def last() -> Annotated[int, "last"]:
    """Return something once all others have succeeded."""
    return ROUND[0]


@pipeline(name=REPORTS, model=Model(REPORTS))
def reports() -> None:
    """A standard task writes into the version that is promoted."""
    promote.after(report(train()))()


@pipeline(name=EXCUSED, model=Model(EXCUSED))
def excused() -> None:
    """What checks and fails is marked as succeeded by a person."""
    last.after(check(train()))()


@pipeline(name=CLOSED, model=Model(CLOSED))
def excused_closed() -> None:
    """The same with a task that closes the version."""
    last.after(check(train()))()
    each.expand(i=[2, 3])


@pipeline(name=PROMOTED, model=Model(PROMOTED))
def excused_promoted() -> None:
    """The only step behind what is marked promotes."""
    promote.after(check(train()))()


@pipeline(name=SKIPS, model=Model(SKIPS))
def skips_again() -> None:
    """An instance that skips itself when it runs again has Airflow skip what is behind all."""
    last.after(each.expand(i=[1, 2]))()


@pipeline(name=GROUPED, model=Model(GROUPED))
def skips_in_group() -> None:
    """In a group only what has the same index is behind it."""

    @task_group
    def group(i: int) -> None:
        last.after(each(i))()

    group.expand(i=[1, 2])


@task
def begin() -> None:
    """Nothing but a task."""


@step
def early() -> Annotated[int, "early"]:
    """Start before the branch decides."""
    return ROUND[0]


@task.branch
def choose() -> str:
    """Take another way when it runs again."""
    return f"way_{min(ROUND[0], 2)}"


def way(number: int) -> Any:
    """A step that is one of the ways."""

    @step(name=f"way_{number}")
    def walk() -> Annotated[int, f"out_{number}"]:
        get_step_context().model.log_metadata({f"way_{number}": ROUND[0]})
        return number

    return walk


def turned(name: str, *, first: bool) -> Any:
    """
    A branch between two steps, of which one promotes at the end.

    :param first: whether a step runs before the branch decides.
    """

    dag_id = f"{name}_late" if first else name

    @pipeline(name=dag_id, model=Model(dag_id))
    def turning() -> None:
        before = early() if first else begin()
        chosen = choose()
        before >> chosen
        ways = [way(number).after(chosen)() for number in (1, 2)]
        if name != WAYS[0]:
            last = promote if name == WAYS[1] else promote_in_round_2
            last.with_options(trigger_rule="none_failed_min_one_success").after(*ways)()

    return turning


def shrinking(name: str) -> Any:
    """A list that a standard task makes, and that is shorter when it runs again; what is made of it is promoted."""

    @task
    def numbers() -> list[int]:
        return NUMBERS[name][ROUND[0] > 1]

    @step
    def element(i: int) -> Annotated[int, "element"]:
        get_step_context().model.log_metadata({f"number_{i}": i})
        return i

    @pipeline(name=name, model=Model(name))
    def shorter() -> None:
        given = numbers()
        made = element.expand(i=given)
        alone = early.after(given)()
        last = promote_in_round_2 if name == SHRUNK else promote
        last.with_options(trigger_rule="none_failed").after(made, alone)()

    return shorter


@task.short_circuit
def wanted() -> bool:
    """Whether it is the first round."""
    return ROUND[0] == 1


@step
def fails_in_round_2() -> Annotated[int, "made"]:
    """Fail when it runs again."""
    if ROUND[0] == 2:
        raise ValueError(ROUND[0])
    return ROUND[0]


@step
def extra() -> Annotated[int, "extra"]:
    """Make and log what is wanted in the first round."""
    get_step_context().model.log_metadata({"extra": ROUND[0]})
    return ROUND[0]


@pipeline(name=UNWANTED, model=Model(UNWANTED))
def unwanted() -> None:
    """What a step makes is not wanted any more in a round in which a step before it fails."""
    extra.with_options(trigger_rule="none_failed").after(fails_in_round_2(), wanted())()


@pipeline(name=NESTED, model=Model(NESTED))
def nested() -> None:
    """A branch that leaves out a step is left out itself when it runs again; what it left out stays so."""

    @task.branch
    def outer() -> list[str]:
        return ["inner"] if ROUND[0] == 1 else []

    @task.branch
    def inner() -> list[str]:
        return []

    first, second = outer(), inner()
    first >> second >> extra.with_options(trigger_rule="none_failed").after(early())()


def listing(name: str) -> Any:
    """A list that a standard task fails to make at first; steps are mapped over it, and run beside and behind that."""

    @task
    def numbers() -> list[int]:
        if ROUND[0] == 1:
            raise ValueError(ROUND[0])
        return [1, 2]

    @step
    def element(i: int) -> Annotated[int, "element"]:
        return i

    @pipeline(name=name, model=Model(name))
    def listed() -> None:
        early()
        given = numbers()
        made = element.expand(i=given)
        last.after(made if name == LISTED[0] else given)()

    return listed


@task
def breaks_in_round_2() -> None:
    """Fail when it runs again."""
    if ROUND[0] == 2:
        raise ValueError(ROUND[0])


def stopped(name: str, before: Any) -> Any:
    """A standard task keeps all steps that were cleared from running again; no step starts."""

    @pipeline(name=name, model=Model(name))
    def stopping() -> None:
        if name != STOPPED_ALONE:
            early()
        given = before()
        extra.after(given)()
        if name == STOPPED:
            each.after(given).expand(i=[2, 3])

    return stopping


@task.short_circuit(ignore_downstream_trigger_rules=False)
def wanted_at_first() -> bool:
    """Whether it is the first round; what runs after skips runs all the same."""
    return ROUND[0] == 1


@step
def announce() -> None:
    """Make nothing."""


def emptied(name: str) -> Any:
    """All instances of the only step that makes something are skipped when it runs again; another step runs."""

    @pipeline(name=name, model=Model(name))
    def emptying() -> None:
        made = each.after(wanted_at_first()).expand(i=[2, 3])
        if name == EMPTY_BESIDE:
            announce()
        else:
            last = promote if name == EMPTY_PROMOTED else promote_in_round_2
            last.with_options(trigger_rule="none_failed").after(made)()

    return emptying


def renamed(dag_id: str, name: str, elements: list[int]) -> Any:
    """A state of a file in which a mapped step has a name of its own, and a number of elements."""

    @step(name=name)
    def make(i: int) -> Annotated[int, "made"]:
        get_step_context().model.log_metadata({f"{name}_{i}": i})
        return i

    @pipeline(name=dag_id, model=Model(dag_id))
    def renaming() -> None:
        made = make.expand(i=elements)
        if dag_id == RENAMED:
            promote.after(made)()

    return renaming


PIPELINES = (
    *(reports, excused, excused_closed, excused_promoted, skips_again, skips_in_group),
    *map(shrinking, NUMBERS),
    *(unwanted, nested),
    *map(listing, LISTED),
    *(stopped(name, wanted) for name in (STOPPED, STOPPED_ALONE, STOPPED_PROMOTED)),
    stopped(BROKEN, breaks_in_round_2),
    *map(emptied, (EMPTY, EMPTY_PROMOTED, EMPTY_BESIDE)),
    *(turned(name, first=first) for name in WAYS for first in (False, True)),
    *(renamed(name, "before", [1, 2, 3]) for name in (RENAMED, RENAMED_READY)),
)


def wrong(dags: dict[str, Any], go_on: Callable[[Any, str, list[str]], Any]) -> dict[str, Any]:
    """Run them, then tasks of them again; say what is wrong. The tasks that close versions are not cleared."""
    runs = {name: dags[name].test().run_id for name in (REPORTS, EXCUSED, CLOSED, PROMOTED, SKIPS, GROUPED)}
    promoted = dags[SKIPS].test().run_id
    turning = {name: dags[name].test().run_id for name in (*WAYS, *(f"{name}_late" for name in WAYS))}
    Client().get_model_version(SKIPS, 2).set_stage("staging")
    listed = {name: dags[name].test().run_id for name in LISTED}
    left = (*NUMBERS, UNWANTED, NESTED, EMPTY, EMPTY_PROMOTED, EMPTY_BESIDE)
    changed = {name: dags[name].test().run_id for name in left}
    ended = {name: dags[name].test().run_id for name in (STOPPED, STOPPED_ALONE, STOPPED_PROMOTED, BROKEN)}
    Client().get_model_version(STOPPED_PROMOTED, 1).set_stage("staging")
    for name in (EXCUSED, CLOSED, PROMOTED):
        mark(name, runs[name], "check")
    ROUND[0] += 1
    go_on(dags[REPORTS], runs[REPORTS], ["train", "report", "promote"])
    go_on(dags[EXCUSED], runs[EXCUSED], ["last"])
    go_on(dags[PROMOTED], runs[PROMOTED], ["promote"])
    go_on(dags[CLOSED], runs[CLOSED], ["last", f"close_{CLOSED}"])
    for run_id in (runs[SKIPS], promoted):
        go_on(dags[SKIPS], run_id, ["each", "last"])
    go_on(dags[GROUPED], runs[GROUPED], ["group.each", "group.last"])
    for name, run_id in listed.items():
        go_on(dags[name], run_id, ["numbers", "element", "last"])
    for name, run_id in ended.items():
        go_on(dags[name], run_id, [one for one in dags[name].task_ids if one != "early"])
    for name, run_id in {**turning, **changed}.items():
        go_on(dags[name], run_id, list(dags[name].task_ids))
    ROUND[0] += 1
    go_on(dags[UNWANTED], changed[UNWANTED], ["fails_in_round_2", f"close_{UNWANTED}"])
    ROUND[0] = 1
    for name in (RENAMED, RENAMED_READY):
        rename_twice(dags[name], go_on)
    wanted = {
        REPORTS: {
            1: ("ready", ["report_1", "trained"], ["round_1"]),
            2: ("ready", ["report_2", "trained"], ["round_2"]),
        },
        EXCUSED: {1: ("ready", ["last", "trained"], [])},
        CLOSED: {1: ("ready", ["each[0]", "each[1]", "last", "trained"], [])},
        PROMOTED: {1: ("ready", ["trained"], [])},
        SKIPS: {
            1: ("ready", ["each[1]"], []),
            2: ("ready", ["each[0]", "each[1]", "last"], []),
            3: ("ready", ["each[1]"], []),
        },
        GROUPED: {1: ("ready", ["each[1]", "last[1]"], [])},
        RENAMED: {
            1: ("ready", ["made[0]", "made[1]", "made[2]"], ["before_1", "before_2", "before_3"]),
            2: ("ready", ["made[0]", "made[1]"], ["between_4", "between_5"]),
            3: ("ready", ["made[0]"], ["after_6"]),
        },
        "turned": {1: ("ready", ["out_2"], ["way_2"])},
        "turned_late": {1: ("ready", ["early", "out_2"], ["way_2"])},
        "turned_promoted": {1: ("ready", ["out_1"], ["way_1"]), 2: ("ready", ["out_2"], ["way_2"])},
        "turned_promoted_late": {
            1: ("ready", ["early", "out_1"], ["way_1"]),
            2: ("ready", ["early", "out_2"], ["way_2"]),
        },
        "turned_promoted_then": {1: ("ready", ["out_2"], ["way_2"])},
        "turned_promoted_then_late": {1: ("ready", ["early", "out_2"], ["way_2"])},
        SHRUNK: {1: ("ready", ["early", "element[0]"], ["number_1"])},
        EMPTIED: {
            1: (
                "ready",
                ["early", "element[0]", "element[1]", "element[2]"],
                [*map("number_{}".format, (1, 2, 3))],
            ),
            2: ("ready", ["early"], []),
        },
        **{key: {1: ("ready", ["early", "element[0]", "element[1]", "last"], [])} for key in LISTED},
        STOPPED: {1: ("ready", ["early"], [])},
        STOPPED_ALONE: {1: ("failed", [], [])},
        STOPPED_PROMOTED: {1: ("ready", ["early", "extra"], ["extra"]), 2: ("ready", ["early"], [])},
        BROKEN: {1: ("failed", ["early", "extra"], ["extra"])},
        EMPTY: {1: ("failed", [], [])},
        EMPTY_PROMOTED: {1: ("ready", ["each[0]", "each[1]"], []), 2: ("failed", [], [])},
        EMPTY_BESIDE: {1: ("failed", [], [])},
        NESTED: {1: ("ready", ["early"], [])},
        UNWANTED: {1: ("ready", ["made"], [])},
        RENAMED_READY: {1: ("ready", ["made[0]"], ["after_6"])},
    }
    found = {name: look(name) for name in wanted}
    return {name: held for name, held in found.items() if held != wanted[name]}


def rename_twice(dag: Any, go_on: Callable[[Any, str, list[str]], Any]) -> None:
    """Give a step another name and fewer elements, and clear the run once it is over."""
    from airflow_model_provider.dag_builder import build_dag

    run_id = dag.test().run_id
    for name, elements in (("between", [4, 5]), ("after", [6])):
        later = build_dag(renamed(dag.dag_id, name, elements).definition)
        file_has_changed(later, run_id)
        go_on(later, run_id, [*{name, "promote"} & {*later.task_ids}])


def file_has_changed(dag: Any, run_id: str) -> None:
    """Do to a run what the scheduler does when its file has changed: tasks are removed, and come."""
    from airflow.models.dagrun import DagRun
    from airflow.serialization.serialized_objects import DagSerialization
    from airflow.utils.session import create_session

    with create_session() as session:
        run = session.query(DagRun).filter_by(dag_id=dag.dag_id, run_id=run_id).one()
        run.dag = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag))
        (version, *_) = {item.dag_version_id for item in run.get_task_instances(session=session)}
        run.verify_integrity(session=session, dag_version_id=version)


def look(name: str) -> dict[int, tuple[str, list[str], list[str]]]:
    """The states of a model's versions, the artifacts and the metadata in them."""
    return {
        version.number: (
            str(version.state),
            sorted(
                item.name if item.map_index is None else f"{item.name}[{item.map_index}]"
                for item in version.list_artifacts()
            ),
            sorted(version.run_metadata),
        )
        for version in Client().list_model_versions(name)
    }


def mark(dag_id: str, run_id: str, task_id: str) -> None:
    """Mark a task as succeeded, as a person does."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session

    with create_session() as session:
        item = session.query(TaskInstance).filter_by(dag_id=dag_id, run_id=run_id, task_id=task_id).one()
        item.set_state("success", session=session)
