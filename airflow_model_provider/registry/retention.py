"""What goes with time, where a setting says so: records of resolutions, and outputs of tasks that no version holds."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Connection, and_, delete, func, select, update

from airflow_model_provider.registry import tables
from airflow_model_provider.registry.columns import ago, now
from airflow_model_provider.registry.deletion import bury_parts
from airflow_model_provider.registry.rows import of_none, runs_among

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from airflow_model_provider.registry.database import Database
    from airflow_model_provider.registry.entities import RunKey

_made, _link, _resolution = tables.artifact_version, tables.link, tables.resolution
#: Rows in one transaction, at most: writers wait for it.
BATCH = 1000


def is_spent(before: ColumnElement[Any] | datetime, spared: Collection[RunKey] = ()) -> ColumnElement[bool]:
    """
    Return the condition that an artifact version is an output that no version holds, made before a time.

    :param spared: runs whose outputs are left alone.
    """
    held = select(_link.c.version_id).where(_link.c.artifact_version_id == _made.c.id).exists()
    old = _made.c.created_at <= before
    spent = (_made.c.deleted_at.is_(None), _made.c.attempt_id.is_not(None), old, ~held)
    return and_(*spent, *of_none(_made, spared))


def spared_runs(database: Database, days: float, alive: Collection[RunKey]) -> list[RunKey]:
    """Return those of some runs whose outputs would be spent."""

    def look(connection: Connection) -> list[RunKey]:
        return runs_among(connection, _made, [is_spent(ago(connection, timedelta(days)))], alive)

    return database.read(look)


def count_outputs(database: Database, days: float, alive: Collection[RunKey] = ()) -> int:
    """Return how many outputs :func:`forget_outputs` would forget."""
    spared = spared_runs(database, days, alive)
    return database.read(
        lambda connection: connection.execute(
            select(func.count()).select_from(_made).where(is_spent(ago(connection, timedelta(days)), spared))
        ).scalar_one()
    )


def forget_outputs(database: Database, days: float, alive: Collection[RunKey] = ()) -> int:
    """
    Turn outputs that no version holds into tombstones; their bytes go with the next collection.

    :param alive: runs that are not over: tasks of theirs may yet take these.
    """
    after, forgotten = 0, 0
    spared = spared_runs(database, days, alive)

    def work(connection: Connection) -> tuple[list[int], int]:
        is_old = is_spent(ago(connection, timedelta(days)), spared)
        query = select(_made.c.id).where(is_old, _made.c.id > after)
        # First the locks, then a look at who links to them.
        found = list(connection.execute(query.order_by(_made.c.id).limit(BATCH).with_for_update()).scalars())
        done = connection.execute(
            update(_made).where(_made.c.id.in_(found), is_old).values(deleted_at=now(), metadata={})
        )
        bury_parts(connection, found)
        return found, done.rowcount

    while (page := database.write(work))[0]:
        after, forgotten = page[0][-1], forgotten + page[1]
    return forgotten


def count_resolutions(database: Database, days: float) -> int:
    """Return how many records :func:`forget_resolutions` would forget."""
    return database.read(
        lambda connection: connection.execute(
            select(func.count())
            .select_from(_resolution)
            .where(_resolution.c.at <= ago(connection, timedelta(days)))
        ).scalar_one()
    )


def forget_resolutions(database: Database, days: float) -> int:
    """Delete records of what tasks got so many days ago or earlier; return how many."""
    forgotten = 0

    def work(connection: Connection) -> int:
        # Ids and times grow together, so that the oldest are found without an index on times.
        oldest = select(_resolution.c.id, _resolution.c.at).order_by(_resolution.c.id).limit(BATCH)
        page, limit = oldest.subquery(), ago(connection, timedelta(days))
        old = select(page.c.id).where(page.c.at <= limit)
        return connection.execute(delete(_resolution).where(_resolution.c.id.in_(old))).rowcount

    while done := database.write(work):
        forgotten += done
    return forgotten
