"""The steps of a DAG, and which of them write into the version that a run makes of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_model_provider.operators.mapping import outputs_of
from airflow_model_provider.pipelines.definition import makes_version_of

if TYPE_CHECKING:
    from airflow_model_provider.model import Model
    from airflow_model_provider.pipelines.outputs import Output


class StepTask(NamedTuple):
    """A step's task in a DAG, mapped or not."""

    model: Model | None
    outputs: tuple[Output, ...]


def step_of(task: Any) -> StepTask | None:
    """Return what a task (mapped or not) is as a step; None if it is none."""
    if not getattr(getattr(task, "operator_class", type(task)), "is_step", False):
        return None
    model = task.partial_kwargs.get("step_model") if task.is_mapped else task.step_model
    return StepTask(model, outputs_of(task))


def producers_of(dag: Any, model: Model | None) -> dict[str, bool]:
    """Return the tasks of a DAG that write into the new version of a model, and whether each declares outputs."""
    wanted = makes_version_of(model)
    return {
        task.task_id: bool(step.outputs)
        for task in dag.tasks
        if (step := step_of(task)) is not None and makes_version_of(step.model) == wanted
    }
