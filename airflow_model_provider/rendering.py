"""References in template fields, and macros: what Airflow's renderer gets of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk.exceptions import AirflowRescheduleException, AirflowSkipException

from airflow_model_provider import host, settings
from airflow_model_provider.exceptions import InvalidDefinition, WaitTimedOut
from airflow_model_provider.exceptions.base import quoted
from airflow_model_provider.model import Model
from airflow_model_provider.named_artifacts import NamedArtifact
from airflow_model_provider.pipelines.constants import is_unsent
from airflow_model_provider.task_context import hopeless_fails_at_once, log, resolver_for

if TYPE_CHECKING:
    from airflow_model_provider.exceptions import ModelRegistryError
    from airflow_model_provider.named_artifacts import AnyReference
    from airflow_model_provider.pinned import TaskSide
    from airflow_model_provider.references import JsonValue

#: A stock task that waits looks again after so many seconds. With shorter times Airflow was seen to run a task
#: twice, when the news of the old process met the new one.
SHORTEST_RESCHEDULE = 30.0
_READ_IN_CODE = (
    "Pass it to a step, or read it in the task's code: Client().get_model_version(...).run_metadata."
)


def rendered(value: JsonValue, context: Mapping[str, Any]) -> Any:
    """
    Return what a reference is in a template field: itself in a step, which pins in ``pre_execute``, else pinned.

    :raises AirflowFailException: for what a retry cannot help.
    :raises AirflowSkipException: if no version is there and the reference says ``on_missing="skip"``.
    :raises AirflowRescheduleException: likewise for ``"wait"``.
    """
    if getattr(context.get("task"), "pins_in_pre_execute", False):
        return value
    with hopeless_fails_at_once():
        reference: Any = value.reference if isinstance(value, Model) else value
        return _pinned(reference, context, in_template=host.inside_template())


def version(model: str, version: Any, **options: Any) -> Any:
    """
    Return a version for a template: ``macros.model_registry.version("iris_classifier", "production").number``.

    It is pinned and recorded as references are; ``.artifact("trained_model").uri``, ``.metadata["accuracy"]``.

    :param version: a stage, ``latest``, a number, or a version name.
    :param options: ``pin``, ``as_of``, ``on_missing``, ``conn_id`` of :class:`Model`.
    """
    from airflow_model_provider.pinned import version_of

    context = host.running_task_context()
    if context is None:
        raise InvalidDefinition(
            "macros.model_registry.version()", "no task is running here", "Use it in a template field."
        )
    with hopeless_fails_at_once():
        return version_of(_task_side(context, in_template=True), model, version, options)


def artifact(
    name: str,
    version: int | None = None,
    map_index: int | None = None,
    conn_id: str | None = None,
    **options: Any,
) -> Any:
    """
    Return an artifact by its own name for a template: ``macros.model_registry.artifact("scaler").uri``.

    It is pinned and recorded as references are.

    :param version: its own version number; None for the newest.
    :param map_index: only those that this element of a mapped step made.
    :param conn_id: the connection of the registry; None for the default one.
    :param options: ``default`` and ``attribute``, as the text of a reference has them.
    """
    context = host.running_task_context()
    if context is None:
        raise InvalidDefinition(
            "macros.model_registry.artifact()", "no task is running here", "Use it in a template field."
        )
    with hopeless_fails_at_once():
        asked = NamedArtifact(name, version, map_index, conn_id=conn_id, **options)
        return _pinned(asked, context, in_template=True)


def _pinned(reference: AnyReference, context: Mapping[str, Any], *, in_template: bool = False) -> Any:
    from airflow_model_provider.pinned import pinned
    from airflow_model_provider.resolver import VersionMissing

    resolver = resolver_for(context)
    try:
        (found,) = resolver.resolve([reference])
    except VersionMissing as missing:
        _skip_or_wait(missing, context)
    value = pinned(found, resolver, _task_side(context, in_template=in_template))
    _refuse_unfit(value, repr(reference), context)
    return value


def _refuse_unfit(value: Any, subject: str, context: Mapping[str, Any]) -> None:
    """
    Refuse metadata that can't stand in a field: Airflow shows all as JSON, and renders some twice (``@task.bash``).

    :raises InvalidDefinition: if a part holds template syntax or names a file of templates, or JSON has no word for it.
    """
    if isinstance(value, Mapping):
        _refuse_unfit([*value, *value.values()], subject, context)
    elif isinstance(value, list | tuple):
        for part in value:
            _refuse_unfit(part, subject, context)
    elif problem := _unfit(value, context.get("task")):
        raise InvalidDefinition(subject, problem, _READ_IN_CODE)


def _unfit(value: Any, task: Any) -> str | None:
    if is_unsent(value):
        return f"its value {quoted(value)} can't stand in the field of an operator: JSON has no word for it"
    if not isinstance(value, str) or getattr(task, "renders_once", False):
        return None
    if any(mark in value for mark in ("{{", "{%", "{#")):
        return "its text holds template syntax, which Airflow may render in the field of an operator"
    if value.endswith(tuple(getattr(task, "template_ext", ()))):
        return (
            f"its text {quoted(value)} stands for a file that Airflow may open in the field of this operator"
        )
    return None


def _task_side(context: Mapping[str, Any], *, in_template: bool) -> TaskSide:
    from airflow_model_provider.pinned import TaskSide

    def resolve(reference: AnyReference) -> Any:
        with hopeless_fails_at_once():
            return _pinned(reference, context, in_template=in_template)

    def fail(error: ModelRegistryError) -> NoReturn:
        with hopeless_fails_at_once():
            raise error

    def check(value: Any, subject: str) -> None:
        if in_template:
            with hopeless_fails_at_once():
                _refuse_unfit(value, subject, context)

    return TaskSide(resolve, fail, check, in_template)


def _skip_or_wait(missing: Any, context: Mapping[str, Any]) -> None:
    if missing.reference.on_missing == "skip":
        raise AirflowSkipException(str(missing.error)) from missing
    begun = context["ti"].get_first_reschedule_date(context) or datetime.now(UTC)
    waited, timeout = (datetime.now(UTC) - begun).total_seconds(), settings.wait_timeout()
    if waited >= timeout:
        raise WaitTimedOut(repr(missing.reference), waited, str(missing.error)) from missing
    pause = max(SHORTEST_RESCHEDULE, settings.poll_interval())
    log.info("%s Looking again in %.0f s.", missing.error, pause)
    again = datetime.now(UTC) + timedelta(seconds=pause)
    raise AirflowRescheduleException(again) from missing  # type: ignore[no-untyped-call]
