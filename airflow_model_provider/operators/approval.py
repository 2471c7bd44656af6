"""``ModelApprovalOperator``: a person decides whether a version comes into a stage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from airflow.providers.standard.exceptions import HITLRejectException, HITLTimeoutError
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk.bases.xcom import BaseXCom
from airflow.sdk.exceptions import AirflowFailException, DownstreamTasksSkipped, TaskAwaitingInput

from airflow_model_provider.exceptions import ModelRegistryError, StageConflict
from airflow_model_provider.operators import fields
from airflow_model_provider.operators.base import refused_softly
from airflow_model_provider.operators.comparison import comparison
from airflow_model_provider.operators.promote import PromotingTask
from airflow_model_provider.references import UNSET
from airflow_model_provider.selectors import Selector, check_name
from airflow_model_provider.task_context import hopeless_fails_at_once

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Context

    from airflow_model_provider.handles import ModelVersion

#: Under this key the task's state store keeps an approval until the promotion is done: a retry need not ask again.
_APPROVAL = "model_approval"


class Approval(NamedTuple):
    """What a person has approved: this version, in place of this holder (None: of nobody), by whom and why."""

    number: int
    holder: int | None
    person: str | None = None
    reason: str | None = None


class ModelApprovalOperator(PromotingTask, ApprovalOperator):
    """
    Ask a person whether a version is to come into a stage, and promote it where the answer is Approve.

    Nobody is asked about a version that gates, the configuration or an unfinished task would refuse. The request shows
    the metadata of candidate and holder side by side. While it waits, the task holds no worker and no triggerer. What
    is promoted is exactly what the person saw: if another version has come into the stage meanwhile,
    the task fails, and so it does where a gate refuses then. The history names the person. After Reject or a time-out
    nothing is changed: Reject skips what comes after, as :class:`ApprovalOperator` does, or fails the task with
    ``fail_on_reject``; a time-out fails it; neither is retried. If the version holds the stage already, nobody is
    asked.
    Returns the event as JSON, see :func:`fields.event_json`.

    :param model: the model's name (templated, as all that follow down to ``body``).
    :param version: the candidate, as in :class:`ModelPromoteOperator`.
    :param stage: the stage.
    :param gates: what the version must show besides: before a person is asked, and again when it is promoted.
    :param expected: ask only if this is the holder: its number, or None for a free stage.
    :param reason: kept in the stage's history, unless the form has a field ``reason`` (``params``) that is filled in.
    :param subject: the request's headline; None means ``Promote iris@3 to production?``.
    :param body: Markdown above the comparison.
    :param allow_incomplete: promote a version that is not ready.
    :param start_dags: whether Dags that wait for the stage are started; None: unless a backfill promotes.
    :param conn_id: the connection of the registry; None means the default one.
    :param kwargs: ``require``, ``better_than`` and the other fields of one more gate, as of
        :meth:`ModelVersion.promote`; see :class:`Gates`. Also those of :class:`ApprovalOperator`:
        ``response_timeout`` (``execution_timeout`` by itself means that too), ``assigned_users``, ``notifiers``,
        ``params``, ``fail_on_reject``.
    :raises UnknownStage: for a stage that is not declared.

    >>> ModelApprovalOperator(  # doctest: +SKIP
    ...     task_id="approve", model="iris_classifier", version="staging", stage="production",
    ...     response_timeout=timedelta(days=2),
    ... )
    """

    template_fields: Sequence[str] = (
        *("model", "version", "stage", "gates", "expected", "reason"),
        *("subject", "body"),
    )

    def __init__(self, *, subject: str | None = None, body: str | None = None, **kwargs: Any) -> None:
        if kwargs.get("execution_timeout") and not kwargs.get("response_timeout"):
            kwargs["response_timeout"] = kwargs.pop("execution_timeout")
        super().__init__(subject=subject or "", body=body, **kwargs)

    def execute(self, context: Context) -> dict[str, Any]:
        """
        Ask; or promote what a person has approved in an earlier try of the task.

        :raises AirflowSkipException: where only soft gates refuse the version.
        :raises AirflowFailException: where the promotion would be refused, or the stage is held by another version than
            expected.
        """
        with hopeless_fails_at_once():
            self._begin(context)
            known = self._store.get(_APPROVAL)
            if isinstance(known, dict):
                return self._act(Approval(**known))
            candidate = self._version(check_name("model", self.model), self.version)
            stage = fields.stage_of(self.stage)
            holder = self.workspace.registry.holders(self.model).get(self.model, {}).get(stage)
            if holder == candidate.number:
                return self._promote(candidate.number, UNSET)
            expected = self._expected_number(self.model, self.expected)
            if expected is not UNSET and expected != holder:
                raise StageConflict(self.model, stage, expected, holder)
            self._rehearse(candidate, stage, holder)
            self._describe(candidate, stage, holder)
        return self._ask(context, candidate.number, holder)

    def execute_complete(
        self, context: Context, event: dict[str, Any], number: int = 0, holder: int | None = None
    ) -> dict[str, Any]:
        """
        Do what the person has decided.

        :param number: of the version that was shown.
        :param holder: of the version that held the stage then; None if it was free.
        :raises AirflowFailException: after a time-out, after Reject with ``fail_on_reject``, and where the promotion is
            refused.
        """
        try:
            answer = super().execute_complete(context, event)
        except DownstreamTasksSkipped:
            # So Airflow goes on after Reject, and nothing is returned then.
            if self.do_xcom_push:
                context["ti"].xcom_push(key=BaseXCom.XCOM_RETURN_KEY, value=self._rejected(event, number))
            raise
        except HITLTimeoutError as err:
            raise AirflowFailException(
                f"Nobody has decided within {self.response_timeout} whether {self.model}@{number} is to come into "
                f"{self.stage!r}; nothing was changed. Clear the task to ask again."
            ) from err
        except HITLRejectException as err:
            raise AirflowFailException(
                f"{_person(event) or 'Nobody'} has rejected {self.model}@{number} for {self.stage!r}."
            ) from err
        if answer["chosen_options"] != [self.APPROVE]:
            return self._rejected(event, number)
        with hopeless_fails_at_once():
            self._begin(context)
            said = (answer["params_input"] or {}).get("reason")
            approval = Approval(number, holder, _person(event), said if isinstance(said, str) else None)
            self._store.set(_APPROVAL, approval._asdict())
            return self._act(approval)

    def _rejected(self, event: Mapping[str, Any], number: int) -> dict[str, Any]:
        self.log.info("%s has rejected %s@%d", _person(event), self.model, number)
        return {"model": self.model, "stage": self.stage, "changed": False, "rejected_by": _person(event)}

    def _act(self, approval: Approval) -> dict[str, Any]:
        """Promote what was approved; the approval is used up, unless the registry did not answer."""
        if approval.reason:
            self.reason = approval.reason
        used_up = True
        try:
            return self._approved(approval)
        except ModelRegistryError as err:
            used_up = not err.transient
            raise
        finally:
            if used_up:
                self._store.delete(_APPROVAL)

    def _approved(self, approval: Approval) -> dict[str, Any]:
        try:
            return self._promote(approval.number, approval.holder, approval.person)
        except StageConflict as err:
            if err.holder != approval.number:
                raise
        # somebody else has done the same meanwhile
        return self._promote(approval.number, UNSET, approval.person)

    def _ask(self, context: Context, number: int, holder: int | None) -> NoReturn:
        try:
            super().execute(context)
        except TaskAwaitingInput as asked:
            shown = {"number": number, "holder": holder}
            raise TaskAwaitingInput(
                method_name="execute_complete", kwargs=shown, timeout=asked.timeout
            ) from None
        raise AssertionError("Airflow has asked nobody")

    def _rehearse(self, candidate: ModelVersion, stage: str, holder: int | None) -> None:
        """Refuse at once what would be refused when the person has approved: nobody is asked in vain."""
        with refused_softly():
            candidate.set_stage(
                stage,
                expected=holder,
                allow_incomplete=self.allow_incomplete,
                gates=self._asked_gates(),
                dry_run=True,
            )

    def _describe(self, candidate: ModelVersion, stage: str, holder: int | None) -> None:
        registry = self.workspace.registry
        now = None if holder is None else registry.get_version(self.model, Selector.parse(holder))
        table = comparison(
            stage,
            (candidate.record, registry.get_metadata(candidate.id)),
            None if now is None else (now, registry.get_metadata(now.id)),
        )
        self.subject = self.subject or f"Promote {candidate} to {stage}?"
        self.body = f"{self.body}\n\n{table}" if self.body else table

    @property
    def _store(self) -> Any:
        return self._context["task_state_store"]


def _person(event: Mapping[str, Any]) -> str | None:
    """Who has answered; None where the defaults did."""
    user = event.get("responded_by_user") or {}
    name = user.get("name") or user.get("id")
    return None if name is None else str(name)
