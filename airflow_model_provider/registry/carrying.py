"""What a further version of a cleared run takes over from the one before: parts that are not made anew in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, select

from airflow_model_provider.registry import tables
from airflow_model_provider.registry.database import insertion
from airflow_model_provider.registry.entities import (
    COMMITTED,
    Relation,
    RunKey,
    VersionState,
    part_of,
    place_of,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from datetime import datetime

    from sqlalchemy import Connection, Row, Table

_made, _link, _logged, _producer, _version = (
    tables.artifact_version,
    tables.link,
    tables.version_metadata,
    tables.producer,
    tables.version,
)


def is_in_seal(
    connection: Connection, version_id: int, sealed_at: datetime | None, run: RunKey, parts: Collection[str]
) -> bool:
    """Whether a version of a run was promoted with what one of some parts has made."""
    if sealed_at is None:
        return False
    committed = [row for row in _rows(connection, _producer, version_id) if row.state == COMMITTED]
    mine = [row for row in committed if is_among(*place_of(row.task_id), parts)]
    if any(row.declares and row.at <= sealed_at for row in mine):
        return True
    writers = {row.task_id for row in mine}
    held = _held(connection, version_id, run) if writers else ()
    return any(row.sealed and is_among(*writer, writers) for _, row, writer in held if writer is not None)


def carry_over(connection: Connection, old: int, new: int, run: RunKey, again: Collection[str]) -> None:
    """
    Give a version what another one of the same run holds of tasks that do not run again. Nothing is copied but rows.

    Links that a person or another run has made come along if the old version was promoted with them. What else these
    have added to it stays there.

    :param again: the tasks and mapped instances that run again.
    """
    writers = set()
    for row in _rows(connection, _producer, old):
        task, index = place_of(row.task_id)
        writers.add(task)
        if not is_among(task, index, again):
            _put(connection, _producer, row, version_id=new)
    for table, row, writer in _held(connection, old, run):
        if writer is None:
            comes = table is _link and row.sealed and row.relation == Relation.LINKED.value
        else:
            # What a task has made that merely used the version stays there.
            used = table is _link and not row.own and writer[0] not in writers
            comes = not used and not is_among(*writer, again)
        if comes:
            _put(connection, table, row, version_id=new, sealed=False)


def take_along(connection: Connection, old: int, new: int, run: RunKey, parts: Collection[str]) -> None:
    """Give a further version of a run what parts have added to the one before it since that was promoted."""
    for table, row, writer in _held(connection, old, run):
        if writer is not None and not row.sealed and is_among(*writer, parts):
            _put(connection, table, row, version_id=new)


def newer_version(connection: Connection, version_id: int) -> tuple[int, RunKey] | None:
    """Return the newest version that the run of one makes after it, and the run."""
    one, other = tables.run_version, tables.run_version.alias("other")
    same = [one.c[name] == other.c[name] for name in ("model_id", *RunKey._fields)]
    alive = _version.c.state != VersionState.DELETED.value
    query = (
        select(other.c.version_id, *[other.c[name] for name in RunKey._fields])
        .join(one, and_(*same, one.c.generation < other.c.generation))
        .join(_version, _version.c.id == other.c.version_id)
        .where(one.c.version_id == version_id, alive)
        .order_by(other.c.generation.desc())
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else (row[0], RunKey(*row[1:]))


def is_among(task: str, index: int, parts: Collection[str]) -> bool:
    """Whether a task, or an instance of it, is one of some parts; each instance is, if none of the task is named."""
    if part_of(task, index) in parts:
        return True
    return task in parts and not any(part.startswith(f"{task}[") for part in parts)


def _held(
    connection: Connection, version_id: int, run: RunKey
) -> Iterator[tuple[Table, Row[Any], tuple[str, int] | None]]:
    """Yield what a version holds, each with the task of its run, and the instance of it, that has written it."""
    of_maker = [*[_made.c[name] for name in RunKey._fields], _made.c.task_id]
    links = select(_link, *of_maker, _made.c.map_index.label("made_at")).join(_made)
    there = (_link.c.version_id == version_id) & _made.c.deleted_at.is_(None)
    for row in connection.execute(links.where(there)).all():
        if row.linked_by is not None:
            yield _link, row, place_of(row.linked_by)
        else:
            yield _link, row, (row.task_id, row.made_at) if _is_of(row, run) else None
    for row in _rows(connection, _logged, version_id):
        yield _logged, row, (row.task_id, row.map_index) if _is_of(row, run) else None


def _is_of(row: Row[Any], run: RunKey) -> bool:
    return (row.deployment, row.dag_id, row.run_id) == run


def _rows(connection: Connection, table: Table, version_id: int) -> list[Row[Any]]:
    return list(connection.execute(select(table).where(table.c.version_id == version_id)))


def _put(connection: Connection, table: Table, row: Row[Any], **changed: Any) -> None:
    values = {column.name: row._mapping[column] for column in table.columns}
    connection.execute(insertion(connection, table).values({**values, **changed}).on_conflict_do_nothing())
