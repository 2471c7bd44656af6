"""Tasks that ask a person, in a running Airflow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.support.airflow_runtime import AirflowRuntime


def asks(airflow: AirflowRuntime, dag_id: str, run_id: str, task_id: str) -> dict[str, Any]:
    """What a task asks, once it waits for the answer."""

    def waiting() -> Any:
        found = airflow.states(dag_id, run_id).get(task_id)
        assert found not in (["failed"], ["success"]), airflow.failures(dag_id, run_id)
        if found != ["awaiting_input"] or not airflow.is_reported(dag_id, run_id, task_id):
            return None
        return airflow.request(dag_id, run_id, task_id)

    return dict(airflow.wait_for(waiting, timeout=60))
