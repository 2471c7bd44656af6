"""What a task has registered in another try: one task of one Dag run makes one version of the same contents (R23)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Select, insert, or_, select

from airflow_model_provider.registry import tables
from airflow_model_provider.registry.catalog import locked_model
from airflow_model_provider.registry.columns import now
from airflow_model_provider.registry.entities import Attempt, VersionRecord, VersionState
from airflow_model_provider.registry.rows import run_columns, select_versions, version_record

if TYPE_CHECKING:
    from airflow_model_provider.registry.registration import NewContents

_version, _producer, _link = tables.version, tables.producer, tables.link
_made, _logged = tables.artifact_version, tables.version_metadata


def made_before(connection: Connection, model: str, contents: NewContents) -> VersionRecord | None:
    """
    Return the version that this task of this Dag run has made of the same artifacts and metadata; None if it has not.

    The model's row, which is made if it is missing, is locked until commit: two tries at once can't both find none.
    """
    attempt, found = contents.attempt, locked_model(connection, model, {}, create=True)
    if attempt is None:
        return None
    of_run = [_version.c[key] == value for key, value in run_columns(attempt.run).items()]
    committed = (_producer.c.version_id == _version.c.id) & (_producer.c.task_id == attempt.producer)
    query = (
        select_versions()
        .join(_producer, committed)
        .where(_version.c.model_id == found.id, _version.c.state != VersionState.DELETED.value, *of_run)
        .where(_version.c.id.in_(_candidates(attempt, contents)))
        .order_by(_version.c.number.desc())
    )
    for row in connection.execute(query).all():
        if _holds(connection, row.v_id, contents):
            return version_record(row)
    return None


def mark_made(connection: Connection, version_id: int, attempt: Attempt) -> None:
    """Note which task of which Dag run has made a version, whole as it is."""
    values = {"version_id": version_id, "task_id": attempt.producer, "state": "committed", "declares": True}
    connection.execute(insert(_producer).values(**values, at=now()))


def _candidates(attempt: Attempt, contents: NewContents) -> Select[Any]:
    """The versions that hold what the task has made in this run, or what is to be linked: by indexes only."""
    by_task = [_made.c[key] == value for key, value in run_columns(attempt.run).items()]
    by_task += [_made.c.task_id == attempt.task_id, _made.c.map_index == attempt.map_index]
    made = select(_made.c.id).where(*by_task)
    either = or_(_link.c.artifact_version_id.in_(made), _link.c.artifact_version_id.in_(contents.linked))
    return select(_link.c.version_id).where(either)


def _holds(connection: Connection, version_id: int, contents: NewContents) -> bool:
    """Whether a version holds these artifacts and these values of metadata; others may have come since."""
    query = select(_link.c.name, _made.c.digest).join_from(_link, _made)
    held = query.where(_link.c.version_id == version_id, _link.c.own)
    asked = {(new.name, new.payload.digest) for new, _ in contents.artifacts}
    linked = select(tables.artifact.c.name, _made.c.digest).join_from(_made, tables.artifact)
    asked |= {tuple(row) for row in connection.execute(linked.where(_made.c.id.in_(contents.linked)))}
    if not asked <= {tuple(row) for row in connection.execute(held)}:
        return False
    logged = select(_logged.c.key, _logged.c.value).where(_logged.c.version_id == version_id)
    values = {row.key: row.value for row in connection.execute(logged)}
    return all(
        key in values and json.dumps(values[key]) == json.dumps(value)
        for key, value in contents.metadata.items()
    )
