"""A pipeline run here and now, in this process, without Airflow: same resolver, pins, records and errors."""

from __future__ import annotations

import inspect
import logging
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import product
from typing import TYPE_CHECKING, Any

from airflow_model_provider import settings
from airflow_model_provider.addresses import find_address
from airflow_model_provider.exceptions import InvalidDefinition
from airflow_model_provider.execution import StepExecution, Task
from airflow_model_provider.pipelines.building import Node, build
from airflow_model_provider.pipelines.deferred import PipelineParameter, StepOutput
from airflow_model_provider.pipelines.definition import PipelineDefinition, makes_version_of
from airflow_model_provider.pipelines.values import WALK, transform
from airflow_model_provider.registry.entities import Attempt, RunKey
from airflow_model_provider.workspace import Workspace, open_workspace

if TYPE_CHECKING:
    from airflow_model_provider.handles import Artifact, ModelVersion

log = logging.getLogger(__name__)


@dataclass
class StepResult:
    """
    What became of a step.

    :param state: ``success``, ``failed`` or ``upstream_failed``.
    :param outputs: handles of what it saved, by output name; lists in the order of the index for a mapped
        step.
    :param error: what it raised.
    """

    task_id: str
    state: str = "success"
    outputs: dict[str, Any] = field(default_factory=dict)
    error: BaseException | None = None
    values: list[dict[str, Any]] = field(default_factory=list, repr=False)
    mapped: bool = False

    @property
    def output(self) -> Artifact[Any] | Any:
        """
        The handle of its only output.

        :raises InvalidDefinition: if it has none, or several.
        """
        if len(self.outputs) != 1:
            names = ", ".join(self.outputs) or "none"
            raise InvalidDefinition(
                f"step {self.task_id!r}", "it does not have exactly one output", f"It has: {names}."
            )
        return next(iter(self.outputs.values()))


@dataclass
class PipelineResult:
    """
    What became of a local run.

    :param state: ``success`` or ``failed``.
    :param model_version: the version that the run made or used, if the pipeline has a model.
    :param steps: results by task id.
    """

    run_id: str
    state: str
    logical_date: datetime
    model_version: ModelVersion | None
    steps: dict[str, StepResult]


def run(
    pipeline: PipelineDefinition,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    *,
    logical_date: datetime | None = None,
    registry: Workspace | str | None = None,
    raise_on_failure: bool = True,
) -> PipelineResult:
    """
    Run a pipeline here and now.

    :param logical_date: the date the run is for; now if None.
    :param registry: the registry's URL or an open one; None for the configured one.
    :param raise_on_failure: raise the first step's error once all that can run has run.
    :return: state, model version and step results.
    """
    builder = build(pipeline, args, kwargs)
    nodes = builder.ordered()
    local = _LocalRun(pipeline, nodes, parameters(pipeline, args, kwargs), chosen_workspace(registry))
    for node in nodes:
        local.run_node(node)
    return local.result(logical_date or datetime.now(UTC), raise_on_failure=raise_on_failure)


def parameters(
    pipeline: PipelineDefinition, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the pipeline's parameters by name, defaults included."""
    bound = inspect.signature(pipeline.function).bind(*args, **kwargs)
    bound.apply_defaults()
    return dict(bound.arguments)


def chosen_workspace(registry: Workspace | str | None) -> Workspace:
    """Open the registry that a run is given, or the configured one."""
    if isinstance(registry, Workspace):
        return registry
    return open_workspace(find_address(url=registry))


class _LocalRun:
    """A run in progress."""

    def __init__(
        self,
        pipeline: PipelineDefinition,
        nodes: Sequence[Node],
        params: Mapping[str, Any],
        workspace: Workspace,
    ) -> None:
        now = datetime.now(UTC).isoformat()
        self.key = RunKey(settings.deployment(), pipeline.name, f"local__{now}")
        self.pipeline, self.nodes, self.params, self.workspace = pipeline, nodes, params, workspace
        self.results: dict[Node, StepResult] = {}
        self.model_version: ModelVersion | None = None
        announce(workspace)

    def run_node(self, node: Node) -> None:
        """Run one step, or note that something before it failed."""
        result = self.results[node] = StepResult(node.task_id, mapped=node.mapped is not None)
        if any(self.results[before].state != "success" for before in node.upstream()):
            result.state = "upstream_failed"
            return
        try:
            calls = list(self._calls(node))
            for index, kwargs in calls:
                self._run_one(node, index, kwargs, result)
            self._close_mapped(node)
        except Exception as err:
            result.state, result.error = "failed", err
        say(
            f"  {node.task_id}: {result.state}"
            + (f" ({type(result.error).__name__})" if result.error else "")
        )

    def _calls(self, node: Node) -> Iterator[tuple[int, dict[str, Any]]]:
        """The index and keyword arguments of each instance; a step that isn't mapped is one, with index -1."""
        kwargs = self._evaluated(dict(node.kwargs))
        if node.mapped is None:
            yield -1, kwargs
            return
        mapped = self._evaluated(node.mapped)
        if isinstance(mapped, Mapping):
            items = [_items(values) for values in mapped.values()]
            combinations: Any = (dict(zip(mapped, values, strict=True)) for values in product(*items))
        else:
            combinations = mapped
        for index, values in enumerate(combinations):
            yield index, {**kwargs, **values}

    def _run_one(self, node: Node, index: int, kwargs: Mapping[str, Any], result: StepResult) -> None:
        attempt = Attempt(self.key, node.task_id, attempt_id=str(uuid.uuid4()), map_index=index)
        task = Task(
            node.definition.function,
            node.definition.outputs,
            node.model,
            producers=lambda: self._producers(node),
            settled=lambda: [before.task_id for before in self.nodes[: self.nodes.index(node)]],
        )
        execution = StepExecution(task, attempt, self._connected, log)
        execution.pin(self._evaluated(list(node.args)), kwargs)
        self._remember(execution, node)
        result.values.append(execution.run())
        for name, artifact in execution.saved.items():
            if result.mapped:
                result.outputs.setdefault(name, []).append(artifact)
            else:
                result.outputs[name] = artifact

    def _remember(self, execution: StepExecution, node: Node) -> None:
        if self.model_version is None and node.model is not None and node.model == self.pipeline.model:
            self.model_version = execution.model_version()

    def _close_mapped(self, node: Node) -> None:
        """All instances of a mapped step have committed, so the version waits for it no longer."""
        if (
            node.mapped is not None
            and makes_version_of(node.model, node.definition.outputs)
            and self.model_version
        ):
            self.workspace.registry.commit_producer(self.model_version.id, node.task_id)

    def _producers(self, node: Node) -> list[str]:
        wanted = makes_version_of(node.model, node.definition.outputs) or (
            node.model.name if node.model else None
        )
        return [
            item.task_id
            for item in self.nodes
            if makes_version_of(item.model, item.definition.outputs) == wanted
        ]

    def _connected(self, conn_id: str | None) -> Workspace:
        return self.workspace if conn_id is None else open_workspace(find_address(conn_id))

    def _evaluated(self, value: Any) -> Any:
        def visit(part: Any) -> Any:
            if isinstance(part, PipelineParameter):
                return part.resolve({"params": self.params})
            if isinstance(part, StepOutput):
                return self._value(part)
            return WALK

        return transform(value, visit)

    def _value(self, output: StepOutput) -> Any:
        result = self.results[output.node]
        name = output.name or (output.names[0] if len(output.names) == 1 else None)
        values = [item[name] if name is not None else (item or None) for item in result.values]
        return values if result.mapped else values[0]

    def result(self, logical_date: datetime, *, raise_on_failure: bool) -> PipelineResult:
        """Return the result, or raise the first error."""
        errors = [result.error for result in self.results.values() if result.error is not None]
        if errors and raise_on_failure:
            raise errors[0]
        if self.model_version is not None:
            self.model_version.refresh()
        return PipelineResult(
            self.key.run_id,
            "failed" if errors else "success",
            logical_date,
            self.model_version,
            {node.task_id: result for node, result in self.results.items()},
        )


def _items(values: Any) -> list[Any]:
    return [list(item) for item in values.items()] if isinstance(values, Mapping) else list(values)


def announce(workspace: Workspace) -> None:
    """Say first which registry this is."""
    say(f"Model registry {workspace.registry.url}, artifacts {workspace.address.store}")


def say(text: str) -> None:
    """Write one line for whoever runs it."""
    sys.stdout.write(f"{text}\n")
