"""``StepOperator``: pins its references in ``pre_execute``, loads, runs and saves in ``execute``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from airflow.sdk.bases.decorator import DecoratedOperator
from airflow.sdk.exceptions import AirflowSkipException

from airflow_model_provider.exceptions import WaitTimedOut
from airflow_model_provider.hooks.model_registry import ModelRegistryHook
from airflow_model_provider.links.model_version import ModelVersionLink
from airflow_model_provider.operators.base import refused_softly
from airflow_model_provider.operators.mapping import StepXComArg, mapped_over, unmappable_as_airflow_says
from airflow_model_provider.operators.received import Receiving
from airflow_model_provider.operators.upstream import settled_before, upstream_in
from airflow_model_provider.pipelines.calling import check_function
from airflow_model_provider.pipelines.definition import check_model, makes_version_of
from airflow_model_provider.pipelines.outputs import Output, declared_outputs, declares_tuple
from airflow_model_provider.task_context import claim_promotions, hopeless_fails_at_once, resolver_for
from airflow_model_provider.triggers.model_version import ModelVersionTrigger

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from airflow.sdk import Context

    from airflow_model_provider.execution import StepExecution
    from airflow_model_provider.model import Model
    from airflow_model_provider.registry.entities import VersionRecord
    from airflow_model_provider.resolver import VersionMissing


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
        if self.has_dag():  # type: ignore[no-untyped-call]
            self.set_upstream(upstream_in(self.dag, [self.op_args, self.op_kwargs, self.step_model]))

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
        from airflow_model_provider.execution import StepExecution, Task
        from airflow_model_provider.resolver import VersionMissing

        task = Task(
            self.python_callable,
            self.outputs,
            self.step_model,
            producers=self._producers,
            settled=lambda: settled_before(self),
            mapped_over=mapped_over(self, context["ti"]),
        )
        self._ti, self._missing = context["ti"], None
        with hopeless_fails_at_once():
            claim_promotions(context)
            self._execution = StepExecution(task, resolver_for(context), self.log)
            try:
                self._execution.pin(list(self.op_args), self.op_kwargs, context)
            except VersionMissing as missing:
                if missing.reference.on_missing == "skip":
                    raise AirflowSkipException(str(missing.error)) from missing
                self._missing = missing

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
            return next(iter(outputs.values()))
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

    def _producers(self) -> list[str]:
        """The tasks of this DAG that make a part of the same new version."""
        wanted = makes_version_of(self.step_model, self.outputs) or (
            self.step_model.name if self.step_model else None
        )
        return [task.task_id for task in self.dag.tasks if version_made_by(task) == wanted]


def version_made_by(task: Any) -> str | None:
    """Return the model of which a task (mapped or not) makes a part of a new version, or None."""
    operator_class = getattr(task, "operator_class", type(task))
    if not (isinstance(operator_class, type) and issubclass(operator_class, StepOperator)):
        return None
    if isinstance(task, StepOperator):
        return makes_version_of(task.step_model, task.outputs)
    said = task.partial_kwargs
    function = getattr(task, "python_callable", None) or said["python_callable"]
    return makes_version_of(
        said.get("step_model"), declared_outputs(function, said.get("substitutions") or {})
    )


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
