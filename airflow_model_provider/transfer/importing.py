"""One file → versions of a model, of which nobody sees anything before all of it was checked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_model_provider import settings
from airflow_model_provider.exceptions import ImportConflict, ModelNotFound, PickleForbidden
from airflow_model_provider.registry.artifacts import NewArtifact
from airflow_model_provider.registry.blobs import BlobGone
from airflow_model_provider.registry.entities import Payload, Relation
from airflow_model_provider.registry.transfer import IMPORTED_FROM, Incoming, origins
from airflow_model_provider.registry.versions import NewVersion
from airflow_model_provider.selectors import ArtifactType, check_name
from airflow_model_provider.transfer.archive import Archive

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow_model_provider.registry.registry import Registry
    from airflow_model_provider.transfer.manifest import Artifact, Manifest, Version
    from airflow_model_provider.workspace import Workspace


class ImportedVersion(NamedTuple):
    """
    What became of one version.

    :param source: what it is called where it comes from: ``iris@3``.
    :param number: its number here; None in a dry run for one that is new.
    :param is_new: whether this import made it, or would; else it was here already.
    :param stages: those it held where it comes from. Here it holds none before it is promoted.
    """

    source: str
    number: int | None
    is_new: bool
    stages: tuple[str, ...]


class Imported(NamedTuple):
    """
    What became of an export.

    :param registry: id of the registry it comes from.
    :param model: the model's name here.
    :param versions: its versions, in their order.
    """

    registry: str
    model: str
    versions: tuple[ImportedVersion, ...]


def import_model(
    workspace: Workspace,
    path: Path | str,
    name: str | None = None,
    *,
    dry_run: bool = False,
    told: Callable[[int], None] = lambda _size: None,
) -> Imported:
    """
    Make versions of a file that :func:`export_model` has written. See :meth:`Client.import_model`.

    :param told: called with the bytes of each payload.
    """
    with Archive.open(Path(path)) as archive:
        said = archive.manifest
        model = check_name("model", name or said.model.name)
        versions = sorted(said.versions, key=lambda version: version.number)
        incoming = [_incoming(said, version) for version in versions]
        here = workspace.registry.find_imported(model, incoming)
        new = [item for item, number in zip(incoming, here, strict=True) if number is None]
        _check(workspace.registry, model, new)
        needed = set() if dry_run else {digest for item in new for _, _, digest in item.bytes_held}
        lives: dict[str, int] = {}
        for digest, size in archive.payloads.items():
            if digest in needed:
                lives[digest] = _store(workspace, archive, digest, size)
            else:
                archive.copy(digest)
            told(size)
        found = []
        for version, item, number in zip(versions, incoming, here, strict=True):
            is_new = number is None
            if is_new and not dry_run:
                number, is_new = _make(workspace, archive, model, item, lives)
            source = f"{said.model.name}@{version.number}"
            found.append(ImportedVersion(source, number, is_new, tuple(version.stages)))
        return Imported(said.registry, model, tuple(found))


def _incoming(said: Manifest, version: Version) -> Incoming:
    metadata = {**version.metadata.sealed, **version.metadata.later}
    source = {
        "registry": said.registry,
        "version": f"{said.model.name}@{version.number}",
        "created_at": version.created_at,
        "stages": version.stages,
        "run": version.run.model_dump() if version.run else None,
    }
    if IMPORTED_FROM in metadata:
        source[IMPORTED_FROM] = metadata[IMPORTED_FROM]
    new = NewVersion(
        name=version.name,
        description=version.description,
        tags=version.tags,
        environment=version.environment,
        card={**said.model.card, "tags": said.model.tags},
    )
    artifacts = [(_artifact(item), Relation(item.relation)) for item in version.artifacts]
    return Incoming(new, artifacts, {**metadata, IMPORTED_FROM: source}, frozenset(origins(source)))


def _artifact(said: Artifact) -> NewArtifact:
    fields = {name: getattr(said, name) for name in Payload._fields}
    payload = Payload(**{**fields, "type_names": tuple(said.type_names)})
    kind = ArtifactType(said.kind)
    return NewArtifact(said.name, payload, kind, metadata=said.metadata, map_index=said.map_index)


def _check(registry: Registry, model: str, new: Sequence[Incoming]) -> None:
    """
    Refuse what can be known to fail, or to be unwanted here, before anything is written.

    :raises ImportConflict: for names of versions that others have.
    :raises PickleForbidden: for a format that can execute code, where that is forbidden.
    """
    try:
        taken = {item.version_name: str(item) for item in registry.list_versions(model) if item.version_name}
    except ModelNotFound:
        taken = {}
    names = [item.version.name for item in new if item.version.name in taken]
    if names:
        raise ImportConflict(model, [f"{name} ({taken[name]})" for name in names if name])
    if not settings.formats().allow_pickle:
        for item in new:
            _refuse_pickles(item)


def _refuse_pickles(incoming: Incoming) -> None:
    from airflow_model_provider.materializers import lookup

    for artifact, _ in incoming.artifacts:
        payload = artifact.payload
        if lookup.for_key(payload.materializer, payload.format_version).executes_code:
            raise PickleForbidden(f"Artifact {artifact.name!r}", payload.materializer)


def _store(workspace: Workspace, archive: Archive, digest: str, size: int) -> int:
    """Put a payload into the store, once it is known to be what its name says."""
    with workspace.store.new_file() as path:
        with path.open("wb") as target:
            archive.copy(digest, target)
        return workspace.put(path, digest, size)


def _make(
    workspace: Workspace, archive: Archive, model: str, incoming: Incoming, lives: dict[str, int]
) -> tuple[int, bool]:
    while True:
        try:
            return workspace.registry.import_version(model, incoming.stored(lives))
        except BlobGone as gone:  # a collector was faster: the bytes have to be stored again
            digest: Any = gone.args[0]
            lives[digest] = _store(workspace, archive, digest, archive.payloads[digest])
