"""What is reached from a ``Model``: lazy references, which in a running step are resolved at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeGuard

from airflow_model_provider.context import acting_task, current_step, in_definition, refuse_io_in_definition
from airflow_model_provider.deferring import Uncomputed, called_by_machinery
from airflow_model_provider.exceptions import InvalidDefinition
from airflow_model_provider.limits import check_key
from airflow_model_provider.named_artifacts import AnyReference, NamedArtifact
from airflow_model_provider.references import UNSET, Reference, Wanted

if TYPE_CHECKING:
    from collections.abc import ItemsView, Iterator, KeysView, Mapping, ValuesView
    from pathlib import Path

    from airflow_model_provider.handles import Artifact
    from airflow_model_provider.registry.entities import Attempt
    from airflow_model_provider.workspace import Workspace


class LazyArtifact(Reference):
    """A lazy reference to an artifact of a version. Pass it to a step, which is given the loaded object."""

    @property
    def uri(self) -> Reference:
        """Where the bytes are, as a plain string when the task runs."""
        return self._plain("uri")

    @property
    def digest(self) -> Reference:
        """SHA-256 of the bytes, as a plain string when the task runs."""
        return self._plain("digest")

    @property
    def number(self) -> Reference:
        """The artifact's own version number, as a plain value when the task runs."""
        return self._plain("number")

    @property
    def metadata(self) -> LazyMetadata:
        """Metadata of the artifact, as plain values when the task runs."""
        return LazyMetadata(self)

    @property
    def local_path(self) -> Reference:
        """A verified local file with the bytes, for libraries that read files themselves; a path in a task."""
        return self._plain("local_path")

    def _plain(self, attribute: str) -> Reference:
        return self.with_attribute(attribute)

    def load(self, *, mmap: bool = False) -> Any:
        """
        Resolve and load it here and now.

        :raises LoadingWhileBuilding: in the body of a pipeline or DAG.
        """
        return self._pinned("load()").load(mmap=mmap)

    def path(self) -> Path:
        """Resolve it here and now and return a verified local file with its bytes."""
        return self._pinned("path()").path()

    def _pinned(self, operation: str) -> Artifact[Any]:
        artifact: Artifact[Any] = resolve_now(self, operation)
        return artifact


class LazyNamedArtifact(NamedArtifact):
    """
    A lazy reference to an artifact by its own name. Pass it to a step, which is given the loaded object.

    >>> Client().get_artifact("scaler")  # in the body of a pipeline or DAG  # doctest: +SKIP
    artifact scaler
    """

    @property
    def uri(self) -> NamedArtifact:
        """Where the bytes are, as a plain string when the task runs."""
        return self.with_attribute("uri")

    @property
    def digest(self) -> NamedArtifact:
        """SHA-256 of the bytes, as a plain string when the task runs."""
        return self.with_attribute("digest")

    @property
    def number(self) -> NamedArtifact:
        """The artifact's own version number, as a plain value when the task runs."""
        return self.with_attribute("number")

    @property
    def metadata(self) -> LazyMetadata:
        """Metadata of the artifact, as plain values when the task runs."""
        return LazyMetadata(self)

    @property
    def local_path(self) -> NamedArtifact:
        """A verified local file with the bytes, for libraries that read files themselves; a path in a task."""
        return self.with_attribute("local_path")

    def load(self, *, mmap: bool = False) -> Any:
        """
        Resolve and load it here and now.

        :raises LoadingWhileBuilding: in the body of a pipeline or DAG.
        """
        return resolve_now(self, "load()").load(mmap=mmap)

    def path(self) -> Path:
        """Resolve it here and now and return a verified local file with its bytes."""
        found: Path = resolve_now(self, "path()").path()
        return found

    def found_in(self, workspace: Workspace, attempt: Attempt | None) -> Any:
        """
        Return the handle of what there is now, whatever was pinned before; else the default.

        :param attempt: the try of the task that asks, in whose records it is noted.
        :raises ArtifactNotFound: if it is missing, unless a default is given.
        """
        from airflow_model_provider.handles import Artifact

        (found,) = workspace.registry.resolve([self])
        if found.artifact is None:
            return found.value
        handle: Artifact[Any] = Artifact(workspace, found.artifact, conn_id=self.conn_id)
        if attempt is not None:
            workspace.registry.record([found._replace(reference=handle.reference())], attempt)
        return handle


def _fields(reference: Reference) -> dict[str, Any]:
    return {name: getattr(reference, name) for name in Reference.__dataclass_fields__}


class LazyMetadata(Uncomputed):
    """
    Lazy metadata of a version or an artifact; the values are plain when the task runs.

    >>> from airflow_model_provider import Model
    >>> Model("iris_classifier", version="production").run_metadata["accuracy"]
    iris_classifier[production].run_metadata['accuracy']
    """

    __slots__ = ("_of",)

    def __init__(self, of: Reference | NamedArtifact) -> None:
        self._of = of

    def __getitem__(self, key: str) -> Any:
        return self._value(key, UNSET)

    def get(self, key: str, default: Any = None) -> Any:
        """
        Return the value of a key.

        :param default: used where the stage, the artifact or the key is missing, and recorded as unresolved.
        """
        return self._value(key, default)

    def _value(self, key: str, default: Any) -> Any:
        check_key(key)
        if _is_version(self._of):
            changed = {"wanted": Wanted.METADATA, "name": key, "default": default}
            return lazy_or_now(Reference(**{**_fields(self._of), **changed}))
        plain = self._of.with_attribute(f"metadata:{key}")
        follows = default is UNSET and getattr(plain, "fallback", None) is not None
        return lazy_or_now(plain if follows else plain.but(default=default))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, LazyMetadata):
            return self._of == other._of
        return NotImplemented if called_by_machinery() else dict(self._all("comparing it")) == other

    def __hash__(self) -> int:
        return hash(self._of)

    def __contains__(self, key: object) -> bool:
        return key in self._all("looking into it")

    def __iter__(self) -> Iterator[str]:
        return iter(self._all("iterating over it"))

    def __len__(self) -> int:
        return len(self._all("taking its length"))

    def keys(self) -> KeysView[str]:
        """Return its keys, in a running step."""
        return self._all("iterating over it").keys()

    def values(self) -> ValuesView[Any]:
        """Return its values, in a running step."""
        return self._all("iterating over it").values()

    def items(self) -> ItemsView[str, Any]:
        """Return its keys with their values, in a running step."""
        return self._all("iterating over it").items()

    def _all(self, operation: str) -> Mapping[str, Any]:
        """
        Return all of it, in a running step.

        :raises DeferredValueUsed: elsewhere.
        """
        if current_step() is None:
            self._refuse(operation)
        found = resolve_now(self._of, repr(self))
        everything: Mapping[str, Any] = found.run_metadata if _is_version(self._of) else found.metadata
        return everything

    def __bool__(self) -> bool:
        return self._refuse("testing it") if current_step() is None else len(self) > 0

    def __format__(self, spec: str) -> str:
        return format(str(dict(self._all("formatting it"))), spec)

    def __repr__(self) -> str:
        return f"{self._of!r}.metadata"


def _is_version(reference: Reference | NamedArtifact) -> TypeGuard[Reference]:
    return isinstance(reference, Reference) and reference.wanted is Wanted.VERSION


def lazy_or_now(reference: Reference | NamedArtifact) -> Any:
    """Return the reference, or in a running step what it is pinned to."""
    return reference if current_step() is None else resolve_now(reference, repr(reference))


def lazy_client(*, has_address: bool) -> bool:
    """
    Return whether a client gives references here.

    :param has_address: whether it has the URL of a registry or a store, which references cannot name.

    :raises InvalidDefinition: if it does, and has such an address.
    """
    if not in_definition():
        return False
    if has_address:
        problem = (
            "it has a url= or a store=, and a reference in the body of a pipeline or Dag names a connection"
        )
        raise InvalidDefinition("Client", problem, "Use Client(conn_id=...).")
    return True


def resolve_now(reference: AnyReference, operation: str) -> Any:
    """
    Resolve a reference here and now: under the task's pins in a running task, by itself elsewhere.

    :raises LoadingWhileBuilding: in the body of a pipeline or DAG.
    """
    from airflow_model_provider.addresses import find_address
    from airflow_model_provider.handles import Origin, resolved_value
    from airflow_model_provider.workspace import open_workspace

    refuse_io_in_definition(operation)
    task = acting_task()
    if task is not None:
        (resolution,) = task.resolve([reference])
        return resolved_value(task.workspace(resolution.conn_id), resolution, Origin(task.attempt))
    while True:
        workspace = open_workspace(find_address(getattr(reference, "conn_id", None)))
        (resolution,) = workspace.registry.resolve([reference])
        fallback = getattr(reference, "fallback", None)
        if resolution.missing is None or fallback is None:
            return resolved_value(workspace, resolution, Origin())
        reference = fallback
