"""Which versions may go, and what is left of them: a tombstone (R22, R24)."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, select, update

from airflow_model_provider.exceptions import VersionInUse
from airflow_model_provider.registry import tables
from airflow_model_provider.registry.entities import VersionState

_version = tables.version


def delete_versions(connection: Connection, model: str, condition: ColumnElement[bool]) -> int:
    """
    Turn versions of a model into tombstones; all or none.

    :param condition: which ones.
    :return: how many were there.
    :raises VersionInUse: if one of them holds a stage, ever held one, or is pinned by a run.
    """
    condition = condition & (_version.c.state != VersionState.DELETED.value)
    locked = connection.execute(select(_version.c.id).where(condition).with_for_update()).all()
    chosen = select(_version.c.id).where(condition).scalar_subquery()
    _refuse_if_used(connection, model, condition)
    for table in (tables.link, tables.version_metadata, tables.producer):
        connection.execute(delete(table).where(table.c.version_id.in_(chosen)))
    nothing: dict[str, Any] = {"name": None, "description": None, "tags": [], "environment": {}}
    connection.execute(update(_version).where(condition).values(state=VersionState.DELETED.value, **nothing))
    return len(locked)


def _refuse_if_used(connection: Connection, model: str, condition: ColumnElement[bool]) -> None:
    stage, event, pin = tables.stage, tables.stage_event, tables.run_pin
    uses = (
        (stage, stage.c.stage, "it is in stage"),
        (event, event.c.stage, "it was in stage"),
        (pin, pin.c.dag_id, "it is pinned by a run of"),
    )
    for table, name, use in uses:
        query = (
            select(_version.c.number, name).join(table, table.c.version_id == _version.c.id).where(condition)
        )
        found = connection.execute(query.order_by(_version.c.number).limit(1)).first()
        if found is not None:
            raise VersionInUse(f"{model}@{found[0]}", f"{use} {found[1]!r}")
