"""Stages: one transaction per change, in one order for the whole registry (R27-R29)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Connection, Row, Select, select

from airflow_model_provider.exceptions import (
    NothingToRestore,
    StageConflict,
    StageOccupied,
    VersionNotFound,
)
from airflow_model_provider.limits import check_limit, check_number
from airflow_model_provider.references import UNSET
from airflow_model_provider.registry import promotion_sql as words
from airflow_model_provider.registry import tables
from airflow_model_provider.registry.catalog import find_model, model_not_found
from airflow_model_provider.registry.columns import as_time
from airflow_model_provider.registry.database import note_transaction, run, together
from airflow_model_provider.registry.entities import (
    RunKey,
    StageEvent,
    VersionState,
)
from airflow_model_provider.registry.events import (
    LastEvent,
    Line,
    last_by_task,
    last_event,
    select_events,
)
from airflow_model_provider.registry.rows import event_record, run_columns
from airflow_model_provider.registry.settling import check_ready
from airflow_model_provider.registry.versions import described_versions
from airflow_model_provider.selectors import ModelStages, check_name, check_stage

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from airflow_model_provider.registry.change import Change
    from airflow_model_provider.registry.database import Database
    from airflow_model_provider.registry.gating import Verdict
    from airflow_model_provider.registry.versions import Numbered

_version, _stage, _event = tables.version, tables.stage, tables.stage_event
_ALIVE = _version.c.state != VersionState.DELETED.value


class _NothingToDo(Exception):
    """Rolls the transaction back."""


class _DoneBefore(_NothingToDo):
    """The task that acts has done it, in another try."""

    def __init__(self, event: StageEvent) -> None:
        super().__init__(event)
        self.event = event


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
    number = check_number("version number", number)
    change.check()
    out = isinstance(stage, str) and stage == ModelStages.ARCHIVED
    stage = stage if out else check_stage(stage, declared)
    line = Line(model, stage)

    def work(connection: Connection, change: Change = change) -> StageEvent:
        asked = {"model": model, "number": number}
        statements = ((words.MODEL, asked), (words.CANDIDATE, asked), last_event(model, stage))
        locked, found, last = together(connection, *statements)
        turn = _Turn(connection, model, _locked(connection, model, locked), change)
        version = turn.candidate(number, found)
        return turn.archive(version, line) if out else turn.assign(version, stage, line.after(last))

    try:
        if not change.gates:
            return database.write(work, line.recall)
        return _gated(database, f"{model}@{number}", stage, declared, change, work, line.recall)
    except _DoneBefore as before:
        return before.event
    except _NothingToDo:
        return None


def _gated(
    database: Database,
    version: str,
    stage: str,
    declared: Sequence[str],
    change: Change,
    work: Callable[[Connection, Change], StageEvent],
    recall: Callable[[Connection], StageEvent],
) -> StageEvent:
    from airflow_model_provider.registry.gating import check_gates, with_callables

    check_gates(change.gates, stage, declared, change.ask)

    def attempt(verdict: Verdict | None) -> StageEvent:
        return database.write(lambda connection: work(connection, change._replace(verdict=verdict)), recall)

    return with_callables(version, stage, change.ask, attempt)


def promote_new(connection: Connection, made: Numbered, line: Line, change: Change) -> StageEvent:
    """
    Move a version that this very transaction has made into a stage that is declared, and end the transaction.

    :param made: with the rows of :func:`last_event`.
    :param line: recalls the event.
    :raises StageOccupied: as :func:`set_stage`.
    :raises StageConflict: as :func:`set_stage`.
    """
    version = made.version
    candidate = _Candidate(version.id, version.number, version.state, 0, version.created_at)
    turn = _Turn(connection, version.model, made.model_id, change)
    return turn.assign(candidate, line.stage, line.after(made.also[0]))


def rollback(
    database: Database, model: str, stage: str, declared: Sequence[str], change: Change, to: int | None
) -> StageEvent:
    """
    Give a stage back to the version that held it before the present one; again, to the one before that (R29).

    :param to: the number of the earlier holder that gets it back; None means the one before.
    :raises UnknownStage: if the stage is not declared.
    :raises NothingToRestore: naming the versions that held the stage and are still there.
    :raises StageConflict: if the holder is not the one expected.
    """
    check_name("model", model)
    stage = check_stage(stage, declared)
    change.check()
    if to is not None:
        to = check_number("version number", to)
    line = Line(model, stage)

    def work(connection: Connection) -> StageEvent:
        locked, last = together(connection, (words.MODEL, {"model": model}), last_event(model, stage))
        turn = _Turn(connection, model, _locked(connection, model, locked), change)
        return turn.restore(stage, to, line.after(last))

    try:
        return database.write(work, line.recall)
    except _DoneBefore as before:
        return before.event


def history(database: Database, model: str, stage: str | None, limit: int | None) -> list[StageEvent]:
    """
    Return the changes of a model's stages, newest first.

    :raises ModelNotFound: naming those that exist.
    """
    check_name("model", model)
    limit = check_limit(limit)
    query = select_events().where(tables.model.c.name == model, tables.model.c.deleted_at.is_(None))
    if stage is not None:
        query = query.where(_event.c.stage == check_name("stage", stage))
    query = query.order_by(_event.c.sequence.desc()).limit(limit)

    def work(connection: Connection) -> list[StageEvent]:
        found = [event_record(row) for row in connection.execute(query)]
        if not found and find_model(connection, model) is None:
            raise model_not_found(connection, model)
        return found

    return database.read(work)


def holders(database: Database, model: str | None = None) -> dict[str, dict[str, int]]:
    """Return the number of the version in each stage, by model and stage; of one model, or of all."""
    query = (
        select(tables.model.c.name, _stage.c.stage, _version.c.number)
        .join_from(_stage, _version, _version.c.id == _stage.c.version_id)
        .join(tables.model, tables.model.c.id == _stage.c.model_id)
        .where(tables.model.c.deleted_at.is_(None))
        .order_by(tables.model.c.name, _stage.c.stage)
    )
    if model is not None:
        query = query.where(tables.model.c.name == check_name("model", model))
    found: dict[str, dict[str, int]] = {}
    for name, stage, number in database.read(lambda connection: connection.execute(query).all()):
        found.setdefault(name, {})[stage] = number
    return found


def _locked(connection: Connection, model: str, rows: Sequence[Any]) -> int:
    """Return the id of a model whose row was asked for and is locked now."""
    if not rows:
        raise model_not_found(connection, model)
    model_id: int
    ((model_id, transaction),) = rows
    note_transaction(connection, transaction)
    return model_id


class _Turn:
    """
    One promotion's turn: while it lasts, no other changes a stage of the model.

    :param model_id: of the model, whose row is locked. What is read after that is what the turn before left (R27).
    """

    def __init__(self, connection: Connection, model: str, model_id: int, change: Change) -> None:
        self.connection, self.model, self.model_id, self.change = connection, model, model_id, change

    def assign(self, version: _Candidate, stage: str, last: LastEvent | None) -> StageEvent:
        """Make a version the holder of a stage."""
        held = last.number if last is not None else None
        if held == version.number:
            self._refuse_repetition(stage, held)
        self._check_change(stage, held)
        if held == version.number:
            raise _NothingToDo
        if held is not None and not self._may_replace(stage):
            raise StageOccupied(self.model, stage, held, version.number)
        self._check_ready(version)
        self._check_admitted(version, stage)
        if self.change.gates:
            self._ask_gates(version, stage)
        return self._write(_Move(stage, version, last, _behind(last)))

    def restore(self, stage: str, to: int | None, last: LastEvent | None) -> StageEvent:
        """Make an earlier holder of a stage its holder again."""
        self._refuse_repetition(stage, to, rollback=True)
        self._check_change(stage, last.number if last is not None else None)
        found = self._earlier(last, stage, to)
        if found is None:
            raise NothingToRestore(self.model, stage, to, self._holders(stage, last))
        asked = {"model": self.model, "number": found.number}
        version = self.candidate(found.number, run(self.connection, words.CANDIDATE, asked).all())
        self._check_admitted(version, stage)
        return self._write(_Move(stage, version, last, found.behind, found.sequence))

    def _refuse_repetition(self, stage: str, number: int | None, *, rollback: bool = False) -> None:
        """Stop where the task that acts has made the version (None: any) the holder, in another try (R31)."""
        attempt = self.change.attempt if self.change.once else None
        done = attempt and last_by_task(self.connection, self.model, stage, attempt)
        if done is None or (rollback and done.restores is None):
            return
        if number in (None, done.version):
            raise _DoneBefore(done)

    def archive(self, version: _Candidate, line: Line) -> StageEvent:
        """
        Take a version out of all its stages; nothing is written unless it may leave each.

        :param line: recalls the last of the events.
        """
        asked = {"model_id": self.model_id, "id": version.id}
        stages = run(self.connection, words.HELD, asked).scalars().all()
        if not stages:
            self._check_expected(ModelStages.ARCHIVED, None)
            raise _NothingToDo
        found = together(self.connection, *[last_event(self.model, stage) for stage in stages])
        for stage in stages:
            self._check_change(stage, version.number)
        line.stage = stages[-1]
        lasts = [line.after(rows) for rows in found]
        moves = zip(stages, lasts, strict=True)
        return self._write(*[_Move(stage, None, last, _behind(last)) for stage, last in moves])

    def candidate(self, number: int, rows: Sequence[Any]) -> _Candidate:
        """
        Return a version of the model, locked until commit.

        :param rows: what was found of this number.
        :raises VersionNotFound: naming those that exist.
        """
        found = _Candidate(*rows[0]) if rows else None
        if found is None or found.state == VersionState.DELETED.value:
            raise VersionNotFound(self.model, str(number), described_versions(self.connection, self.model_id))
        return found

    def _earlier(self, last: LastEvent | None, stage: str, to: int | None) -> Row[Any] | None:
        """The event that made the holder which a rollback gives the stage back to."""
        if to is not None:
            made = self._events(stage).where(_version.c.number == to, _ALIVE)
            found = self.connection.execute(made.order_by(_event.c.sequence.desc()).limit(1)).one_or_none()
            return None if found is None or last is None or last.number == to else found
        behind = None if last is None else last.behind
        while last is not None and behind is not None:
            query = self._events(stage).where(_event.c.sequence == behind)
            found = self.connection.execute(query).one()
            behind = found.behind
            if found.state != VersionState.DELETED.value and found.number not in (None, last.number):
                return found
        return None

    def _events(self, stage: str) -> Select[Any]:
        columns = (
            _event.c.sequence,
            _event.c.version_id,
            _event.c.behind,
            _version.c.number,
            _version.c.state,
        )
        at_stage = (_event.c.model_id == self.model_id) & (_event.c.stage == stage)
        return select(*columns).outerjoin(_version, _version.c.id == _event.c.version_id).where(at_stage)

    def _holders(self, stage: str, last: LastEvent | None) -> tuple[int, ...]:
        """The versions that have held a stage and could again."""
        now_holding = last.number if last is not None else None
        query = self._events(stage).where(_ALIVE, _version.c.number.is_distinct_from(now_holding))
        numbers = query.with_only_columns(_version.c.number).distinct().order_by(_version.c.number.desc())
        return tuple(self.connection.execute(numbers.limit(9)).scalars())

    def _check_change(self, stage: str, held: int | None) -> None:
        self.change.check_caller(self.model, stage)
        self._check_expected(stage, held)

    def _check_expected(self, stage: str, held: int | None) -> None:
        if self.change.expected is not UNSET and self.change.expected != held:
            raise StageConflict(self.model, stage, self.change.expected, held)

    def _may_replace(self, stage: str) -> bool:
        """Whether its holder is named, or the version is to be better than it, or it is to be replaced anyhow."""
        change = self.change
        if change.force or change.expected is not UNSET:
            return True
        return any(gate.better_than == stage for gate in change.gates)

    def _ask_gates(self, version: _Candidate, stage: str) -> None:
        from airflow_model_provider.registry.gating import Place, ask_gates

        candidate = (version.id, version.number)
        place = Place(self.connection, self.model, self.model_id, stage, version.seen, version.at, candidate)
        ask_gates(self.change.gates, place, self.change.verdict)

    def _check_ready(self, version: _Candidate) -> None:
        state, change = VersionState(version.state), self.change
        if state is VersionState.READY or (change.allow_incomplete and state is not VersionState.FAILED):
            return
        settled = change.settled

        def over() -> Collection[str]:
            return settled() if callable(settled) else settled

        label = f"{self.model}@{version.number}"
        check_ready(self.connection, label, version.id, state, change.attempt, over)

    def _check_admitted(self, version: _Candidate, stage: str) -> None:
        if self.change.admit is not None:
            from airflow_model_provider.registry.signatures import own_artifacts

            held = own_artifacts(self.connection, version.id)
            self.change.admit(f"{self.model}@{version.number}", stage, held)

    def _write(self, *moves: _Move) -> StageEvent:
        """
        Write events, and end the transaction; the database makes of them the stages' pointers and the seal (R24, R27).

        :return: the last event.
        """
        if self.change.dry_run:
            raise _NothingToDo
        change, attempt = self.change, self.change.attempt
        run_key, task_id = (attempt.run, attempt.task_id) if attempt else (None, None)
        asked = {
            "model_id": self.model_id,
            "who": change.who,
            "reason": change.reason,
            "quiet": change.is_quiet,
            "task_id": task_id,
            **dict.fromkeys(RunKey._fields),
            **run_columns(run_key),
        }
        events = [(words.EVENT, {**asked, **move.values}) for move in moves]
        ((sequence, at),) = together(self.connection, *events, last=True)[-1]
        stage, version, last, _, restores = moves[-1]
        return StageEvent(
            sequence,
            self.model,
            stage,
            version.number if version else None,
            last.number if last is not None else None,
            as_time(at),
            change.who,
            change.reason,
            run_key,
            task_id,
            restores,
            change.is_quiet,
        )


class _Candidate(NamedTuple):
    """
    A version that is to hold a stage, or to leave its stages; its row is locked.

    :param seen: the last event of the registry's history then; of the model, all of them are seen.
    :param at: when that was.
    """

    id: int
    number: int
    state: str
    seen: int
    at: Any


class _Move(NamedTuple):
    """
    A change of a stage that is to be written.

    :param version: its new holder, if any.
    :param last: the event before.
    :param behind: what a rollback goes back to from this one.
    :param restores: the event that a rollback went back to.
    """

    stage: str
    version: _Candidate | None
    last: LastEvent | None
    behind: int | None
    restores: int | None = None

    @property
    def values(self) -> dict[str, Any]:
        """What its row says of it alone."""
        return {
            "stage": self.stage,
            "version_id": self.version.id if self.version else None,
            "previous_version_id": self.last.version_id if self.last is not None else None,
            "behind": self.behind,
            "restores": self.restores,
        }


def _behind(last: LastEvent | None) -> int | None:
    """What a rollback goes back to from an event that follows this one: to it, unless it left the stage empty."""
    if last is None:
        return None
    found: int | None = last.sequence if last.version_id is not None else last.behind
    return found
