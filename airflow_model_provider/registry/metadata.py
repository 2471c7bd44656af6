"""Metadata of versions and of artifacts: JSON values by key (R19, R24)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row, select, update

from airflow_model_provider.exceptions import ArtifactNotFound, MetadataConflict, VersionSealed
from airflow_model_provider.registry import tables
from airflow_model_provider.registry.columns import now
from airflow_model_provider.registry.database import Database, insertion
from airflow_model_provider.registry.entities import RunKey
from airflow_model_provider.registry.rows import run_columns
from airflow_model_provider.registry.values import plain_metadata
from airflow_model_provider.registry.versions import version_label

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_model_provider.registry.entities import Attempt

#: What a row of metadata is found by.
_KEY = ("version_id", "key")
_logged, _version, _made, _link = (
    tables.version_metadata,
    tables.version,
    tables.artifact_version,
    tables.link,
)


def log_version_metadata(
    database: Database, version_id: int, values: Mapping[str, Any], attempt: Attempt | None
) -> None:
    """
    Log values onto a version; a key that is there is overwritten.

    :raises NotSerializable: for a value that is no JSON value.
    :raises VersionSealed: for a key that the version held when it was first promoted.
    :raises MetadataConflict: for a key that another map index of the same task wrote.
    :raises VersionNotFound: if the version is not there, or deleted.
    """
    plain = plain_metadata(values)

    def work(connection: Connection) -> None:
        label = version_label(connection, version_id, lock=True)
        present = select(_logged).where(_logged.c.version_id == version_id, _logged.c.key.in_(plain))
        for row in connection.execute(present):
            if row.sealed:
                raise VersionSealed(label, f"metadata {row.key!r}")
            if _written_by_another_index(row, attempt):
                raise MetadataConflict(label, row.key)
        rows = metadata_rows(version_id, plain, attempt)
        insert = insertion(connection, _logged).values([{**row, "at": now()} for row in rows])
        changed = {name: insert.excluded[name] for name in ("at", *rows[0]) if name not in _KEY}
        connection.execute(
            insert.on_conflict_do_update(index_elements=[_logged.c.version_id, _logged.c.key], set_=changed)
        )

    if plain:
        database.write(work)


def log_artifact_metadata(database: Database, artifact_version_id: int, values: Mapping[str, Any]) -> None:
    """
    Log values onto an artifact version; a key that is there is overwritten, until a version that holds it is promoted.

    :raises NotSerializable: for a value that is no JSON value.
    :raises VersionSealed: for a key that is there, where such a version was promoted.
    :raises ArtifactNotFound: if there is no such artifact version.
    """
    plain = plain_metadata(values)

    def work(connection: Connection) -> None:
        there = (_made.c.id == artifact_version_id) & _made.c.deleted_at.is_(None)
        query = select(_made.c.metadata).where(there).with_for_update()
        row = connection.execute(query).one_or_none()
        if row is None:
            raise ArtifactNotFound("The registry", f"id {artifact_version_id}")
        known = [key for key in plain if key in row.metadata]
        if known and (link := _sealing_link(connection, artifact_version_id)):
            raise VersionSealed(
                f"{link.model}@{link.number}", f"metadata {known[0]!r} of artifact {link.name!r}"
            )
        changed = (
            update(_made).where(_made.c.id == artifact_version_id).values(metadata={**row.metadata, **plain})
        )
        connection.execute(changed)

    if plain:
        database.write(work)


def get_metadata(database: Database, version_id: int) -> dict[str, Any]:
    """Return the metadata of a version by key: sealed ones first, then in the order of their names."""
    query = (
        select(_logged.c.key, _logged.c.value)
        .where(_logged.c.version_id == version_id)
        .order_by(_logged.c.sealed.desc(), _logged.c.key)
    )
    return database.read(lambda connection: {row.key: row.value for row in connection.execute(query)})


def metadata_keys(connection: Connection, version_id: int) -> tuple[str, ...]:
    """Return the keys of a version's metadata."""
    query = (
        select(_logged.c.key).where(_logged.c.version_id == version_id).order_by(_logged.c.key).limit(1000)
    )
    return tuple(connection.execute(query).scalars())


def metadata_rows(version_id: int, plain: Mapping[str, Any], attempt: Attempt | None) -> list[dict[str, Any]]:
    """Return the rows of a version's metadata, with where they come from; without their time."""
    origin = {
        "task_id": attempt.task_id if attempt else None,
        "map_index": attempt.map_index if attempt else None,
        **dict.fromkeys(RunKey._fields),
        **run_columns(attempt.run if attempt else None),
    }
    return [{"version_id": version_id, "key": key, "value": value, **origin} for key, value in plain.items()]


def _written_by_another_index(row: Row[Any], attempt: Attempt | None) -> bool:
    if attempt is None or attempt.map_index < 0 or row.map_index in (None, attempt.map_index):
        return False
    here = (*run_columns(attempt.run).values(), attempt.task_id)
    return (row.deployment, row.dag_id, row.run_id, row.task_id) == here


def _sealing_link(connection: Connection, artifact_version_id: int) -> Any:
    """The link of a version that was promoted; those that hold the artifact can't be until commit."""
    held_by = select(_version.c.id).join(_link, _link.c.version_id == _version.c.id)
    held_by = held_by.where(_link.c.artifact_version_id == artifact_version_id).order_by(_version.c.id)
    connection.execute(held_by.with_for_update(of=_version, read=True)).all()
    query = (
        select(tables.model.c.name.label("model"), _version.c.number, _link.c.name)
        .join_from(_link, _version, _version.c.id == _link.c.version_id)
        .join(tables.model, tables.model.c.id == _version.c.model_id)
        .where(_link.c.artifact_version_id == artifact_version_id, _link.c.sealed)
        .limit(1)
    )
    return connection.execute(query).one_or_none()
