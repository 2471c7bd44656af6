"""What all tasks of a Dag run get for a selector: the first one that asks decides (R9)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import ColumnElement, Connection, Table, delete, func, select, update

from airflow_model_provider.exceptions import DeploymentClash
from airflow_model_provider.registry import tables
from airflow_model_provider.registry.catalog import model_not_found
from airflow_model_provider.registry.columns import ago, as_time
from airflow_model_provider.registry.database import Database, run
from airflow_model_provider.registry.entities import RunKey
from airflow_model_provider.registry.rows import of_none, runs_among
from airflow_model_provider.selectors import check_name

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from airflow_model_provider.registry.entities import Attempt

_pin = tables.run_pin


class RunPin(NamedTuple):
    """A version that a Dag run is to keep for a selector of a model; None: that there was none."""

    model_id: int
    selector: str
    version_id: int | None


def pin_run(database: Database, attempt: Attempt, wanted: Sequence[RunPin]) -> None:
    """Pin versions for the run of a task; where another task was faster, or the version is gone, nothing changes."""

    def work(connection: Connection) -> None:
        for pin in sorted(
            set(wanted), key=str
        ):  # in one order everywhere, so that no two tasks wait for each other
            values = {**attempt.run._asdict(), **pin._asdict(), "run_mark": attempt.run_mark}
            run(connection, _PIN if pin.version_id is not None else _PIN_NOTHING, values)

    database.write(work)


def drop_run_pins(
    database: Database, deployment: str, dag_id: str, run_id: str, model: str | None = None
) -> int:
    """
    Forget what a Dag run has pinned, so that its tasks, once cleared, get what the selectors name then.

    :param model: only of this model; None for all.
    :return: how many pins there were.
    :raises ModelNotFound: if there never was such a model.
    """
    if model is not None:
        check_name("model", model)
    where = (_pin.c.deployment == deployment) & (_pin.c.dag_id == dag_id) & (_pin.c.run_id == run_id)

    def work(connection: Connection) -> int:
        return connection.execute(delete(_pin).where(where, *_of_model(connection, model))).rowcount

    return database.write(work)


def release_pins(
    database: Database,
    silent_for: timedelta,
    *,
    deployment: str | None = None,
    dag_id: str | None = None,
    model: str | None = None,
    alive: Collection[RunKey] = (),
    dry_run: bool = False,
) -> int:
    """
    Forget what Dag runs have pinned of which no task has asked for anything for so long.

    :param deployment: only of its runs; None for all.
    :param dag_id: likewise.
    :param model: only pins of this model; None for all.
    :param alive: runs that are not over, and keep theirs.
    :param dry_run: only count.
    :return: how many pins there were.
    :raises ModelNotFound: if there never was such a model.
    """
    record = tables.resolution.c

    def work(connection: Connection) -> int:
        limit = ago(connection, silent_for)
        same_run = [record[name] == _pin.c[name] for name in RunKey._fields]
        where = [_pin.c.at <= limit, ~select(record.id).where(*same_run, record.at > limit).exists()]
        named = {"deployment": deployment, "dag_id": dag_id}
        where += [_pin.c[name] == value for name, value in named.items() if value is not None]
        where += _of_model(connection, model)
        where += of_none(_pin, runs_among(connection, _pin, where, alive))
        if dry_run:
            return connection.execute(select(func.count()).select_from(_pin).where(*where)).scalar_one()
        return connection.execute(delete(_pin).where(*where)).rowcount

    return database.read(work) if dry_run else database.write(work)


def _of_model(connection: Connection, name: str | None) -> list[ColumnElement[bool]]:
    if name is None:
        return []
    found = connection.execute(select(tables.model.c.id).where(tables.model.c.name == name)).scalars().all()
    if not found:
        raise model_not_found(connection, name)
    return [_pin.c.model_id.in_(found)]


def is_newer_run(connection: Connection, run: RunKey, mine: str | None, mark: str | None) -> bool:
    """
    Return whether a run goes on under the id of one that has written here: it was deleted and made again, or queued.

    A run's mark is how often it was cleared and when it started. In one Airflow, runs of one id come one after the
    other: a run of the same count that starts once the other has gone silent goes on in its place.

    :raises DeploymentClash: if they run at the same time, so that there must be two Airflows of one name.
    """
    if mine is None or mine == mark:
        return False
    if mark is None:
        return True
    (cleared, start), (cleared_there, start_there) = _parts(mine), _parts(mark)
    if cleared == cleared_there and (start < start_there or start < _last_seen(connection, run)):
        raise DeploymentClash(*run)
    return start > start_there


def take_over_run(database: Database, run: RunKey, mark: str | None) -> int:
    """
    Let a run go on with what one of the same id has made and pinned.

    :param mark: of the run; None for the next one that comes.
    :return: how many rows are its own now.
    """

    def work(connection: Connection) -> int:
        changed = 0
        for table in (_pin, tables.run_version):
            mine = [table.c[name] == value for name, value in run._asdict().items()]
            changed += connection.execute(update(table).where(*mine).values(run_mark=mark)).rowcount
        return changed

    return database.write(work)


def _parts(mark: str) -> tuple[str, datetime]:
    cleared, _, start = mark.partition(" ")
    try:
        return cleared, as_time(start)
    except ValueError:  # of a mark that another release has written
        return mark, datetime.min.replace(tzinfo=UTC)


def _last_seen(connection: Connection, run: RunKey) -> datetime:
    """When a task of a run last wrote something here."""
    record, made, producer = tables.resolution, tables.run_version, tables.producer

    def of(table: Table) -> list[ColumnElement[bool]]:
        return [table.c[name] == value for name, value in run._asdict().items()]

    newest = select(record.c.at).where(*of(record)).order_by(record.c.id.desc()).limit(1)
    parts = select(func.max(producer.c.at)).join(made, made.c.version_id == producer.c.version_id)
    queries = (newest, select(func.max(_pin.c.at)).where(*of(_pin)), parts.where(*of(made)))
    times = [connection.execute(query).scalar() for query in queries]
    return max((time for time in times if time is not None), default=datetime.min.replace(tzinfo=UTC))


#: FOR SHARE: a version that is being deleted is not pinned, and a pinned one not deleted (R24).
_PIN = """
INSERT INTO mr_run_pin (deployment, dag_id, run_id, model_id, selector, version_id, run_mark, at)
SELECT :deployment, :dag_id, :run_id, :model_id, :selector, v.id, :run_mark, {now} FROM mr_version v
WHERE v.id = :version_id AND v.state <> 'deleted' {share}
ON CONFLICT DO NOTHING
"""
_PIN_NOTHING = """
INSERT INTO mr_run_pin (deployment, dag_id, run_id, model_id, selector, version_id, run_mark, at)
VALUES (:deployment, :dag_id, :run_id, :model_id, :selector, :version_id, :run_mark, {now})
ON CONFLICT DO NOTHING
"""
