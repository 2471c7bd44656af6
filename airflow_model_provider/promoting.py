"""What a version does to come into a stage: who asks, which gates, and the functions that these call (R28, R30)."""

from __future__ import annotations

import getpass
import logging
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from airflow_model_provider.exceptions import GateFailed, InvalidDefinition, VersionNotFound
from airflow_model_provider.exceptions.base import quoted
from airflow_model_provider.references import UNSET
from airflow_model_provider.selectors import ModelStages, Selector, SelectorKind

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from typing_extensions import Unpack

    from airflow_model_provider.gates import GateFields, Gates
    from airflow_model_provider.registry.entities import Attempt, StageEvent, VersionRecord
    from airflow_model_provider.workspace import Workspace


class Origin(NamedTuple):
    """
    Who acts: a task, or a user.

    :param settled: tasks that are known to be done: those before the one that acts.
    :param person: who has approved what the task does.
    :param conn_id: the connection of the registry in which it acts; None for the default one.
    :param once: the task does it once, in however many tries: a repetition gives the event of the first time.
    """

    attempt: Attempt | None = None
    settled: Collection[str] | Callable[[], Collection[str]] = ()
    person: str | None = None
    once: bool = False
    conn_id: str | None = None

    @property
    def who(self) -> str | None:
        """The user who acts, or has approved; None where a task acts by itself."""
        return self.person if self.attempt else _user()


NO_ORIGIN: Final = Origin()
log = logging.getLogger(__name__)


class Promotable:
    """
    A version that can come into a stage.

    :param workspace: the registry and store that hold it.
    :param record: its entry in the registry.
    :param origin: the task that acts through this handle, recorded with what it does.
    """

    def __init__(self, workspace: Workspace, record: VersionRecord, origin: Origin = NO_ORIGIN) -> None:
        self._workspace, self.record, self._origin = workspace, record, origin

    def set_stage(
        self,
        stage: ModelStages | str,
        force: bool = False,
        *,
        expected: int | Any | None = UNSET,
        reason: str | None = None,
        allow_incomplete: bool = False,
        gates: Any = None,
        start_dags: bool | None = None,
        dry_run: bool = False,
    ) -> StageEvent | None:
        """
        Move this version into a stage, in one transaction.

        :param stage: ``archived`` takes it out of all its stages, which are free then.
        :param force: replace another holder.
        :param expected: replace exactly this holder (its number, or None for a free stage); needs no
            ``force``.
        :param reason: kept in the stage's history.
        :param allow_incomplete: promote a version that is not ready.
        :param gates: what it must show: :class:`Gates`, a mapping of their fields, or several of these. They are asked
            in the same transaction, and not at all if it holds the stage already.
        :param start_dags: whether Dags that wait for the stage are started; None: unless a backfill promotes.
        :param dry_run: raise what would be raised now, and change nothing.
        :return: the event, or None if nothing was changed: the version held the stage already.
        :raises StageOccupied: if another version holds it and neither ``force`` nor ``expected`` is given, nor gates
            that compare it with that holder.
        :raises StageConflict: if the holder is not the one expected.
        :raises VersionNotReady: if tasks that declare outputs into it have not committed.
        :raises PromotionRefused: with the objections of all gates.

        >>> version.set_stage("production", force=True, reason="accuracy 0.97")  # doctest: +SKIP
        """
        stage = stage.value if isinstance(stage, ModelStages) else stage
        event = self._workspace.registry.set_stage(
            self.record.model,
            self.record.number,
            stage,
            force=force,
            expected=expected,
            reason=reason,
            who=self._origin.who,
            attempt=self._origin.attempt,
            allow_incomplete=allow_incomplete,
            settled=self._origin.settled,
            once=self._origin.once,
            quiet=None if start_dags is None else not start_dags,
            dry_run=dry_run,
            **({} if gates is None else self._gated(gates)),
        )
        if not dry_run:
            self._moved(stage, event)
        if event is not None and self._origin.attempt is not None:  # a task's log tells of it
            log.info("%s", event)
        return event

    def promote(
        self,
        stage: ModelStages | str,
        *,
        force: bool = False,
        expected: int | Any | None = UNSET,
        reason: str | None = None,
        allow_incomplete: bool = False,
        gates: Any = None,
        start_dags: bool | None = None,
        **fields: Unpack[GateFields],
    ) -> StageEvent | None:
        """
        Move this version into a stage if it passes gates. See :meth:`set_stage`, and :class:`Gates` for the fields.

        To be better than the holder of this very stage is the permission to replace it: no ``force`` is needed.

        :param gates: further gates.
        :raises PromotionRefused: with the objections of all gates.

        >>> version.promote(  # doctest: +SKIP
        ...     "production", require={"accuracy": ">= 0.95"}, better_than="production", metric="accuracy", mode="max"
        ... )
        """
        from airflow_model_provider.gates import Gates

        return self.set_stage(
            stage,
            force,
            expected=expected,
            reason=reason,
            allow_incomplete=allow_incomplete,
            gates=[*(Gates.of(fields) if fields else ()), *Gates.of(gates)],
            start_dags=start_dags,
        )

    def _gated(self, gates: Any) -> dict[str, Any]:
        from airflow_model_provider.gates import Gates

        chosen = Gates.of(gates)
        functions = {gate.check: function_of(gate.check) for gate in chosen if gate.check is not None}

        def ask(gate: Gates, number: int, holder: int | None) -> str | None:
            version = self._version(number)
            try:
                other = None if holder is None else self._version(holder)
            except VersionNotFound:  # it has left the stage and was deleted: another answer will be asked for
                return None
            return objection(str(gate.check), functions[str(gate.check)], version, other)

        return {"gates": chosen, "ask": ask}

    def _version(self, number: int) -> Self:
        record = self._workspace.registry.get_version(
            self.record.model, Selector(SelectorKind.NUMBER, number)
        )
        return type(self)(self._workspace, record, self._origin)

    def _moved(self, stage: str, event: StageEvent | None) -> None:
        """Note a change of stage that is done: reading it again could fail, and would look as if it were not."""
        held, out = self.record.stages, stage == ModelStages.ARCHIVED
        self.record = self.record._replace(
            stages=() if out else held if stage in held else (*held, stage),
            sealed_at=self.record.sealed_at or (event.at if event and not out else None),
        )


def function_of(path: str) -> Callable[..., Any]:
    """
    Import the function of a gate's ``check``.

    :raises InvalidDefinition: if it can't be imported, or called.
    """
    import importlib

    module, _, name = path.partition(":") if ":" in path else path.rpartition(".")
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except Exception as err:  # whatever a module raises
        reason = f"it cannot be imported ({type(err).__name__}: {err})"
        raise InvalidDefinition(f"gates: check={path!r}", reason, "Name a function that is there.") from err
    if not callable(found):
        raise InvalidDefinition(f"gates: check={path!r}", f"{quoted(found)} cannot be called")
    return found  # type: ignore[no-any-return]


def objection(path: str, function: Callable[..., Any], version: object, holder: object) -> str | None:
    """
    Return what the function of a gate's ``check`` objects to a version; None if it passes.

    :raises GateFailed: if it raises, or returns what is no answer.
    """
    try:
        answer = function(version, holder)
    except Exception as err:
        raise GateFailed(path, str(version), f"{type(err).__name__}: {err}") from err
    if getattr(answer, "shape", None) == () and hasattr(answer, "item"):
        answer = answer.item()  # a comparison of NumPy's numbers
    if answer is None or answer is True:
        return None
    if answer is False:
        return f"check {path} refuses {version}"
    if isinstance(answer, str):
        return f"check {path} refuses {version}: {answer}"
    raise GateFailed(path, str(version), f"it returned {quoted(answer)}")


def _user() -> str | None:
    try:
        return getpass.getuser().encode(errors="replace").decode()
    except (KeyError, OSError):
        return None
