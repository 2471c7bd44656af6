"""A version that is made whole: with its artifacts, its metadata and its stage, or not at all (R17, R22)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Connection, insert

from airflow_model_provider.exceptions import ModelNotFound
from airflow_model_provider.registry import tables
from airflow_model_provider.registry.artifacts import NewArtifact, add_link, addition, check_added
from airflow_model_provider.registry.catalog import locked_model
from airflow_model_provider.registry.columns import now
from airflow_model_provider.registry.entities import NOTHING, Attempt, Relation, StageEvent, VersionRecord
from airflow_model_provider.registry.events import Line, last_event
from airflow_model_provider.registry.metadata import metadata_rows
from airflow_model_provider.registry.once import made_before, mark_made
from airflow_model_provider.registry.promotion import promote_new
from airflow_model_provider.registry.values import plain_metadata
from airflow_model_provider.registry.versions import NewVersion, add_version
from airflow_model_provider.selectors import check_name, check_stage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_model_provider.registry.change import Change
    from airflow_model_provider.registry.database import Database, Statement
    from airflow_model_provider.registry.versions import Numbered


class NewContents(NamedTuple):
    """
    What a new version holds; the bytes of its artifacts are in the store.

    :param artifacts: each with how it comes to the version.
    :param attempt: the try of the task that logs the metadata.
    :param linked: ids of artifact versions that are there already, and come to the version as they are.
    :param once: where this task of this Dag run has made a version of the same artifacts and metadata, it is that one.
    """

    artifacts: Sequence[tuple[NewArtifact, Relation]] = ()
    metadata: Mapping[str, Any] = NOTHING
    attempt: Attempt | None = None
    linked: Sequence[int] = ()
    once: bool = False


class Registered(NamedTuple):
    """A version that was made, now or (``found``) in another try; and the event that promoted it now, if one did."""

    version: VersionRecord
    event: StageEvent | None
    found: bool = False


def register_version(
    database: Database,
    model: str,
    new: NewVersion,
    contents: NewContents,
    stage: tuple[str, Sequence[str], Change] | None,
) -> Registered:
    """
    Make a version with all it holds, and promote it where that is asked; the model is made if it is missing.

    :param stage: the stage it is to hold, those that are declared, and what is asked of the stage.
    :raises BlobGone: naming the digest of bytes that were collected since they were stored.
    :raises AlreadyExists: if the model has a version of this name.
    :raises ArtifactNotFound: if one that is to be linked is not there.
    :raises ModelRegistryError: what :func:`promotion.set_stage` raises; nothing is made then.
    """
    check_name("model", model)
    contents = contents._replace(metadata=plain_metadata(contents.metadata))
    if stage is not None:
        name, declared, change = stage
        change.check()
        if change.gates:
            from airflow_model_provider.registry.gating import check_gates

            check_gates(change.gates, name, declared, change.ask)
        check_stage(name, declared)

    made: list[VersionRecord] = []
    promotion = None if stage is None else (Line(model, stage[0]), stage[2])

    def work(connection: Connection, *, create: bool = False) -> Registered:
        if create:
            locked_model(connection, model, new.card, create=True)
        if contents.once and (found := made_before(connection, model, contents)) is not None:
            return Registered(found, None, found=True)
        if promotion is None:
            return Registered(add_whole_version(connection, model, new, contents).version, None)
        line, change = promotion
        added = add_whole_version(connection, model, new, contents, last_event(model, line.stage))
        made[:] = [added.version]
        return promoted(promote_new(connection, added, line, change))

    def promoted(event: StageEvent) -> Registered:
        return Registered(made[0]._replace(stages=(event.stage,), sealed_at=event.at), event)

    recall = promotion and (lambda connection: promoted(promotion[0].recall(connection)))
    try:
        return database.write(work, recall)
    except ModelNotFound:
        return database.write(partial(work, create=True), recall)


def add_whole_version(
    connection: Connection, model: str, new: NewVersion, contents: NewContents, *also: Statement
) -> Numbered:
    """
    Add the next version of a model, with what it holds. See :func:`versions.add_version`.

    :raises BlobGone: naming the digest of bytes that were collected since they were stored.
    """
    # In one order, else two could wait for each other's names.
    artifacts = sorted(contents.artifacts, key=lambda entry: entry[0].name)
    additions = [addition(held, model, how) for held, how in artifacts]
    made = add_version(connection, model, new, *also, *additions)
    for (held, _), rows in zip(artifacts, made.also[len(also) :], strict=True):
        check_added(held, rows)
    version_id = made.version.id
    for artifact_version_id in contents.linked:
        add_link(connection, version_id, artifact_version_id)
    if contents.once and contents.attempt is not None:
        mark_made(connection, version_id, contents.attempt)
    if contents.metadata:
        rows = metadata_rows(version_id, contents.metadata, contents.attempt)
        connection.execute(insert(tables.version_metadata).values(at=now()), rows)
    return made
