"""Who used what: questions to the record of resolutions (R11)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Self

from sqlalchemy import Row, select

from airflow_model_provider.limits import check_key, check_limit, check_number
from airflow_model_provider.registry import tables
from airflow_model_provider.registry.entities import Attempt, Made, ResolutionRecord, RunKey
from airflow_model_provider.registry.rows import (
    artifact_record,
    attempt_record,
    select_artifacts,
    select_versions,
    version_record,
)

if TYPE_CHECKING:
    from airflow_model_provider.registry.database import Database
    from airflow_model_provider.registry.entities import VersionRecord

_resolution, _version, _made, _artifact = (
    tables.resolution,
    tables.version,
    tables.artifact_version,
    tables.artifact,
)


class Asked(NamedTuple):
    """Which resolutions are asked for: those that meet all of what is given."""

    model: str | None = None
    number: int | None = None
    dag_id: str | None = None
    run_id: str | None = None
    attempt_id: str | None = None
    belongs: bool | None = None

    def checked(self) -> Self:
        """
        Refuse what no record can have.

        :raises InvalidName: naming it.
        """
        for what, value in self._asdict().items():
            if what not in ("number", "belongs") and value is not None:
                check_key(value, what)
        return (
            self if self.number is None else self._replace(number=check_number("version number", self.number))
        )


def resolutions(database: Database, asked: Asked, limit: int | None = 100) -> list[ResolutionRecord]:
    """Return recorded resolutions that meet all of what is given, newest first."""
    asked = asked.checked()
    limit = check_limit(limit)
    query = (
        select(
            _resolution,
            _version.c.number.label("version_number"),
            _artifact.c.name.label("artifact_name"),
            _made.c.number.label("artifact_number"),
            _earlier().label("earlier"),
        )
        .outerjoin(_version, _version.c.id == _resolution.c.version_id)
        .outerjoin(_made, _made.c.id == _resolution.c.artifact_version_id)
        .outerjoin(_artifact, _artifact.c.id == _made.c.artifact_id)
        .order_by(_resolution.c.id.desc())
        .limit(limit)
    )
    for name, value in asked._asdict().items():
        column = _version.c.number if name == "number" else _resolution.c[name]
        query = query if value is None else query.where(column == value)
    return database.read(lambda connection: [_record(row) for row in connection.execute(query)])


def _earlier() -> Any:
    """The number that the first task of the run got for the same selector."""
    first, version = _resolution.alias(), _version.alias()
    same = [first.c[name] == _resolution.c[name] for name in (*RunKey._fields, "model", "selector")]
    query = select(version.c.number).join_from(first, version, version.c.id == first.c.version_id)
    return query.where(*same).order_by(first.c.id).limit(1).scalar_subquery()


def used_versions(database: Database, attempt_id: str) -> list[VersionRecord]:
    """Return the versions that a try of a task got, by model and number; of deleted ones the tombstones."""
    got = select(_resolution.c.version_id).where(_resolution.c.attempt_id == attempt_id)
    query = select_versions().where(_version.c.id.in_(got)).order_by(tables.model.c.name, _version.c.number)
    return database.read(lambda connection: [version_record(row) for row in connection.execute(query)])


def made_in(database: Database, run: RunKey) -> list[Made]:
    """Return the artifact versions that tasks of a Dag run have made, in the order of map index and making."""
    producer = (_made.c.deployment, _made.c.dag_id, _made.c.run_id, _made.c.task_id, _made.c.attempt_id)
    query = (
        select_artifacts(*producer, _made.c.map_index, _made.c.try_number, _made.c.output)
        .where(*(column == value for column, value in zip(producer, run, strict=False)))
        .where(_made.c.part_of.is_(None))
        .order_by(_made.c.map_index, _made.c.id)
    )
    return database.read(
        lambda connection: [
            Made(attempt_record(row), row.output, artifact_record(row)) for row in connection.execute(query)
        ]
    )


def producer_of(database: Database, artifact_version_id: int) -> Attempt | None:
    """Return the try of the task that made an artifact version; None if it was saved by hand."""
    query = select(_made).where(_made.c.id == artifact_version_id, _made.c.attempt_id.is_not(None))
    row = database.read(lambda connection: connection.execute(query).one_or_none())
    return None if row is None else attempt_record(row)


def _record(row: Row[Any]) -> ResolutionRecord:
    return ResolutionRecord(
        attempt=attempt_record(row),
        model=row.model,
        selector=row.selector,
        wanted=row.wanted,
        number=row.version_number,
        artifact=row.artifact_name,
        artifact_number=row.artifact_number,
        digest=row.digest,
        resolved=bool(row.resolved),
        at=row.at,
        belongs=bool(row.belongs),
        earlier=row.earlier if row.earlier != row.version_number and row.version_number else None,
    )
