"""Which tasks an operator waits for because its references name them, and which are over when it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_model_provider.pipelines.values import references_in

if TYPE_CHECKING:
    from airflow.sdk import DAG

#: Under these nothing runs behind a task that failed, or that never ran because another one failed.
_STRICT = frozenset({"all_success", "all_skipped", "none_failed", "none_failed_min_one_success"})


def upstream_in(dag: DAG, value: Any) -> list[Any]:
    """Return the tasks of a DAG whose output names a version in the references that a value holds."""
    taken = [pair for item in references_in(value) for pair in item.selector.upstream_tasks]
    found = dict.fromkeys(task_id for task_id, dag_id in taken if dag_id in ("", dag.dag_id))
    return [dag.get_task(task_id) for task_id in found if dag.has_task(task_id)]


def settled_before(task: Any) -> set[str]:
    """Return the tasks of which nothing is to come any more when a task runs: each has succeeded, or was skipped."""
    settled: set[str] = set()
    behind = [task]
    while behind:
        one = behind.pop()
        if one.trigger_rule in _STRICT:
            new = one.upstream_task_ids - settled
            settled |= new
            behind += map(task.dag.get_task, new)
    return settled
