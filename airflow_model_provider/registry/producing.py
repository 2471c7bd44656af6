"""A version in the making: one per Dag run and model, ready when all its producers have committed (R23-R25)."""

from __future__ import annotations

import logging
from itertools import chain, count
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Row, insert, select

from airflow_model_provider.limits import check_id
from airflow_model_provider.registry import tables
from airflow_model_provider.registry.carrying import carry_over, is_in_seal
from airflow_model_provider.registry.catalog import complete_card, locked_model
from airflow_model_provider.registry.entities import (
    COMMITTED,
    PENDING,
    SKIPPED,
    RunKey,
    VersionRecord,
    VersionState,
    place_of,
    task_of,
)
from airflow_model_provider.registry.pins import is_newer_run, take_over_run
from airflow_model_provider.registry.rows import run_columns, select_versions, version_record
from airflow_model_provider.registry.settling import (
    become,
    close_producers,
    forget_missing,
    producer_rows,
    reopen_version,
)
from airflow_model_provider.registry.versions import NewVersion, add_version, read_version, version_label
from airflow_model_provider.selectors import check_name

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from datetime import datetime

    from airflow_model_provider.registry.database import Database

    Producers = Mapping[str, bool] | Callable[[], Mapping[str, bool]]
    Again = Callable[[], Collection[str]]
log = logging.getLogger(__name__)
#: Characters of a name that has a number behind it.
_STEM = 90
_version, _producer, _run_version = tables.version, tables.producer, tables.run_version


def version_for_run(
    database: Database,
    model: str,
    run: RunKey,
    *,
    producer: str,
    producers: Producers,
    new: NewVersion,
    again: Again = tuple,
    running: Again = tuple,
    passed_over: Again = tuple,
    is_first_try: bool = True,
) -> VersionRecord:
    """
    Return the version that a Dag run makes of a model; the first task that asks makes it.

    A version that was promoted with a part in it that is made anew, by this task or another one of a cleared run,
    stays as it is: the run gets another one, which takes over what that one holds of the tasks that do not run again.

    :param producer: the task that asks.
    :param producers: the tasks that a new version waits for, and whether each declares outputs; asked only when one is
        made.
    :param new: what is said of a new one; its name gets a number behind it if another version has it.
    :param again: the tasks that are to run, or running; asked only of a run that may have been cleared.
    :param running: those of them that Airflow calls running. What one has said before Airflow was asked holds: Airflow
        does not know yet that it is over, or it has not begun yet, and says so itself when it does.
    :param passed_over: the tasks that Airflow has skipped, or failed because of others: in a cleared run, what they
        have made before is not of it. Asked only of such a run, in which a task is to come that closes the version.
    :param is_first_try: whether the task has not begun before; one that was killed had said nothing.
    :raises DeploymentClash: if another Airflow's run of the same name has made one.
    """
    check_name("model", model)

    waiting: set[str] = set()
    seen: dict[str, datetime] = {}

    def look(connection: Connection) -> _Found:
        return _found(connection, model, run, producer, new.run_mark, waiting, producers)

    found = database.read(look)
    if found.is_newer:
        take_over_run(database, run, new.run_mark)
    if found.may_be_cleared:
        # Before Airflow is asked: what is settled later is of this time.
        parts_before = _parts(database, found)
        seen = {row.task_id: row.at for row in parts_before}
        waiting |= _runs_again(producer, again, running, parts_before)
        waiting |= _made_of(parts_before, set(passed_over())) if waiting else set()
        found = database.read(look) if waiting and found.is_sealed else found
    if found.row is not None and not found.is_used_up:
        record = version_record(found.row)
        if found.is_sealed or (is_first_try and not found.may_be_cleared):
            return record
        to_run = {producer, *waiting} if found.may_be_cleared else again()
        state = reopen_version(database, record.id, to_run, _asked(producers), seen=seen)
        return record._replace(state=state)
    there = _asked(producers)
    parts = _still_to_run(there, waiting) if waiting and not found.is_deleted else there
    parts = {check_id("task_id", task): declares for task, declares in parts.items()} or {producer: True}
    new = new._replace(state=VersionState.PRODUCING, run=run, producers=parts)

    changed: list[str] = []

    def work(connection: Connection) -> VersionRecord:
        row = locked_model(connection, model, new.card, create=True)
        model_id, changed[:] = row.id, complete_card(connection, row, new.card)
        found = look(connection)
        if found.row is not None and not found.is_used_up:
            return version_record(found.row)
        generation = 0 if found.row is None else found.row.generation + 1
        name = new.name and _free_name(connection, model_id, new.name)
        version = add_version(connection, model, new._replace(name=name)).version
        _leave_behind(connection, found, version.id, run, waiting)
        if waiting:
            forget_missing(connection, version.id, there)
        keys = {"version_id": version.id, "model_id": model_id, "generation": generation}
        keys["run_mark"] = new.run_mark
        connection.execute(insert(_run_version).values(**keys, **run_columns(run)))
        return version

    version = database.write(work)
    if changed:
        log.info("Updated model %s: %s", model, ", ".join(changed))
    return version


def _asked(producers: Producers) -> dict[str, bool]:
    return dict(producers() if callable(producers) else producers)


def _leave_behind(
    connection: Connection, found: _Found, version_id: int, run: RunKey, waiting: Collection[str]
) -> None:
    """End the making of the version before, if there is one, of which the next one takes over what is not made anew."""
    if found.row is None or found.is_deleted:
        return
    if waiting:
        carry_over(connection, found.row.v_id, version_id, run, waiting)
    close_producers(connection, found.row.v_id, {})


def _runs_again(producer: str, again: Again, running: Again, rows: Sequence[Row[Any]]) -> set[str]:
    """The parts of a cleared run that are made anew; none where only the task that asks is known to run."""
    waiting = set(again())
    if not waiting:
        return waiting
    have_said = {row.task_id for row in rows if row.state != PENDING}
    return {producer, *(waiting - have_said.intersection(running()))}


def _parts(database: Database, found: _Found) -> list[Row[Any]]:
    """The parts of the version that was found."""
    assert found.row is not None
    version_id = found.row.v_id
    return database.read(lambda connection: producer_rows(connection, version_id))


def _made_of(rows: Sequence[Row[Any]], parts: Collection[str]) -> set[str]:
    """Those of some tasks, and instances, that have made their part; a mapped task if no other instance of it has."""
    made = {row.task_id for row in rows if row.state == COMMITTED}
    found = {part for part in made if part in parts or task_of(part) in parts}
    others = {row.task_id for row in rows if row.state != SKIPPED and place_of(row.task_id)[1] >= 0} - found
    return found | made.intersection(map(task_of, found)).difference(map(task_of, others))


def _replaced(
    connection: Connection, version_id: int, waiting: Collection[str], producers: Collection[str]
) -> set[str]:
    """The tasks that are gone from the Dag, if others run that have come into it: these may stand in their place."""
    known = {task_of(row.task_id) for row in producer_rows(connection, version_id)}
    has_new = any(task_of(part) in producers and task_of(part) not in known for part in waiting)
    return known.difference(producers) if has_new else set()


def _still_to_run(parts: Mapping[str, bool], waiting: Collection[str]) -> dict[str, bool]:
    """The parts that a further version of a cleared run waits for: the others are taken over from the one before."""
    return {task: declares for task in waiting if (declares := parts.get(task_of(task))) is not None}


def _free_name(connection: Connection, model_id: int, name: str) -> str:
    """Return a name that no version has: runs of one day may make the same of their template (R26)."""
    like = _version.c.name.startswith(name[:_STEM], autoescape=True)
    taken = set(
        connection.execute(select(_version.c.name).where(_version.c.model_id == model_id, like)).scalars()
    )
    numbered = (f"{name[:_STEM]}-{number}" for number in count(2))
    return next(free for free in chain([name], numbered) if free not in taken)


def made_in_run(database: Database, model: str, run: RunKey, parts: Collection[str]) -> list[str]:
    """
    Return, of some tasks and mapped instances, those that have made their part of a Dag run's version.

    :param parts: a mapped task stands for all its instances.
    """

    def work(connection: Connection) -> list[str]:
        row = _newest(connection, model, run, "")
        if row is None or row.v_state == VersionState.DELETED.value:
            return []
        return sorted(_made_of(producer_rows(connection, row.v_id), parts))

    return database.read(work) if parts else []


def awaiting_version(database: Database, model: str, run: RunKey, producer: str) -> VersionRecord | None:
    """Return the version of a Dag run, if it still waits for a task; else None."""
    row = database.read(lambda connection: _newest(connection, model, run, producer))
    if row is None or row.v_state == VersionState.DELETED.value or row.mine not in (None, PENDING):
        return None
    return version_record(row)


def finish_version(database: Database, version_id: int, state: VersionState) -> None:
    """
    End the making of a version that waits for no tasks; harmless to repeat.

    :raises VersionNotFound: if the version was deleted meanwhile.
    """

    def work(connection: Connection) -> None:
        if not become(connection, version_id, state):
            version_label(connection, version_id)

    database.repeat(work)


def close_run_version(
    database: Database, model: str, run: RunKey, outcomes: Mapping[str, str] | None = None
) -> VersionRecord | None:
    """
    End the making of the version of a Dag run whose tasks are all over.

    :param outcomes: what became of tasks and mapped instances; what is pending and not named was skipped.
    :return: the version: ready, or failed where a producer failed or none committed; None if the run made
        none.
    """

    def work(connection: Connection) -> VersionRecord | None:
        found = _newest(connection, model, run, "")
        if found is None or found.v_state == VersionState.DELETED.value:
            return None
        version_label(connection, found.v_id, lock=True)
        close_producers(connection, found.v_id, outcomes or {})
        return read_version(connection, _version.c.id == found.v_id)

    check_name("model", model)
    return database.write(work)


class _Found(NamedTuple):
    """The newest version of a run: whether the run needs another one, and whether it goes on in another's place."""

    row: Row[Any] | None
    is_used_up: bool = False
    is_newer: bool = False

    @property
    def is_deleted(self) -> bool:
        return self.row is not None and self.row.v_state == VersionState.DELETED.value

    @property
    def is_sealed(self) -> bool:
        return self.row is not None and self.row.v_sealed_at is not None

    @property
    def may_be_cleared(self) -> bool:
        """Whether the task that asks has had its turn, or has come into the Dag since the version was made."""
        if self.row is None or self.is_deleted or self.row.mine == PENDING:
            return False
        # What an instance says of itself comes before what was said of the whole task.
        return self.row.mine is not None or self.is_sealed or self.row.whole != PENDING


def _found(
    connection: Connection,
    model: str,
    run: RunKey,
    producer: str,
    mark: str | None,
    waiting: Collection[str],
    producers: Producers,
) -> _Found:
    row = _newest(connection, model, run, producer)
    if row is None:
        return _Found(None)
    is_newer = is_newer_run(connection, run, mark, row.run_mark)
    is_used_up = row.v_state == VersionState.DELETED.value
    if not is_used_up and (waiting or row.mine == COMMITTED):
        parts = {producer, *waiting}
        if waiting and row.v_sealed_at is not None:
            parts |= _replaced(connection, row.v_id, waiting, _asked(producers))
        is_used_up = is_in_seal(connection, row.v_id, row.v_sealed_at, run, parts)
    return _Found(row, is_used_up, is_newer)


def _newest(connection: Connection, model: str, run: RunKey, producer: str) -> Row[Any] | None:
    part = (_producer.c.version_id == _version.c.id) & (_producer.c.task_id == producer)
    other = _producer.alias("other")
    is_whole = (other.c.version_id == _version.c.id) & (other.c.task_id == task_of(producer))
    condition: list[ColumnElement[bool]] = [
        _run_version.c[key] == value for key, value in run_columns(run).items()
    ]
    query = (
        select_versions(
            _run_version.c.generation,
            _run_version.c.run_mark,
            _producer.c.state.label("mine"),
            other.c.state.label("whole"),
        )
        .join(_run_version, _run_version.c.version_id == _version.c.id)
        .outerjoin(_producer, part)
        .outerjoin(other, is_whole)
        .where(tables.model.c.name == model, *condition)
        .order_by(_run_version.c.generation.desc())
        .limit(1)
    )
    return connection.execute(query).one_or_none()
