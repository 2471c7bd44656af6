"""``@step``, which is also ``@task.step``: thin glue over a definition. No Airflow is imported here."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, overload

from airflow_model_provider import host
from airflow_model_provider.context import current_step
from airflow_model_provider.exceptions import AlreadyATask, InvalidDefinition
from airflow_model_provider.exceptions.base import quoted
from airflow_model_provider.pipelines.arguments import CONTEXT, check_task_arguments
from airflow_model_provider.pipelines.bodies import Prepared
from airflow_model_provider.pipelines.calling import ONE_DECORATOR, check_function
from airflow_model_provider.pipelines.deferred import PipelineParameter
from airflow_model_provider.pipelines.definition import Role, StepDefinition, check_model, first_id
from airflow_model_provider.pipelines.mapping import is_mappable
from airflow_model_provider.pipelines.outputs import check_outputs
from airflow_model_provider.pipelines.values import WALK, transform
from airflow_model_provider.references import MAP_OVER, JsonValue

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_model_provider.model import Model

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class _Call:
    """What has been said about the next call: what it runs after, and its partial arguments."""

    after: tuple[Any, ...] = ()
    partial: Mapping[str, Any] = field(default_factory=dict)


class Step(Prepared, Generic[P, R]):
    """
    A function that is a step.

    Called in the body of a pipeline or DAG it adds a task and returns what the task will return; called
    anywhere else it is the plain function.

    :param definition: what the decorator was given.
    """

    not_an_argument = "a step that was not called"
    _kind = "step"
    #: How Airflow's own decorators (``@setup``, ``@teardown``, ``@result``, ``@task.skip_if``) know a task's.
    _airflow_is_task_decorator = True
    is_setup = False
    is_teardown = False
    on_failure_fail_dagrun = False
    returns_dag_result = False

    def __init__(
        self, definition: StepDefinition, call: _Call | None = None, role: Role | None = None
    ) -> None:
        self.definition: StepDefinition = definition
        self._next = call or _Call()
        functools.update_wrapper(self, definition.function)
        vars(self).update(vars(role or Role()))
        host.know_as_task_decorator(Step)

    @property
    def function(self) -> Callable[P, R]:
        """The step's code, by Airflow's name for it."""
        return self.definition.function

    @property
    def kwargs(self) -> dict[str, Any]:
        """The task arguments, by Airflow's name for them; ``@task.skip_if`` adds to them."""
        return self.definition.options

    @property
    def __globals__(self) -> dict[str, Any]:
        """What ``@task`` asks of a function. It takes a TypeError for an annotation that it can't read."""
        raise AlreadyATask(f"step {self.definition.name!r}", ONE_DECORATOR)

    def _role(self) -> Role:
        return Role(self.is_setup, self.is_teardown, self.on_failure_fail_dagrun, self.returns_dag_result)

    def _again(self, method: str, **changes: Any) -> Step[P, R]:
        """The same step, with more said about its next call."""
        return self._prepared(Step(self.definition, replace(self._next, **changes), self._role()), method)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:  # noqa: D102 - see the class
        self._note_call()
        after: Any = kwargs.pop("after", ()) if "after" not in self.definition.signature.parameters else ()
        builder = _builder()
        if builder is None:
            result: R = self.definition.function(*args, **{**self._next.partial, **kwargs})
            return result
        after = (*self._next.after, *_several(after))
        output: R = builder(
            self.definition, args, {**self._next.partial, **kwargs}, after=after, role=self._role()
        )
        return output

    def partial(self, **kwargs: Any) -> Step[P, R]:
        """Fix arguments that are the same for every mapped task instance."""
        self._check_names("partial", kwargs)
        return self._again("partial", partial={**self._next.partial, **kwargs})

    def expand(self, *unnamed: Any, **kwargs: Any) -> Any:
        """
        Make one task instance per element: of one list, or of the product of several.

        :param kwargs: what is mapped over, by the parameter that gets the elements.
        :raises InvalidDefinition: if there is nothing to map over, or outside of a pipeline or DAG.
        """
        if unnamed or not kwargs:
            problem = "expand() takes what it maps over by the name of a parameter"
            example = next(iter(self.definition.signature.parameters), "x")
            raise InvalidDefinition(self._subject, problem, f"Example: .expand({example}=[1, 2]).")
        self._check_names("expand", kwargs)
        for name, value in kwargs.items():
            self._check_mapped(
                f"expand({name}=)", value, "Pass a list, a dict, or the output of a step or task."
            )
        return self._mapped("expand", kwargs)

    def expand_kwargs(self, kwargs: Any) -> Any:
        """Make one task instance per dictionary of arguments in a list, or in what a task returns."""
        call, advice = "expand_kwargs()", "Pass a list of dicts, or the output of a step or task."
        self._check_mapped(call, kwargs, advice)
        for item in kwargs if isinstance(kwargs, Sequence) else ():
            if not isinstance(item, Mapping) and not _comes_later(item):
                raise InvalidDefinition(self._subject, f"{call} was given {quoted(item)} in a list", advice)
            self._check_mapped(call, item, advice)
        return self._mapped("expand_kwargs", kwargs)

    def _check_mapped(self, call: str, value: Any, advice: str) -> None:
        """Refuse what Airflow can't map over, or would map over otherwise than is meant."""
        if isinstance(value, JsonValue):
            raise InvalidDefinition(
                self._subject, f"{call} was given {value!r}, which is one value", MAP_OVER
            )
        if (refuse := getattr(value, "refuse_unmappable", None)) is not None:
            refuse()
        elif isinstance(value, list | tuple | dict):
            transform(value, _refuse_part)
        elif not (is_mappable(value) or isinstance(value, Mapping) or _comes_later(value)):
            raise InvalidDefinition(
                self._subject, f"{call} was given {quoted(value)}, which can't be mapped over", advice
            )

    def after(self, *upstream: Any) -> Step[P, R]:
        """Run after steps that give no input: their outputs, or their names."""
        return self._again("after", after=(*self._next.after, *upstream))

    def with_options(
        self,
        *,
        name: str | None = None,
        model: Model | None = None,
        substitutions: Mapping[str, str] | None = None,
        **task_arguments: Any,
    ) -> Step[P, R]:
        """
        Return the step with other options.

        :param name: another task id.
        :param model: another model.
        :param substitutions: values for placeholders in output names.
        :param task_arguments: any argument of an Airflow task: ``retries``, ``pool``, ``trigger_rule``, ...
        """
        old = self.definition
        task_id = task_arguments.pop("task_id", None)
        check_task_arguments(self._subject, task_arguments)
        definition = replace(
            old,
            name=first_id("task_id", name, task_id, old.name),
            model=check_model(self._subject, model) or old.model,
            substitutions={**old.substitutions, **(substitutions or {})},
            options={**old.options, **task_arguments},
        )
        return self._prepared(Step(definition, self._next, self._role()), "with_options")

    #: Airflow's name for it.
    override = with_options

    def _mapped(self, method: str, mapped: Any) -> Any:
        self._note_call()
        builder = _builder()
        if builder is None:
            raise InvalidDefinition(
                self._subject,
                f"{method}() was called outside of a pipeline or DAG",
                "Call the function itself.",
            )
        self._check_rule(f"{method}()", [mapped] if isinstance(mapped, Mapping) else mapped)
        return builder(
            self.definition, (), self._next.partial, mapped=mapped, after=self._next.after, role=self._role()
        )

    def _check_rule(self, call: str, rows: Any) -> None:
        """Refuse the rule under which Airflow would not wait for the elements."""
        if self.definition.options.get("trigger_rule") != "always" or not isinstance(rows, Sequence):
            return
        given = [value for row in rows if isinstance(row, Mapping) for value in row.values()]
        if any(map(_comes_later, given)):
            problem = f"{call} was given an output with trigger_rule='always', which does not wait for it"
            raise InvalidDefinition(self._subject, problem, "Use trigger_rule='all_done'.")

    def _check_names(self, method: str, kwargs: Mapping[str, Any]) -> None:
        parameters = self.definition.signature.parameters
        if names := CONTEXT & set(kwargs):
            raise InvalidDefinition(
                self._subject, f"{method}() was given {min(names)!r}", "Airflow's context fills it in."
            )
        if any(item.kind is item.VAR_KEYWORD for item in parameters.values()):
            return
        for name in kwargs:
            if name not in parameters:
                raise InvalidDefinition(
                    self._subject,
                    f"{method}() was given {name!r}",
                    f"It takes: {', '.join(parameters) or 'nothing'}.",
                )

    def __repr__(self) -> str:
        return f"<step {self.definition.name}>"


def _refuse_part(part: Any) -> Any:
    if (refuse := getattr(part, "refuse_part", None)) is None:
        return WALK
    refuse()
    return part


def _comes_later(value: Any) -> bool:
    """Whether a value is one that another task returns; a parameter is one of the run, and has no known length."""
    known = hasattr(value, "iter_references") or hasattr(value, "refuse_unmappable")
    return known and not isinstance(value, PipelineParameter)


def _several(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else (value,)


def _builder() -> Callable[..., Any] | None:
    """What adds a task here: a local run's builder, Airflow's, or None where steps are plain functions."""
    if current_step() is not None:
        return None
    from airflow_model_provider.pipelines.building import current_builder

    local = current_builder()
    if local is not None:
        return local.add
    if host.dag_being_built() is None:
        return None
    from airflow_model_provider.dag_builder import add_step

    return add_step


@overload
def step(function: Callable[P, R], /) -> Step[P, R]: ...
@overload
def step(
    *,
    name: str | None = None,
    model: Model | None = None,
    substitutions: Mapping[str, str] | None = None,
    **task_arguments: Any,
) -> Callable[[Callable[P, R]], Step[P, R]]: ...
def step(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    model: Model | None = None,
    substitutions: Mapping[str, str] | None = None,
    **task_arguments: Any,
) -> Any:
    """
    Make a function a step. ``@step`` and ``@task.step`` are the same.

    :param name: the task id; the function's name if None.
    :param model: the model the step belongs to, which beats the pipeline's.
    :param substitutions: values for placeholders in output names.
    :param task_arguments: any argument of an Airflow task: ``retries``, ``pool``, ``trigger_rule``, ...
    :raises InvalidDefinition: if it can't be called, or the options don't fit.

    >>> @step
    ... def add(a: int, b: int) -> int:
    ...     return a + b
    >>> add(1, 2)  # outside of a pipeline it is the plain function
    3
    """

    def decorate(decorated: Callable[..., Any]) -> Step[Any, Any]:
        options = dict(task_arguments)
        given, own = options.pop("task_id", None), getattr(decorated, "__name__", None)
        said = next((found for found in (name, given, own) if found is not None), None)
        check_function(f"step {quoted(said)}", decorated)
        task_id = first_id("task_id", name, given, own)
        check_task_arguments(f"step {task_id!r}", options)
        check_outputs(decorated)
        return Step(
            StepDefinition(
                decorated,
                task_id,
                check_model(f"step {task_id!r}", model),
                options,
                dict(substitutions or {}),
            )
        )

    return decorate if function is None else decorate(function)


#: What the provider registers as ``@task.step``.
step_task = step

__all__ = ["Step", "step", "step_task"]
