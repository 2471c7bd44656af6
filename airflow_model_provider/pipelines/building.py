"""The steps that a pipeline's body calls, collected for a local run. Plain data; nothing runs here."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from airflow_model_provider.context import PipelineContext, current_pipeline
from airflow_model_provider.exceptions import InvalidDefinition
from airflow_model_provider.model import check_option
from airflow_model_provider.pipelines import arguments, trigger_rules
from airflow_model_provider.pipelines.bodies import Prepared, body_of, refuse_empty
from airflow_model_provider.pipelines.deferred import (
    ComposedOutput,
    Mappable,
    Ordered,
    PipelineParameter,
    StepGroup,
    StepOutput,
)
from airflow_model_provider.pipelines.definition import Role
from airflow_model_provider.pipelines.elements import concatenated
from airflow_model_provider.pipelines.mapping import ELEMENT, MappedOver, arguments_for_handles
from airflow_model_provider.pipelines.nesting import bound_arguments, group_id, nested
from airflow_model_provider.pipelines.values import (
    WALK,
    check_arguments,
    check_texts,
    references_in,
    transform,
)

if TYPE_CHECKING:
    import inspect
    from collections.abc import Iterator, Sequence

    from airflow_model_provider.model import Model
    from airflow_model_provider.pipelines.definition import PipelineDefinition, StepDefinition


@dataclass(eq=False)
class Node:
    """
    A step's place in a pipeline that is being built for a local run.

    :param mapped: lists by parameter (``expand``), a list of dicts (``expand_kwargs``), or None.
    :param after: nodes that go first without giving an input.
    :param options: arguments of an Airflow task, of which a local run heeds the retries.
    :param role: whether it is a setup or a teardown.
    :param rule: its trigger rule.
    """

    builder: LocalBuilder
    definition: StepDefinition
    task_id: str
    model: Model | None
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    mapped: Any = None
    after: set[Node] = field(default_factory=set)
    options: Mapping[str, Any] = field(default_factory=dict)
    role: Role = field(default_factory=Role)
    rule: str = trigger_rules.DEFAULT

    def become_teardown(self) -> None:
        """Clean up after a setup, whatever becomes of the steps between them."""
        self.role.is_teardown, self.rule = True, trigger_rules.TEARDOWN

    @property
    def output(self) -> StepOutput:
        """What the step will return."""
        return StepOutput(self, tuple(output.name for output in self.definition.outputs))

    @property
    def retries(self) -> int:
        """How often it is tried again."""
        return max(int(self.options.get("retries") or 0), 0)

    def sources(self) -> set[Node]:
        """The nodes whose outputs it is mapped over."""
        given = self.mapped.values() if isinstance(self.mapped, Mapping) else self.mapped or ()
        parts = [given] if isinstance(given, Mappable) else given
        return {step for part in parts if isinstance(part, Mappable) for step in part.steps()}

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
    handles = (name for other in nodes for name in _handles(other, node))
    return MappedOver.by(found, handles=handles) if found else None


def _handles(other: Node, node: Node) -> set[str]:
    """Return the arguments that get handles of artifacts, of a step that is mapped over what another one returns."""

    def is_of(value: Any) -> bool:
        return isinstance(value, Mappable) and node in value.steps()

    if isinstance(other.mapped, Mapping):
        of_node = {name for name, value in other.mapped.items() if is_of(value)}
        return {ELEMENT for _ in of_node & arguments_for_handles(other.definition.function)}
    rows = [other.mapped] if isinstance(other.mapped, Mappable) else other.mapped or ()
    return arguments_for_handles(other.definition.function) if any(map(is_of, rows)) else set()


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
        self._blocks: list[tuple[Node, int]] = []
        self._open: list[StepGroup] = []
        #: Those that were declared to Airflow, of it and the pipelines that it calls.
        self.params: dict[str, Any] = dict(pipeline.options.get("params") or {})
        self._groups: dict[str, StepGroup] = {}
        self._defaults: list[Mapping[str, Any]] = [pipeline.options.get("default_args") or {}]

    def add(
        self,
        definition: StepDefinition,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        *,
        mapped: Any = None,
        after: Sequence[Any] = (),
        role: Role | None = None,
    ) -> StepOutput:
        """
        Add a step's call and return its output.

        :raises InvalidDefinition: if the arguments don't fit.
        """
        subject = f"step {definition.name!r}"
        self._bind(subject, definition.signature, args, kwargs, mapped)
        check_arguments(subject, [args, kwargs, mapped])
        pipeline = current_pipeline()
        model = definition.model or (None if pipeline is None else pipeline._model)
        role = replace(role or Role())
        role.check(subject, definition.options)
        node = Node(
            self, definition, self._task_id(definition.name), model, args, kwargs, mapped,
            role=role, rule=self._trigger_rule(subject, definition),
            options={**self._defaults[-1], **definition.options},
        )  # fmt: skip
        check_texts(
            subject, [args, kwargs, mapped], lambda task, _: task in {each.task_id for each in self.nodes}
        )
        taken = [
            name
            for item in references_in([args, kwargs, mapped, model])
            for name in item.selector.upstream_tasks
        ]
        for item in (*after, *(task_id for task_id, _ in taken)):
            node.after.update(self._named(subject, item))
        if role.is_teardown:
            node.become_teardown()
        self.nodes.append(node)
        for group in self._open:
            group.nodes.append(node)
        return node.output

    def call(
        self,
        pipeline: PipelineDefinition,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        after: Sequence[Any] = (),
    ) -> Any:
        """
        Run the body of another pipeline, whose steps become a group, and return what it returns.

        :raises InvalidDefinition: if the arguments don't fit.
        """
        context, bound = nested(pipeline, args, kwargs)
        taken = {*(node.task_id for node in self.nodes), *self._groups}
        group = StepGroup(self._prefix + group_id(pipeline, self._prefix, taken))
        self._groups[group.group_id] = group
        own = pipeline.options.get("params") or {}
        self.params = {**{name: own[name] for name in own if name not in bound.arguments}, **self.params}
        self._open.append(group)
        self._defaults.append({**self._defaults[-1], **(pipeline.options.get("default_args") or {})})
        try:
            with body_of(pipeline, context):
                returned = pipeline.function(*bound.args, **bound.kwargs)
        finally:
            self._open.pop()
            self._defaults.pop()
        refuse_empty(pipeline, len(group.nodes))
        for item in after:
            for root in group.roots():
                root.after.update(self._named(f"pipeline {pipeline.name!r}", item))
        return group if returned is None else _returned_by(returned, group)

    @property
    def _prefix(self) -> str:
        return f"{self._open[-1].group_id}." if self._open else ""

    def enter(self, node: Node) -> None:
        """
        Begin a block between a setup and its teardown.

        :raises InvalidDefinition: if the step is neither.
        """
        if not (node.role.is_setup or node.role.is_teardown):
            raise InvalidDefinition(
                f"step {node.task_id!r}",
                "a with block needs a setup or a teardown",
                "Call .as_setup() first.",
            )
        self._blocks.append((node, len(self.nodes)))

    def leave(self) -> None:
        """End the block: what was called in it stands behind the setup and before the teardown."""
        node, start = self._blocks.pop()
        inside = [item for item in self.nodes[start:] if not (item.role.is_setup or item.role.is_teardown)]
        setups = [item for item in node.upstream() if item.role.is_setup] if node.role.is_teardown else [node]
        behind = [item for item in self.nodes if item.role.is_teardown and node in item.upstream()]
        before = set().union(*(item.upstream() for item in inside))
        for item in inside:
            if not item.upstream() & set(inside):
                item.after.update(setups)
            if item not in before:
                for teardown in [node] if node.role.is_teardown else behind:
                    teardown.after.add(item)

    def _bind(
        self,
        subject: str,
        signature: inspect.Signature,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        mapped: Any,
    ) -> None:
        """Refuse arguments that don't fit, or that only Airflow could fill in."""
        filled = arguments.check_call(subject, signature, args, kwargs, mapped)
        arguments.check_local_context(subject, filled, signature)

    def _trigger_rule(self, subject: str, definition: StepDefinition) -> str:
        default = self._defaults[-1].get("trigger_rule", trigger_rules.DEFAULT)
        rule = definition.options.get("trigger_rule", default)
        name = str(getattr(rule, "value", rule))
        check_option(subject, "trigger_rule", name, tuple(trigger_rules.RULES))
        return name

    def _task_id(self, name: str) -> str:
        taken, name = {*(node.task_id for node in self.nodes), *self._groups}, self._prefix + name
        return next(
            candidate
            for index in range(len(taken) + 1)
            if (candidate := f"{name}__{index}" if index else name) not in taken
        )

    def _named(self, subject: str, item: Any) -> list[Node]:
        """The steps that go first if something runs after a step or group, or one of that name."""
        if isinstance(item, Prepared):
            item.refuse_order()
        if isinstance(item, Ordered):
            return item.leaves()
        for name in dict.fromkeys((f"{self._prefix}{item}", item)):
            if name in self._groups:
                return self._groups[name].leaves()
            for node in self.nodes:
                if node.task_id == name:
                    return [node]
        known = ", ".join(node.task_id for node in self.nodes) or "none"
        raise InvalidDefinition(subject, f"there is no step {item!r} to run after", f"Steps so far: {known}.")

    def ordered(self) -> list[Node]:
        """
        Return the nodes so that each comes after its upstream, otherwise as they were called.

        :raises InvalidDefinition: if they wait for each other in a circle, or a step behind a setup ignores it.
        """
        self._check_setups()
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

    def _check_setups(self) -> None:
        """Airflow refuses another trigger rule directly behind a setup, too."""
        for node in self.nodes:
            setup = next((item.task_id for item in node.upstream() if item.role.is_setup), None)
            if setup is not None and not node.role.is_teardown and node.rule != trigger_rules.DEFAULT:
                raise InvalidDefinition(
                    f"step {node.task_id!r}",
                    f"it has trigger_rule={node.rule!r} and runs directly after setup {setup!r}",
                    f"There it must be {trigger_rules.DEFAULT!r}.",
                )


_builder: ContextVar[LocalBuilder | None] = ContextVar("model_local_builder", default=None)


def _returned_by(value: Any, group: StepGroup) -> Any:
    return transform(value, lambda part: part.returned_by(group) if isinstance(part, StepOutput) else WALK)


def current_builder() -> LocalBuilder | None:
    """Return the builder of the pipeline whose body runs for a local run, or None."""
    return _builder.get()


@contextmanager
def _building(builder: LocalBuilder) -> Iterator[None]:
    token = _builder.set(builder)
    try:
        pipeline = builder.pipeline
        with body_of(pipeline, PipelineContext(pipeline.name, pipeline.model, (pipeline.function,))):
            yield
    finally:
        _builder.reset(token)


def build(
    pipeline: PipelineDefinition, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
) -> LocalBuilder:
    """Run a pipeline's body with deferred parameters and return the steps it called."""
    bound = bound_arguments(pipeline, args, kwargs or {})
    builder = LocalBuilder(pipeline)
    with _building(builder):
        pipeline.function(**{name: PipelineParameter(name) for name in bound.arguments})
    refuse_empty(pipeline, len(builder.nodes))
    return builder


def needed_setups(nodes: Sequence[Node]) -> dict[Node, set[Node]]:
    """
    Return the setups that each node needs: those somewhere before it whose teardown is behind it, or that have none.

    :param nodes: in their order.
    """
    if not any(node.role.is_setup for node in nodes):
        return {node: set() for node in nodes}
    before: dict[Node, set[Node]] = {}
    for node in nodes:
        direct = node.upstream()
        before[node] = direct.union(*(before[item] for item in direct))
    teardowns = {
        node: {item for item in nodes if item.role.is_teardown and node in item.upstream()} for node in nodes
    }
    return {
        node: {
            setup
            for setup in before[node]
            if setup.role.is_setup
            and (not teardowns[setup] or any(node in before[item] for item in teardowns[setup]))
        }
        for node in nodes
    }
