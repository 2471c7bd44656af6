"""The only place where definitions become Airflow objects."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk import DAG, Param, XComArg
from airflow.sdk.bases.decorator import task_decorator_factory

from airflow_model_provider.context import PipelineContext, building_pipeline, current_pipeline
from airflow_model_provider.exceptions import InvalidDefinition
from airflow_model_provider.operators.close_version import closing_task, may_stay_open
from airflow_model_provider.operators.mapping import StepXComArg
from airflow_model_provider.operators.step import StepDecoratedOperator, close_behind, step_of
from airflow_model_provider.operators.upstream import upstream_in
from airflow_model_provider.pipelines.deferred import PipelineParameter, one_of_several, unknown_output
from airflow_model_provider.pipelines.definition import Role, makes_version_of
from airflow_model_provider.pipelines.outputs import declares_tuple

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
            if parameter.name not in dag.params:
                required = parameter.default is parameter.empty
                dag.params[parameter.name] = Param() if required else parameter.default
        with building_pipeline(PipelineContext(pipeline.name, pipeline.model)):
            pipeline.function(
                **{parameter.name: PipelineParameter(parameter.name) for parameter in parameters}
            )
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
            before = [task for task in tasks if not task.is_setup]
            closing_task(dag, models[key]).set_upstream(before)


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
        output.operator.set_upstream(_operator(output.operator.dag, definition.name, item))
    if declares_tuple(definition.function):
        return StepOutputs(output.operator, names)
    return StepXComArg(output.operator)


def _called(decorator: Any, args: Sequence[Any], kwargs: Mapping[str, Any], mapped: Any) -> Any:
    if mapped is None:
        return decorator(*args, **kwargs)
    partial = decorator.partial(**kwargs) if kwargs else decorator
    return partial.expand(**mapped) if isinstance(mapped, Mapping) else partial.expand_kwargs(mapped)


def _operator(dag: DAG, step: str, item: Any) -> Any:
    if isinstance(item, str):
        if not dag.has_task(item):
            known = ", ".join(dag.task_ids)
            raise InvalidDefinition(
                f"step {step!r}", f"there is no step {item!r} to run after", f"Steps so far: {known}."
            )
        return dag.get_task(item)
    return getattr(item, "operator", item)


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
        if isinstance(key, str):
            if key not in self.names:
                raise unknown_output(self.operator.task_id, key, self.names)
            return super().__getitem__(self.names.index(key))
        return super().__getitem__(key)

    def map(self, f: Any) -> NoReturn:
        """Refuse it. See :meth:`StepXComArg.map`."""
        raise one_of_several(self.operator.task_id, ", ".join(self.names))

    zip = concat = map

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
