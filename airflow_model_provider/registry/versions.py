"""Versions of a model: numbers without gaps, names, descriptions (R22)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, insert, select, update

from airflow_model_provider.exceptions import AlreadyExists, ModelNotFound, VersionNotFound, VersionSealed
from airflow_model_provider.limits import check_limit, check_number, check_tags, check_text
from airflow_model_provider.registry import tables
from airflow_model_provider.registry.catalog import find_model, locked_model, model_not_found
from airflow_model_provider.registry.columns import as_time, now
from airflow_model_provider.registry.database import note_transaction, run, together
from airflow_model_provider.registry.deletion import delete_versions
from airflow_model_provider.registry.entities import NOTHING, RunKey, VersionRecord, VersionState
from airflow_model_provider.registry.rows import run_columns, select_versions, version_record
from airflow_model_provider.registry.values import plain_json
from airflow_model_provider.selectors import check_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_model_provider.registry.database import Database, Statement

_version = tables.version


class NewVersion(NamedTuple):
    """
    What a version begins with.

    :param producers: tasks that it waits for before it is ready, and whether each declares outputs.
    :param attempt_id: of the task that makes it by itself.
    :param card: what is said about the model, should that be missing.
    :param run_mark: see :class:`Attempt`.
    """

    name: str | None = None
    description: str | None = None
    tags: Sequence[str] = ()
    environment: Mapping[str, Any] | None = None
    state: VersionState = VersionState.READY
    run: RunKey | None = None
    producers: Mapping[str, bool] = NOTHING
    attempt_id: str | None = None
    card: Mapping[str, Any] = NOTHING
    run_mark: str | None = None


class Numbered(NamedTuple):
    """
    A version that this very transaction has made.

    :param model_id: of its model, whose row is locked until commit.
    :param also: the rows of what was asked in the same round trip, after that lock.
    """

    version: VersionRecord
    model_id: int
    also: list[list[Any]]


def create_version(database: Database, model: str, new: NewVersion) -> VersionRecord:
    """
    Make a version; the model is made if it is missing.

    :raises AlreadyExists: if the model has a version of this name.
    """
    check_name("model", model)

    def work(connection: Connection) -> VersionRecord:
        try:
            return add_version(connection, model, new).version
        except ModelNotFound:
            locked_model(connection, model, new.card, create=True)
        return add_version(connection, model, new).version

    return database.write(work)


def add_version(connection: Connection, model: str, new: NewVersion, *also: Statement) -> Numbered:
    """
    Add the next version of a model, whose row is locked until commit.

    :param also: what is said in the same round trip, once the version is there.
    :raises ModelNotFound: if there is no such model.
    :raises InvalidName: if its name is not one.
    :raises AlreadyExists: if the model has a version of this name.
    """
    new = new._replace(**_said(new.name, new.description, new.tags))
    environment = plain_json(dict(new.environment or {}), "environment of a version")
    values = {
        "model": model,
        "name": new.name,
        "state": new.state.value,
        "description": new.description,
        "tags": json.dumps(list(new.tags)),
        "environment": json.dumps(environment),
        **dict.fromkeys(RunKey._fields),
        **run_columns(new.run),
    }
    if new.name is not None:
        found = locked_model(connection, model, {}, create=False)
        _free_name(connection, found.id, new, f"{model}@{new.name}")
    made, *answers = together(connection, (_MAKE, values), *also)
    if not made:
        raise model_not_found(connection, model)
    ((version_id, created_at, model_id, number, transaction),) = made
    note_transaction(connection, transaction)
    _add_producers(connection, version_id, new)
    version = VersionRecord(
        version_id,
        model,
        number,
        new.name,
        new.state,
        stages=(),
        created_at=as_time(created_at),
        run=new.run,
        description=new.description,
        tags=tuple(new.tags),
        environment=environment,
    )
    return Numbered(version, model_id, answers)


def _add_producers(connection: Connection, version_id: int, new: NewVersion) -> None:
    rows = [
        {"version_id": version_id, "task_id": task, "state": "pending", "declares": declares}
        for task, declares in new.producers.items()
    ]
    if rows:
        more = {"attempt_id": new.attempt_id, "at": now()}
        connection.execute(insert(tables.producer).values([{**row, **more} for row in rows]))


_MAKE = """
UPDATE mr_model SET last_number = last_number + 1 WHERE name = :model AND deleted_at IS NULL
RETURNING id, last_number
{as numbered}
INSERT INTO mr_version
  (model_id, number, name, state, created_at, description, tags, environment, deployment, dag_id, run_id)
SELECT id, last_number, :name, :state, {now}, :description, :tags, :environment,
  :deployment, :dag_id, :run_id
FROM {numbered else SELECT id, last_number FROM mr_model WHERE name = :model AND deleted_at IS NULL} m
RETURNING id, created_at, model_id, number, {transaction}
"""


def read_version(connection: Connection, condition: ColumnElement[bool]) -> VersionRecord:
    """Return the one version that meets a condition."""
    return version_record(connection.execute(select_versions().where(condition)).one())


def list_versions(database: Database, model: str, *, limit: int | None, offset: int) -> list[VersionRecord]:
    """
    Return versions of a model, newest first; deleted ones are left out.

    :raises ModelNotFound: naming those that exist.
    """
    check_name("model", model)
    limit = check_limit(limit)
    query = (
        select_versions()
        .where(tables.model.c.name == model, _version.c.state != VersionState.DELETED.value)
        .order_by(_version.c.number.desc())
        .limit(limit)
        .offset(check_number("offset", offset, 0))
    )

    def work(connection: Connection) -> list[VersionRecord]:
        found = [version_record(row) for row in connection.execute(query)]
        if not found and find_model(connection, model) is None:
            raise model_not_found(connection, model)
        return found

    return database.read(work)


def update_version(database: Database, model: str, number: int, changes: Mapping[str, Any]) -> VersionRecord:
    """
    Change a version's name, description or tags.

    :raises VersionNotFound: if there is no such version.
    :raises AlreadyExists: if the model has another version of this name.
    """
    values = {**changes, **_said(changes.get("name"), changes.get("description"), changes.get("tags"))}

    def work(connection: Connection) -> VersionRecord:
        model_id, version_id = locked_version(connection, model, number)
        if values.get("name") is not None:
            _refuse_name(connection, model_id, version_id, f"{model}@{number}", values["name"])
        if values:
            connection.execute(update(_version).where(_version.c.id == version_id).values(values))
        return read_version(connection, _version.c.id == version_id)

    return database.write(work)


def delete_version(
    database: Database, model: str, number: int, *, purge: bool = False, force: bool = False
) -> None:
    """
    Delete a version; its number is never used again.

    :param purge: also if it once held a stage.
    :param force: also if it is still being produced.
    :raises VersionNotFound: if there is no such version.
    :raises VersionInUse: if it holds a stage, ever held one, is pinned by a run, or is still being produced.
    """

    def work(connection: Connection) -> None:
        chosen = _version.c.id == locked_version(connection, model, number)[1]
        delete_versions(connection, model, chosen, purge=purge, force=force)

    database.write(work)


def locked_version(connection: Connection, model: str, number: int) -> tuple[int, int]:
    """
    Return the ids of a model and of its version; the model's row is locked until commit.

    :raises ModelNotFound: if there is no such model.
    :raises VersionNotFound: if there is no such version.
    """
    number = check_number("version number", number)
    row = locked_model(connection, check_name("model", model), {}, create=False)
    alive = (_version.c.model_id == row.id) & (_version.c.state != VersionState.DELETED.value)
    found = connection.execute(select(_version.c.id).where(alive, _version.c.number == number)).scalar()
    if found is None:
        raise VersionNotFound(model, str(number), described_versions(connection, row.id))
    return row.id, found


def version_label(connection: Connection, version_id: int, *, lock: bool = False) -> str:
    """
    Return the printed form of a version, which stays what it is until commit.

    :param lock: nobody else locks it until commit; else only promotions and deletions wait.
    :raises VersionNotFound: if it is not there, or deleted.
    """
    words = f"{_LABEL} {'{lock}' if lock else '{share}'}"
    row = run(connection, words, {"version_id": version_id}).one_or_none()
    if row is None:
        raise VersionNotFound("The registry", f"id {version_id}")
    if row.state == VersionState.DELETED.value:
        raise VersionNotFound(row.name, str(row.number), described_versions(connection, row.model_id))
    return f"{row.name}@{row.number}"


_LABEL = """
SELECT m.name, v.number, v.state, v.model_id FROM mr_version v JOIN mr_model m ON m.id = v.model_id
WHERE v.id = :version_id
"""


def is_made_in(connection: Connection, version_id: int, run: RunKey) -> bool:
    """Whether a Dag run as a whole makes a version."""
    made = tables.run_version
    columns = [made.c[name] == value for name, value in run_columns(run).items()]
    query = select(made.c.version_id).where(made.c.version_id == version_id, *columns)
    return connection.execute(query).first() is not None


def described_versions(connection: Connection, model_id: int, limit: int = 9) -> tuple[str, ...]:
    """Return the newest versions of a model for a message: ``3 (ready)``, ``2 'alpha' (production)``."""
    alive = (_version.c.model_id == model_id) & (_version.c.state != VersionState.DELETED.value)
    query = select_versions().where(alive).order_by(_version.c.number.desc()).limit(limit + 1)
    found = [version_record(row) for row in connection.execute(query)]
    described = [
        f"{item.number}{f' {item.version_name!r}' if item.version_name else ''} ({_described(item)})"
        for item in found[:limit]
    ]
    return tuple(described + (["older ones"] if len(found) > limit else []))


def _described(version: VersionRecord) -> str:
    if version.stages:
        return ", ".join(version.stages)
    return "archived" if version.archived and version.state is VersionState.READY else version.state.value


def _said(name: object, description: object, tags: object) -> dict[str, Any]:
    """Check what is said of a version, and return that of it which is given."""
    found: dict[str, Any] = {}
    if name is not None:
        found["name"] = check_name("version", name)
    if description is not None:
        found["description"] = check_text("description of a version", description)
    if tags is not None:
        found["tags"] = check_tags("tags of a version", tags)
    return found


def _free_name(connection: Connection, model_id: int, new: NewVersion, label: str) -> None:
    """
    Take a name from a version that failed and was never promoted, or was left open by an earlier try of this task.

    :raises AlreadyExists: if another version has it.
    """
    named = (_version.c.model_id == model_id) & (_version.c.name == new.name)
    columns = (_version.c.id, _version.c.number, _version.c.state, _version.c.sealed_at)
    row = connection.execute(select(*columns).where(named)).one_or_none()
    if row is None:
        return
    gone = row.state == VersionState.FAILED.value or _is_left_open(connection, row.id, new)
    if row.sealed_at is not None or not gone:
        states = {"producing": f"number {row.number} is still being produced", "deleted": "it was promoted"}
        raise AlreadyExists("version", label, states.get(row.state, ""))
    taken = {"name": None, "state": VersionState.FAILED.value}
    connection.execute(update(_version).where(_version.c.id == row.id).values(**taken))


def _is_left_open(connection: Connection, version_id: int, new: NewVersion) -> bool:
    """Whether a version was begun by an earlier try of the task that makes another one."""
    part = tables.producer
    mine = (part.c.version_id == version_id) & part.c.task_id.in_(new.producers)
    earlier = part.c.attempt_id.is_not(None) & (part.c.attempt_id != new.attempt_id)
    of_run = [_version.c[key] == value for key, value in run_columns(new.run).items()]
    query = select(part.c.version_id).join(_version, _version.c.id == part.c.version_id)
    found = connection.execute(query.where(mine, earlier, part.c.state == "pending", *of_run)).first()
    return bool(of_run) and found is not None


def _refuse_name(connection: Connection, model_id: int, version_id: int, label: str, name: str) -> None:
    """
    Refuse a name that another version has, and another name for a version that was promoted.

    :raises AlreadyExists: if it is taken.
    :raises VersionSealed: if the version keeps the name that it has.
    """
    named = (_version.c.model_id == model_id) & (_version.c.name == name)
    if connection.execute(select(_version.c.id).where(named)).scalar() not in (None, version_id):
        raise AlreadyExists("version", f"{label.partition('@')[0]}@{name}")
    query = select(_version.c.name, _version.c.sealed_at).where(_version.c.id == version_id)
    row = connection.execute(query).one()
    if row.sealed_at is not None and row.name not in (None, name):
        raise VersionSealed(label, f"name {row.name!r}")
