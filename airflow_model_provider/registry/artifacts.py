"""Rows of artifacts: which bytes there are, what they hold, and which versions they belong to (R17-R19)."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Connection, delete, exists, func, select
from sqlalchemy.exc import IntegrityError

from airflow_model_provider.exceptions import ArtifactNotFound, VersionSealed
from airflow_model_provider.registry import tables
from airflow_model_provider.registry.blobs import PRESENT, STORED, BlobGone
from airflow_model_provider.registry.columns import Json, as_time, clean_text
from airflow_model_provider.registry.database import Database, Statement, note_transaction, run, together
from airflow_model_provider.registry.entities import (
    NOTHING,
    ArtifactRecord,
    Attempt,
    Link,
    Payload,
    Relation,
    RunKey,
    part_of,
)
from airflow_model_provider.registry.rows import artifact_record, select_artifacts
from airflow_model_provider.registry.values import plain_json, plain_metadata
from airflow_model_provider.registry.versions import is_made_in, version_label
from airflow_model_provider.selectors import ArtifactType, check_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_artifact, _made, _link = tables.artifact, tables.artifact_version, tables.link
_is_shown = _made.c.deleted_at.is_(None) & _made.c.part_of.is_(None)
#: Statements in one round trip, at most.
_BATCH = 100


class NewArtifact(NamedTuple):
    """
    An artifact version to be registered; its bytes are in the store.

    :param life: of its bytes, as :func:`blobs.intend_blob` gave it; 0 while they are not stored.
    :param is_there: whether its bytes are in the store, where they were not intended: what a collector has taken
        meanwhile is noticed by a look once their row is written.
    :param output: the output of a step it is; registering it again in the same try changes nothing.
    :param map_index: that of an element of an output, or where no try of a task here has made it; else it is the
        try's.
    """

    name: str
    payload: Payload
    kind: ArtifactType
    life: int = 0
    output: str | None = None
    attempt: Attempt | None = None
    links: Sequence[Link] = ()
    metadata: Mapping[str, Any] = NOTHING
    map_index: int = -1
    is_there: Callable[[], bool] | None = None


def register_artifacts(
    database: Database, new: NewArtifact, parts: Sequence[NewArtifact] = ()
) -> list[ArtifactRecord]:
    """
    Make stored bytes visible as the next version of an artifact, with its links, all or nothing.

    :param parts: elements of it that are saved by themselves. No version holds them, and they are deleted with it.
    :return: its record and those of its parts.
    :raises VersionNotFound: if a version it belongs to was deleted.
    :raises BlobGone: if its bytes were collected since they were intended.
    """
    for item in (new, *parts):
        check_name("artifact", item.name)
    values, values_of_parts = _values(new), [_values(part) for part in parts]

    def work(connection: Connection) -> list[ArtifactRecord]:
        (record,) = _add(connection, [new], [values])
        _linked(connection, new, record)
        of_it = [{**item, "part_of": record.id} for item in values_of_parts]
        return [record, *_add(connection, parts, of_it)]

    def again(connection: Connection) -> list[ArtifactRecord] | None:
        found = _same_output(connection, new)
        if found is None:
            return None
        of_it = select_artifacts().where(_made.c.part_of == found).order_by(_made.c.id)
        registered = [artifact_record(row) for row in connection.execute(of_it)]
        return [_linked(connection, new, _by_id(connection, found)), *registered]

    try:
        return database.write(work)
    except IntegrityError:  # of the unique index on outputs, unless something else is wrong
        registered = database.write(again)
        if registered is None:
            raise
        return registered


def addition(new: NewArtifact, model: str, relation: Relation) -> Statement:
    """Return what registers an artifact of the newest version of a model, which the same transaction makes."""
    check_name("artifact", new.name)
    values = _values(new)
    own = relation is not Relation.DERIVED
    link = {"relation": Relation(relation).value, "own": own, "model": model, "place": new.map_index}
    return _words(new, linked=True), {**_asked(new, values), **link}


def check_added(new: NewArtifact, rows: Sequence[Any]) -> None:
    """
    Refuse to go on where an artifact could not be registered, in the transaction that does it.

    :param rows: what :func:`addition` gave.
    :raises BlobGone: if its bytes were collected meanwhile.
    """
    if not rows or (new.is_there is not None and not new.is_there()):
        raise BlobGone(new.payload.digest)


def add_link(connection: Connection, version_id: int, artifact_version_id: int) -> None:
    """
    Link an artifact version to a version that this very transaction has made.

    :raises ArtifactNotFound: if there is no such artifact version.
    """
    record = _by_id(connection, artifact_version_id)
    _write_link(connection, Link(version_id, Relation.LINKED), record.id, record.name, -1)


def _linked(connection: Connection, new: NewArtifact, record: ArtifactRecord) -> ArtifactRecord:
    for link in new.links:
        version_label(connection, link.version_id)
        keeps = new.map_index >= 0 or link.relation is not Relation.OUTPUT
        _write_link(connection, link, record.id, new.name, record.map_index, keeps=keeps)
    return record


def link_artifact(
    database: Database,
    version_id: int,
    artifact_version_id: int,
    relation: Relation,
    attempt: Attempt | None = None,
) -> None:
    """
    Link an artifact version to a version of a model; harmless to repeat.

    :param attempt: of the task that does; it is noted if its run makes the version.
    :raises ArtifactNotFound: if there is no such artifact version.
    :raises VersionNotFound: if there is no such version.
    """

    def work(connection: Connection) -> None:
        record = _by_id(connection, artifact_version_id)
        version_label(connection, version_id)
        link, part = Link(version_id, relation), None
        if attempt is not None and is_made_in(connection, version_id, attempt.run):
            part = attempt.producer
        _write_link(connection, link, record.id, record.name, record.map_index, linked_by=part)

    database.write(work)


def unlink_artifact(database: Database, version_id: int, name: str) -> None:
    """
    Take an artifact out of a version.

    :raises ArtifactNotFound: if the version holds no such artifact.
    :raises VersionSealed: if it held it when it was first promoted.
    """
    check_name("artifact", name)

    def work(connection: Connection) -> None:
        label = version_label(connection, version_id, lock=True)
        named = (_link.c.version_id == version_id) & (_link.c.name == name)
        if connection.execute(select(_link.c.name).where(named, _link.c.sealed).limit(1)).first() is not None:
            raise VersionSealed(label, f"artifact {name!r}")
        if connection.execute(delete(_link).where(named)).rowcount == 0:
            raise ArtifactNotFound(label, name, artifact_names(connection, version_id))

    database.write(work)


def get_artifact(database: Database, artifact_version_id: int) -> ArtifactRecord:
    """
    Return an artifact version by its id.

    :raises ArtifactNotFound: if there is none.
    """
    return database.read(lambda connection: _by_id(connection, artifact_version_id))


def outputs_of(database: Database, run: RunKey, task_id: str, output: str) -> list[ArtifactRecord]:
    """Return what a task of a run has saved as an output, newest first: of each map index, and of each attempt."""
    made_by = (
        (_made.c.deployment == run.deployment)
        & (_made.c.dag_id == run.dag_id)
        & (_made.c.run_id == run.run_id)
        & (_made.c.task_id == task_id)
    )
    query = select_artifacts().where(made_by, _made.c.output == output, _made.c.deleted_at.is_(None))
    newest = query.order_by(_made.c.id.desc())
    return database.read(lambda connection: [artifact_record(row) for row in connection.execute(newest)])


def no_artifact_named(
    connection: Connection, name: str, number: int | None, map_index: int | None
) -> ArtifactNotFound:
    """Return the error for an artifact that is not there under its own name; it names those that are."""
    asked = label_of(name, number, map_index)
    if map_index is not None:
        made = select(_made.c.map_index).join(_artifact)
        made = made.where(_artifact.c.name == name, _made.c.deleted_at.is_(None))
        made = made if number is None else made.where(_made.c.number == number)
        indexes = connection.execute(made.distinct().order_by(_made.c.map_index).limit(1000)).scalars().all()
        if indexes:
            return ArtifactNotFound("The registry", asked, [label_of(name, number, at) for at in indexes])
    names = connection.execute(
        select(_artifact.c.name)
        .where(exists().where(_made.c.artifact_id == _artifact.c.id, _is_shown))
        .order_by(_artifact.c.name)
        .limit(1000)
    ).scalars()
    return ArtifactNotFound("The registry", asked, tuple(names))


def label_of(name: str, number: int | None, map_index: int | None) -> str:
    """Return the printed form of an artifact as it was asked for: ``model``, ``model@3``, ``model[2]``."""
    return part_of(name if number is None else f"{name}@{number}", -1 if map_index is None else map_index)


def list_artifacts(database: Database, version_id: int) -> list[ArtifactRecord]:
    """Return the artifacts of a version: of each name, and of each map index, what a reference would get."""
    newest = func.row_number().over(
        partition_by=(_link.c.name, _link.c.map_index),
        order_by=(_link.c.sealed.desc(), _link.c.own.desc(), _link.c.artifact_version_id.desc()),
    )
    ranked = (
        select(_link.c.artifact_version_id, _link.c.map_index, newest.label("place"))
        .where(_link.c.version_id == version_id)
        .subquery()
    )
    query = select_artifacts(map_index=ranked.c.map_index).where(ranked.c.place == 1)
    query = query.join(ranked, ranked.c.artifact_version_id == _made.c.id)
    ordered = query.order_by(_artifact.c.name, ranked.c.map_index)
    return database.read(lambda connection: [artifact_record(row) for row in connection.execute(ordered)])


def labels_of(database: Database, digest: str) -> list[str]:
    """Return the printed forms of what has these bytes: ``iris@3/trained_model[2]``, or ``trained_model@7[2]``."""
    version, model = tables.version, tables.model
    query = (
        select(
            model.c.name.label("model"),
            version.c.number.label("version"),
            _artifact.c.name,
            _made.c.number,
            func.coalesce(_link.c.map_index, _made.c.map_index).label("map_index"),
        )
        .join_from(_made, _artifact)
        .outerjoin(_link, _link.c.artifact_version_id == _made.c.id)
        .outerjoin(version, version.c.id == _link.c.version_id)
        .outerjoin(model, model.c.id == version.c.model_id)
        .where(_made.c.digest == digest, _made.c.deleted_at.is_(None))
        .order_by(_made.c.id)
        .limit(100)
    )

    def label(row: Any) -> str:
        whole = f"{row.model}@{row.version}/{row.name}" if row.model else f"{row.name}@{row.number}"
        return part_of(whole, row.map_index)

    return database.read(lambda connection: [label(row) for row in connection.execute(query)])


def artifact_names(connection: Connection, version_id: int) -> tuple[str, ...]:
    """Return the names of the artifacts that a version holds."""
    query = select(_link.c.name).where(_link.c.version_id == version_id).distinct().order_by(_link.c.name)
    return tuple(connection.execute(query.limit(1000)).scalars())


def _values(new: NewArtifact) -> dict[str, Any]:
    attempt, payload = new.attempt, new.payload
    what = f"artifact {new.name!r}"
    made_in = attempt.run if attempt else None
    return {
        "digest": payload.digest,
        "kind": ArtifactType(new.kind).value,
        "materializer": payload.materializer,
        "format_version": payload.format_version,
        "type_names": list(payload.type_names),
        "attributes": plain_json(payload.attributes, f"attributes of {what}"),
        "signature": plain_json(payload.signature, f"signature of {what}"),
        "environment": plain_json(payload.environment, f"environment of {what}"),
        "metadata": plain_metadata(new.metadata, what),
        "output": new.output,
        "part_of": None,
        "map_index": attempt.map_index if attempt and new.map_index < 0 else new.map_index,
        "task_id": attempt.task_id if attempt else None,
        "try_number": attempt.try_number if attempt else None,
        "attempt_id": attempt.attempt_id if attempt else None,
        "deployment": made_in.deployment if made_in else None,
        "dag_id": made_in.dag_id if made_in else None,
        "run_id": made_in.run_id if made_in else None,
    }


def _same_output(connection: Connection, new: NewArtifact) -> int | None:
    if new.attempt is None or new.output is None:
        return None
    query = select(_made.c.id).where(
        _made.c.attempt_id == new.attempt.attempt_id,
        _made.c.output == new.output,
        _made.c.map_index == new.attempt.map_index,
    )
    found: int | None = connection.execute(query).scalar()
    return found


def _add(
    connection: Connection, items: Sequence[NewArtifact], values: Sequence[dict[str, Any]]
) -> list[ArtifactRecord]:
    records: list[ArtifactRecord] = []
    pairs = list(zip(items, values, strict=True))
    for start in range(0, len(pairs), _BATCH):
        batch = pairs[start : start + _BATCH]
        made = together(connection, *((_words(new), _asked(new, given)) for new, given in batch))
        records += [_added(connection, *pair, rows) for pair, rows in zip(batch, made, strict=True)]
    return records


def _added(
    connection: Connection, new: NewArtifact, values: dict[str, Any], rows: list[Any]
) -> ArtifactRecord:
    check_added(new, rows)
    ((made_id, number, created_at, transaction),) = rows
    note_transaction(connection, transaction)
    stored = {name: values[name] for name in ("attributes", "signature", "environment")}
    return ArtifactRecord(
        made_id,
        new.name,
        number,
        ArtifactType(new.kind),
        new.payload._replace(**stored),
        as_time(created_at),
        values["metadata"],
        values["map_index"],
    )


def _asked(new: NewArtifact, values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as their columns' types would write them, and what else :data:`_MAKE` needs."""
    written = {
        name: json.dumps(value) if name in _JSON else clean_text(value) if isinstance(value, str) else value
        for name, value in values.items()
    }
    return {**written, "name": new.name, "life": new.life, "size": new.payload.size}


def _write_link(
    connection: Connection,
    link: Link,
    artifact_version_id: int,
    name: str,
    map_index: int,
    *,
    keeps: bool = True,
    linked_by: str | None = None,
) -> None:
    values = {
        "version_id": link.version_id,
        "artifact_version_id": artifact_version_id,
        "relation": Relation(link.relation).value,
        "own": link.relation is not Relation.DERIVED,
        "name": name,
        "map_index": map_index,
        "keeps": keeps,
        "linked_by": linked_by,
    }
    run(connection, _LINK, values)


def _by_id(connection: Connection, artifact_version_id: int) -> ArtifactRecord:
    there = (_made.c.id == artifact_version_id) & _made.c.deleted_at.is_(None)
    query = select_artifacts().where(there).with_for_update(of=_made, read=True)  # deletions wait
    row = connection.execute(query).one_or_none()
    if row is None:
        raise ArtifactNotFound("The registry", f"id {artifact_version_id}")
    return artifact_record(row)


# --- the statements that every step executes: constant text costs no compilation in a new process ---------

#: What a mapped task saves into a version that it makes by itself is no element of a collection.
_LINK = """
INSERT INTO mr_link (version_id, artifact_version_id, relation, own, name, linked_by, map_index)
VALUES (:version_id, :artifact_version_id, :relation, :own, :name, :linked_by, CASE WHEN :keeps
  OR EXISTS (SELECT 1 FROM mr_run_version r WHERE r.version_id = :version_id)
  THEN CAST(:map_index AS integer) ELSE -1 END)
ON CONFLICT DO NOTHING
"""
_JSON = frozenset(column.name for column in _made.columns if isinstance(column.type, Json))
_FOUND = ("id", "artifact_id", "number", "digest", "created_at", "deleted_at", "signed")
_GIVEN = [column.name for column in _made.columns if column.name not in _FOUND]
#: Makes none where the bytes are gone. Whoever has numbered one holds its name's row, so that the last one is its own.
_MAKE = f"""
INSERT INTO mr_artifact (name, last_number) VALUES (:name, 1)
ON CONFLICT (name) DO UPDATE SET last_number = mr_artifact.last_number + 1 RETURNING id, last_number
{{as numbered}}
<stored>
{{as kept}}
INSERT INTO mr_artifact_version (artifact_id, number, digest, {", ".join(_GIVEN)}, created_at)
SELECT a.id, a.last_number, b.digest, {", ".join(f":{name}" for name in _GIVEN)}, {{now}}
FROM {{numbered else SELECT id, last_number FROM mr_artifact WHERE name = :name}} a CROSS JOIN
{{kept else SELECT digest FROM mr_blob WHERE digest = :digest AND <life> AND state = 'stored'}} b
RETURNING id, number, created_at, {{transaction}}
"""  # noqa: S608 - names of columns
_MAKE_LINKED = f"""
{_MAKE}
{{as made}}
INSERT INTO mr_link (version_id, artifact_version_id, relation, own, name, map_index)
SELECT n.id, m.id, :relation, :own, :name, :place FROM {{made else SELECT v.id
  FROM mr_artifact a JOIN mr_artifact_version v ON v.artifact_id = a.id AND v.number = a.last_number
  WHERE a.name = :name}} m
CROSS JOIN (SELECT v.id FROM mr_model o JOIN mr_version v ON v.model_id = o.id AND v.number = o.last_number
  WHERE o.name = :model) n
RETURNING artifact_version_id
"""  # noqa: S608 - constants


@cache
def _with(words: str, stored: str, life: str) -> str:
    return words.replace("<stored>", stored).replace("<life>", life)


def _words(new: NewArtifact, *, linked: bool = False) -> str:
    stored = (STORED, "life = :life") if new.is_there is None else (PRESENT, "TRUE")
    return _with(_MAKE_LINKED if linked else _MAKE, *stored)
