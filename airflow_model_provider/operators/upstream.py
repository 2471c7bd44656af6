"""Which tasks an operator waits for because its references name them; imported with every step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_model_provider.pipelines.values import references_in

if TYPE_CHECKING:
    from airflow.sdk import DAG


def upstream_in(dag: DAG, value: Any) -> list[Any]:
    """Return the tasks of a DAG whose output names a version in the references that a value holds."""
    taken = [pair for item in references_in(value) for pair in item.selector.upstream_tasks]
    found = dict.fromkeys(task_id for task_id, dag_id in taken if dag_id in ("", dag.dag_id))
    return [dag.get_task(task_id) for task_id in found if dag.has_task(task_id)]
