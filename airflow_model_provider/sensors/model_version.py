"""``ModelVersionSensor``: waits for a version, without a worker."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk import BaseSensorOperator, PokeReturnValue
from airflow.sdk.exceptions import AirflowSensorTimeout

from airflow_model_provider.exceptions import (
    InvalidDefinition,
    ModelNotFound,
    StageNotAssigned,
    VersionNotFound,
    WaitTimedOut,
)
from airflow_model_provider.hooks.model_registry import ModelRegistryHook
from airflow_model_provider.model import Model
from airflow_model_provider.operators import fields
from airflow_model_provider.operators.base import RegistryTask
from airflow_model_provider.references import Reference
from airflow_model_provider.selectors import TRIGGERING, Selector, SelectorKind, check_name
from airflow_model_provider.task_context import hopeless_fails_at_once
from airflow_model_provider.triggers.model_version import ModelVersionTrigger

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Context

#: Seconds that the triggerer is given to say that the time is over, before Airflow says it.
_GRACE = 60.0


#: Selectors that mean the same for the whole of a try: what a template gives, and what started the run.
_LASTING = (SelectorKind.TEMPLATE, SelectorKind.TRIGGERING)


class ModelVersionSensor(RegistryTask, BaseSensorOperator):
    """
    Wait until a version is there: in a stage, or newer than the one that you have.

    It looks once, and then waits in the triggerer: all sensors of a registry there share one statement every
    ``[model_registry] poll_interval`` seconds. Returns a reference to the very version that it has seen, which a step
    or an operator can be given, and which is recorded as what the task got.

    :param model: the model's name (templated, as the next two).
    :param version: a stage, ``latest``, a number or a version name; or a :class:`Model` that says it.
    :param newer_than: only a version of a higher number counts: a number, what another task returned, or a
        :class:`Model`, of which no version need be there. None or an empty text means any.
    :param deferrable: wait in the triggerer; False looks every ``poke_interval`` seconds, in the ``mode`` of sensors.
    :param timeout: seconds until it gives up; then it fails without retries, or is skipped with ``soft_fail``.
    :param conn_id: the connection of the registry; None means the default one.
    :raises UnknownStage: for a near miss of a declared stage.

    >>> ModelVersionSensor(  # doctest: +SKIP
    ...     task_id="candidate", model="iris_classifier", version="latest",
    ...     newer_than=Model("iris_classifier", version="production"), timeout=86400,
    ... )
    """

    template_fields: Sequence[str] = ("model", "version", "newer_than")
    #: References in the fields stay as they are while Airflow renders them: what is waited for need not be there.
    pins_in_pre_execute = True

    def __init__(
        self,
        *,
        model: str,
        version: Any = "production",
        newer_than: Any = None,
        deferrable: bool = True,
        conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.model, self.version, self.newer_than = model, version, newer_than
        self.deferrable = deferrable
        self._set_up(conn_id)

    def _check_arguments(self) -> None:
        fields.check_fields(self.called, self.model, version=self.version)
        fields.check_numbers(self.called, self.model, newer_than=self.newer_than)
        self._refuse_triggering(getattr(self.version, "selector", self.version))
        if getattr(self.version, "as_of", None):
            raise InvalidDefinition(self.called, "as_of= would wait for the past", "Leave it out.")

    def _refuse_triggering(self, version: object) -> None:
        if str(version) == TRIGGERING:
            problem = f"version={TRIGGERING!r} is what has started the run, and so is there already"
            raise InvalidDefinition(
                self.called, problem, "Give a stage, 'latest', a number or a version name."
            )

    def execute(self, context: Context) -> Any:
        """
        Look, and wait where the version is not there.

        :raises AirflowSensorTimeout: when the time is over.
        """
        if not self.deferrable:
            return super().execute(context)
        with hopeless_fails_at_once():
            self._begin(context)
            found, why = self._look()
        if found is None:
            self._wait(datetime.now(UTC), why)
        return found

    def execute_complete(self, context: Context, event: Mapping[str, Any]) -> Any:
        """
        Look again when the trigger has fired, and wait on where it is gone again.

        :raises AirflowSensorTimeout: when the time is over.
        """
        with hopeless_fails_at_once():
            self._begin(context)
            found, why = self._look()
        since = datetime.fromisoformat(event["since"])
        waited = (datetime.now(UTC) - since).total_seconds()
        if found is None and (event["state"] == "timeout" or waited >= self.timeout):
            raise AirflowSensorTimeout(str(WaitTimedOut(repr(self._wanted()), waited, why, "timeout")))
        if found is None:
            self._wait(since, why)
        return found

    def poke(self, context: Context) -> PokeReturnValue:
        """Look once."""
        with hopeless_fails_at_once():
            self._begin(context)
            found, why = self._look()
        if found is None:
            self.log.info("%s", why)
        return PokeReturnValue(found is not None, found)

    def _wait(self, since: datetime, why: str) -> NoReturn:
        self.log.info("%s Waiting for it.", why)
        wanted = self._wanted()
        left = self.timeout - (datetime.now(UTC) - since).total_seconds()
        self.defer(
            trigger=ModelVersionTrigger.for_reference(
                wanted,
                ModelRegistryHook(wanted.conn_id).get_address(),
                since=since,
                seconds=self.timeout,
                **self._newer_than_for_trigger(wanted),
            ),
            method_name="execute_complete",
            timeout=timedelta(seconds=max(left, 0) + _GRACE),
        )

    def _look(self) -> tuple[Reference | None, str]:
        """Return a reference to the version, or why there is none; what is found is recorded."""
        wanted, least = self._wanted(), self._newer_than()
        self._refuse_triggering(wanted.selector)
        registry = self.resolver.workspace(wanted.conn_id).registry
        (found,) = registry.resolve([wanted], keep_missing=True)
        if found.version is None:
            return None, str(found.missing)
        if least is not None and found.version.number <= least:
            return None, f"{wanted!r} is {found.version}, which is not newer than version {least}."
        registry.record([found], self.resolver.attempt)
        self._used = found.version
        self.log.info("%r is %s", wanted, found.version)
        selector = Selector(SelectorKind.NUMBER, found.version.number)
        return Reference(wanted.model, selector, conn_id=wanted.conn_id), ""

    def _wanted(self) -> Reference:
        model, version = check_name("model", self.model), self.version
        if isinstance(version, Model):
            version = version.reference
        if isinstance(version, Reference) and version.selector.kind is SelectorKind.TEMPLATE:
            fields.check_same_model(self.called, model, version.model)
            text = self.render_template(str(version.selector), self._context)
            return Reference(
                model, fields.selector(self.called, model, text), conn_id=version.conn_id or self.conn_id
            )
        version = self._meant(model, version)
        return fields.reference(self.called, model, version, self.conn_id).but(pin="task", as_of=())

    def _newer_than(self) -> int | None:
        """Return the number that a version must exceed now: a stage may get another version while the task waits."""
        found = self._base()
        if found is None:
            value = self.newer_than.reference if isinstance(self.newer_than, Model) else self.newer_than
            return fields.number(self.called, "newer_than", self.model, self._meant(self.model, value))
        if found.selector.kind in _LASTING:
            try:
                (resolution,) = self.resolver.resolve([found])
            except (ModelNotFound, StageNotAssigned, VersionNotFound):
                return None  # none is there that it would have to be newer than
        else:
            (resolution,) = self.resolver.workspace(found.conn_id).registry.resolve(
                [found], keep_missing=True
            )
        return resolution.version.number if resolution.version is not None else None

    def _base(self) -> Reference | None:
        """Return the reference that a version must be newer than; None where it is told by a number."""
        found = self.newer_than.reference if isinstance(self.newer_than, Model) else self.newer_than
        if not isinstance(found, Reference) or found.selector.kind is SelectorKind.NUMBER:
            return None
        fields.check_same_model(self.called, self.model, found.model)
        return found.but(conn_id=found.conn_id or self.conn_id, pin="task", on_missing="fail")

    def _newer_than_for_trigger(self, wanted: Reference) -> dict[str, Any]:
        """What the trigger compares with: at each of its looks, where that can change."""
        base = self._base()
        if base is None or base.as_of or base.selector.kind in _LASTING or base.conn_id != wanted.conn_id:
            return {"newer_than": self._newer_than()}
        return {"newer_than_selector": str(base.selector), "newer_than_kind": base.selector.kind.value}
