"""What Airflow's database says of Dag runs: which are over, and what became of their tasks."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_model_provider import settings
from airflow_model_provider.cli.console import note
from airflow_model_provider.operators.skips import SAID, with_ended
from airflow_model_provider.operators.upstream import part_state
from airflow_model_provider.registry.entities import RunKey, part_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

T = TypeVar("T")
_OVER = ("success", "failed")


def ended_runs(runs: Collection[RunKey]) -> dict[RunKey, dict[str, str]]:
    """
    Return what became of the tasks of those runs that are over, by the names that a version has for them.

    A run that this Airflow does not know, or a database that can't be asked, says nothing.
    """
    found = _asked(lambda session: {run: _outcomes(session, run) for run in runs}) or {}
    return {run: outcomes for run, outcomes in found.items() if outcomes is not None}


def runs_at_work() -> set[RunKey]:
    """Return the Dag runs of this Airflow that are not over, however long they wait; none if it can't be asked."""
    from airflow.models.dagrun import DagRun

    def question(session: Any) -> set[RunKey]:
        found = session.query(DagRun.dag_id, DagRun.run_id).filter(DagRun.state.not_in(_OVER))
        return {RunKey(settings.deployment(), *row) for row in found}

    return _asked(question) or set()


def _asked(question: Callable[[Any], T]) -> T | None:
    from airflow.utils.session import create_session

    try:
        with create_session() as session:
            return question(session)
    except Exception as err:  # of whichever database Airflow has
        reason = str(getattr(err, "orig", err)).strip().partition("\n")[0]
        _tell(f"Airflow's database could not be asked which Dag runs are over ({reason}).")
        return None


@cache
def _tell(text: str) -> None:
    """Say something once: a command asks several times."""
    note(text)


def _outcomes(session: Any, run: RunKey) -> dict[str, str] | None:
    from airflow.models.dagbag import DBDagBag
    from airflow.models.dagrun import DagRun

    found = DagRun.find(dag_id=run.dag_id, run_id=[run.run_id], session=session)
    if not found or str(found[0].state) not in _OVER:
        return None
    states: dict[str, dict[int, str | None]] = {}
    instances = found[0].get_task_instances(session=session)
    for item in instances:
        states.setdefault(item.task_id, {})[item.map_index] = str(item.state)
    if any("skipped" in by_index.values() for by_index in states.values()):
        dag = DBDagBag().get_dag_for_run(found[0], session)
        states = states if dag is None else _judged(session, run, dag, states, instances)
    return {
        part_of(task, index): part_state(state)
        for task, by_index in states.items()
        for index, state in by_index.items()
    }


def _judged(
    session: Any, run: RunKey, dag: Any, states: dict[str, dict[int, str | None]], instances: Collection[Any]
) -> dict[str, dict[int, str | None]]:
    """Tell tasks that were skipped because their run was ended from those that the Dag skips."""
    from airflow.models.expandinput import NotFullyPopulated
    from airflow.models.taskinstancehistory import TaskInstanceHistory
    from airflow.models.xcom import XComModel

    from airflow_model_provider.operators.mapping import expand_input

    def said(task_id: str) -> list[Any]:
        kept = XComModel.get_many(
            run_id=run.run_id, key=SAID, task_ids=task_id, dag_ids=run.dag_id, map_indexes=None
        )
        values = [XComModel.deserialize_value(row) for row in session.scalars(kept)]
        return [value for value in values if isinstance(value, Mapping)]

    def length(node: Any) -> int | None:
        try:
            return int(expand_input(node).get_total_map_length(run.run_id, session=session))
        except NotFullyPopulated:
            return None

    # A run that takes too long gives its tasks no end: they have none, or still that of a try before, which is kept as
    # well. Only where a task closes its version can a step skip itself unseen.
    ends = {(item.task_id, item.map_index): item.end_date for item in instances if item.end_date is not None}
    tries = session.query(
        TaskInstanceHistory.task_id, TaskInstanceHistory.map_index, TaskInstanceHistory.end_date
    ).filter_by(dag_id=run.dag_id, run_id=run.run_id)
    before = {
        (task, index) for task, index, end in tries if end is not None and end == ends.get((task, index))
    }
    closes = any(task.task_type == "CloseVersionOperator" for task in dag.tasks)
    return with_ended(
        dag,
        states,
        said,
        length,
        skips_itself=lambda *_: closes,
        did_not_run=lambda task, index: (task, index) in before,
        was_stopped=lambda task, index: (task, index) not in ends,
    )
