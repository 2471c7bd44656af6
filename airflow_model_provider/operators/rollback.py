"""``ModelRollbackOperator``: a stage goes back to an earlier holder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airflow_model_provider.operators import fields
from airflow_model_provider.operators.base import RegistryTask
from airflow_model_provider.references import UNSET
from airflow_model_provider.task_context import hopeless_fails_at_once

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context


class ModelRollbackOperator(RegistryTask, BaseOperator):
    """
    Give a stage back to the version that held it before the present one.

    A Dag run's task rolls back once: retried or cleared, it finds its own event in the history and changes nothing
    further. Another run goes one further back. Returns the event, see :func:`fields.event_json`.

    :param model: the model's name (templated).
    :param stage: the stage (templated).
    :param to: number of the earlier holder that gets it back (templated); None or an empty text means the one before.
    :param expected: only if this is the holder now (templated): a number, or None for a free stage.
    :param reason: kept in the stage's history (templated).
    :param conn_id: the connection of the registry; None means the default one.
    :raises UnknownStage: for a stage that is not declared.

    >>> ModelRollbackOperator(  # doctest: +SKIP
    ...     task_id="rollback", model="iris_classifier", stage="production", reason="{{ params.reason }}"
    ... )
    """

    template_fields: Sequence[str] = ("model", "stage", "to", "expected", "reason")

    def __init__(
        self,
        *,
        model: str,
        stage: str,
        to: Any = None,
        expected: Any = UNSET,
        reason: str | None = None,
        conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.model, self.stage, self.to = model, stage, to
        self.expected, self.reason = expected, reason
        self._set_up(conn_id)

    def _check_arguments(self) -> None:
        fields.check_fields(self.called, self.model, stage=self.stage)
        fields.check_numbers(self.called, self.model, to=self.to, expected=self.expected)

    def execute(self, context: Context) -> dict[str, Any]:
        """
        Roll back.

        :raises AirflowFailException: where no earlier holder is left, the holder is another than expected, or the
            configuration forbids it.
        """
        with hopeless_fails_at_once():
            self._begin(context)
            registry, attempt = self.workspace.registry, self.resolver.attempt
            event = registry.rollback(
                self.model,
                fields.stage_of(self.stage),
                to=fields.number(self.called, "to", self.model, self._meant(self.model, self.to)),
                expected=self._expected_number(self.model, self.expected),
                reason=fields.text("reason", self.reason),
                attempt=attempt,
                once=True,
            )
            self._used = (self.model, event.version)
        self.log.info("%s", event)
        return fields.event_json(event)
