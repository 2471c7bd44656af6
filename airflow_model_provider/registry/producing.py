"""A version in the making: one per Dag run and model, ready when all its producers have committed (R23-R25)."""

from __future__ import annotations

from itertools import chain, count
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Connection, Row, insert, select

from airflow_model_provider.limits import check_id
from airflow_model_provider.registry import tables
from airflow_model_provider.registry.catalog import locked_model
from airflow_model_provider.registry.columns import now
from airflow_model_provider.registry.database import Database, insertion
from airflow_model_provider.registry.database import run as execute
from airflow_model_provider.registry.entities import RunKey, VersionRecord, VersionState
from airflow_model_provider.registry.pins import check_same_run
from airflow_model_provider.registry.rows import run_columns, select_versions, version_record
from airflow_model_provider.registry.versions import NewVersion, add_version, read_version, version_label
from airflow_model_provider.selectors import check_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: Characters of a name that has a number behind it.
_STEM = 90
_version, _producer, _run_version = tables.version, tables.producer, tables.run_version


def version_for_run(
    database: Database,
    model: str,
    run: RunKey,
    *,
    producer: str,
    producers: Sequence[str] | Callable[[], Sequence[str]],
    new: NewVersion,
) -> VersionRecord:
    """
    Return the version that a Dag run makes of a model; the first task that asks makes it.

    A sealed version into which this very task has committed stays as it is: the cleared run gets another one.

    :param producer: the task that asks.
    :param producers: the tasks that a new version waits for; a callable is asked only when one is made.
    :param new: what is said of a new one; its name gets a number behind it if another version has it.
    :raises DeploymentClash: if another Airflow's run of the same name has made one.
    """
    check_name("model", model)
    found = database.read(lambda connection: _newest(connection, model, run, producer))
    if found is not None and not _used_up(found, run, new.run_mark):
        return version_record(found)
    tasks = producers() if callable(producers) else producers
    tasks = [check_id("task_id", task) for task in tasks] or [producer]
    new = new._replace(state=VersionState.PRODUCING, run=run, producers=tasks)

    def work(connection: Connection) -> VersionRecord:
        model_id = locked_model(connection, model, new.card, create=True).id
        found = _newest(connection, model, run, producer)
        if found is not None and not _used_up(found, run, new.run_mark):
            return version_record(found)
        generation = 0 if found is None else found.generation + 1
        name = new.name and _free_name(connection, model_id, new.name)
        version = add_version(connection, model, new._replace(name=name)).version
        keys = {"version_id": version.id, "model_id": model_id, "generation": generation}
        keys["run_mark"] = new.run_mark
        connection.execute(insert(_run_version).values(**keys, **run_columns(run)))
        return version

    return database.write(work)


def _free_name(connection: Connection, model_id: int, name: str) -> str:
    """Return a name that no version has: runs of one day may make the same of their template (R26)."""
    like = _version.c.name.startswith(name[:_STEM], autoescape=True)
    taken = set(
        connection.execute(select(_version.c.name).where(_version.c.model_id == model_id, like)).scalars()
    )
    numbered = (f"{name[:_STEM]}-{number}" for number in count(2))
    return next(free for free in chain([name], numbered) if free not in taken)


def settle_producer(database: Database, version_id: int, producer: str, *, committed: bool) -> VersionState:
    """
    Note that a task has committed its part of a version, or failed; harmless to repeat.

    :raises VersionNotFound: if the version was deleted meanwhile.
    """
    state = "committed" if committed else "failed"

    def work(connection: Connection) -> VersionState:
        version_label(connection, version_id, lock=True)
        insert = insertion(connection, _producer).values(
            version_id=version_id, task_id=producer, state=state, at=now()
        )
        changed = insert.on_conflict_do_update(
            index_elements=[_producer.c.version_id, _producer.c.task_id], set_={"state": state, "at": now()}
        )
        connection.execute(changed)
        return _recomputed(connection, version_id)

    return database.write(work)


def finish_version(database: Database, version_id: int, state: VersionState) -> None:
    """
    End the making of a version that waits for no tasks; harmless to repeat.

    :raises VersionNotFound: if the version was deleted meanwhile.
    """

    def work(connection: Connection) -> None:
        if not _become(connection, version_id, state):
            version_label(connection, version_id)

    database.repeat(work)


def close_run_version(database: Database, model: str, run: RunKey) -> VersionRecord | None:
    """
    End the making of the version of a Dag run whose tasks are all done: what is still pending was skipped.

    :return: the version: ready, or failed where a producer failed or none committed; None if the run made
        none.
    """

    def work(connection: Connection) -> VersionRecord | None:
        found = _newest(connection, model, run, "")
        if found is None or found.v_state == VersionState.DELETED.value:
            return None
        version_label(connection, found.v_id, lock=True)
        _skip_pending(connection, found.v_id)
        _recomputed(connection, found.v_id)
        return read_version(connection, _version.c.id == found.v_id)

    check_name("model", model)
    return database.write(work)


def missing_producers(connection: Connection, version_id: int) -> list[tuple[str, str]]:
    """Return the producers that have not committed, with their state, by name."""
    query = select(_producer.c.task_id, _producer.c.state).where(
        _producer.c.version_id == version_id, _producer.c.state.in_(("pending", "failed"))
    )
    return [(row.task_id, row.state) for row in connection.execute(query.order_by(_producer.c.task_id))]


def _newest(connection: Connection, model: str, run: RunKey, producer: str) -> Row[Any] | None:
    committed = select(_producer.c.state).where(
        _producer.c.version_id == _version.c.id,
        _producer.c.task_id == producer,
        _producer.c.state == "committed",
    )
    condition: list[ColumnElement[bool]] = [
        _run_version.c[key] == value for key, value in run_columns(run).items()
    ]
    query = (
        select_versions(
            _run_version.c.generation, _run_version.c.run_mark, committed.exists().label("committed")
        )
        .join(_run_version, _run_version.c.version_id == _version.c.id)
        .where(tables.model.c.name == model, *condition)
        .order_by(_run_version.c.generation.desc())
        .limit(1)
    )
    return connection.execute(query).one_or_none()


def _used_up(row: Row[Any], run: RunKey, mark: str | None) -> bool:
    """Whether this run needs another version: this one is deleted, or sealed with this task's part in it."""
    check_same_run(run, mark, row.run_mark)
    return row.v_state == VersionState.DELETED.value or (row.v_sealed_at is not None and bool(row.committed))


def _skip_pending(connection: Connection, version_id: int) -> None:
    words = (
        "UPDATE mr_producer SET state = 'skipped', at = {now} WHERE version_id = :id AND state = 'pending'"
    )
    execute(connection, words, {"id": version_id})


def _become(connection: Connection, version_id: int, state: VersionState) -> bool:
    words = "UPDATE mr_version SET state = :state WHERE id = :id AND state <> 'deleted'"
    return execute(connection, words, {"id": version_id, "state": state.value}).rowcount > 0


def _recomputed(connection: Connection, version_id: int) -> VersionState:
    query = select(_producer.c.state).where(_producer.c.version_id == version_id).distinct()
    states = set(connection.execute(query).scalars())
    state = VersionState.READY
    if "failed" in states or not states - {"skipped"}:
        state = VersionState.FAILED
    elif "pending" in states:
        state = VersionState.PRODUCING
    _become(connection, version_id, state)
    return state
