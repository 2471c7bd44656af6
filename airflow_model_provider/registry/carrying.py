"""What a further version of a cleared run takes over from the one before: the parts of tasks that do not run again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, select

from airflow_model_provider.registry import tables
from airflow_model_provider.registry.entities import Relation, RunKey, part_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy import Connection, Row, Table

_made, _link, _logged, _producer = (
    tables.artifact_version,
    tables.link,
    tables.version_metadata,
    tables.producer,
)


def carry_over(connection: Connection, old: int, new: int, run: RunKey, again: Collection[str]) -> None:
    """
    Give a version what another one of the same run holds of tasks that do not run again. Nothing is copied but rows.

    Links by hand to what other runs have made don't say who made them: they come along if the old version was promoted
    with them. What other runs, people and programs have added to it stays there.

    :param again: the tasks and mapped instances that run again.
    """
    writers = set()
    for row in _rows(connection, _producer, old):
        writers.add(row.task_id.partition("[")[0])
        task, is_instance, index = row.task_id.rstrip("]").partition("[")
        if not _is_again(task, int(index) if is_instance else -1, again):
            _put(connection, _producer, row, version_id=new)
    artifacts = select(_link, *_columns_of_maker()).join(_made, _made.c.id == _link.c.artifact_version_id)
    held = artifacts.where(_link.c.version_id == old, _made.c.deleted_at.is_(None))
    for row in connection.execute(held):
        if not row.own and row.task_id not in writers:  # of a task that merely used the version
            continue
        is_ours = (row.deployment, row.dag_id, row.run_id) == run
        by_hand = not is_ours and row.sealed and row.relation == Relation.LINKED.value
        if by_hand or (is_ours and not _is_again(row.task_id, row.maker_index, again)):
            _put(connection, _link, row, version_id=new, sealed=False)
    for row in _rows(connection, _logged, old):
        is_ours = (row.deployment, row.dag_id, row.run_id) == run
        if is_ours and not _is_again(row.task_id, row.map_index, again):
            _put(connection, _logged, row, version_id=new, sealed=False)


def _is_again(task: str, index: int, again: Collection[str]) -> bool:
    """Whether what a task, or an instance of it, has made is made anew; of the whole task, if no instance is named."""
    if part_of(task, index) in again:
        return True
    return task in again and not any(part.startswith(f"{task}[") for part in again)


def _columns_of_maker() -> list[Any]:
    of_run = [_made.c[name] for name in RunKey._fields]
    return [*of_run, _made.c.task_id, _made.c.map_index.label("maker_index")]


def _rows(connection: Connection, table: Table, version_id: int) -> list[Row[Any]]:
    return list(connection.execute(select(table).where(table.c.version_id == version_id)))


def _put(connection: Connection, table: Table, row: Row[Any], **changed: Any) -> None:
    values = {column.name: row._mapping[column] for column in table.columns}
    connection.execute(insert(table).values({**values, **changed}))
