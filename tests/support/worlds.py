"""One body in both worlds: as a program, and as Airflow's tasks, rendered and executed without a database."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import count
from math import prod
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Protocol

from airflow.sdk import XComArg
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import (
    ErrorResponse,
    GetXComCount,
    GetXComSequenceItem,
    XComCountResponse,
    XComSequenceIndexResult,
    XComSequenceSliceResult,
)

from airflow_model_provider import pipeline
from airflow_model_provider.dag_builder import build_dag
from airflow_model_provider.operators.mapping import entries
from airflow_model_provider.pipelines.definition import PipelineDefinition
from tests.support.tasks import TaskInstance, running

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    import pytest

    from airflow_model_provider import Model

_RUNS = count(1)


class World(Protocol):
    """Where a body can run."""

    def run(self, body: Callable[[], Any], *, model: Model | None = None) -> dict[str, int]:
        """Run it, and return how many instances of each task ran."""


@dataclass
class Local:
    """A body as a program."""

    def run(self, body: Callable[[], Any], *, model: Model | None = None) -> dict[str, int]:
        """Run it, and return how many instances of each task ran."""
        made: Any = pipeline(name=body.__name__, model=model)
        result = made(body)()
        return {
            name: 0 if found.state == "skipped" else len(found.values) if found.mapped else 1
            for name, found in result.steps.items()
        }


@dataclass
class Tasks:
    """
    A body as Airflow's tasks; what they return goes through JSON.

    :param only: indices of the instances that run, where that are many.
    :param results: what the tasks have returned, by task id, or task id and key.
    """

    patch: pytest.MonkeyPatch
    only: Collection[int] | None = None
    results: dict[Any, Any] = field(default_factory=dict)

    def run(self, body: Callable[[], Any], *, model: Model | None = None) -> dict[str, int]:
        """Run it, and return how many instances of each task there are."""
        dag = build_dag(PipelineDefinition(body, body.__name__, model, {"schedule": None}))
        run_id = f"manual__{next(_RUNS)}"
        self.patch.setattr(task_runner, "SUPERVISOR_COMMS", self, raising=False)
        return {task.task_id: self._run(task, run_id) for task in dag.topological_sort()}

    def _run(self, task: Any, run_id: str) -> int:
        if not task.is_mapped:
            self.results[task.task_id] = self._instance(task, run_id, -1)
            return 1
        length = self._length(task, run_id)
        chosen = (
            range(length) if self.only is None else sorted({index % length for index in self.only if length})
        )
        values = [self._instance(task, run_id, index) for index in chosen]
        self.results[task.task_id] = [value for value in values if value is not None]
        return length

    def _length(self, task: Any, run_id: str) -> int:
        """What Airflow's scheduler counts."""
        context = {"ti": self._ti(task, run_id, 0), "task": task}
        value = task._get_specified_expand_input().value
        args = list(value.values()) if isinstance(value, dict) else [value]
        return prod(len(entries(arg, context) if isinstance(arg, XComArg) else arg) for arg in args)

    def _instance(self, task: Any, run_id: str, index: int) -> Any:
        ti = self._ti(task, run_id, index)
        with running(task.prepare_for_execution(), ti, dag_run=SimpleNamespace(conf={})) as context:
            context["task"].pre_execute(context)
            value = _through_xcom(context["task"].execute(context))
        for key, pushed in ti.pushed.items():
            self.results[task.task_id, key] = _through_xcom(pushed)
        return value

    def _ti(self, task: Any, run_id: str, index: int) -> TaskInstance:
        return TaskInstance(
            f"{run_id}.{task.task_id}.{index}",
            task.dag.dag_id,
            run_id,
            task.task_id,
            index,
            results=self.results,
        )

    def send(self, message: Any) -> Any:
        """Answer what Airflow asks of what the instances of a mapped task have returned."""
        found = deepcopy(self.results[message.task_id])
        if isinstance(message, GetXComCount):
            return XComCountResponse(len=len(found))
        if not isinstance(message, GetXComSequenceItem):
            return XComSequenceSliceResult(root=found[message.start : message.stop : message.step])
        there = -len(found) <= message.offset < len(found)
        return XComSequenceIndexResult(root=found[message.offset]) if there else ErrorResponse()


def _through_xcom(value: Any) -> Any:
    return json.loads(json.dumps(value))
