"""The steps that a pipeline's body calls, collected for a local run. Plain data; nothing runs here."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_model_provider.context import PipelineContext, building_pipeline
from airflow_model_provider.exceptions import InvalidDefinition
from airflow_model_provider.pipelines.deferred import ComposedOutput, Mappable, PipelineParameter, StepOutput
from airflow_model_provider.pipelines.elements import concatenated
from airflow_model_provider.pipelines.mapping import MappedOver
from airflow_model_provider.pipelines.values import WALK, check_arguments, references_in, transform

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_model_provider.model import Model
    from airflow_model_provider.pipelines.definition import PipelineDefinition, StepDefinition


@dataclass(eq=False)
class Node:
    """
    A step's place in a pipeline that is being built for a local run.

    :param mapped: lists by parameter (``expand``), a list of dicts (``expand_kwargs``), or None.
    :param after: nodes that go first without giving an input.
    :param options: arguments of an Airflow task, of which a local run heeds trigger rule and retries.
    """

    definition: StepDefinition
    task_id: str
    model: Model | None
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    mapped: Any = None
    after: set[Node] = field(default_factory=set)
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def output(self) -> StepOutput:
        """What the step will return."""
        return StepOutput(self, tuple(output.name for output in self.definition.outputs))

    @property
    def trigger_rule(self) -> str:
        """The name of its trigger rule."""
        rule = self.options.get("trigger_rule", "all_success")
        return str(getattr(rule, "value", rule))

    @property
    def retries(self) -> int:
        """How often it is tried again."""
        return int(self.options.get("retries") or 0)

    def upstream(self) -> set[Node]:
        """The nodes that go first."""
        found = set(self.after)

        def visit(part: Any) -> Any:
            if isinstance(part, Mappable):
                found.update(part.steps())
                return part
            return WALK

        transform([self.args, self.kwargs, self.mapped], visit)
        return found


def mapped_over(node: Node, nodes: Sequence[Node]) -> MappedOver | None:
    """Return how other steps are mapped over what a step returns, or over what is composed of it; None if none is."""
    if node.mapped is not None:
        return None  # each of its instances is an element
    found = {other.task_id: uses for other in nodes if (uses := set(_uses(other, node)))}
    return MappedOver.by(found) if found else None


def _uses(other: Node, node: Node) -> Iterator[str]:
    """Yield as what a step's output stands in what another one is mapped over, or in what is composed for it."""
    if isinstance(other.mapped, Mappable):
        yield from _uses_in(other.mapped, node, "kwargs")
    elif other.mapped is not None:
        by_name = isinstance(other.mapped, Mapping)
        for item in other.mapped.values() if by_name else other.mapped:
            yield from _uses_in(item, node, "elements" if by_name else "arguments")
    composed: list[ComposedOutput] = []

    def visit(part: Any) -> Any:
        if not isinstance(part, ComposedOutput):
            return WALK
        composed.append(part)
        return part

    transform([other.args, other.kwargs], visit)
    for item in composed:
        yield from _uses_in(item, node, "")


def _uses_in(value: Any, node: Node, plain: str) -> Iterator[str]:
    if not isinstance(value, Mappable) or node not in value.steps():
        return
    if not isinstance(value, ComposedOutput):
        yield plain
        return
    yield "composed"
    for part in value.parts if value.compose is concatenated else ():
        yield from _uses_in(part, node, plain)


class LocalBuilder:
    """Collects the steps that a pipeline's body calls."""

    def __init__(self, pipeline: PipelineDefinition) -> None:
        self.pipeline, self.nodes = pipeline, list[Node]()

    def add(
        self,
        definition: StepDefinition,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        *,
        mapped: Any = None,
        after: Sequence[Any] = (),
    ) -> StepOutput:
        """
        Add a step's call and return its output.

        :raises InvalidDefinition: if the arguments don't fit.
        """
        subject = f"step {definition.name!r}"
        try:
            bind = definition.signature.bind if mapped is None else definition.signature.bind_partial
            bind(*args, **kwargs)
        except TypeError as err:
            raise InvalidDefinition(subject, str(err)) from None
        check_arguments(subject, [args, kwargs, mapped])
        model = definition.model or self.pipeline.model
        node = Node(definition, self._task_id(definition.name), model, args, kwargs, mapped)
        node.options = {**(self.pipeline.options.get("default_args") or {}), **definition.options}
        taken = [
            name
            for item in references_in([args, kwargs, mapped, model])
            for name in item.selector.upstream_tasks
        ]
        for item in (*after, *(task_id for task_id, _ in taken)):
            node.after.add(self._named(subject, item))
        self.nodes.append(node)
        return node.output

    def _task_id(self, name: str) -> str:
        taken = {node.task_id for node in self.nodes}
        return next(
            candidate
            for index in range(len(taken) + 1)
            if (candidate := f"{name}__{index}" if index else name) not in taken
        )

    def _named(self, subject: str, item: Any) -> Node:
        if isinstance(item, StepOutput):
            node: Node = item.node
            return node
        for node in self.nodes:
            if node.task_id == item:
                return node
        known = ", ".join(node.task_id for node in self.nodes) or "none"
        raise InvalidDefinition(subject, f"there is no step {item!r} to run after", f"Steps so far: {known}.")

    def ordered(self) -> list[Node]:
        """
        Return the nodes so that each comes after its upstream, otherwise as they were called.

        :raises InvalidDefinition: if they wait for each other in a circle.
        """
        waiting, done = list(self.nodes), list[Node]()
        while waiting:
            ready = next((node for node in waiting if node.upstream() <= set(done)), None)
            if ready is None:
                circle = ", ".join(node.task_id for node in waiting)
                raise InvalidDefinition(
                    f"pipeline {self.pipeline.name!r}", f"steps wait for each other: {circle}"
                )
            waiting.remove(ready)
            done.append(ready)
        return done


_builder: ContextVar[LocalBuilder | None] = ContextVar("model_local_builder", default=None)


def current_builder() -> LocalBuilder | None:
    """Return the builder of the pipeline whose body runs for a local run, or None."""
    return _builder.get()


@contextmanager
def _building(builder: LocalBuilder) -> Iterator[None]:
    token = _builder.set(builder)
    try:
        with building_pipeline(PipelineContext(builder.pipeline.name, builder.pipeline.model)):
            yield
    finally:
        _builder.reset(token)


def build(
    pipeline: PipelineDefinition, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
) -> LocalBuilder:
    """Run a pipeline's body with deferred parameters and return the steps it called."""
    bound = inspect.signature(pipeline.function).bind(*args, **(kwargs or {}))
    bound.apply_defaults()
    builder = LocalBuilder(pipeline)
    with _building(builder):
        pipeline.function(**{name: PipelineParameter(name) for name in bound.arguments})
    return builder
