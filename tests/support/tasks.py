"""One task, run as Airflow runs it, without a database: rendered, executed, tried again."""

from __future__ import annotations

from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

from airflow.sdk.execution_time.context import MacrosAccessor, set_current_context

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime


@dataclass
class TaskInstance:
    """What is asked of Airflow's task instance."""

    id: str = "ti-1"
    dag_id: str = "stages"
    run_id: str = "manual__1"
    task_id: str = "act"
    map_index: int = -1
    try_number: int = 1
    pushed: dict[str, Any] = field(default_factory=dict)
    first_reschedule: datetime | None = None
    #: What other tasks have returned, by task id, or task id and key.
    results: Mapping[Any, Any] = field(default_factory=dict)

    def xcom_pull(self, task_ids: str, key: str = "return_value", default: Any = None, **_: Any) -> Any:
        """What another task has returned, of one's own."""
        return deepcopy(self.results.get(task_ids if key == "return_value" else (task_ids, key), default))

    def get_relevant_upstream_map_indexes(self, **_: Any) -> None:
        """Seen from outside of a mapped group: all instances."""

    def xcom_push(self, key: str, value: Any) -> None:
        """Keep it."""
        self.pushed[key] = value

    def get_task_states(self, task_ids: list[str], **_: Any) -> dict[str, dict[str, str]]:
        """The states of tasks of the run: those that have returned something have succeeded."""
        return {self.run_id: {name: "success" for name in task_ids if name in self.results}}

    def get_first_reschedule_date(self, context: Any) -> datetime | None:
        """Since when it has waited."""
        return self.first_reschedule

    def retried(self) -> Self:
        """The next try."""
        return replace(self, id=f"{self.id}+", try_number=self.try_number + 1)


def predicting(id: str = "ti-1", **given: Any) -> TaskInstance:
    """The instance of a task that predicts."""
    return TaskInstance(id, "predictions", task_id="predict", **given)


@contextmanager
def running(task: Any, ti: TaskInstance | None = None, **more: Any) -> Iterator[dict[str, Any]]:
    """The context of a running task, its fields rendered."""
    ti = ti or TaskInstance(dag_id=task.dag.dag_id, task_id=task.task_id)
    context: Any = {
        "ti": ti,
        "task_instance": ti,
        "task": task,
        "dag": task.dag,
        "macros": MacrosAccessor(),
        **more,
    }
    with set_current_context(context):
        task.render_template_fields(context)
        yield context


def run(task: Any, ti: TaskInstance | None = None, **more: Any) -> Any:
    """Render and execute a task; return what it returns."""
    with running(task, ti, **more) as context:
        return task.execute(context)
