"""Versions that nobody ends: their Dag run is over, or what made them was killed."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Connection, Select, select, update

from airflow_model_provider.registry import tables
from airflow_model_provider.registry.columns import ago, now
from airflow_model_provider.registry.entities import FAILED, PENDING, RunKey, VersionState
from airflow_model_provider.registry.settling import become, close_producers, producer_rows
from airflow_model_provider.registry.versions import version_label

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime

    from airflow_model_provider.registry.database import Database

_version, _producer = tables.version, tables.producer


def fail_abandoned(
    database: Database, days: float, *, alive: Collection[RunKey] = (), dry_run: bool = False
) -> int:
    """
    Fail the versions that are being made and into which nothing was written for days: what made them was killed.

    One whose task is alive all the same becomes ready when that ends.

    :param alive: Dag runs that are not over: they may wait, for a person or for data, as long as they like.
    :return: how many there were.
    """
    spared = {*alive}

    def found(connection: Connection, *, lock: bool) -> list[int]:
        query = _abandoned(ago(connection, timedelta(days)))
        rows = connection.execute(query.with_for_update(of=_version) if lock else query)
        return [row[0] for row in rows if row[1:] not in spared]

    def work(connection: Connection) -> int:
        abandoned = found(connection, lock=True)
        for version_id in abandoned:
            waiting = (_producer.c.version_id == version_id) & (_producer.c.state == PENDING)
            connection.execute(update(_producer).where(waiting).values(state=FAILED, at=now()))
            become(connection, version_id, VersionState.FAILED)
        return len(abandoned)

    there = len(database.read(lambda connection: found(connection, lock=False)))
    return there if dry_run or not there else database.write(work)


class OpenVersion(NamedTuple):
    """
    A version that tasks of a Dag run have begun, and that is still being made.

    :param is_of_run: whether all tasks of the run write into it; else one task makes it by itself.
    """

    id: int
    run: RunKey
    is_of_run: bool


def open_versions(database: Database, deployment: str) -> list[OpenVersion]:
    """Return the versions that Dag runs of an Airflow are making."""
    made = tables.run_version
    by_run = select(made.c.version_id).where(made.c.version_id == _version.c.id).exists()
    run = [_version.c[name] for name in RunKey._fields]
    condition = (_version.c.state == VersionState.PRODUCING.value, _version.c.deployment == deployment)
    query = select(_version.c.id, *run, by_run).where(*condition).order_by(_version.c.id)
    rows = database.read(lambda connection: connection.execute(query).all())
    return [OpenVersion(row[0], RunKey(*row[1:-1]), bool(row[-1])) for row in rows]


def close_version(database: Database, version: OpenVersion, outcomes: Mapping[str, str]) -> VersionState:
    """
    End the making of a version whose Dag run is over.

    :param outcomes: what became of the run's tasks; a task that made a version by itself did not come to the end of it.
    :raises VersionNotFound: if the version was deleted meanwhile.
    """

    def work(connection: Connection) -> VersionState:
        version_label(connection, version.id, lock=True)
        if version.is_of_run:
            return close_producers(connection, version.id, outcomes)
        tasks = [row.task_id for row in producer_rows(connection, version.id)]
        return close_producers(connection, version.id, dict.fromkeys(tasks, FAILED))

    return database.write(work)


def _abandoned(before: datetime) -> Select[Any]:
    link, made, logged, record = (
        tables.link,
        tables.artifact_version,
        tables.version_metadata,
        tables.resolution,
    )
    run = [record.c[name] == _version.c[name] for name in RunKey._fields]
    newer = (
        select(_producer.c.version_id).where(
            _producer.c.version_id == _version.c.id, _producer.c.at > before
        ),
        select(logged.c.version_id).where(logged.c.version_id == _version.c.id, logged.c.at > before),
        select(link.c.version_id)
        .join(made, made.c.id == link.c.artifact_version_id)
        .where(link.c.version_id == _version.c.id, made.c.created_at > before),
        select(record.c.id).where(record.c.at > before, *run),
    )
    producing = (_version.c.state == VersionState.PRODUCING.value) & (_version.c.created_at <= before)
    run_columns = (_version.c[name] for name in RunKey._fields)
    query = select(_version.c.id, *run_columns).where(producing, *[~recent.exists() for recent in newer])
    return query.order_by(_version.c.id)
