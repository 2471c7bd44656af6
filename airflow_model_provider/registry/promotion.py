"""Stages: one transaction per change, in one order for the whole registry (R27-R29)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Connection, Row, Select, delete, insert, select, update

from airflow_model_provider.exceptions import StageConflict, StageOccupied, VersionNotFound, VersionNotReady
from airflow_model_provider.references import UNSET
from airflow_model_provider.registry import tables
from airflow_model_provider.registry.catalog import find_model, model_not_found
from airflow_model_provider.registry.columns import now
from airflow_model_provider.registry.database import Database, insertion
from airflow_model_provider.registry.entities import Attempt, StageEvent, VersionRecord, VersionState
from airflow_model_provider.registry.producing import missing_producers
from airflow_model_provider.registry.rows import event_record, run_columns, select_versions, version_record
from airflow_model_provider.registry.versions import described_versions
from airflow_model_provider.selectors import ModelStages, check_name, check_stage

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from datetime import datetime

_version, _stage, _event = tables.version, tables.stage, tables.stage_event


class Change(NamedTuple):
    """
    What is asked of a stage, and by whom.

    :param force: replace another holder.
    :param expected: replace exactly this holder: its number, or None for a free stage.
    :param allow_incomplete: promote a version that is not ready.
    :param settled: tasks known to be done, so that their part is not waited for; a callable is asked when
        needed.
    """

    force: bool = False
    expected: Any = UNSET
    reason: str | None = None
    who: str | None = None
    attempt: Attempt | None = None
    allow_incomplete: bool = False
    settled: Collection[str] | Callable[[], Collection[str]] = ()


class _NothingToDo(Exception):
    """Rolls the transaction back, and with it the sequence number that was taken to get in line."""


def set_stage(
    database: Database, model: str, number: int, stage: str, declared: Sequence[str], change: Change
) -> StageEvent | None:
    """
    Move a version into a stage, or with ``archived`` out of all its stages.

    :return: the event (the last one, if it left several stages), or None if nothing had to change.
    :raises UnknownStage: if the stage is not declared.
    :raises StageOccupied: if another version holds it and neither ``force`` nor ``expected`` is given.
    :raises StageConflict: if the holder is not the one expected.
    :raises VersionNotReady: naming the tasks that have not committed.
    """
    check_name("model", model)
    out = stage == ModelStages.ARCHIVED
    stage = stage if out else check_stage(stage, declared)

    def work(connection: Connection) -> StageEvent:
        turn = _Turn(connection, model, number, change)
        return turn.archive() if out else turn.assign(stage)

    try:
        return database.write(work)
    except _NothingToDo:
        return None


def history(database: Database, model: str, stage: str | None, limit: int | None) -> list[StageEvent]:
    """
    Return the changes of a model's stages, newest first.

    :raises ModelNotFound: naming those that exist.
    """
    check_name("model", model)
    query = _select_events().where(tables.model.c.name == model, tables.model.c.deleted_at.is_(None))
    if stage is not None:
        query = query.where(_event.c.stage == stage)
    query = query.order_by(_event.c.sequence.desc()).limit(limit)

    def work(connection: Connection) -> list[StageEvent]:
        found = [event_record(row) for row in connection.execute(query)]
        if not found and find_model(connection, model) is None:
            raise model_not_found(connection, model)
        return found

    return database.read(work)


class _Turn:
    """One promotion's turn: while it lasts, no other changes any stage."""

    def __init__(self, connection: Connection, model: str, number: int, change: Change) -> None:
        self.connection, self.change = connection, change
        # Whoever holds this row is the only one; what is read after it is what the one before left (R27).
        self.sequence, self.at = self._next()
        row = find_model(connection, model)
        if row is None:
            raise model_not_found(connection, model)
        self.model_id = row.id
        self.version = self._candidate(model, number)

    def assign(self, stage: str) -> StageEvent:
        """Make the version the holder of a stage."""
        holder = self._holder(stage)
        self._check_holder(stage, holder)
        if holder is not None and holder.id == self.version.id:
            raise _NothingToDo
        if not self.change.allow_incomplete:
            self._check_ready()
        self._write_event(stage, self.version.id, holder)
        pointer = {"version_id": self.version.id, "sequence": self.sequence}
        assigned = insertion(self.connection, _stage).values(model_id=self.model_id, stage=stage, **pointer)
        keys = [_stage.c.model_id, _stage.c.stage]
        self.connection.execute(assigned.on_conflict_do_update(index_elements=keys, set_=pointer))
        self._update(self.version.id, archived=False)
        if holder is not None:
            self._archive_if_out(holder.id)
        self._seal()
        return self._written()

    def archive(self) -> StageEvent:
        """Take the version out of all its stages."""
        if not self.version.stages:
            raise _NothingToDo
        for index, stage in enumerate(self.version.stages):
            if index:
                self.sequence, self.at = self._next()
            holder = self._holder(stage)
            self._check_holder(stage, holder)
            self._write_event(stage, None, holder)
            at_stage = (_stage.c.model_id == self.model_id) & (_stage.c.stage == stage)
            self.connection.execute(delete(_stage).where(at_stage))
        self._update(self.version.id, archived=True)
        return self._written()

    def _next(self) -> tuple[int, datetime]:
        sequence, at = tables.registry.c.last_sequence, tables.registry.c.last_event_at
        line = (
            update(tables.registry)
            .values(last_sequence=sequence + 1, last_event_at=now(at))
            .returning(sequence, at)
        )
        row = self.connection.execute(line).one()
        return row.last_sequence, row.last_event_at

    def _candidate(self, model: str, number: int) -> VersionRecord:
        query = select_versions().where(_version.c.model_id == self.model_id, _version.c.number == number)
        row = self.connection.execute(query.with_for_update(of=_version)).one_or_none()
        if row is None or row.v_state == VersionState.DELETED.value:
            raise VersionNotFound(model, str(number), described_versions(self.connection, self.model_id))
        return version_record(row)

    def _holder(self, stage: str) -> Any:
        query = select(_version.c.id, _version.c.number).join(_stage, _stage.c.version_id == _version.c.id)
        at_stage = (_stage.c.model_id == self.model_id) & (_stage.c.stage == stage)
        return self.connection.execute(query.where(at_stage)).one_or_none()

    def _check_holder(self, stage: str, holder: Row[Any] | None) -> None:
        held, model = holder.number if holder is not None else None, self.version.model
        if self.change.expected is not UNSET:
            if self.change.expected != held:
                raise StageConflict(model, stage, self.change.expected, held)
        elif held not in (None, self.version.number) and not self.change.force:
            raise StageOccupied(model, stage, held, self.version.number)

    def _check_ready(self) -> None:
        if self.version.state is VersionState.READY:
            return
        unfinished = missing_producers(self.connection, self.version.id)
        settled = self.change.settled() if callable(self.change.settled) else self.change.settled
        missing = [
            task for task, state in unfinished if state == "failed" or task.partition("[")[0] not in settled
        ]
        if missing or not unfinished:
            raise VersionNotReady(str(self.version), self.version.state.value, tuple(missing))

    def _write_event(self, stage: str, version_id: int | None, holder: Row[Any] | None) -> None:
        attempt = self.change.attempt
        values = {
            "sequence": self.sequence,
            "model_id": self.model_id,
            "stage": stage,
            "version_id": version_id,
            "previous_version_id": holder.id if holder is not None else None,
            "at": self.at,
            "who": self.change.who,
            "reason": self.change.reason,
            "task_id": attempt.task_id if attempt else None,
            **run_columns(attempt.run if attempt else None),
        }
        self.connection.execute(insert(_event).values(values))

    def _written(self) -> StageEvent:
        query = _select_events().where(_event.c.sequence == self.sequence)
        return event_record(self.connection.execute(query).one())

    def _update(self, version_id: int, **values: Any) -> None:
        self.connection.execute(update(_version).where(_version.c.id == version_id).values(values))

    def _archive_if_out(self, version_id: int) -> None:
        held = select(_stage.c.stage).where(_stage.c.version_id == version_id).exists()
        self.connection.execute(
            update(_version).where(_version.c.id == version_id, ~held).values(archived=True)
        )

    def _seal(self) -> None:
        """What the version holds when it is first promoted never changes again (R24)."""
        if self.version.sealed_at is not None:
            return
        self._update(self.version.id, sealed_at=self.at)
        for table in (tables.link, tables.version_metadata):
            self.connection.execute(
                update(table).where(table.c.version_id == self.version.id).values(sealed=True)
            )


def _select_events() -> Select[Any]:
    before = _version.alias("before")
    columns = [_event.c[name] for name in ("sequence", "stage", "at", "who", "reason", "task_id", *_RUN)]
    numbers = (
        _version.c.number.label("number"),
        before.c.number.label("previous"),
        tables.model.c.name.label("model"),
    )
    return (
        select(*columns, *numbers)
        .join_from(_event, tables.model, tables.model.c.id == _event.c.model_id)
        .outerjoin(_version, _version.c.id == _event.c.version_id)
        .outerjoin(before, before.c.id == _event.c.previous_version_id)
    )


_RUN = ("deployment", "dag_id", "run_id")
