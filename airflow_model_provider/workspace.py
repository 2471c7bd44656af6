"""A registry and its store, opened together: values go in and come out as registered, verified artifacts."""

from __future__ import annotations

import hashlib
import json
import os
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_model_provider import settings
from airflow_model_provider.addresses import Address, find_address
from airflow_model_provider.exceptions import (
    WrongRegistry,
)
from airflow_model_provider.references import OutputReference
from airflow_model_provider.registry.entities import NOTHING, ArtifactRecord, Attempt, Link, Payload, Relation
from airflow_model_provider.registry.values import plain_metadata
from airflow_model_provider.selectors import ArtifactType, check_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from airflow_model_provider.artifacts.store import ArtifactStore
    from airflow_model_provider.materializers.codec import Written
    from airflow_model_provider.registry.artifacts import NewArtifact
    from airflow_model_provider.registry.registration import Registered
    from airflow_model_provider.registry.registry import Registry


class Saving(NamedTuple):
    """
    How one value is to be registered.

    :param name: the artifact's name.
    :param what: how errors call it: ``output 'predictions' of step 'predict'``.
    :param kind: what it is to the version; None takes it from the type (what has ``predict`` is a model).
    :param format: a materializer's key, or None for the one of the value's type.
    :param output: the step's output it is, which makes registering it again in the same try harmless.
    :param place: where in that output it stands, if it is an element of it.
    """

    name: str
    what: str
    kind: ArtifactType | None = None
    format: str | None = None
    output: str | None = None
    place: int = -1
    metadata: Mapping[str, Any] | None = None
    environment: Mapping[str, Any] | None = None


class Item(NamedTuple):
    """A value or a file that is to be stored and registered: :meth:`Workspace.value` or :meth:`Workspace.file`."""

    saving: Saving
    write: Callable[[Path], Written]


class Workspace:
    """
    An open registry with the store that holds its artifacts.

    :param address: where both are.
    :param registry: the open registry.
    :param store: the store, under the registry's id.
    """

    def __init__(self, address: Address, registry: Registry, store: ArtifactStore) -> None:
        self.address, self.registry, self.store = address, registry, store
        self.is_open = True

    def __repr__(self) -> str:
        return f"Workspace({self.registry.url}, store={self.store.url})"

    def save(
        self, value: Any, saving: Saving, *, attempt: Attempt | None = None, links: Sequence[Link] = ()
    ) -> ArtifactRecord:
        """
        Write a value to the store and register it: all or nothing (R17).

        :raises NotSerializable: if no format holds the value.
        :raises StoreUnavailable: if the bytes can't be written; nothing is registered then.
        """
        return self._register(self.value(value, saving), attempt, links)[0]

    def save_with_parts(
        self,
        value: Any,
        saving: Saving,
        parts: Sequence[tuple[Any, Saving]],
        *,
        attempt: Attempt | None = None,
        links: Sequence[Link] = (),
    ) -> list[ArtifactRecord]:
        """
        Write a value to the store, and elements of it by themselves; register all of them or none.

        :param parts: the elements, each with how it is to be registered.
        :return: the records of the value and of its parts. See :meth:`save`.
        """
        items = [self.value(part, how) for part, how in parts]
        return self._register(self.value(value, saving), attempt, links, items)

    def save_file(
        self, file: Path, saving: Saving, *, attempt: Attempt | None = None, links: Sequence[Link] = ()
    ) -> ArtifactRecord:
        """
        Store a file that another program has made, byte by byte and unopened, and register it.

        :param saving: its format is one of :data:`existing.FORMATS`; None takes it from the file's name.
        :raises FileMissing: if there is no such file.
        """
        return self._register(self.file(file, saving), attempt, links)[0]

    def value(self, value: Any, saving: Saving) -> Item:
        """Return a value as it can be stored, in the format that is asked for or the one of its type."""
        from airflow_model_provider.materializers import codec

        formats = settings.formats()

        def write(path: Path) -> Written:
            return codec.write(
                value,
                path,
                what=saving.what,
                format=saving.format,
                sklearn_format=formats.sklearn_format,
                allow_pickle=formats.allow_pickle,
                trusted=formats.skops_trusted_types,
            )

        return Item(saving, write)

    def file(self, file: Path, saving: Saving) -> Item:
        """Return a file that another program has made as it can be stored, byte by byte."""
        from airflow_model_provider.materializers import existing

        format, allow_pickle = existing.format_of(file, saving.format), settings.formats().allow_pickle

        def write(path: Path) -> Written:
            return existing.take(file, path, format=format, what=saving.what, allow_pickle=allow_pickle)

        return Item(saving, write)

    def register_version(
        self,
        model: str,
        items: Sequence[Item],
        *,
        metadata: Mapping[str, Any] = NOTHING,
        attempt: Attempt | None = None,
        linked: Sequence[int] = (),
        once: bool = False,
        check: Callable[[str, Any], object] | None = None,
        **asked: Any,
    ) -> Registered:
        """
        Store values and files, and make a version of them in one transaction. See :meth:`Registry.register_version`.

        :param linked: ids of artifact versions that are there already, and come to it too.
        :param once: see :class:`registration.NewContents`.
        :param check: called with the name of each that is stored, and what its bytes load as.
        :raises NotSerializable: if no format holds a value.
        :raises StoreUnavailable: if bytes can't be written; nothing is registered then.
        """
        from airflow_model_provider.registry.blobs import until_it_stays
        from airflow_model_provider.registry.registration import NewContents

        def store_and_register(intend: bool) -> Registered:
            stored = [(self._stored(item, attempt, intend), Relation.OUTPUT) for item in items]
            if check is not None:
                for new, _ in stored:
                    what = f"artifact {new.name!r} of a new version of {model!r}"
                    check(new.name, self._loaded(new.payload, what))
            contents = NewContents(stored, metadata, attempt, linked, once)
            return self.registry.register_version(model, contents, attempt=attempt, **asked)

        return until_it_stays(store_and_register)

    def _register(
        self, item: Item, attempt: Attempt | None, links: Sequence[Link], parts: Sequence[Item] = ()
    ) -> list[ArtifactRecord]:
        from airflow_model_provider.registry.blobs import until_it_stays

        def store_and_register(intend: bool) -> list[ArtifactRecord]:
            new = self._stored(item, attempt, intend)
            stored = [self._stored(part, attempt, intend) for part in parts]
            return self.registry.register_artifacts(new._replace(links=links), stored)

        return until_it_stays(store_and_register)

    def _stored(self, item: Item, attempt: Attempt | None, intend: bool) -> NewArtifact:
        """
        Write bytes to the store, where they are not there already.

        :param intend: also note before that they are to be registered, which keeps collectors away; else a look while
            they are registered shows whether one came.
        """
        from airflow_model_provider.registry.artifacts import NewArtifact

        saving, signing = item.saving, settings.signing()
        check_name("artifact", saving.name)
        metadata = plain_metadata(saving.metadata or {}, saving.what)
        with self.store.new_file() as path:
            written = item.write(path)
            digest, size = self.store.digest(path)
            life, is_there = 0, None
            if intend or not self.store.is_local:
                life = self.put(path, digest, size)
            else:
                self.store.put(path, digest)
                is_there = partial(self.store.exists, digest, size)
        signed = (
            signing.sign(digest, written.materializer, written.format_version)
            if written.executes_code
            else {}
        )
        payload = Payload(
            digest,
            size,
            written.materializer,
            written.format_version,
            written.type_names,
            {**written.attributes, **signed},
            written.signature,
            {**written.environment, **(saving.environment or {})},
        )
        kind = saving.kind or (ArtifactType.MODEL if written.is_model else ArtifactType.DATA)
        return NewArtifact(
            saving.name,
            payload,
            kind,
            life,
            output=saving.output,
            attempt=attempt,
            metadata=metadata,
            map_index=saving.place,
            is_there=is_there,
        )

    def put(self, path: Path, digest: str, size: int) -> int:
        """
        Note that a file's bytes are to be registered, and store them where they are not there already.

        :param path: of ``store.new_file()``.
        :return: the life in which they can be registered.
        :raises StoreUnavailable: if they can't be written.
        """
        intent = self.registry.intend_blob(digest, size)
        self.store.put(path, digest)  # also what a row calls stored: it may be damaged
        return intent.life

    def load(self, record: ArtifactRecord, *, what: str | None = None, mmap: bool = False) -> Any:
        """
        Load a registered artifact; its bytes are verified before anything is deserialized (R39).

        :param mmap: map large arrays and frames read-only instead of copying them, where the format allows.
        :raises DigestMismatch: if the stored bytes are not those that were registered.
        :raises LoadFailed: if they can't be turned into an object here.
        """
        return self._loaded(record.payload, what or str(record), mmap=mmap)

    def _loaded(self, payload: Payload, what: str, *, mmap: bool = False) -> Any:
        from airflow_model_provider.materializers import codec

        formats = settings.formats()
        return codec.read(
            self.store.source(payload.digest, payload.size, what=what),
            materializer=payload.materializer,
            format_version=payload.format_version,
            attributes=payload.attributes,
            what=what,
            environment=payload.environment,
            mmap=mmap,
            allow_pickle=formats.allow_pickle,
            trusted=formats.skops_trusted_types,
            signing=settings.signing(),
        )

    def check_signature(self, record: ArtifactRecord, *, what: str) -> None:
        """Refuse an artifact that can execute code and is not signed. See :meth:`Artifact.check_signature`."""
        from airflow_model_provider.materializers import lookup

        payload = record.payload
        if lookup.for_key(payload.materializer, payload.format_version).executes_code:
            settings.signing().check(
                what, payload.digest, payload.materializer, payload.format_version, payload.attributes
            )

    def output_reference(
        self, record: ArtifactRecord, versions: Iterable[str], conn_id: str | None
    ) -> OutputReference:
        """Return what travels in XCom for a registered artifact; the connection is this registry's."""
        return OutputReference(
            registry=self.registry.id,
            id=record.id,
            artifact=record.name,
            number=record.number,
            type=record.payload.type_names[0],
            digest=record.payload.digest,
            uri=self.store.uri(record.payload.digest),
            size=record.payload.size,
            versions=tuple(versions),
            conn_id=conn_id,
        )

    def check_own(self, reference: OutputReference) -> None:
        """
        Refuse a reference that was made in another registry (R34).

        :raises WrongRegistry: if it was.
        """
        if reference.registry != self.registry.id:
            raise WrongRegistry(repr(reference), reference.registry, self.registry.id, reference.conn_id)

    def close(self) -> None:
        """Give the database connections back; who kept the workspace opens another one."""
        self.is_open = False
        self.registry.close()


_open: dict[str, Workspace] = {}
_lock = Lock()


def open_workspace(address: Address | None = None) -> Workspace:
    """
    Return the workspace at an address, or at the one that is configured, opened once per process.

    :raises RegistryUnavailable: if the registry's database can't be opened.
    """
    address = address or find_address()
    key = _key(address)
    with _lock:
        if key in _open and _open[key].registry.was_replaced:
            _open.pop(key).close()
        if key not in _open:
            _open[key] = connect(address)
        return _open[key]


def _key(address: Address) -> str:
    """Return what tells an address from others, its credentials included, and shows none of it."""
    said = [address.url, address.store, dict(address.storage_options)]
    return hashlib.sha256(json.dumps(said, sort_keys=True, default=repr).encode()).hexdigest()


def connect(address: Address) -> Workspace:
    """Open the registry and the store of an address, unshared."""
    settings.check_names()
    from airflow_model_provider.registry.registry import Registry

    registry = Registry.open(
        address.url,
        stages=settings.declared_stages(),
        protected=settings.protected_stages(),
        admission=_admission,
        conn_id=address.named,
        store_of_others=lambda: _store_of_others(address),
    )
    return with_store(address, registry)


def _admission() -> Callable[[str, str, Sequence[ArtifactRecord]], None] | None:
    from airflow_model_provider.materializers.signing import admission

    return admission(settings.signing())


def _store_of_others(address: Address) -> str | None:
    """Return the store of an address if it is a folder that holds files of registries."""
    from airflow_model_provider.artifacts.store import registries_in

    return address.store if registries_in(address.store) else None


def with_store(address: Address, registry: Registry) -> Workspace:
    """Return an open registry with the store of its address."""
    from airflow_model_provider.artifacts.store import ArtifactStore

    folder, size = settings.cache()
    store = ArtifactStore(
        address.store,
        registry.id,
        cache_dir=folder,
        cache_bytes=size,
        storage_options=address.storage_options,
    )
    return Workspace(address, registry, store)


def close_workspaces() -> None:
    """Close everything this process opened."""
    with _lock:
        while _open:
            _open.popitem()[1].close()


def _forget_after_fork() -> None:
    """A child must not speak over its parent's connections, nor close them."""
    global _lock
    _lock = Lock()
    _inherited.append(dict(_open))
    for workspace in _open.values():
        workspace.is_open = False
    _open.clear()


_inherited: list[dict[str, Workspace]] = []
os.register_at_fork(after_in_child=_forget_after_fork)
