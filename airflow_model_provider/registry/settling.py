"""What becomes of a version in the making: its tasks settle their parts, and its state follows from these."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Connection, Row, and_, bindparam, delete, select, update

from airflow_model_provider.exceptions import VersionNotReady
from airflow_model_provider.registry import tables
from airflow_model_provider.registry.carrying import is_among, newer_version, take_along
from airflow_model_provider.registry.columns import now
from airflow_model_provider.registry.database import Database, insertion
from airflow_model_provider.registry.database import run as execute
from airflow_model_provider.registry.entities import (
    COMMITTED,
    ENDED,
    FAILED,
    PENDING,
    REMOVED,
    SKIPPED,
    RunKey,
    VersionState,
    place_of,
    task_of,
)
from airflow_model_provider.registry.versions import is_made_in, version_label

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from datetime import datetime

    from airflow_model_provider.registry.entities import Attempt

log = logging.getLogger(__name__)
_version, _producer = tables.version, tables.producer


def settle_producer(
    database: Database,
    version_id: int,
    producer: str,
    state: str,
    *,
    declares: bool = True,
    stopped: Collection[str] = (),
) -> VersionState:
    """
    Note what became of a task's part of a version; harmless to repeat.

    :param state: ``committed``, ``failed`` or ``skipped``; ``pending`` if the task is to run again.
    :param declares: whether the task declares outputs.
    :param stopped: tasks that can no longer run because of this one; of these, those that are pending share its state.
    :raises VersionNotFound: if the version was deleted meanwhile.
    """

    def work(connection: Connection) -> VersionState:
        version_label(connection, version_id, lock=True)
        found = _settled(connection, version_id, part)
        if found is None:
            _settle_in_newer(connection, version_id, part)
        return found or VersionState.READY

    part = _Part(producer, state, declares, stopped)
    return database.write(work)


class _Part(NamedTuple):
    """What became of a task's part of a version: see :func:`settle_producer`."""

    producer: str
    state: str
    declares: bool
    stopped: Collection[str]


def _settled(connection: Connection, version_id: int, part: _Part) -> VersionState | None:
    """Settle a part; return the version's state, or None if that does not change any more."""
    _put(connection, version_id, {part.producer: part.state}, declares=part.declares)
    if part.state == SKIPPED:
        _drop_outputs(connection, version_id, part.producer, declared=True)
    if part.stopped:
        rows = producer_rows(connection, version_id)
        pending = [row.task_id for row in rows if row.state == PENDING]
        stopped = [name for name in pending if is_among(*place_of(name), part.stopped)]
        change_pending(connection, version_id, dict.fromkeys(stopped, part.state))
    return _changed(connection, version_id)


def _settle_in_newer(connection: Connection, version_id: int, part: _Part) -> None:
    """
    Settle a part in the further version of a cleared run, too, if that waits for it.

    The task went on with the version before: it began when none knew yet that the run needs another one.
    """
    found = newer_version(connection, version_id)
    if found is None:
        return
    newer, run = found
    version_label(connection, newer, lock=True)
    pending = {row.task_id for row in producer_rows(connection, newer) if row.state == PENDING}
    if pending.isdisjoint((part.producer, task_of(part.producer))):
        return
    take_along(connection, version_id, newer, run, {part.producer})
    _settled(connection, newer, part)


def pending_instances(database: Database, version_id: int) -> list[str]:
    """
    Return the mapped instances that a version waits for one by one, after a part of its run was cleared.

    If it waits for the whole task too, a closing task is to come.
    """
    rows = database.read(lambda connection: producer_rows(connection, version_id))
    pending = {row.task_id for row in rows if row.state == PENDING}
    return [part for part in sorted(pending) if place_of(part)[1] >= 0 and task_of(part) not in pending]


def unskipped_instances(database: Database, version_id: int) -> list[str]:
    """Return the mapped instances whose outputs a version holds or waits for, and those that failed."""
    rows = database.read(lambda connection: producer_rows(connection, version_id))
    return [row.task_id for row in rows if row.state != SKIPPED and place_of(row.task_id)[1] >= 0]


def failed_parts(database: Database, version_id: int) -> dict[str, bool]:
    """Return the parts of a version that have failed, and whether each declares outputs."""
    rows = database.read(lambda connection: producer_rows(connection, version_id))
    return {row.task_id: row.declares for row in rows if row.state == FAILED}


def leave_out(database: Database, version_id: int, removed: Collection[str]) -> VersionState:
    """
    Note that Airflow has removed mapped instances: what they are mapped over has become shorter.

    :raises VersionNotFound: if the version was deleted meanwhile.
    """

    def work(connection: Connection) -> VersionState:
        version_label(connection, version_id, lock=True)
        _leave_out(connection, version_id, producer_rows(connection, version_id), removed)
        return recomputed(connection, version_id)

    return database.write(work)


def reopen_version(
    database: Database,
    version_id: int,
    parts: Collection[str],
    producers: Mapping[str, bool],
    *,
    seen: Mapping[str, datetime],
) -> VersionState:
    """
    Note that tasks run again, and which tasks there are now: a version that was never promoted waits for them.

    :param parts: the tasks and mapped instances that run again; also some of which the version knows nothing.
    :param producers: the tasks that write into the version, as their Dag is now, and whether each declares outputs.
    :param seen: when each part had been settled before Airflow was asked what runs: these have to be settled again.
    :raises VersionNotFound: if the version was deleted meanwhile.
    """

    def work(connection: Connection) -> VersionState:
        version_label(connection, version_id, lock=True)
        before = producer_rows(connection, version_id)
        again = [row.task_id for row in before if row.task_id in parts and seen.get(row.task_id) == row.at]
        _change(connection, version_id, again, PENDING)
        forget_missing(connection, version_id, producers)
        rows = {row.task_id: row for row in producer_rows(connection, version_id)}
        known = {task_of(part) for part in rows}
        # Where nobody will say what became of a whole mapped task, its instances do.
        told = {task for task in known.difference(parts) if task in rows and rows[task].state == FAILED}
        new: dict[str, dict[str, str]] = {}
        for part in parts:
            task = task_of(part)
            if task in producers and (task not in known or (task in told and part not in rows)):
                new.setdefault(task, {})[part] = PENDING
        for task, states in new.items():
            _put(connection, version_id, states, declares=producers[task])
        _change(connection, version_id, told.intersection(map(task_of, parts)), SKIPPED)
        return recomputed(connection, version_id)

    return database.write(work)


def forget_missing(connection: Connection, version_id: int, producers: Collection[str]) -> None:
    """
    Forget the parts of tasks that are no longer in the Dag, and never run again; what they have made stays.

    :param producers: the tasks that are there; none means that they are not known.
    """
    for row in producer_rows(connection, version_id) if producers else ():
        if row.state != COMMITTED and task_of(row.task_id) not in producers:
            mine = (_producer.c.version_id == version_id) & (_producer.c.task_id == row.task_id)
            connection.execute(delete(_producer).where(mine))


def close_producers(connection: Connection, version_id: int, outcomes: Mapping[str, str]) -> VersionState:
    """
    Settle what is pending once all tasks of the run are over.

    A part that failed because of another task was skipped if Airflow says so: of two reasons the first one holds.

    :param outcomes: what became of each task and mapped instance; one that is not named was skipped. The outputs of an
        instance that was removed afterwards leave the version.
    """
    removed = [task for task, state in outcomes.items() if state == REMOVED]
    rows = producer_rows(connection, version_id)
    _leave_out(connection, version_id, rows, removed)
    known = {row.task_id: row for row in rows}
    outcomes = {**_believed(connection, version_id, outcomes, known), **dict.fromkeys(removed, SKIPPED)}
    mapped = _of_mapped(outcomes)
    ended = {**mapped, **outcomes}
    pending = {row.task_id: ended.get(row.task_id, SKIPPED) for row in rows if row.state == PENDING}
    change_pending(connection, version_id, pending, never_ran=ended)
    for row in rows:
        told = ended.get(row.task_id)
        if told is not None and _knows_better(row, told, is_mapped=row.task_id in mapped):
            _put(connection, version_id, {row.task_id: told}, declares=row.declares)
            if told == SKIPPED and row.state == FAILED:
                _drop(connection, version_id, row.task_id)
    for task, state in outcomes.items():  # an instance of a mapped task that was killed has said nothing
        base = known.get(task_of(task))
        if state == FAILED and task not in known and base is not None:
            _put(connection, version_id, {task: FAILED}, declares=base.declares)
    return recomputed(connection, version_id)


def _knows_better(row: Row[Any], told: str, *, is_mapped: bool) -> bool:
    """
    Whether Airflow is right where it says something else of a part.

    Those that said nothing themselves share what became of another task. A person may mark what has failed.
    """
    if {told, row.state} == {FAILED, SKIPPED} or (row.state in (FAILED, SKIPPED) and is_mapped):
        return True
    return row.state == FAILED and told == COMMITTED and not row.declares


def _believed(
    connection: Connection, version_id: int, outcomes: Mapping[str, str], known: Mapping[str, Row[Any]]
) -> dict[str, str]:
    """
    Return what became of tasks, where some have said nothing themselves.

    One that commits says so before it succeeds, and one that skips itself before it is skipped: what Airflow says of a
    task that has said nothing was set by somebody else.
    """
    found = {part: FAILED if state == ENDED else state for part, state in outcomes.items()}
    for part, state in outcomes.items():
        row, whole = known.get(part), known.get(task_of(part))
        is_silent = row is None or row.state == PENDING
        if whole is None:
            continue
        if is_silent and (state == ENDED or (state == COMMITTED and whole.declares)):
            found[part] = FAILED
            label = version_label(connection, version_id)
            log.warning("Task %r of %s failed: %s. Clear it to run it.", part, label, _NOT_DONE[state])
        elif state == ENDED and row is not None:
            found[part] = row.state
    return found


_NOT_DONE = {
    COMMITTED: "it was marked as succeeded, but has not committed its outputs",
    ENDED: "it was skipped only because its Dag run was ended",
}


def _of_mapped(outcomes: Mapping[str, str]) -> dict[str, str]:
    """What became of mapped tasks as a whole; an instance that failed counts by itself beside one that committed."""
    found: dict[str, set[str]] = {}
    for part, state in outcomes.items():
        task, index = place_of(part)
        if index >= 0:
            found.setdefault(task, set()).add(state)
    order = (COMMITTED, FAILED, SKIPPED)
    return {task: next(state for state in order if state in states) for task, states in found.items()}


def _leave_out(
    connection: Connection, version_id: int, rows: Iterable[Row[Any]], removed: Collection[str]
) -> None:
    for row in rows:
        if row.task_id in removed:
            _put(connection, version_id, {row.task_id: SKIPPED}, declares=row.declares)
            if place_of(row.task_id)[1] >= 0:
                _drop(connection, version_id, row.task_id)


def _drop(connection: Connection, version_id: int, part: str) -> None:
    """Take out all that a task of the version's run has written before, unless the version was promoted with it."""
    _drop_outputs(connection, version_id, part)
    _drop_metadata(connection, version_id, part)


def _drop_outputs(connection: Connection, version_id: int, part: str, *, declared: bool = False) -> None:
    """
    Take out what a task has made, unless the version was promoted with it.

    :param declared: only the outputs that it returned, and not what its code saved.
    """
    task, index = place_of(part)
    made, link = tables.artifact_version, tables.link
    of_the_run = [made.c[name] == _version.c[name] for name in RunKey._fields]
    mine = (
        select(made.c.id)
        .join(_version, and_(*of_the_run))
        .where(_version.c.id == version_id, made.c.task_id == task, made.c.map_index == index)
    )
    if declared:
        mine = mine.where(made.c.output.is_not(None))
    held = (link.c.version_id == version_id) & link.c.artifact_version_id.in_(mine) & ~link.c.sealed
    connection.execute(delete(link).where(held))


def _drop_metadata(connection: Connection, version_id: int, part: str) -> None:
    """Take out what a task of the version's run has logged, unless the version was promoted with it."""
    task, index = place_of(part)
    logged = tables.version_metadata.c
    of_the_run = [logged[name] == _version.c[name] for name in RunKey._fields]
    is_own = select(_version.c.id).where(_version.c.id == version_id, *of_the_run).exists()
    mine = (logged.version_id == version_id) & (logged.task_id == task) & (logged.map_index == index)
    connection.execute(delete(tables.version_metadata).where(mine & is_own & ~logged.sealed))


def change_pending(
    connection: Connection, version_id: int, states: Mapping[str, str], *, never_ran: Collection[str] = ()
) -> None:
    """
    Change parts of a version that are pending, by task. What is skipped does not hold what it returned before.

    :param never_ran: those that, if they are skipped, hold nothing that their code has written either.
    """
    if not states:
        return
    changed = update(_producer).where(
        _producer.c.version_id == version_id,
        _producer.c.task_id == bindparam("task"),
        _producer.c.state == PENDING,
    )
    rows = [{"task": task, "new": state} for task, state in states.items()]
    connection.execute(changed.values(state=bindparam("new"), at=now()), rows)
    for part, state in states.items():
        if state == SKIPPED and part in never_ran:
            _drop(connection, version_id, part)
        elif state == SKIPPED:
            _drop_outputs(connection, version_id, part, declared=True)


def producer_rows(connection: Connection, version_id: int) -> list[Row[Any]]:
    """Return the parts of a version, by task, and when they were settled."""
    query: Any = select(_producer.c.task_id, _producer.c.state, _producer.c.declares, _producer.c.at)
    query = query.where(_producer.c.version_id == version_id).order_by(_producer.c.task_id)
    return list(connection.execute(query))


def become(connection: Connection, version_id: int, state: VersionState) -> bool:
    """Give a version a state. One that was promoted when it was ready stays ready."""
    words = (
        "UPDATE mr_version SET state = :state WHERE id = :id AND state <> 'deleted'"
        " AND NOT (state = 'ready' AND sealed_at IS NOT NULL)"
    )
    return execute(connection, words, {"id": version_id, "state": state.value}).rowcount > 0


def recomputed(connection: Connection, version_id: int) -> VersionState:
    """Give a version the state that follows from its parts, and return that."""
    return _changed(connection, version_id) or VersionState.READY


def _changed(connection: Connection, version_id: int) -> VersionState | None:
    rows = producer_rows(connection, version_id)
    if without := _without_instances(rows):
        _change(connection, version_id, without, SKIPPED)
        rows = producer_rows(connection, version_id)
    state = state_of(rows, partial(_is_empty, connection, version_id))
    return state if become(connection, version_id, state) else None


def _without_instances(rows: Iterable[Row[Any]]) -> set[str]:
    """The mapped tasks that have made something before, and of which all instances were skipped since."""
    instances: dict[str, set[str]] = {}
    for row in rows:
        if place_of(row.task_id)[1] >= 0:
            instances.setdefault(task_of(row.task_id), set()).add(row.state)
    return {row.task_id for row in rows if row.state == COMMITTED and instances.get(row.task_id) == {SKIPPED}}


def state_of(rows: Sequence[Row[Any]], is_empty: Callable[[bool], bool]) -> VersionState:
    """
    Return the state of a version.

    Tasks that declare outputs decide. Skipped ones are missed only if nothing was written in their place: artifacts,
    or where no task declares outputs also metadata.

    :param is_empty: says whether nothing was written; is told whether metadata count.
    """
    states = {row.state for row in rows}
    if FAILED in states:
        return VersionState.FAILED
    if PENDING in states:
        return VersionState.PRODUCING
    declared = {row.state for row in rows if row.declares}
    missed = COMMITTED not in (declared or states) or (not declared and SKIPPED in states)
    return VersionState.FAILED if missed and is_empty(not declared) else VersionState.READY


def check_ready(
    connection: Connection,
    label: str,
    version_id: int,
    state: VersionState,
    attempt: Attempt | None,
    settled: Callable[[], Collection[str]],
) -> None:
    """
    Refuse to promote a version that is not ready; if it is but for the task that promotes it, it becomes ready.

    A task waits neither for itself nor, in its own run, for those that are over, nor for those beside and behind it
    that declare no outputs: what these write is added beside the seal. An instance of a mapped task waits for the
    others.

    :param state: of the version now.
    :param attempt: the task that promotes, if one does.
    :param settled: the tasks that are over when it runs, and of mapped ones the instances that have succeeded.
    :raises VersionNotReady: naming the tasks that have not committed.
    """
    rows = producer_rows(connection, version_id)
    failed = [row.task_id for row in rows if row.state == FAILED]
    pending = [row for row in rows if row.state == PENDING]
    own = attempt is not None and is_made_in(connection, version_id, attempt.run)
    silent: dict[str, list[str]] = {}
    if own and attempt is not None:
        silent = _silent(rows, done := {*settled()}, attempt.producer)
        over = {part for part in done - silent.keys() if place_of(part)[1] < 0} | {attempt.producer}
        passed_over = {
            row.task_id for row in pending if not over.isdisjoint((row.task_id, task_of(row.task_id)))
        }
        for part in sorted(passed_over - {attempt.producer}):
            _drop(connection, version_id, part)
        pending = [row for row in pending if row.declares and row.task_id not in passed_over]
        own_parts = (attempt.task_id, attempt.producer)
        others = [row for row in rows if row.declares and row.task_id not in own_parts]
        none_came = not pending and others and all(row.state != COMMITTED for row in others)
        if none_came and _is_empty(connection, version_id, metadata=False):
            state = VersionState.FAILED
    if failed:
        state = VersionState.FAILED
    if state is VersionState.FAILED or pending or not own:
        missing = {part for row in pending for part in silent.get(task_of(row.task_id), ())}
        waits = {row.task_id for row in pending} - silent.keys()
        names = {*failed, *waits, *missing}
        whole = {task_of(name) for name in names if place_of(name)[1] >= 0}  # its instances are named
        raise VersionNotReady(label, state, tuple(sorted(names - whole)), own)
    become(connection, version_id, VersionState.READY)


def _silent(rows: Iterable[Row[Any]], done: set[str], producer: str) -> dict[str, list[str]]:
    """Return, by task, the mapped instances that have succeeded without a word: a person has marked them."""
    told = {producer, *(row.task_id for row in rows if row.state != PENDING)}
    found: dict[str, list[str]] = {}
    for part in done - told:
        task, index = place_of(part)
        if index >= 0:
            found.setdefault(task, []).append(part)
    return found


def _is_empty(connection: Connection, version_id: int, metadata: bool) -> bool:
    holds = (tables.link, tables.version_metadata) if metadata else (tables.link,)
    queries = [select(table.c.version_id).where(table.c.version_id == version_id).limit(1) for table in holds]
    return not any(connection.execute(query).first() for query in queries)


def _change(connection: Connection, version_id: int, parts: Collection[str], state: str) -> None:
    if not parts:
        return
    mine = (_producer.c.version_id == version_id) & _producer.c.task_id.in_(parts)
    connection.execute(update(_producer).where(mine).values(state=state, at=now()))


def _put(connection: Connection, version_id: int, states: Mapping[str, str], *, declares: bool) -> None:
    if not states:
        return
    put = insertion(connection, _producer).values(
        version_id=version_id, task_id=bindparam("task"), state=bindparam("new"), declares=declares, at=now()
    )
    put = put.on_conflict_do_update(
        index_elements=[_producer.c.version_id, _producer.c.task_id],
        set_={"state": put.excluded.state, "at": now()},
    )
    connection.execute(put, [{"task": task, "new": state} for task, state in states.items()])
