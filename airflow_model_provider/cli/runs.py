"""What Airflow's database says of Dag runs: which are over, and what became of their tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_model_provider.cli.console import note
from airflow_model_provider.operators.upstream import part_state
from airflow_model_provider.registry.entities import RunKey, part_of

if TYPE_CHECKING:
    from collections.abc import Collection

_OVER = ("success", "failed")


def ended_runs(runs: Collection[RunKey]) -> dict[RunKey, dict[str, str]]:
    """
    Return what became of the tasks of those runs that are over, by the names that a version has for them.

    A run that this Airflow does not know, or a database that can't be asked, says nothing.
    """
    from airflow.utils.session import create_session

    try:
        with create_session() as session:
            found = {run: _outcomes(session, run) for run in runs}
    except Exception as err:  # of whichever database Airflow has
        reason = str(getattr(err, "orig", err)).strip().partition("\n")[0]
        note(f"Airflow's database could not be asked which Dag runs are over ({reason}).")
        return {}
    return {run: outcomes for run, outcomes in found.items() if outcomes is not None}


def _outcomes(session: Any, run: RunKey) -> dict[str, str] | None:
    from airflow.models.dagrun import DagRun

    found = DagRun.find(dag_id=run.dag_id, run_id=[run.run_id], session=session)
    if not found or str(found[0].state) not in _OVER:
        return None
    instances = found[0].get_task_instances(session=session)
    return {part_of(item.task_id, item.map_index): part_state(item.state) for item in instances}
