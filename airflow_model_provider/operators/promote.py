"""``ModelPromoteOperator``: a version comes into a stage, if it passes gates."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airflow_model_provider.exceptions import InvalidDefinition
from airflow_model_provider.gates import Gates
from airflow_model_provider.operators import fields
from airflow_model_provider.operators.base import RegistryTask, refused_softly
from airflow_model_provider.references import UNSET
from airflow_model_provider.selectors import check_name
from airflow_model_provider.task_context import hopeless_fails_at_once

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context


class PromotingTask(RegistryTask, BaseOperator):
    """
    What tasks that promote are given, and do when they may.

    :param require: this and all that follow are fields of one more gate, as of :meth:`ModelVersion.promote`; see
        :class:`Gates`.
    """

    force = False
    #: A function that is called must stand in the DAG file.
    parts_of_fields = dict.fromkeys({field.name for field in dataclasses.fields(Gates)} - {"check"}, "gates")

    def __init__(
        self,
        *,
        model: str,
        version: Any,
        stage: str,
        gates: Any = None,
        expected: Any = UNSET,
        reason: str | None = None,
        allow_incomplete: bool = False,
        start_dags: bool | None = None,
        conn_id: str | None = None,
        require: Any = None,
        better_than: Any = None,
        metric: Any = None,
        mode: Any = None,
        min_delta: Any = None,
        if_vacant: Any = None,
        artifacts: Any = None,
        metadata: Any = None,
        max_age: Any = None,
        min_age: Any = None,
        check: Any = None,
        soft: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.model, self.version, self.stage, self.start_dags = model, version, stage, start_dags
        self.gates = fields.gates_with(
            gates,
            require=require,
            better_than=better_than,
            metric=metric,
            mode=mode,
            min_delta=min_delta,
            if_vacant=if_vacant,
            artifacts=artifacts,
            metadata=metadata,
            max_age=max_age,
            min_age=min_age,
            check=check,
            soft=soft,
        )
        self.expected, self.reason, self.allow_incomplete = expected, reason, allow_incomplete
        self._set_up(conn_id)

    def _check_arguments(self) -> None:
        """
        Check what can be known; the gates become JSON.

        :raises UnknownStage: for a stage that is not declared.
        :raises InvalidDefinition: for gates that can't be asked, or a version of another model.
        """
        if self.version is None:
            advice = "Give a stage, 'latest', a number, or a version name."
            raise InvalidDefinition(self.called, "version=None names no version", advice)
        fields.check_fields(self.called, self.model, stage=self.stage, version=self.version)
        fields.check_numbers(self.called, self.model, expected=self.expected)
        self.gates = fields.gates_json(self.gates)

    def _promote(self, version: Any, expected: Any, person: str | None = None) -> dict[str, Any]:
        """
        Move a version into the stage.

        :param person: who has approved it.
        :raises AirflowSkipException: where only soft gates refuse it.
        """
        chosen = self._version(check_name("model", self.model), version, person)
        stage = fields.stage_of(self.stage)
        with refused_softly():
            event = chosen.set_stage(
                stage,
                self.force,
                expected=expected,
                reason=fields.text("reason", self.reason),
                allow_incomplete=self.allow_incomplete,
                gates=self._asked_gates(),
                start_dags=self.start_dags,
            )
        if event is not None:
            return fields.event_json(event)
        last = self.workspace.registry.last_event(self.model, stage)
        assert last is not None
        task: Any = self
        task.log.info("%s is %s already (event %d)", chosen, stage, last.sequence)
        return fields.event_json(last, changed=False)


class ModelPromoteOperator(PromotingTask):
    """
    Move a version of a model into a stage, in one transaction, if it passes gates.

    A refusal fails the task without burning its retries; where only soft gates refuse, the task is skipped. Trouble
    with the registry is retried as usual, and a retry writes no second event. The history names run and task.
    Returns the event as JSON, see :func:`fields.event_json`.

    :param model: the model's name (templated, as all that follow down to ``reason``).
    :param version: a stage, ``latest``, a number or a version name; a :class:`Model` or a reference; or what another
        task returned: a step's output, a version, the event of another promotion.
    :param stage: the stage.
    :param gates: what the version must show: :class:`Gates`, a mapping of their fields, or several of these.
    :param expected: replace exactly this holder: its number, or None for a free stage; needs no ``force``.
    :param reason: kept in the stage's history.
    :param force: replace another holder.
    :param allow_incomplete: promote a version that is not ready.
    :param start_dags: whether Dags that wait for the stage are started; None: unless a backfill promotes.
    :param conn_id: the connection of the registry; None means the default one.
    :param kwargs: ``require``, ``better_than`` and the other fields of one more gate, as of
        :meth:`ModelVersion.promote`; see :class:`Gates`.
    :raises UnknownStage: for a stage that is not declared.
    :raises InvalidDefinition: for gates that can't be asked.

    >>> ModelPromoteOperator(  # doctest: +SKIP
    ...     task_id="promote", model="iris_classifier", version="latest", stage="production",
    ...     gates=Gates(better_than="production", metric="accuracy"),
    ... )
    """

    template_fields: Sequence[str] = ("model", "version", "stage", "gates", "expected", "reason")

    def __init__(self, *, force: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.force = force

    def execute(self, context: Context) -> dict[str, Any]:
        """
        Promote.

        :raises AirflowSkipException: where only soft gates refuse the version.
        :raises AirflowFailException: where others do, the stage is held by another version than expected, or the
            configuration forbids it.
        """
        with hopeless_fails_at_once():
            self._begin(context)
            expected = self._expected_number(self.model, self.expected)
            return self._promote(self.version, expected)
