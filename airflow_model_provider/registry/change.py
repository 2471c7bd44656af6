"""What is asked of a stage, and by whom (R28, R42)."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_model_provider.exceptions import StageProtected
from airflow_model_provider.limits import check_number, check_text
from airflow_model_provider.references import UNSET
from airflow_model_provider.registry.entities import NOTHING, Attempt

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from airflow_model_provider.gates import Gates
    from airflow_model_provider.registry.entities import ArtifactRecord
    from airflow_model_provider.registry.gating import Verdict


class Change(NamedTuple):
    """
    What is asked of a stage, and by whom.

    :param force: replace another holder.
    :param expected: replace exactly this holder: its number, or None for a free stage.
    :param allow_incomplete: promote a version that is not ready.
    :param settled: tasks known to be done, so that their part is not waited for; a callable is asked when
        needed.
    :param protected: who may change a stage, where not everybody may.
    :param roles: Airflow's roles of the user, where they are known.
    :param quiet: start no Dags that wait for the stage; None means that only a backfill starts none.
    :param gates: what the version must show (R30).
    :param ask: calls a gate's function, with numbers of the version and of a holder; gives its objection.
    :param verdict: what those functions have said.
    :param once: where this task of this Dag run has made that change already, give its event.
    :param admit: refuses a version of whose artifacts consumers could not load some.
    :param dry_run: refuse what would be refused, and change nothing.
    """

    force: bool = False
    expected: Any = UNSET
    reason: str | None = None
    who: str | None = None
    attempt: Attempt | None = None
    allow_incomplete: bool = False
    settled: Collection[str] | Callable[[], Collection[str]] = ()
    protected: Mapping[str, Sequence[str]] = NOTHING
    roles: Sequence[str] = ()
    gates: Sequence[Gates] = ()
    ask: Callable[[Gates, int, int | None], str | None] | None = None
    verdict: Verdict | None = None
    once: bool = False
    quiet: bool | None = None
    dry_run: bool = False
    admit: Callable[[str, str, Sequence[ArtifactRecord]], None] | None = None

    @property
    def is_quiet(self) -> bool:
        """Whether no Dags are started; runs of a backfill are known by their names, as in Airflow."""
        if self.quiet is not None or self.attempt is None:
            return bool(self.quiet)
        return self.attempt.run.run_id.startswith("backfill__")

    def check(self) -> None:
        """
        Refuse what can't be kept, or compared.

        :raises InvalidDefinition: for a reason or a caller that is no text.
        :raises InvalidName: for a holder that is no number.
        """
        if self.reason is not None:
            check_text("reason", self.reason)
        if self.who is not None:
            check_text("who", self.who)
        if self.expected is not UNSET and self.expected is not None:
            check_number("version number", self.expected)

    def check_caller(self, model: str, stage: str) -> None:
        """
        Refuse a caller whom the configuration doesn't let change a stage (R42).

        :raises StageProtected: naming the rule.
        """
        allowed = self.protected.get(stage)
        if allowed is None:
            return
        users = [] if self.who is None else [f"user:{self.who}"]
        callers = [*users, *(f"role:{role}" for role in self.roles)]
        if self.attempt:
            callers = [f"dag:{self.attempt.run.dag_id}"]
        if not any(fnmatchcase(caller, pattern) for caller in callers for pattern in allowed):
            raise StageProtected(
                model, stage, ", ".join(callers) or "nobody known", f"{stage} = {', '.join(allowed)}"
            )
