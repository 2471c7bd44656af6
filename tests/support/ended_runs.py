"""Runs that end in the middle: a person ends them, or they take too long; run by ``run_shapes.py``."""

from __future__ import annotations

from typing import Annotated, Any

from airflow.sdk import get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException

from airflow_model_provider import Client, Model, pipeline, step

ENDED, SLOW, BRANCHED = "ended_by_hand", "ended_slowly", "ended_branched"
UNEXPANDED, EMPTY, LISTLESS, EARLY = "ended_unexpanded", "ended_empty", "listless", "skipped_early"
BEFORE = "ended_before"


@step
def first() -> Annotated[dict, "first"]:
    """Make a part."""
    return {}


@step
def each(i: int) -> Annotated[int, "each"]:
    """Make an element."""
    return i


@step
def last() -> Annotated[dict, "last"]:
    """Make another part."""
    return {}


@task
def is_ended() -> None:
    """End its own run, as a person does who marks it as failed."""
    from airflow.api.common.mark_tasks import set_dag_run_state_to_failed
    from airflow.models.serialized_dag import SerializedDagModel

    context: Any = get_current_context()
    run = context["dag_run"]
    dag: Any = SerializedDagModel.get_dag(run.dag_id)
    set_dag_run_state_to_failed(dag=dag, run_id=run.run_id, commit=True)
    raise ValueError("ended")


@pipeline(name=ENDED, model=Model(ENDED))
def ended_by_hand() -> None:
    """What is behind the task that is ended never runs; Airflow calls it skipped."""
    waiting = is_ended()
    first().operator >> waiting
    between = each.expand(i=[1, 2])
    waiting >> between.operator
    last.after(between)()


@pipeline(name=SLOW, model=Model(SLOW))
def ended_slowly() -> None:
    """All its tasks tell what became of them: no task closes its version."""
    last.after(first.with_options(name="slow").after(first())())()


@pipeline(name=BRANCHED, model=Model(BRANCHED))
def ended_branched() -> None:
    """A branch leaves one step out, and follows another."""

    @task.branch
    def choose() -> str:
        return "followed"

    chosen = choose()
    made = first()
    made.operator >> chosen
    for name in ("followed", "not_followed"):
        chosen >> last.with_options(name=name)().operator


@step
def numbers(n: int) -> list[int]:
    """Return what steps are mapped over."""
    return list(range(n))


@pipeline(name=UNEXPANDED, model=Model(UNEXPANDED))
def ended_unexpanded() -> None:
    """It is ended when its lists are known, and before steps are mapped over them."""
    waiting = is_ended()
    made = numbers(2)
    made.operator >> waiting
    always = each.with_options(trigger_rule="all_done")
    waiting >> always.expand(i=made).operator
    waiting >> always.with_options(name="changed").expand(i=made.map(lambda number: -number)).operator
    nothing = numbers.with_options(name="nothing")(0)
    nothing.operator >> waiting
    waiting >> always.with_options(name="none").expand(i=nothing).operator


@pipeline(name=EMPTY, model=Model(EMPTY))
def ended_empty() -> None:
    """Nothing is to be made of an empty list."""
    first()
    each.expand(i=numbers(0))


@task
def no_numbers() -> list[int]:
    """Skip itself."""
    raise AirflowSkipException("nothing today")


@pipeline(name=LISTLESS, model=Model(LISTLESS))
def listless() -> None:
    """Airflow skips a mapped step whose list was not made, whatever its rule."""
    first()
    given = no_numbers()
    for number, rule in enumerate(("none_failed", "all_done")):
        each.with_options(name=f"each_{number}", trigger_rule=rule).expand(i=given)


@task(trigger_rule="all_done")
def prepare() -> None:
    """Never run."""


@pipeline(name=BEFORE, model=Model(BEFORE))
def ended_before() -> None:
    """It is ended before a standard task runs that stands before a step."""
    waiting = is_ended()
    first().operator >> waiting
    prepared = prepare()
    waiting >> prepared
    last.after(prepared)()


NOTHING = Model("nothing_yet", version="production", on_missing="skip").get_model_artifact("scores")


@step
def optional(i: int, scores: Any = None) -> Annotated[int, "optional"]:
    """Is skipped before its code runs."""
    return i


@pipeline(name=EARLY, model=Model(EARLY))
def skipped_early() -> None:
    """Mapped steps skip themselves before there is a version that could be told."""
    fixed = optional.partial(scores=NOTHING).expand(i=[1, 2])
    given = optional.partial(i=1).expand(scores=[NOTHING, NOTHING])
    first.with_options(trigger_rule="all_done").after(fixed, given)()


PIPELINES = (
    ended_before,
    skipped_early,
    listless,
    ended_by_hand,
    ended_slowly,
    ended_branched,
    ended_unexpanded,
    ended_empty,
)


def wrong(dags: dict[str, Any]) -> dict[str, Any]:
    """Run them; say what is wrong."""
    from airflow_model_provider.cli.runs import runs_at_work
    from airflow_model_provider.registry.entities import RunKey

    found: dict[str, Any] = {}
    dags[ENDED].test()
    (version,) = Client().list_model_versions(ENDED)
    found[ENDED] = (str(version.state), "failed")
    unexpanded, empty = dags[UNEXPANDED].test(), dags[EMPTY].test()
    (version,) = Client().list_model_versions(UNEXPANDED)
    found[UNEXPANDED] = (str(version.state), "failed")
    (version,) = Client().list_model_versions(EMPTY)
    found[EMPTY] = (str(version.state), "ready")
    left = {name: told(unexpanded)[name] for name in ("each", "changed", "none")}
    found["left"] = (left, {"each": "ended", "changed": "ended", "none": "skipped"})
    found["without elements"] = (told(empty)["each"], "skipped")
    dags[BEFORE].test()
    (version,) = Client().list_model_versions(BEFORE)
    found[BEFORE] = (str(version.state), "failed")
    dags[EARLY].test()
    (version,) = Client().list_model_versions(EARLY)
    found[EARLY] = (str(version.state), "ready")
    dags[LISTLESS].test()
    (version,) = Client().list_model_versions(LISTLESS)
    found[LISTLESS] = (str(version.state), "ready")
    slow, branched = dags[SLOW].test(), dags[BRANCHED].test()
    (version,) = Client().list_model_versions(BRANCHED)
    found[BRANCHED] = (str(version.state), "ready")
    well = {"first": "committed", "choose": "committed", "not_followed": "skipped"}
    closed = f"close_{BRANCHED}"
    set_skipped(empty, "first")
    found["skipped by itself"] = (told(empty)["first"], "skipped")
    set_skipped(empty, "first", waits=True)
    found["waited for its next try"] = (told(empty)["first"], "ended")
    found["left out"] = (told(branched), {**well, "followed": "committed", closed: "committed"})
    take_too_long(branched, "followed", closed)
    found["followed"] = (told(branched), {**well, "followed": "ended", closed: "ended"})
    set_skipped(branched, "choose", waits=True)
    found["behind what waited"] = (
        [told(branched)[name] for name in ("choose", "not_followed")],
        ["ended"] * 2,
    )
    take_too_long(slow, "slow", "last")
    found[SLOW] = (told(slow), {"first": "committed", "slow": "ended", "last": "ended"})
    found["at work"] = (runs_at_work(), set())
    set_state(slow, "running")
    found["at work again"] = (runs_at_work(), {RunKey("default", SLOW, slow.run_id)})
    return {name: got for name, (got, wanted) in found.items() if got != wanted}


def set_state(run: Any, state: str) -> None:
    """Do what a person does who marks a run."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session

    with create_session() as session:
        session.query(DagRun).filter_by(dag_id=run.dag_id, run_id=run.run_id).one().set_state(state)


def set_skipped(run: Any, task_id: str, *, waits: bool = False) -> None:
    """Skip a task; one that ``waits`` for its next try as Airflow does once the time of the run is over."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session

    of_the_run = {"dag_id": run.dag_id, "run_id": run.run_id, "task_id": task_id}
    with create_session() as session:
        item = session.query(TaskInstance).filter_by(**of_the_run).one()
        if waits:
            item.prepare_db_for_next_try(session)
        item.state = "skipped"


def take_too_long(run: Any, *left: str) -> None:
    """Do to tasks of a run what Airflow does once the time of the run is over."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session

    with create_session() as session:
        found = session.query(DagRun).filter_by(dag_id=run.dag_id, run_id=run.run_id).one()
        found.set_state("failed")
        for item in found.get_task_instances(session=session):
            if item.task_id in left:
                item.state, item.end_date = "skipped", None


def told(run: Any) -> dict[str, str]:
    """What upkeep hears of a run."""
    from airflow_model_provider.cli.runs import ended_runs
    from airflow_model_provider.registry.entities import RunKey

    key = RunKey("default", run.dag_id, run.run_id)
    return ended_runs([key])[key]
