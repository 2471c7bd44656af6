"""What is missing where a reference stands for nothing, and the error that says so; may cost a second read."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import Connection, select

from airflow_model_provider.exceptions import (
    AmbiguousArtifact,
    ArtifactNotFound,
    MetadataNotFound,
    ModelRegistryError,
    PinnedToNothing,
    StageNotAssigned,
    VersionDeleted,
    VersionNotFound,
)
from airflow_model_provider.named_artifacts import AnyReference, NamedArtifact
from airflow_model_provider.references import OutputReference, Reference, Wanted
from airflow_model_provider.registry import tables
from airflow_model_provider.registry.artifacts import artifact_names, label_of, no_artifact_named
from airflow_model_provider.registry.catalog import model_not_found
from airflow_model_provider.registry.entities import VersionState
from airflow_model_provider.registry.metadata import metadata_keys
from airflow_model_provider.registry.versions import described_versions
from airflow_model_provider.selectors import SelectorKind

if TYPE_CHECKING:
    from airflow_model_provider.registry.entities import ArtifactRecord, VersionRecord


class Missing(NamedTuple):
    """A reference with as much of it as was found. ``pinned``: the run keeps what its first task found, or didn't."""

    reference: AnyReference
    model_id: int | None
    version: VersionRecord | None
    artifact: ArtifactRecord | None
    pinned: bool = False

    def what(self, *, metadata_found: bool) -> str | None:
        """Return which part is not there; None if nothing is missing."""
        reference = self.reference
        assert isinstance(reference, Reference)
        if self.version is None:
            return "version"
        if reference.wanted is Wanted.METADATA:
            return None if metadata_found else "metadata"
        if reference.wanted is Wanted.ARTIFACT:
            if self.artifact is None or self.is_collection:
                return "artifact"
            key = (reference.attribute or "").partition("metadata:")[2]
            return "metadata" if key and key not in self.artifact.metadata else None
        return None

    @property
    def is_collection(self) -> bool:
        """Whether a mapped step made several of these and none of them was chosen (R19)."""
        reference = self.reference
        return (
            isinstance(reference, Reference)
            and reference.map_index is None
            and reference.artifact_version is None
            and self.artifact is not None
            and self.artifact.map_index >= 0
        )


def explain(connection: Connection, missing: Missing) -> ModelRegistryError:
    """Return the error that names what is missing and what there is instead."""
    reference, version, artifact = missing.reference, missing.version, missing.artifact
    if isinstance(reference, OutputReference):
        return ArtifactNotFound("The registry", repr(reference))
    if isinstance(reference, NamedArtifact):
        key = (reference.attribute or "").partition("metadata:")[2]
        if artifact is not None:
            return MetadataNotFound(f"artifact {artifact}", key, tuple(artifact.metadata))
        return no_artifact_named(connection, reference.name, reference.version, reference.map_index)
    if version is None and missing.pinned:
        return PinnedToNothing(repr(reference))
    if version is None:
        return _no_version(connection, reference, missing.model_id)
    if reference.wanted is Wanted.METADATA:
        return MetadataNotFound(str(version), str(reference.name), metadata_keys(connection, version.id))
    if artifact is None:
        return _no_artifact(connection, reference, version)
    if missing.is_collection:
        elements = [index for index in _indexes(connection, reference, version) if index >= 0]
        return AmbiguousArtifact(str(version), artifact.name, elements)
    key = str(reference.attribute).partition("metadata:")[2]
    return MetadataNotFound(f"{version}/{artifact.name}", key, tuple(artifact.metadata))


def _no_version(connection: Connection, reference: Reference, model_id: int | None) -> ModelRegistryError:
    if model_id is None:
        return model_not_found(connection, reference.model)
    versions = described_versions(connection, model_id)
    if reference.as_of:
        return _none_then(connection, reference, model_id, versions)
    if reference.selector.kind in (SelectorKind.STAGE, SelectorKind.LATEST):
        return StageNotAssigned(reference.model, str(reference.selector), versions)
    return VersionNotFound(reference.model, str(reference.selector), versions)


def _none_then(
    connection: Connection, reference: Reference, model_id: int, versions: tuple[str, ...]
) -> ModelRegistryError:
    event, version = tables.stage_event.c, tables.version.c
    stage, then = str(reference.selector), reference.as_of[0]
    of_stage = select(event.at, event.version_id, version.number, version.state).outerjoin_from(
        tables.stage_event, tables.version, version.id == event.version_id
    )
    of_stage = of_stage.where(event.model_id == model_id, event.stage == stage)
    before = of_stage.where(event.at <= datetime.fromisoformat(then)).order_by(event.sequence.desc())
    holder = connection.execute(before.limit(1)).one_or_none()
    if holder is not None and holder.state == VersionState.DELETED.value:
        return VersionDeleted(f"{reference.model}@{holder.number}", stage, then)
    left = holder.at.isoformat() if holder is not None and holder.version_id is None else None
    first = connection.execute(of_stage.order_by(event.sequence).limit(1)).one_or_none()
    since = first.at.isoformat() if first is not None else None
    return StageNotAssigned(reference.model, stage, versions, then, since, left)


def _no_artifact(connection: Connection, reference: Reference, version: VersionRecord) -> ArtifactNotFound:
    name, number = str(reference.name), reference.artifact_version
    asked = label_of(name, number, reference.map_index)
    label, link, made = str(version), tables.link.c, tables.artifact_version.c
    if reference.kind is not None:
        kinds = select(made.kind).join(tables.link, link.artifact_version_id == made.id)
        kinds = kinds.where(link.version_id == version.id, link.name == reference.name)
        found = connection.execute(kinds.order_by(made.id.desc()).limit(1)).scalar()
        if found is not None and found != reference.kind.value:
            return ArtifactNotFound(label, asked, (), reference.kind.value, found)
    if reference.map_index is not None and (indexes := _indexes(connection, reference, version)):
        return ArtifactNotFound(label, asked, [label_of(name, number, index) for index in indexes])
    if number is None:
        return ArtifactNotFound(label, asked, artifact_names(connection, version.id))
    numbers = (
        select(made.number)
        .join(tables.link, link.artifact_version_id == made.id)
        .where(link.version_id == version.id, link.name == reference.name)
    )
    others = connection.execute(numbers.order_by(made.number.desc()).limit(100)).scalars()
    return ArtifactNotFound(label, asked, [label_of(name, other, None) for other in others])


def _indexes(connection: Connection, reference: Reference, version: VersionRecord) -> list[int]:
    """Return the map indexes of what a version holds under a name; -1 for what is not part of a collection."""
    link, made = tables.link.c, tables.artifact_version.c
    query = select(link.map_index).join(tables.artifact_version, made.id == link.artifact_version_id)
    query = query.where(link.version_id == version.id, link.name == reference.name)
    if reference.kind is not None:
        query = query.where(made.kind == reference.kind.value)
    if reference.artifact_version is not None:
        query = query.where(made.number == reference.artifact_version)
    return list(connection.execute(query.distinct().order_by(link.map_index)).scalars())
