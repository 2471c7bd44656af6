"""A pipeline run here and now, in this process, without Airflow: same resolver, pins, records and errors."""

from __future__ import annotations

import inspect
import logging
import sys
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_model_provider import settings
from airflow_model_provider.addresses import find_address
from airflow_model_provider.context import own_threads
from airflow_model_provider.exceptions import InvalidDefinition, WaitTimedOut
from airflow_model_provider.exceptions.base import harmless
from airflow_model_provider.execution import StepExecution, Task
from airflow_model_provider.local_templates import LocalTemplates
from airflow_model_provider.pipelines import trigger_rules
from airflow_model_provider.pipelines.building import Node, build, needed_setups
from airflow_model_provider.pipelines.calling import is_skip
from airflow_model_provider.pipelines.deferred import PipelineParameter, StepOutput
from airflow_model_provider.pipelines.definition import PipelineDefinition, makes_version_of
from airflow_model_provider.pipelines.passing import read_result
from airflow_model_provider.pipelines.values import WALK, transform
from airflow_model_provider.references import OutputReference, Reference
from airflow_model_provider.registry.entities import Attempt, RunKey
from airflow_model_provider.resolver import Moment, Resolver, VersionMissing
from airflow_model_provider.selectors import is_template
from airflow_model_provider.workspace import Workspace, open_workspace

if TYPE_CHECKING:
    from airflow_model_provider.handles import Artifact, ModelVersion

log = logging.getLogger(__name__)


@dataclass
class StepResult:
    """
    What became of a step.

    :param state: ``success``, ``failed``, ``skipped`` or ``upstream_failed``.
    :param outputs: handles of what it saved, by output name; lists in the order of the index for a mapped
        step.
    :param error: what it raised.
    """

    task_id: str
    state: str = "success"
    outputs: dict[str, Any] = field(default_factory=dict)
    error: BaseException | None = None
    values: list[dict[str, Any]] = field(default_factory=list, repr=False)
    states: list[str] = field(default_factory=list, repr=False)
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
    date = logical_date or datetime.now(UTC)
    if date.utcoffset() is None:
        raise InvalidDefinition(
            f"pipeline {pipeline.name!r}",
            f"logical_date={date!r} has no time zone",
            "Give an aware datetime.",
        )
    local = _LocalRun(pipeline, nodes, parameters(pipeline, args, kwargs), chosen_workspace(registry), date)
    with own_threads():
        for node in nodes:
            local.run_node(node)
    return local.result(raise_on_failure=raise_on_failure)


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
        logical_date: datetime,
    ) -> None:
        now = datetime.now(UTC).isoformat()
        self.key = RunKey(settings.deployment(), pipeline.name, f"local__{now}")
        self.pipeline, self.nodes, self.params, self.workspace = pipeline, nodes, params, workspace
        self.logical_date = logical_date
        self.templates = LocalTemplates(self.key.run_id, params, logical_date, self._pulled)
        self.results: dict[Node, StepResult] = {}
        self._setups = needed_setups(nodes)
        self.model_version: ModelVersion | None = None
        self._said: set[str] = set()
        announce(workspace)

    def run_node(self, node: Node) -> None:
        """Run one step, or note that something before it failed or was skipped."""
        result = self.results[node] = StepResult(node.task_id, mapped=node.mapped is not None)
        state = self._state_without_running(node)
        if state is not None:
            result.state, result.states = state, [state]
            return
        try:
            for index, mapped in self._calls(node):
                result.states.append(self._instance(node, index, mapped, result))
        except Exception as err:
            result.states.append(trigger_rules.FAILED)
            result.error = err
        result.state = trigger_rules.summary(result.states)
        if result.state == trigger_rules.SUCCESS:
            self._close_mapped(node)
        say(
            f"  {node.task_id}: {result.state}"
            + (f" ({type(result.error).__name__})" if result.error else "")
        )

    def _state_without_running(self, node: Node) -> str | None:
        """Return the state of a step that doesn't run, for what became of those before it; None if it runs."""
        before = node.upstream()
        if node.role.is_teardown:
            setups = [item for item in before if item.role.is_setup]
        else:
            setups = [item for item in self._setups[node] if item not in before]
        return trigger_rules.state_without_running(node.rule, self._states(before), self._states(setups))

    def _states(self, nodes: Iterable[Node]) -> list[str]:
        return [state for node in nodes for state in self.results[node].states]

    def _instance(self, node: Node, index: int, mapped: Mapping[str, Any], result: StepResult) -> str:
        """Run one instance and return its state; the others run, whatever becomes of it."""
        try:
            self._run_one(node, index, mapped, result)
        except VersionMissing as missing:  # one that is not waited for
            say(f"  {node.task_id}: {missing.error}")
            return trigger_rules.SKIPPED
        except Exception as err:
            if is_skip(err):
                say(f"  {node.task_id}: {err}")
                return trigger_rules.SKIPPED
            result.error = result.error or err
            return trigger_rules.FAILED
        return trigger_rules.SUCCESS

    def _calls(self, node: Node) -> Iterator[tuple[int, dict[str, Any]]]:
        """
        The index and mapped arguments of each instance.

        A step that isn't mapped is one instance, with index -1.
        """
        if node.mapped is None:
            yield -1, {}
            return
        if isinstance(node.mapped, Mapping):
            items = [self._items(node, values) for values in node.mapped.values()]
            combinations: Any = (dict(zip(node.mapped, values, strict=True)) for values in product(*items))
        else:
            rows = self._items(node, node.mapped)
            combinations = (
                _fields(_Given(self._value(row)) if isinstance(row, StepOutput) else row) for row in rows
            )
        yield from enumerate(combinations)

    def _items(self, node: Node, mapped: Any) -> list[Any]:
        """What is mapped over: as it stands in the body, or data that came from elsewhere."""
        values = self._evaluated(mapped) if isinstance(mapped, PipelineParameter | StepOutput) else mapped
        if isinstance(values, Reference | OutputReference):
            raise InvalidDefinition(
                f"step {node.task_id!r}",
                f"{values!r} is one value and can't be mapped over",
                "Map over a list that is small enough to travel in XCom as it is, such as one of names or numbers.",
            )
        items = [list(item) for item in values.items()] if isinstance(values, Mapping) else list(values)
        return items if values is mapped else [_Given(item) for item in items]

    def _run_one(self, node: Node, index: int, mapped: Mapping[str, Any], result: StepResult) -> None:
        attempt = Attempt(self.key, node.task_id, attempt_id=str(uuid.uuid4()), map_index=index)
        resolver = Resolver(
            attempt,
            self._connected,
            log,
            Moment(lambda text: self.templates.render(text, resolver), self.templates.dates),
        )
        task = Task(
            node.definition.function,
            node.definition.outputs,
            node.model,
            producers=lambda: self._producers(node),
            settled=lambda: [before.task_id for before in self.nodes[: self.nodes.index(node)]],
        )
        execution = StepExecution(task, resolver, log)
        context = self.templates.context(attempt)
        _hook(node, "pre_execute", context)
        self._pin(execution, node, resolver, mapped)
        self._remember(execution, node)
        values = execution.run()
        _hook(node, "post_execute", context, values if len(values) > 1 else next(iter(values.values()), None))
        result.values.append(values)
        for name, artifact in execution.saved.items():
            if result.mapped:
                result.outputs.setdefault(name, []).append(artifact)
            else:
                result.outputs[name] = artifact

    def _pin(
        self, execution: StepExecution, node: Node, resolver: Resolver, mapped: Mapping[str, Any]
    ) -> None:
        """Pin what a step asks for, waiting where it says so."""
        deadline = time.monotonic() + settings.wait_timeout()
        while True:
            try:
                kwargs = self._evaluated({**node.kwargs, **mapped}, resolver)
                args = self._evaluated(list(node.args), resolver)
                execution.pin(args, kwargs, self.templates.context(resolver.attempt))
            except VersionMissing as missing:
                if missing.reference.on_missing == "skip":
                    raise
                self._wait(node, missing, deadline)
            else:
                return

    def _wait(self, node: Node, missing: VersionMissing, deadline: float) -> None:
        if time.monotonic() >= deadline:
            raise WaitTimedOut(repr(missing.reference), settings.wait_timeout(), str(missing.error))
        self._say_once(f"  {node.task_id}: {missing.error} Waiting for it.")
        time.sleep(settings.poll_interval())

    def _say_once(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            say(text)

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

    def _evaluated(self, value: Any, resolver: Resolver | None = None) -> Any:
        """Replace what was deferred by its value; with a resolver, templates too."""

        def visit(part: Any) -> Any:
            if isinstance(part, _Given):
                return part.value
            if isinstance(part, PipelineParameter):
                return part.resolve({"params": self.params})
            if isinstance(part, StepOutput):
                return self._value(part)
            if isinstance(part, str) and resolver is not None and is_template(part):
                return self.templates.render(part, resolver)
            return WALK

        return transform(value, visit)

    def _pulled(self, task_id: str, key: str) -> Any:
        """What a step has returned, for a template."""
        for node, result in self.results.items():
            if node.task_id == task_id and result.values:
                output = node.output
                return self._result(output if key == "return_value" else output[key])
        return None

    def _value(self, output: StepOutput) -> Any:
        """What a step has returned, as the next one receives it."""
        return read_result(self._result(output))

    def _result(self, output: StepOutput) -> Any:
        result = self.results[output.node]
        name = output.name or (output.names[0] if len(output.names) == 1 else None)
        values = [item[name] if name is not None else (item or None) for item in result.values]
        return values if result.mapped else next(iter(values), None)

    def result(self, *, raise_on_failure: bool) -> PipelineResult:
        """Return the result, or raise the first error."""
        errors = [result.error for result in self.results.values() if result.error is not None]
        self._close_what_was_skipped()
        failed = self._has_failed()
        if failed and errors and raise_on_failure:
            raise errors[0]
        if self.model_version is not None:
            self.model_version.refresh()
        return PipelineResult(
            self.key.run_id,
            "failed" if failed else "success",
            self.logical_date,
            self.model_version,
            {node.task_id: result for node, result in self.results.items()},
        )

    def _has_failed(self) -> bool:
        """Whether the run has failed: as in Airflow its last steps decide, teardowns only if they are said to."""
        counting = [
            node for node in self.nodes if not node.role.is_teardown or node.role.on_failure_fail_dagrun
        ]
        behind = {before for node in counting for before in node.upstream()}
        last = [node for node in counting if node not in behind] or self.nodes
        return bool({"failed", "upstream_failed"} & {self.results[node].state for node in last})

    def _close_what_was_skipped(self) -> None:
        """A version does not wait for a step that was skipped (R25)."""
        skipped = [node for node, result in self.results.items() if result.state == "skipped"]
        made = {makes_version_of(node.model, node.definition.outputs) for node in skipped}
        for model in sorted(made - {None}, key=str):
            self.workspace.registry.close_run_version(str(model), self.key)


def _hook(node: Node, name: str, *given: Any) -> None:
    """Call what stands before or after a task's code, such as the condition of Airflow's ``@task.skip_if``."""
    if (hook := node.definition.options.get(name)) is not None:
        hook(*given)


class _Given(NamedTuple):
    """A value that came from a parameter or a step: whatever it holds, nothing in it is rendered."""

    value: Any


def _fields(row: Any) -> dict[str, Any]:
    """The arguments in one row of several; those of a row that is data are data."""
    return (
        {name: _Given(value) for name, value in dict(row.value).items()}
        if isinstance(row, _Given)
        else dict(row)
    )


def announce(workspace: Workspace) -> None:
    """Say first which registry this is."""
    say(f"Model registry {workspace.registry.url}, artifacts {workspace.store.url}")


def say(text: str) -> None:
    """Write one line for whoever runs it."""
    sys.stdout.write(f"{harmless(text)}\n")
