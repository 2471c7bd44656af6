"""``StepOperator``: pins its references in ``pre_execute``, loads, runs and saves in ``execute``."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from airflow.sdk import BaseXCom
from airflow.sdk.bases.decorator import DecoratedOperator
from airflow.sdk.definitions.mappedoperator import OperatorPartial
from airflow.sdk.exceptions import AirflowSkipException
from airflow.sdk.execution_time.xcom import XCom

from airflow_model_provider.context import current_pipeline
from airflow_model_provider.exceptions import InvalidDefinition, WaitTimedOut
from airflow_model_provider.exceptions.base import quoted
from airflow_model_provider.hooks.model_registry import ModelRegistryHook
from airflow_model_provider.limits import check_mapping
from airflow_model_provider.links.model_version import ModelVersionLink
from airflow_model_provider.operators.base import refused_softly
from airflow_model_provider.operators.close_version import closing_id, closing_task
from airflow_model_provider.operators.mapping import StepXComArg, mapped_over, unmappable_as_airflow_says
from airflow_model_provider.operators.producers import producers_of, step_of
from airflow_model_provider.operators.received import Receiving
from airflow_model_provider.operators.sources import with_sources_of
from airflow_model_provider.operators.upstream import (
    OVER,
    PASSED_OVER,
    part_state,
    parts_in,
    removed_in_run,
    settled_in_run,
    states_in_run,
    stopped_behind,
    succeeded_in_run,
    upstream_in,
)
from airflow_model_provider.pipelines.calling import check_function
from airflow_model_provider.pipelines.constants import held, held_data, released
from airflow_model_provider.pipelines.definition import check_model, makes_version_of
from airflow_model_provider.pipelines.outputs import Output, declared_outputs, declares_tuple
from airflow_model_provider.pipelines.values import check_arguments
from airflow_model_provider.task_context import (
    claim_promotions,
    hopeless_fails_a_running_task,
    hopeless_fails_at_once,
    resolver_for,
)
from airflow_model_provider.triggers.model_version import ModelVersionTrigger

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow.sdk import Context
    from airflow.sdk.definitions.mappedoperator import MappedOperator

    from airflow_model_provider.execution import StepExecution
    from airflow_model_provider.model import Model
    from airflow_model_provider.registry.entities import VersionRecord
    from airflow_model_provider.resolver import VersionMissing

    #: Of tasks in a run, by map index.
    States = Mapping[str, Mapping[int, str | None]]


class StepOperator(Receiving):
    """
    Run a function whose inputs may be references to versions and artifacts.

    The references are resolved, pinned and recorded when the task runs, before its code starts; the function
    is given the loaded objects; what it returns is saved, and only references to it travel in XCom.

    :param python_callable: the function. Its annotations declare its outputs.
    :param op_args: positional arguments (templated); references can stand at any depth.
    :param op_kwargs: keyword arguments (templated), likewise.
    :param step_model: the model the step belongs to. Without a version each Dag run makes one new version.
    :param substitutions: values for placeholders in output names.

    >>> StepOperator(  # doctest: +SKIP
    ...     task_id="predict",
    ...     python_callable=predict,
    ...     op_kwargs={"model": Model("iris_classifier", version="production").get_model_artifact("trained_model")},
    ... )
    """

    template_fields: Sequence[str] = ("op_args", "op_kwargs")
    template_fields_renderers: ClassVar[dict[str, str]] = {"op_args": "py", "op_kwargs": "py"}
    # What is open must not be copied when a listener copies the task to render it again.
    shallow_copy_attrs: Sequence[str] = ("python_callable", "_execution", "_missing", "_ti")
    operator_extra_links = (ModelVersionLink(),)
    ui_color = "#d7ecf3"
    #: A Dag with such a task is woken until a run of it has claimed what was promoted.
    claims_promotions: ClassVar[bool] = True
    is_step: ClassVar[bool] = True
    #: References in the fields stay as they are while Airflow renders them.
    pins_in_pre_execute = True
    writes_results = True

    def __init__(
        self,
        *,
        python_callable: Callable[..., Any],
        op_args: Collection[Any] | None = None,
        op_kwargs: Mapping[str, Any] | None = None,
        step_model: Model | None = None,
        substitutions: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"multiple_outputs": declares_tuple(python_callable), **kwargs})
        check_function(f"step {self.task_id!r}", python_callable)
        self.python_callable = python_callable
        self.op_args = op_args or ()
        self.op_kwargs = op_kwargs or {}
        self.step_model = check_model(f"step {self.task_id!r}", step_model)
        self.substitutions = dict(substitutions or {})
        self._execution: StepExecution | None = None
        self._missing: VersionMissing | None = None
        self._ti: Any = None
        self._tells = False
        if self._is_instance:
            return  # its arguments are checked once it is known which of them other tasks have returned
        with hopeless_fails_a_running_task():
            check_arguments(f"step {self.task_id!r}", [self.op_args, self.op_kwargs])
        self.op_args, self.op_kwargs = held(self.op_args), held(self.op_kwargs)
        if self.has_dag():  # type: ignore[no-untyped-call]
            self.set_upstream(upstream_in(self.dag, [self.op_args, self.op_kwargs, self.step_model]))
            close_behind(self)

    @classmethod
    def partial(cls, **kwargs: Any) -> OperatorPartial:
        """Fix arguments that are the same for every mapped instance. See Airflow's ``partial()``."""
        made = super().partial(**kwargs)
        made._expand_called = True  # this one takes its place
        return PartialStep(operator_class=made.operator_class, kwargs=made.kwargs, params=made.params)

    @property
    def _is_instance(self) -> bool:
        """Whether it was made of a mapped step."""
        return bool(getattr(self, "_BaseOperator__from_mapped", False))

    @property
    def outputs(self) -> tuple[Output, ...]:
        """The declared outputs."""
        return declared_outputs(self.python_callable, self.substitutions)

    @property
    def output(self) -> StepXComArg:
        """What other tasks take of it."""
        return StepXComArg(self)

    @property
    def used_versions(self) -> Sequence[VersionRecord]:
        """The versions that this try makes or uses."""
        return self._execution.used_versions if self._execution is not None else ()

    def pre_execute(self, context: Any) -> None:
        """Pin every reference of the task and record it (R7, R8, R11)."""
        from airflow_model_provider.resolver import VersionMissing

        self._missing = None
        self._tell_the_end(context)
        with hopeless_fails_at_once():
            claim_promotions(context)
            self._execution = self._new_execution(context)
            try:
                args, kwargs = self._received_arguments(context)
                self._execution.pin(args, kwargs, context)
            except VersionMissing as missing:
                if missing.reference.on_missing == "skip":
                    raise AirflowSkipException(str(missing.error)) from missing
                self._missing = missing

    def _received_arguments(self, context: Any) -> tuple[list[Any], dict[str, Any]]:
        """
        Return the arguments of the function; another task may have returned all of them, as one reference.

        :raises InvalidDefinition: if they are no list and no mapping by name.
        """
        from airflow_model_provider.pipelines.handed_on import loaded, meant_by

        subject, resolver = f"step {self.task_id!r}", resolver_for(context)
        op_args, op_kwargs = (
            given if meant_by(given) is None else loaded(given, resolver)
            for given in (self.op_args, self.op_kwargs)
        )
        if isinstance(op_args, str | Mapping) or not isinstance(op_args, Collection):
            problem = f"op_args={quoted(op_args)} must be a list"
            raise InvalidDefinition(subject, problem, "Example: op_args=[1, 2].")
        named = check_mapping(subject, "op_kwargs", op_kwargs, "Example: op_kwargs={'x': 1}.")
        args, kwargs = released(list(op_args)), released(dict(named))
        if not self.has_dag():  # type: ignore[no-untyped-call]
            return args, kwargs
        return with_sources_of(self.dag.get_task(self.task_id), args, kwargs, resolver)

    def render_template_fields(self, context: Any, jinja_env: Any = None) -> None:
        """Render them; a failure of that is told to the version that is being made, like any other."""
        self._tell_the_end(context)
        super().render_template_fields(context, jinja_env)

    def _receive_mapped(self, context: Any, seen: set[int]) -> None:
        super()._receive_mapped(context, seen)
        if not self._is_instance:
            return
        fields, received = {"op_args": self.op_args, "op_kwargs": self.op_kwargs}, self.received_names
        if received.isdisjoint(fields) and isinstance(self.op_kwargs, dict):
            for name in received & self.op_kwargs.keys():
                self.op_kwargs[name] = held_data(self.op_kwargs[name])
            fields = {"op_args": self.op_args, **self.op_kwargs}
        written = [value for name, value in fields.items() if name not in received]
        check_arguments(f"step {self.task_id!r}", written)

    def _do_render_template_fields(self, parent: Any, *args: Any, **kwargs: Any) -> None:
        super()._do_render_template_fields(parent, *args, **kwargs)
        if parent is self:  # what other tasks returned too
            self.op_args, self.op_kwargs = held(self.op_args), held(self.op_kwargs)

    def _new_execution(self, context: Any) -> StepExecution:
        from airflow_model_provider.execution import StepExecution
        from airflow_model_provider.pipelines.task import Task

        self._ti = context["ti"]
        states = cache(self._states)
        task = Task(
            self.python_callable,
            self.outputs,
            self.step_model,
            producers=self._producers,
            again=lambda: self._to_run(*states()),
            running=lambda: _running(*states()),
            passed_over=lambda: _passed_over(*states()),
            settled=lambda: settled_in_run(self, self._ti, self._producers()),
            stopped=lambda state: stopped_behind(self, state, self._ti.map_index),
            removed=lambda parts, empty: removed_in_run(self._ti, self.dag, parts, empty),
            succeeded=lambda parts: succeeded_in_run(self._ti, parts),
            mapped_over=mapped_over(self, context["ti"]),
        )
        return StepExecution(task, resolver_for(context), self.log)

    def _tell_the_end(self, context: Any) -> None:
        """
        Let Airflow tell the version that is being made if this try does not succeed.

        Airflow alone knows whether another one is to come. It calls these in the task's process.
        """
        if self._tells or makes_version_of(self.step_model) is None:
            return
        self._tells = True

        def ended(state: str) -> Callable[[Any], None]:
            return lambda _: (self._execution or self._new_execution(context)).ended(state)

        self.on_failure_callback = [ended("failed"), *self.on_failure_callback]
        self.on_skipped_callback = [ended("skipped"), *self.on_skipped_callback]
        self.on_retry_callback = [ended("pending"), *self.on_retry_callback]

    def execute(self, context: Context) -> Any:
        """Load the inputs, run the function, save its outputs, return what travels in XCom (R14, R16)."""
        if self._execution is None:  # a caller that skips pre_execute, such as a unit test
            self.pre_execute(context)
        assert self._execution is not None
        if self._missing is not None:
            self._wait(self._missing, datetime.now(UTC))
        with hopeless_fails_at_once(), refused_softly(), unmappable_as_airflow_says():
            outputs = self._execution.run()
        entries = self._execution.entries
        if entries is not None:
            for name, value in outputs.items():
                context["ti"].xcom_push(key=name, value=value)
            return entries
        if len(self.outputs) == 1 and not self.returns_tuple:
            (result,) = outputs.values()
            if result is None:
                _forget_pushed(context["ti"])
            return result
        return outputs or None  # Airflow pushes each under its name, for multiple_outputs

    def _wait(self, missing: VersionMissing, since: datetime) -> NoReturn:
        """Free the worker until there is a version; pre_execute has run before, and runs again then (R12)."""
        self.log.info("%s Waiting for it.", missing.error)
        address = ModelRegistryHook(missing.reference.conn_id).get_address()
        self.defer(
            trigger=ModelVersionTrigger.for_reference(missing.reference, address, since=since),
            method_name="resume",
        )

    def resume(self, context: Context, event: Mapping[str, Any]) -> Any:
        """
        Go on when the trigger has fired.

        :raises AirflowFailException: if the version did not come in time.
        """
        since = datetime.fromisoformat(event["since"])
        if self._missing is not None and event["state"] == "timeout":
            seconds = (datetime.now(UTC) - since).total_seconds()
            with hopeless_fails_at_once():
                raise WaitTimedOut(repr(self._missing.reference), seconds, str(self._missing.error))
        if self._missing is not None:  # it came, and was gone again before this task could pin it
            self._wait(self._missing, since)
        return self.execute(context)

    @property
    def returns_tuple(self) -> bool:
        """Whether it declares several outputs, as a tuple."""
        return declares_tuple(self.python_callable)

    def _producers(self) -> dict[str, bool]:
        return producers_of(self.dag, self.step_model)

    def _to_run(self, states: States, closes: bool) -> list[str]:
        """The tasks of this DAG that are to run, or running, by the names that a version has for them."""
        from airflow_model_provider.registry.entities import part_of

        found: list[str] = []
        never = self._stopped_by_now(states)
        for task, by_index in states.items():
            if task in never and not closes:
                continue
            waiting = [index for index, state in by_index.items() if state not in OVER]
            if waiting and closes and -1 not in waiting:
                found.append(task)  # a task is to come that says when all instances are over
            found += [part_of(task, index) for index in waiting]
        return found

    def _states(self) -> tuple[States, bool]:
        """The states of the tasks of this run, and whether the one that closes the version is to come."""
        assert self.step_model is not None
        close = closing_id(self.dag, self.step_model)
        states = states_in_run(self._ti, self.dag.task_ids)
        return states, not set(states.pop(close or "", {}).values()) <= OVER

    def _stopped_by_now(self, states: States) -> set[str]:
        """The tasks that can no longer run because of others: Airflow skips and fails those without a word."""
        stopped: set[str] = set()
        for task, by_index in states.items():
            state = by_index.get(-1)
            if state in OVER and (part := part_state(state)) in ("skipped", "failed"):
                stopped |= stopped_behind(self.dag.get_task(task), part)
        return stopped


def _passed_over(states: States, closes: bool) -> list[str]:
    """The tasks that Airflow has skipped, removed, or failed for others, where a task is to come that says so."""
    return parts_in(states, PASSED_OVER) if closes else []


def _running(states: States, _closes: bool) -> list[str]:
    """The tasks that Airflow calls running: their code is at work, was, or is about to be."""
    return parts_in(states, {"running"})


def _forget_pushed(ti: Any) -> None:
    """Take back what the code has pushed in the place of the result: None is not written, and would leave it there."""
    place = {"task_id": ti.task_id, "dag_id": ti.dag_id, "run_id": ti.run_id, "map_index": ti.map_index}
    key, index = BaseXCom.XCOM_RETURN_KEY, ti.map_index if ti.map_index >= 0 else None
    if ti.xcom_pull(task_ids=ti.task_id, key=key, map_indexes=index) is not None:
        XCom.delete(key=key, **place)


class PartialStep(OperatorPartial):
    """What ``StepOperator.partial()`` returns: the version that its instances make is closed behind them."""

    def _expand(self, expand_input: Any, **kwargs: Any) -> MappedOperator:
        mapped = super()._expand(expand_input, **kwargs)
        if mapped.dag is not None:
            mapped.set_upstream(upstream_in(mapped.dag, [mapped.partial_kwargs, expand_input.value]))
            close_behind(mapped)
        return mapped


def close_behind(task: Any) -> None:
    """
    Add the task that closes the version into which a step writes, where nobody can tell whether it will be needed.

    Of a pipeline all tasks are known at the end of its body.
    """
    step = step_of(task)
    if (
        step is not None
        and step.model is not None
        and step.model.makes_version
        and current_pipeline() is None
    ):
        task.set_downstream(closing_task(task.dag, step.model))


class StepDecoratedOperator(DecoratedOperator, StepOperator):
    """What ``@step`` and ``@task.step`` make in a DAG. See :class:`StepOperator`."""

    custom_operator_name = "@task.step"
    template_fields: Sequence[str] = StepOperator.template_fields
    shallow_copy_attrs: Sequence[str] = StepOperator.shallow_copy_attrs

    def __init__(
        self,
        *,
        python_callable: Callable[..., Any],
        op_args: Collection[Any] | None = None,
        op_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        upstream: dict[str, Any] = {
            "python_callable": python_callable,
            "op_args": op_args,
            "op_kwargs": op_kwargs,
        }
        super().__init__(kwargs_to_upstream=upstream, **upstream, **kwargs)
