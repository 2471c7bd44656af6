"""A version that is made whole: with its artifacts, its metadata and its stage, or not at all (R17, R22)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Connection, insert

from airflow_model_provider.registry import tables
from airflow_model_provider.registry.artifacts import NewArtifact, add_artifact, add_link
from airflow_model_provider.registry.columns import now
from airflow_model_provider.registry.entities import NOTHING, Attempt, Relation, StageEvent, VersionRecord
from airflow_model_provider.registry.events import last_event
from airflow_model_provider.registry.metadata import metadata_rows
from airflow_model_provider.registry.once import made_before, mark_made
from airflow_model_provider.registry.promotion import Change, promote_new
from airflow_model_provider.registry.values import plain_metadata
from airflow_model_provider.registry.versions import NewVersion, add_version_and_model
from airflow_model_provider.selectors import check_name, check_stage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_model_provider.registry.database import Database


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

    def work(connection: Connection) -> Registered:
        if contents.once and (found := made_before(connection, model, contents)) is not None:
            return Registered(found, None, found=True)
        last = [] if stage is None else [last_event(model, stage[0])]
        made = add_version_and_model(connection, model, new, *last)
        version = made.version
        fill(connection, version.id, contents)
        if stage is None:
            return Registered(version, None)
        event = promote_new(connection, made, stage[0], stage[2])
        return Registered(version._replace(stages=(event.stage,), sealed_at=event.at), event)

    return database.write(work)


def fill(connection: Connection, version_id: int, contents: NewContents) -> None:
    """Give a version that this very transaction has made what it holds."""
    for new, relation in contents.artifacts:
        add_artifact(connection, new, version_id, relation)
    for artifact_version_id in contents.linked:
        add_link(connection, version_id, artifact_version_id)
    if contents.once and contents.attempt is not None:
        mark_made(connection, version_id, contents.attempt)
    if contents.metadata:
        rows = metadata_rows(version_id, contents.metadata, contents.attempt)
        connection.execute(insert(tables.version_metadata).values(at=now()), rows)
