"""The only place where definitions become Airflow objects."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk import DAG, BaseOperator, Param, TaskGroup, XComArg
from airflow.sdk.bases.decorator import task_decorator_factory
from airflow.sdk.definitions._internal.contextmanager import TaskGroupContext
from airflow.sdk.definitions._internal.types import NOTSET
from airflow.sdk.definitions.xcom_arg import PlainXComArg

from airflow_model_provider import host
from airflow_model_provider.context import PipelineContext, current_pipeline
from airflow_model_provider.exceptions import InvalidDefinition
from airflow_model_provider.exceptions.base import quoted
from airflow_model_provider.operators.close_version import closing_task, may_stay_open
from airflow_model_provider.operators.mapping import StepXComArg
from airflow_model_provider.operators.producers import step_of
from airflow_model_provider.operators.step import StepDecoratedOperator, close_behind
from airflow_model_provider.operators.upstream import upstream_in
from airflow_model_provider.pipelines.arguments import check_call
from airflow_model_provider.pipelines.bodies import body_of, refuse_empty
from airflow_model_provider.pipelines.constants import held
from airflow_model_provider.pipelines.deferred import PipelineParameter, index_of_output, one_of_several
from airflow_model_provider.pipelines.definition import Role, makes_version_of
from airflow_model_provider.pipelines.nesting import group_id, nested
from airflow_model_provider.pipelines.outputs import declares_tuple
from airflow_model_provider.pipelines.values import WALK, check_arguments, check_texts, transform

if TYPE_CHECKING:
    from airflow_model_provider.pipelines.definition import PipelineDefinition, StepDefinition


def build_dag(pipeline: PipelineDefinition) -> DAG:
    """
    Build a pipeline's DAG; Airflow registers it when its ``with`` block closes.

    :param pipeline: what the decorator was given; its options go to the DAG as they are.
    """
    with DAG(pipeline.name, **pipeline.options) as dag:
        dag.fileloc = inspect.unwrap(pipeline.function).__code__.co_filename
        if pipeline.function.__doc__ and not dag.doc_md:
            dag.doc_md = inspect.cleandoc(pipeline.function.__doc__)
        parameters = inspect.signature(pipeline.function).parameters.values()
        for parameter in parameters:
            required = parameter.default is parameter.empty
            if parameter.name not in dag.params:
                dag.params[parameter.name] = Param() if required else parameter.default
            elif not required and (declared := dag.params.get_param(parameter.name)).value is NOTSET:
                declared.value = parameter.default
        with body_of(pipeline, PipelineContext(pipeline.name, pipeline.model, (pipeline.function,))):
            pipeline.function(
                **{parameter.name: PipelineParameter(parameter.name) for parameter in parameters}
            )
        refuse_empty(pipeline, len(dag.tasks))
        _close_what_may_stay_open(dag)
    return dag


def _close_what_may_stay_open(dag: DAG) -> None:
    """Add the tasks that close versions where those which write into them may be over without a word."""
    writing: dict[Any, list[Any]] = {}
    models: dict[Any, Any] = {}
    for task in dag.tasks:
        step = step_of(task)
        key = None if step is None else makes_version_of(step.model)
        if step is not None and key is not None:
            writing.setdefault(key, []).append(task)
            models.setdefault(key, step.model)
    for key, tasks in writing.items():
        if may_stay_open(dag, tasks):
            closing_task(dag, models[key]).set_upstream(_waited_for(tasks))


def _waited_for(tasks: Sequence[Any]) -> list[Any]:
    """Those of a version's tasks that the closing task waits for: a setup's scope does not reach to it without need."""
    ids = {task.task_id for task in tasks}
    return [
        task
        for task in tasks
        if not task.is_setup or ids.isdisjoint(task.get_flat_relative_ids(upstream=False))
    ]


def add_step(
    definition: StepDefinition,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    *,
    mapped: Any = None,
    after: Sequence[Any] = (),
    role: Role | None = None,
) -> Any:
    """
    Add a step's call to the DAG whose body runs, and return its output.

    :param mapped: lists by parameter (``expand``), a list of dicts (``expand_kwargs``), or None.
    :param after: outputs or task ids that go first without giving an input.
    :param role: whether it is a setup or a teardown.
    :raises InvalidDefinition: if the arguments don't fit.
    """
    role = role or Role()
    role.check(f"step {definition.name!r}", definition.options)
    pipeline = current_pipeline()
    model = definition.model or (pipeline._model if pipeline is not None else None)
    names = tuple(output.name for output in definition.outputs)
    check_call(f"step {definition.name!r}", definition.signature, args, kwargs, mapped)
    _check_values(f"step {definition.name!r}", [args, kwargs, mapped])
    check_texts(f"step {definition.name!r}", [args, kwargs, mapped], _is_step)
    if mapped is not None:  # an operator that isn't mapped sees to this itself
        check_arguments(f"step {definition.name!r}", [args, kwargs, mapped])
        kwargs, mapped = held(kwargs), held(mapped)
    decorator: Any = task_decorator_factory(
        python_callable=definition.function,
        multiple_outputs=declares_tuple(definition.function),
        decorated_operator_class=StepDecoratedOperator,
        task_id=definition.name,
        step_model=model,
        substitutions=dict(definition.substitutions),
        **definition.options,
    )
    for name, value in vars(role).items():
        setattr(decorator, name, value)
    try:
        output: Any = _called(decorator, args, kwargs, mapped)
    except TypeError as err:
        if isinstance(err, InvalidDefinition):
            raise
        raise InvalidDefinition(f"step {definition.name!r}", str(err)) from err
    if mapped is not None:  # an operator that isn't mapped sees to this itself
        output.operator.set_upstream(upstream_in(output.operator.dag, [kwargs, mapped, model]))
        close_behind(output.operator)
    for item in after:
        output.operator.set_upstream(_operator(output.operator.dag, f"step {definition.name!r}", item))
    if declares_tuple(definition.function):
        return StepOutputs(output.operator, names)
    return StepXComArg(output.operator)


def _called(decorator: Any, args: Sequence[Any], kwargs: Mapping[str, Any], mapped: Any) -> Any:
    if mapped is None:
        return decorator(*args, **kwargs)
    partial = decorator.partial(**kwargs) if kwargs else decorator
    return partial.expand(**mapped) if isinstance(mapped, Mapping) else partial.expand_kwargs(mapped)


class PipelineGroup(TaskGroup):
    """The task group of a pipeline that is called in a body."""

    not_an_argument = "a pipeline that returns nothing"

    def __repr__(self) -> str:
        return f"<pipeline {self.group_id}>"


def add_pipeline(
    pipeline: PipelineDefinition, args: Sequence[Any], kwargs: Mapping[str, Any], *, after: Sequence[Any] = ()
) -> Any:
    """
    Add a called pipeline's steps as a task group to the DAG whose body runs, and return what its body returns.

    :param after: outputs or names of what goes first.
    :raises InvalidDefinition: if the arguments don't fit.
    """
    context, bound = nested(pipeline, args, kwargs)
    dag: Any = host.dag_being_built()
    around: Any = TaskGroupContext.get_current(dag)
    taken = {*dag.task_ids, *dag.task_group.get_task_group_dict()}
    defaults: Any = pipeline.options.get("default_args") or {}
    group = PipelineGroup(
        group_id=group_id(pipeline, around.child_id(""), taken),
        tooltip=inspect.cleandoc(pipeline.function.__doc__ or ""),
        default_args=defaults,
    )
    for name, value in (pipeline.options.get("params") or {}).items():
        if name not in dag.params and name not in bound.arguments:
            dag.params[name] = value
    with group, body_of(pipeline, context):
        returned = pipeline.function(*bound.args, **bound.kwargs)
    refuse_empty(pipeline, len(group.children))
    for item in after:
        group.set_upstream(_operator(dag, f"pipeline {pipeline.name!r}", item))
    return group if returned is None else returned_by(returned, group)


def _operator(dag: DAG, subject: str, item: Any) -> Any:
    """The task, group or output that something is to run after, or the one of that name."""
    if not isinstance(item, str):
        return item if getattr(item, "group", None) is not None else getattr(item, "operator", item)
    around: Any = TaskGroupContext.get_current(dag)
    groups = dag.task_group.get_task_group_dict()
    for name in dict.fromkeys((around.child_id(item), item)):
        if dag.has_task(name):
            return dag.get_task(name)
        if name in groups:
            return groups[name]
    known = ", ".join(dag.task_ids)
    raise InvalidDefinition(subject, f"there is no step {item!r} to run after", f"Steps so far: {known}.")


def _check_values(subject: str, value: Any) -> None:
    """Refuse objects of Airflow that are no values, which would reach the step's code as they are."""

    def visit(part: Any) -> Any:
        if isinstance(part, DAG | TaskGroup | BaseOperator):
            problem = getattr(part, "not_an_argument", "which is no value")
            raise InvalidDefinition(subject, f"it is given {quoted(part)}, {problem}", "Pass an output.")
        return WALK

    transform(value, visit)


def _is_step(task_id: str, dag_id: str) -> bool:
    """Return whether a task is a step of the DAG that is being built."""
    dag: Any = host.dag_being_built()
    return dag.dag_id == dag_id and dag.has_task(task_id) and step_of(dag.get_task(task_id)) is not None


class StepOutputs(tuple[XComArg, ...]):  # noqa: SLOT001 - Airflow sets attributes on it
    """
    The outputs of a step that declares several: unpacked in declared order, indexed by name.

    :param operator: the step's operator.
    :param names: the names of its outputs.
    """

    operator: Any
    names: tuple[str, ...]

    def __new__(cls, operator: Any, names: tuple[str, ...]) -> StepOutputs:  # noqa: D102 - see the class
        outputs = super().__new__(cls, [StepXComArg(operator, key=name) for name in names])
        outputs.operator, outputs.names = operator, names
        return outputs

    def __getitem__(self, key: Any) -> Any:
        return super().__getitem__(index_of_output(self.operator.task_id, key, self.names))

    def refuse_unmappable(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse to be mapped over. See :meth:`StepXComArg.refuse_unmappable`."""
        raise one_of_several(self.operator.task_id, ", ".join(self.names))

    map = zip = concat = refuse_unmappable

    @property
    def roots(self) -> Any:
        """The step, for Airflow: what goes first."""
        return self.operator.roots

    @property
    def leaves(self) -> Any:
        """The step, for Airflow: what goes last."""
        return self.operator.leaves

    def set_upstream(self, *others: Any, **options: Any) -> None:
        """Run after others."""
        self.operator.set_upstream(*others, **options)

    def set_downstream(self, *others: Any, **options: Any) -> None:
        """Run before others."""
        self.operator.set_downstream(*others, **options)

    def update_relative(self, *others: Any, **options: Any) -> None:
        """Note an edge to another, for Airflow."""
        self.operator.update_relative(*others, **options)

    def as_setup(self) -> StepOutputs:
        """Make the step a setup."""
        XComArg(self.operator).as_setup()
        return self

    def as_teardown(self, **options: Any) -> StepOutputs:
        """Make the step a teardown. See Airflow's ``XComArg.as_teardown``."""
        XComArg(self.operator).as_teardown(**options)
        return self

    def __enter__(self) -> Any:
        """Put the tasks of the block behind this setup, or before this teardown."""
        output: Any = XComArg(self.operator)
        return output.__enter__()

    def __exit__(self, *error: Any) -> None:
        output: Any = XComArg(self.operator)
        output.__exit__(*error)

    def __rshift__(self, other: Any) -> Any:
        return self.operator >> other

    def __lshift__(self, other: Any) -> Any:
        return self.operator << other

    def __rrshift__(self, other: Any) -> Any:
        self.operator << other
        return self

    def __rlshift__(self, other: Any) -> Any:
        self.operator >> other
        return self


class _Returned:
    """An output that a called pipeline returned: what is ordered by it is ordered by all tasks of the group."""

    group: TaskGroup

    @property
    def roots(self) -> Any:
        return self.group.roots

    @property
    def leaves(self) -> Any:
        return self.group.leaves

    def set_upstream(self, *others: Any, **options: Any) -> None:
        self.group.set_upstream(*others, **options)

    def set_downstream(self, *others: Any, **options: Any) -> None:
        self.group.set_downstream(*others, **options)

    def update_relative(self, *others: Any, **options: Any) -> None:
        self.group.update_relative(*others, **options)


class ReturnedXComArg(_Returned, PlainXComArg):
    """What a task of a called pipeline returns."""


class ReturnedStepXComArg(_Returned, StepXComArg):
    """What a step of a called pipeline returns."""


class ReturnedOutputs(_Returned, StepOutputs):
    """What a step of a called pipeline returns, which declares several outputs."""

    def __rshift__(self, other: Any) -> Any:
        return self.group >> other

    def __lshift__(self, other: Any) -> Any:
        return self.group << other

    def __rrshift__(self, other: Any) -> Any:
        self.group << other
        return self

    def __rlshift__(self, other: Any) -> Any:
        self.group >> other
        return self


def returned_by(value: Any, group: TaskGroup) -> Any:
    """Return what a called pipeline's body returned, ordered by the whole group."""

    def visit(part: Any) -> Any:
        found: Any
        if isinstance(part, StepOutputs):
            found = tuple.__new__(ReturnedOutputs, [visit(item) for item in tuple(part)])
            found.operator, found.names = part.operator, part.names
        elif isinstance(part, PlainXComArg):
            kind = ReturnedStepXComArg if isinstance(part, StepXComArg) else ReturnedXComArg
            found = kind(part.operator, part.key)
        else:
            return WALK
        found.group = group
        return found

    return transform(value, visit)
