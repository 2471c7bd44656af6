"""What is there once a reference is resolved: artifacts and versions that can be read, loaded, promoted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from airflow_model_provider.addresses import find_address
from airflow_model_provider.exceptions import InvalidDefinition
from airflow_model_provider.exceptions.base import quoted
from airflow_model_provider.promoting import NO_ORIGIN, Origin, Promotable
from airflow_model_provider.references import UNSET, Reference, Wanted, in_registry_of
from airflow_model_provider.registry.entities import (
    ArtifactRecord,
    Attempt,
    Link,
    Relation,
    Resolution,
    ResolutionRecord,
    VersionRecord,
    VersionState,
)
from airflow_model_provider.registry.run_metadata import RunMetadata
from airflow_model_provider.selectors import (
    ArtifactType,
    Selector,
    SelectorKind,
    artifact_type,
    check_name,
)
from airflow_model_provider.workspace import Saving, Workspace, open_workspace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from airflow_model_provider.references import OutputReference

__all__ = [
    "NO_ORIGIN", "USED_ELSEWHERE", "Artifact", "ModelVersion", "Origin", "RunMetadata", "handle_of",
    "resolved_value", "save_or_adopt",
]  # fmt: skip

T = TypeVar("T")
#: Metadata of an output: the versions in other registries that its task used.
USED_ELSEWHERE: Final = "used_in_other_registries"


class Artifact(Generic[T]):
    """
    A pinned artifact: known to the byte, loaded only when asked.

    Annotate a step's parameter ``Artifact[BaseEstimator]`` to be given this instead of the loaded object.

    :param workspace: where it is registered and stored.
    :param record: its entry in the registry.
    :param version: printed form of the model version it was reached through, if any.
    :param conn_id: of its registry.
    """

    def __init__(
        self,
        workspace: Workspace,
        record: ArtifactRecord,
        version: str | None = None,
        conn_id: str | None = None,
    ) -> None:
        self._workspace, self.record, self.model_version, self._conn_id = workspace, record, version, conn_id

    @property
    def registry_id(self) -> str:
        """Id of the registry that it is registered in."""
        return self._workspace.registry.id

    @property
    def name(self) -> str:
        """The artifact's name."""
        return self.record.name

    @property
    def number(self) -> int:
        """The artifact's own version number, from 1."""
        return self.record.number

    @property
    def map_index(self) -> int | None:
        """The index of the instance that made it, if a mapped step made a collection; else None."""
        index = self.record.map_index
        return index if index >= 0 else None

    @property
    def kind(self) -> ArtifactType:
        """Model, data or deployment."""
        return self.record.kind

    @property
    def digest(self) -> str:
        """SHA-256 of the stored bytes, hexadecimal."""
        return self.record.payload.digest

    @property
    def size(self) -> int:
        """Number of stored bytes."""
        return self.record.payload.size

    @property
    def type(self) -> str:
        """The value's type as ``module.Class``."""
        return self.record.payload.type_names[0]

    @property
    def uri(self) -> str:
        """Where the bytes are."""
        return self._workspace.store.uri(self.digest)

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What was logged onto this artifact version."""
        return self.record.metadata

    @property
    def signature(self) -> Mapping[str, Any] | None:
        """The schema of a model's inputs, where it is known."""
        return self.record.payload.signature

    @property
    def environment(self) -> Mapping[str, Any]:
        """Python, platform and library versions it was saved with."""
        return self.record.payload.environment

    @property
    def made_by(self) -> Attempt | None:
        """The try of the task that made it; None if it was saved by hand."""
        return self._workspace.registry.producer_of(self.record.id)

    def used_versions(self) -> list[ModelVersion]:
        """
        Return the versions that the task which made it had resolved: the models behind this output.

        One that was deleted since is among them, with its number and the state ``deleted``.

        >>> Client().get_artifact("predictions").used_versions()  # doctest: +SKIP
        [iris_classifier@2]
        """
        attempt, origin = self.made_by, Origin(conn_id=self._conn_id)
        records = [] if attempt is None else self._workspace.registry.used_versions(attempt.attempt_id)
        own = [ModelVersion(self._workspace, record, origin) for record in records]
        return [*own, *map(_version_elsewhere, self.metadata.get(USED_ELSEWHERE, ()))]

    def load(self, *, mmap: bool = False) -> T:
        """
        Return the object; the bytes are verified first.

        A ``pathlib.Path`` is that of a private copy in a temporary folder, which is the caller's to remove.

        :param mmap: map large arrays and frames read-only instead of copying, where the format allows.
        :raises DigestMismatch: if the stored bytes were changed.
        """
        value: T = self._workspace.load(self.record, what=repr(self), mmap=mmap)
        return value

    def check_signature(self) -> None:
        """
        Refuse an artifact whose loading can execute code, where signatures are required and it bears none.

        :raises NotSigned: if that is so.
        """
        self._workspace.check_signature(self.record, what=repr(self))

    def reference(self) -> OutputReference:
        """Return what travels in XCom for it."""
        versions = [self.model_version] if self.model_version else []
        return self._workspace.output_reference(self.record, versions, self._conn_id)

    def path(self) -> Path:
        """Return a verified local file with the stored bytes. It is read-only: copy it before changing it."""
        return self._workspace.store.source(self.digest, self.size, what=repr(self)).path()

    @property
    def local_path(self) -> Path:
        """What a reference's ``local_path`` gives: the same as :meth:`path`."""
        return self.path()

    def __deepcopy__(self, memo: object) -> Artifact[T]:
        return self

    def __repr__(self) -> str:
        text = f"{self.model_version}/{self.record}" if self.model_version else str(self.record)
        return in_registry_of(text, self._conn_id)


class ModelVersion(Promotable):
    """
    One concrete version of a model.

    :param workspace: the registry and store that hold it.
    :param record: its entry in the registry.
    :param origin: the task that acts through this handle, recorded with what it does.
    """

    def __init__(self, workspace: Workspace, record: VersionRecord, origin: Origin = NO_ORIGIN) -> None:
        super().__init__(workspace, record, origin)

    @property
    def name(self) -> str:
        """The model's name."""
        return self.record.model

    @property
    def number(self) -> int:
        """The version number, from 1, without gaps."""
        return self.record.number

    @property
    def id(self) -> int:
        """The version's id in its registry."""
        return self.record.id

    @property
    def version_name(self) -> str | None:
        """The name that the version was given; None if it has none."""
        return self.record.version_name

    @property
    def state(self) -> VersionState:
        """producing, ready, failed or deleted."""
        return self.record.state

    @property
    def stage(self) -> str:
        """The first of its stages in declared order, ``archived`` once it was moved out, else ``none``."""
        return self.record.stage(self._workspace.registry.stages)

    @property
    def created_at(self) -> datetime:
        """When it was made (UTC)."""
        return self.record.created_at

    @property
    def run_metadata(self) -> RunMetadata:
        """What was logged onto this version, read now."""
        return RunMetadata(str(self.record), self._workspace.registry.get_metadata(self.id))

    def get_artifact(
        self, name: str, version: int | None = None, *, map_index: int | None = None, default: Any = UNSET
    ) -> Any:
        """
        Return an artifact of this version, unloaded.

        :param version: a given version of the artifact instead of the newest.
        :param map_index: the element, where a mapped step made a collection.
        :param default: returned where there is no such artifact, instead of the error.
        :raises ArtifactNotFound: naming the artifacts that exist.
        """
        return self._get(name, version, map_index, default, None)

    def _get(
        self,
        name: str,
        version: int | None,
        map_index: int | None,
        default: Any,
        kind: ArtifactType | None,
    ) -> Any:
        wanted = self.reference().but(
            wanted=Wanted.ARTIFACT,
            name=name,
            kind=kind,
            artifact_version=version,
            map_index=map_index,
            default=default,
        )
        (found,) = self._workspace.registry.resolve([wanted])
        if found.artifact is None:
            return default
        return Artifact(self._workspace, found.artifact, str(self.record), self._origin.conn_id)

    def get_model_artifact(
        self, name: str, version: int | None = None, *, map_index: int | None = None, default: Any = UNSET
    ) -> Any:
        """Return a model artifact of this version, unloaded. See :meth:`get_artifact`."""
        return self._get(name, version, map_index, default, ArtifactType.MODEL)

    def get_data_artifact(
        self, name: str, version: int | None = None, *, map_index: int | None = None, default: Any = UNSET
    ) -> Any:
        """Return a data artifact of this version, unloaded. See :meth:`get_artifact`."""
        return self._get(name, version, map_index, default, ArtifactType.DATA)

    def get_deployment_artifact(
        self, name: str, version: int | None = None, *, map_index: int | None = None, default: Any = UNSET
    ) -> Any:
        """Return a deployment artifact of this version, unloaded. See :meth:`get_artifact`."""
        return self._get(name, version, map_index, default, ArtifactType.DEPLOYMENT)

    def load_artifact(self, name: str, version: int | None = None, *, map_index: int | None = None) -> Any:
        """Return the object that an artifact of this version holds. See :meth:`get_artifact`."""
        return self.get_artifact(name, version, map_index=map_index).load()

    def list_artifacts(self) -> list[Artifact[Any]]:
        """Return the artifacts of this version: the newest of each name, of a collection all elements."""
        records = self._workspace.registry.list_artifacts(self.id)
        return [
            Artifact(self._workspace, record, str(self.record), self._origin.conn_id) for record in records
        ]

    def save_artifact(
        self,
        name: str,
        value: Any,
        *,
        kind: ArtifactType | str | None = None,
        format: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Artifact[Any]:
        """
        Save a value as an artifact of this version.

        :param value: the value; a handle of an artifact is linked, or registered under this name, without a copy of
            its bytes.
        :param kind: ``model``, ``data`` or ``deployment``; None takes it from the type.
        :param format: ``skops.file`` for a scikit-learn model that executes nothing when loaded: no other is
            tried then. None for the default.
        :raises NotSerializable: if no format holds the value.
        """
        saving = self._saving(name, kind, format, metadata)
        attempt, links = self._origin.attempt, [self._link()]
        record = save_or_adopt(self._workspace, value, saving, attempt=attempt, links=links)
        return Artifact(self._workspace, record, str(self.record), self._origin.conn_id)

    def link_artifact(self, artifact: Artifact[Any]) -> None:
        """
        Make an artifact that is there one of this version too, under its own name and without a copy of its bytes.

        :param artifact: its handle.

        >>> version.link_artifact(older.get_artifact("vectorizer"))  # doctest: +SKIP
        """
        self.save_artifact(artifact.name, artifact)

    def save_file(
        self,
        name: str,
        path: Path | str,
        *,
        format: str | None = None,
        kind: ArtifactType | str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Artifact[Any]:
        """
        Keep a file that another program has made as an artifact of this version, byte by byte and unopened.

        :param format: how it is loaded: ``joblib``, ``pickle``, ``skops``, ``npy``, or ``file`` (its path is
            given). None takes it from the file's name.
        :param kind: ``model``, ``data`` or ``deployment``; None means a model for joblib, pickle and skops.
        :raises FileMissing: if there is no such file.
        :raises PickleForbidden: if the format can execute code, and that is forbidden.

        >>> version.save_file("legacy", "model.joblib").load()  # doctest: +SKIP
        """
        if not isinstance(path, str | Path):
            raise InvalidDefinition(
                "save_file()",
                f"path={quoted(path)} must be the path of a file",
                "Example: path='model.joblib'.",
            )
        saving = self._saving(name, kind, format, metadata)
        record = self._workspace.save_file(
            Path(path), saving, attempt=self._origin.attempt, links=[self._link()]
        )
        return Artifact(self._workspace, record, str(self.record), self._origin.conn_id)

    def _saving(
        self,
        name: str,
        kind: ArtifactType | str | None,
        format: str | None,
        metadata: Mapping[str, Any] | None,
    ) -> Saving:
        kind = None if kind is None else artifact_type(kind)
        what = f"artifact {check_name('artifact', name)!r} of {self}"
        return Saving(name, what=what, kind=kind, format=format, metadata=metadata)

    def _link(self) -> Link:
        producing = self.record.state is VersionState.PRODUCING
        return Link(self.id, Relation.OUTPUT if producing else Relation.LINKED)

    def delete_artifact(self, name: str) -> None:
        """
        Take an artifact out of this version.

        :raises VersionSealed: if the version was promoted.
        """
        self._workspace.registry.delete_artifact(self.id, name)

    def log_metadata(self, metadata: Mapping[str, Any]) -> None:
        """
        Log values onto this version.

        :param metadata: JSON values by key.
        :raises VersionSealed: for a key that the version held when it was first promoted.
        """
        self._workspace.registry.log_version_metadata(self.id, metadata, self._origin.attempt)

    def used_by(self, *, limit: int | None = 100, belonging: bool = False) -> list[ResolutionRecord]:
        """
        Return which tasks, of which runs, took this version or something of it, newest first.

        :param limit: how many, at most; None for all.
        :param belonging: also steps whose ``model=`` it merely is, and which took nothing of it as an argument.

        >>> {record.attempt.run for record in version.used_by()}  # doctest: +SKIP
        """
        registry = self._workspace.registry
        taken = None if belonging else False
        return registry.resolutions(model=self.record.model, number=self.number, belongs=taken, limit=limit)

    def reference(self) -> Reference:
        """Return what travels in XCom for it: this very version, by its number."""
        selector = Selector(SelectorKind.NUMBER, self.number)
        return Reference(self.record.model, selector, conn_id=self._origin.conn_id)

    def refresh(self) -> None:
        """Read the version's state and stages again."""
        selector = Selector(SelectorKind.NUMBER, self.number)
        self.record = self._workspace.registry.get_version(self.record.model, selector)

    def __deepcopy__(self, memo: object) -> ModelVersion:
        return self

    def __repr__(self) -> str:
        return in_registry_of(str(self.record), self._origin.conn_id)


def _version_elsewhere(said: Mapping[str, Any]) -> ModelVersion:
    workspace = open_workspace(find_address(said["conn_id"]))
    record = workspace.registry.get_version(said["model"], Selector.parse(said["number"]))
    return ModelVersion(workspace, record, Origin(conn_id=said["conn_id"]))


def handle_of(value: Any) -> Artifact[Any] | None:
    """Return the handle that a value is, or that a pinned handle of a stock task holds; None for any other value."""
    found = getattr(value, "handle", None) if isinstance(value, str) else value
    return found if isinstance(found, Artifact) else None


def save_or_adopt(
    workspace: Workspace, value: Any, saving: Saving, *, attempt: Attempt | None, links: Sequence[Link]
) -> ArtifactRecord:
    """
    Save a value; link or register what is a handle of an artifact.

    :raises InvalidDefinition: if a handle is to be saved in a format: it is stored already.
    """
    handle = handle_of(value)
    if handle is None:
        return workspace.save(value, saving, attempt=attempt, links=links)
    if saving.format not in (None, handle.record.payload.materializer):
        problem = f"format={saving.format!r} is given for {handle!r}, which is stored already"
        raise InvalidDefinition(saving.what, problem, "Leave out format=, or save the value: handle.load().")
    from airflow_model_provider.transfer.adopting import adopt

    return adopt(workspace, handle._workspace, handle.record, saving, attempt=attempt, links=links)


def resolved_value(workspace: Workspace, resolution: Resolution, origin: Origin = NO_ORIGIN) -> Any:
    """Return what a resolution stands for: a plain value, an unloaded artifact, or the version."""
    reference, version, artifact = resolution.reference, resolution.version, resolution.artifact
    conn_id = resolution.conn_id
    if resolution.missing is not None:
        return resolution.value
    attribute = getattr(reference, "attribute", None)
    if attribute not in (None, "uri", "local_path") or getattr(reference, "wanted", None) is Wanted.METADATA:
        return resolution.value
    if artifact is not None:
        handle: Artifact[Any] = Artifact(workspace, artifact, str(version) if version else None, conn_id)
        if attribute == "local_path":
            return handle.path()
        return handle if attribute is None else handle.uri
    if version is not None:
        return ModelVersion(workspace, version, origin._replace(conn_id=conn_id))
    return resolution.value
