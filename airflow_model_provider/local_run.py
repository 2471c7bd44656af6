"""A pipeline run here and now, in this process, without Airflow: same resolver, pins, records and errors."""

from __future__ import annotations

import logging
import sys
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_model_provider import host, settings
from airflow_model_provider.addresses import find_address
from airflow_model_provider.context import own_threads
from airflow_model_provider.exceptions import (
    InvalidDefinition,
    ModelRegistryError,
    VersionNotFound,
    WaitTimedOut,
)
from airflow_model_provider.exceptions.base import harmless, listing, quoted
from airflow_model_provider.execution import StepExecution
from airflow_model_provider.local_templates import LocalTemplates
from airflow_model_provider.pipelines import trigger_rules
from airflow_model_provider.pipelines.building import Node, build, mapped_over, needed_setups
from airflow_model_provider.pipelines.calling import is_skip
from airflow_model_provider.pipelines.dag_files import warn_of_safe_mode
from airflow_model_provider.pipelines.deferred import ComposedOutput, Mappable, PipelineParameter, StepOutput
from airflow_model_provider.pipelines.definition import PipelineDefinition, makes_version_of
from airflow_model_provider.pipelines.elements import Element, entries
from airflow_model_provider.pipelines.handed_on import loaded
from airflow_model_provider.pipelines.inputs import Source, that_holds, with_sources, with_sources_of_elements
from airflow_model_provider.pipelines.nesting import bound_arguments, declared_params, given_arguments
from airflow_model_provider.pipelines.passing import read_result
from airflow_model_provider.pipelines.results import PipelineResult, StepResult
from airflow_model_provider.pipelines.task import Task
from airflow_model_provider.pipelines.values import as_airflow, transform
from airflow_model_provider.registry.entities import COMMITTED, FAILED, SKIPPED, Attempt, RunKey, part_of
from airflow_model_provider.resolver import Moment, Resolver, VersionMissing
from airflow_model_provider.selectors import is_template
from airflow_model_provider.workspace import Workspace, open_workspace

if TYPE_CHECKING:
    from airflow_model_provider.handles import ModelVersion

log = logging.getLogger(__name__)
#: What a step's state means for a version that is being made.
_PARTS = {
    "success": COMMITTED, "skipped": SKIPPED, "failed": FAILED, "upstream_failed": FAILED,
}  # fmt: skip


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
    warn_of_safe_mode(pipeline.function)
    builder = build(pipeline, args, kwargs)
    nodes = builder.ordered()
    date = logical_date or datetime.now(UTC)
    if date.utcoffset() is None:
        raise InvalidDefinition(
            f"pipeline {pipeline.name!r}",
            f"logical_date={date!r} has no time zone",
            "Pass a datetime with a time zone.",
        )
    bound = bound_arguments(pipeline, args, kwargs)
    params = {**declared_params(builder.params), **bound.arguments}
    conf = given_arguments(bound, args, kwargs)
    local = _LocalRun(pipeline, nodes, params, conf, chosen_workspace(registry), date)
    try:
        with own_threads():
            for node in nodes:
                local.run_node(node)
    except BaseException:  # Ctrl-C, sys.exit(): no other step will run
        local.give_up()
        raise
    finally:
        local.release_pins()
    return local.result(raise_on_failure=raise_on_failure)


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
        conf: Mapping[str, Any],
        workspace: Workspace,
        logical_date: datetime,
    ) -> None:
        now = datetime.now(UTC).isoformat()
        self.key = RunKey(settings.deployment(), pipeline.name, f"local__{now}")
        self.pipeline, self.nodes, self.params, self.workspace = pipeline, nodes, params, workspace
        self.logical_date = logical_date
        self.templates = LocalTemplates(self.key.run_id, params, conf, logical_date, self._pulled)
        self.results: dict[Node, StepResult] = {}
        self.model_version: ModelVersion | None = None
        self._made: dict[tuple[str | None, str], ModelVersion] = {}
        self._settled: set[Node] = set()
        self._instances: dict[Node, int] = {}
        self._setups = needed_setups(nodes)
        self._said: set[str] = set()
        self._resolvers: list[Resolver] = []
        announce(workspace)

    def release_pins(self) -> None:
        """Forget what the run has pinned: it is over, and no task of it comes again."""
        for conn_id in set().union(*(resolver.run_pins for resolver in self._resolvers)):
            try:
                self._connected(conn_id).registry.drop_run_pins(self.key)
            except ModelRegistryError as err:  # not in place of the run's own error; upkeep releases them
                log.warning("Pins of run %s could not be released: %s", self.key.run_id, err)

    def run_node(self, node: Node) -> None:
        """Run one step, or note that something before it failed or was skipped."""
        result = self.results[node] = StepResult(node.task_id, mapped=node.mapped is not None)
        state = self._state_without_running(node)
        runs = state is None
        if state is None:
            self._run_instances(node, result)
        else:
            result.state = state
        self._settle()
        if runs:
            failed = [
                part_of(node.task_id, at) for at, state in enumerate(result.states) if state == "failed"
            ]
            where = f" in {listing(failed)}" if failed and result.has_instances else ""
            error = f" ({type(result.error).__name__}{where})" if result.error else ""
            say(f"  {node.task_id}: {result.state}{error}")

    def _state_without_running(self, node: Node) -> str | None:
        """Return the state of a step that doesn't run, for what became of those before it; None if it runs."""
        before = node.upstream()
        if node.role.is_teardown:
            setups = [item for item in before if item.role.is_setup]
        else:
            setups = [item for item in self._setups[node] if item not in before]
        # As in Airflow, one that has instances counts as there, whatever became of these.
        sources = [self.results[item] for item in node.sources() if not self.results[item].has_instances]
        return trigger_rules.state_without_running(
            node.rule, self._states(before), self._states(setups), [result.state for result in sources]
        )

    def _states(self, nodes: Iterable[Node]) -> list[str]:
        return [state for node in nodes for state in self.results[node].states]

    def _run_instances(self, node: Node, result: StepResult) -> None:
        try:
            calls = list(self._calls(node))
            self._instances[node] = len(calls)
            for index, mapped in calls:
                self._run_one(node, index, mapped, result)
        except Exception as err:  # of what is mapped over
            result.instances.append("failed")
            result.error = result.error or err
        result.state = trigger_rules.summary(result.instances)

    def _calls(self, node: Node) -> Iterator[tuple[int, Any]]:
        """
        The index and mapped arguments of each instance, or what they are to be taken from.

        A step that isn't mapped is one instance, with index -1.
        """
        if node.mapped is None:
            yield -1, {}
            return
        if isinstance(node.mapped, Mapping):
            items = [self._items(values) for values in node.mapped.values()]
            rows: Any = (dict(zip(node.mapped, values, strict=True)) for values in product(*items))
        else:
            rows = self._items(node.mapped)
        yield from enumerate(rows)

    def _items(self, mapped: Any) -> list[Any]:
        """What is mapped over: as it stands in the body, or elements that came from elsewhere."""
        if isinstance(mapped, Mappable):
            return [_Element(element) for element in self._elements(mapped)]
        return list(mapped.items() if isinstance(mapped, Mapping) else mapped)

    def _elements(self, output: Mappable) -> list[Element]:
        if isinstance(output, ComposedOutput):
            return output.compose(*map(self._elements, output.parts))
        assert isinstance(output, StepOutput)
        found = self.results[output.node].entries
        found = self._result(output) if found is None else found
        return entries(found.items() if isinstance(found, Mapping) else found)

    def _arguments(self, node: Node, mapped: Any, resolver: Resolver) -> dict[str, Any]:
        """What an instance is mapped over, by argument; nothing that another step returned is rendered."""
        if isinstance(mapped, _Element | StepOutput):
            whole = self.results[mapped.node].entries if isinstance(mapped, StepOutput) else None
            row = self._evaluated(mapped, resolver) if whole is None else read_result(whole)
            if not isinstance(row, Mapping):
                problem = f"expand_kwargs() takes dicts, and was given {quoted(row)}"
                raise InvalidDefinition(f"step {node.task_id!r}", problem, "Return a list of dicts.")
            return _disjoint(node, row)
        return dict(self._evaluated(dict(mapped), resolver))

    def _run_one(self, node: Node, index: int, mapped: Any, result: StepResult) -> None:
        for try_number in range(1, node.retries + 2):
            execution, error = self._try(node, index, mapped, result, try_number)
            if error is None or not _may_help(error):
                break
            if try_number <= node.retries:
                log.warning("%s failed and is tried again: %s", node.task_id, error)
        skipped = error is not None and (isinstance(error, VersionMissing) or is_skip(error))
        if skipped and not isinstance(error, VersionMissing):
            say(f"  {node.task_id}: {error}")
        result.instances.append("success" if error is None else "skipped" if skipped else "failed")
        if error is not None:
            execution.ended(result.instances[-1])
            self._remember(execution, node)
            result.error = result.error or (None if skipped else error)
            if index >= 0 and not skipped:
                error.add_note(f"It was raised in {part_of(node.task_id, index)}.")

    def _try(
        self, node: Node, index: int, mapped: Any, result: StepResult, try_number: int
    ) -> tuple[StepExecution, Exception | None]:
        attempt = Attempt(self.key, node.task_id, str(uuid.uuid4()), index, try_number)
        resolver = Resolver(
            attempt,
            self._connected,
            log,
            Moment(lambda text: self.templates.render(text, resolver), self.templates.dates),
        )
        execution = StepExecution(self._task(node), resolver, log)
        self._resolvers.append(resolver)
        context = self.templates.context(attempt)
        try:
            _hook(node, "pre_execute", context)
            self._pin(execution, node, resolver, mapped)
            self._remember(execution, node)
            values = execution.run()
            result.values.append(values)
            result.entries = execution.entries
            returned = values if len(values) > 1 else next(iter(values.values()), None)
            _hook(node, "post_execute", context, returned)
        except SystemExit as err:  # ends the process of a task in Airflow, and that task failed
            failed = RuntimeError(f"step {node.task_id!r} called sys.exit({err.code!r})")
            failed.__cause__ = err
            return execution, failed
        except Exception as err:
            return execution, err
        for name, artifact in execution.saved.items():
            if result.mapped:
                result.outputs.setdefault(name, []).append(artifact)
            else:
                result.outputs[name] = artifact
        return execution, None

    def _task(self, node: Node) -> Task:
        return Task(
            node.definition.function,
            node.definition.outputs,
            node.model,
            producers=lambda: self._producers(node),
            settled=lambda: self._over(node),
            mapped_over=mapped_over(node, self.nodes),
        )

    def _over(self, running: Node) -> list[str]:
        """The steps that are well over, with all their instances: of the one that runs the others count."""
        over = [
            node.task_id
            for node, result in self.results.items()
            if result.is_over_well and node is not running
        ]
        states = self.results[running].instances
        others_are = len(states) == self._instances[running] - 1 and "failed" not in states
        return [*over, running.task_id] if others_are else over

    def _pin(self, execution: StepExecution, node: Node, resolver: Resolver, mapped: Any) -> None:
        """
        Pin what a step asks for, waiting where it says so.

        :raises VersionMissing: if it is to be skipped.
        """
        deadline = time.monotonic() + settings.wait_timeout()
        while True:
            try:
                args = self._evaluated(list(node.args), resolver)
                fixed = with_sources(
                    dict(node.kwargs), self._evaluated(dict(node.kwargs), resolver), self._source
                )
                own, index = self._arguments(node, mapped, resolver), execution.attempt.map_index
                kwargs = {**fixed, **with_sources_of_elements(node.mapped, own, self._source, index)}
                args = with_sources(list(node.args), args, self._source)
                execution.pin(args, kwargs, self.templates.context(resolver.attempt))
            except VersionMissing as missing:
                if missing.reference.on_missing == "skip":
                    say(f"  {node.task_id}: {missing.error}")
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
        version, key = execution.model_version(), makes_version_of(node.model)
        if version is not None and key is not None:
            self._made.setdefault(key, version)
        if self.model_version is None and node.model is not None and node.model == self.pipeline.model:
            self.model_version = version

    def give_up(self) -> None:
        """Fail the versions that are being made: the run ends in the middle."""
        for node in self.nodes:
            version = self._made.get(makes_version_of(node.model) or (None, ""))
            if version is None or node in self._settled:
                continue
            registry = self._connected(None if node.model is None else node.model.conn_id).registry
            try:
                registry.settle_producer(
                    version.id, node.task_id, FAILED, declares=bool(node.definition.outputs)
                )
            except ModelRegistryError as err:  # not in place of what ended the run; upkeep fails it
                log.warning("%s could not be marked as failed: %s", version, err)

    def _settle(self) -> None:
        """A version that is being made does not wait for steps that were skipped, or can no longer run."""
        for node, result in self.results.items():
            key = makes_version_of(node.model)
            version = None if key is None else self._made.get(key)
            if version is None or node in self._settled:
                continue
            self._settled.add(node)
            if result.mapped or result.state != "success":
                state = _PARTS[result.state]
                registry = self._connected(None if node.model is None else node.model.conn_id).registry
                declares = bool(node.definition.outputs)
                with suppress(VersionNotFound):  # a step has deleted it: there is nobody to tell
                    registry.settle_producer(version.id, node.task_id, state, declares=declares)

    def _producers(self, node: Node) -> dict[str, bool]:
        wanted = makes_version_of(node.model)
        return {
            item.task_id: bool(item.definition.outputs)
            for item in self.nodes
            if makes_version_of(item.model) == wanted
        }

    def _connected(self, conn_id: str | None) -> Workspace:
        return self.workspace if conn_id is None else open_workspace(find_address(conn_id))

    def _evaluated(self, value: Any, resolver: Resolver) -> Any:
        """Replace what was deferred by its value, and templates by what they say."""

        def visit(part: Any) -> Any:
            if isinstance(part, _Element):
                return part.take(partial(loaded, resolver=resolver), False)
            if isinstance(part, PipelineParameter):
                return part.resolve({"params": self.params})
            if isinstance(part, ComposedOutput):
                return [self._evaluated(item, resolver) for item in self._items(part)]
            if isinstance(part, StepOutput):
                return self._value(part)
            if isinstance(part, str) and is_template(part):
                return self.templates.render(part, resolver)
            return as_airflow(part)

        return transform(value, visit)

    def _pulled(self, task_id: str, key: str) -> Any:
        """What a step has returned, for a template."""
        for node, result in self.results.items():
            if node.task_id == task_id and result.values:
                output = node.output
                if key == "return_value" and result.entries is not None:
                    return result.entries
                return self._result(output if key == "return_value" else output[key])
        return None

    def _source(self, part: Any) -> Source | None:
        """The step whose output an argument is, if it is one: what it saved is known here."""
        if not isinstance(part, StepOutput):
            return None
        result = self.results[part.node]
        name = part.name or (part.names[0] if len(part.names) == 1 else None)
        saved = result.outputs.get(str(name))
        if not result.mapped:
            return Source(lambda _index, _value: saved)
        return Source(lambda index, value: that_holds(value, saved or [], index), mapped=True)

    def _value(self, output: StepOutput) -> Any:
        """What a step has returned, as the next one receives it."""
        return read_result(self._result(output))

    def _result(self, output: StepOutput) -> Any:
        result = self.results[output.node]
        name = output.name or (output.names[0] if len(output.names) == 1 else None)
        values = [item[name] if name is not None else (item or None) for item in result.values]
        if not result.mapped:
            return next(iter(values), None)
        # As in Airflow, where a task that returns None leaves nothing for those behind it.
        return values if output.name is not None else [value for value in values if value is not None]

    def result(self, *, raise_on_failure: bool) -> PipelineResult:
        """Return the result, or raise the first error."""
        errors = [result.error for result in self.results.values() if result.error is not None]
        failed = self._has_failed()
        if failed and errors and raise_on_failure:
            raise errors[0]
        if self.model_version is not None:
            with suppress(VersionNotFound):  # a step has deleted it: it is shown as it was
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


def _hook(node: Node, name: str, *given: Any) -> None:
    """Call what stands before or after a task's code, such as the condition of Airflow's ``@task.skip_if``."""
    if (hook := node.definition.options.get(name)) is not None:
        hook(*given)


def _may_help(error: Exception) -> bool:
    """Whether another try may help: as in Airflow, not after a skip, or an error that stays."""
    if isinstance(error, ModelRegistryError):
        return error.transient
    return not (isinstance(error, VersionMissing) or is_skip(error) or host.is_final(error))


def _disjoint(node: Node, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return one instance's arguments; as in Airflow, none may be that of all instances, too."""
    if both := sorted(set(row) & set(node.kwargs), key=str):
        problem = f"partial() and expand_kwargs() both give {', '.join(map(repr, both))}"
        raise InvalidDefinition(f"step {node.task_id!r}", problem, "Give it once.")
    return dict(row)


class _Element(NamedTuple):
    """An element of what another step returned: whatever it holds, nothing in it is rendered."""

    take: Element


def announce(workspace: Workspace) -> None:
    """Say first which registry this is."""
    say(f"Model registry {workspace.registry.url}, artifacts {workspace.store.url}")


def say(text: str) -> None:
    """Write one line for whoever runs it."""
    sys.stdout.write(f"{harmless(text)}\n")
