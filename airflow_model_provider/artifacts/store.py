"""A content-addressed store, ``<store>/<registry id>/sha256/ab/abcd...``: all there is whole and final."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_model_provider.artifacts.copies import LocalCopies
from airflow_model_provider.artifacts.local import LocalFolder
from airflow_model_provider.artifacts.private import PrivateFolder
from airflow_model_provider.artifacts.remote import RemoteFolder
from airflow_model_provider.artifacts.scratch import SCRATCH, file_in, file_in_private_folder
from airflow_model_provider.artifacts.source import VerifiedSource
from airflow_model_provider.artifacts.trouble import reported, shown, split_parameters
from airflow_model_provider.artifacts.verification import Verifications
from airflow_model_provider.exceptions import (
    DigestMismatch,
    InvalidConfiguration,
    InvalidDefinition,
    InvalidName,
    PayloadMissing,
)
from airflow_model_provider.exceptions.base import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager

_SETTING = "[model_registry] store"
_ADVICE = "Give a folder or an fsspec URL."
_URI = "The address of an artifact"
_URI_ADVICE = "Pass handle.uri: a path, or a URL such as s3://bucket/<registry id>/sha256/ab/abcd...."
_CACHE_BYTES = 10 * 1024**3
_DIGEST = re.compile(r"[0-9a-f]{64}")
_REGISTRY_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_LOCAL_SCHEME = re.compile(r"(?:file|local)://", re.IGNORECASE)


class ArtifactStore:
    """
    Where one registry keeps its artifacts' bytes. Making the object does no I/O.

    :param url: a folder, or any fsspec URL (``s3://bucket/prefix``).
    :param registry_id: keeps registries apart that share a store.
    :param cache_dir: folder of local copies, notes of verifications and what is written to a remote store; None means
        the user's cache folder.
    :param cache_bytes: size that the local copies are kept under.
    :param storage_options: arguments of the fsspec file system.
    :raises InvalidConfiguration: if the URL is no place for files.

    >>> store = ArtifactStore("models", "0b5d")                                        # doctest: +SKIP
    >>> with store.new_file() as path:                                                 # doctest: +SKIP
    ...     path.write_bytes(b"...")
    ...     digest, size = store.digest(path)
    ...     store.put(path, digest)
    >>> store.source(digest, size, what="iris_classifier@1/trained_model").read()      # doctest: +SKIP
    b'...'
    """

    def __init__(
        self,
        url: str,
        registry_id: str,
        *,
        cache_dir: Path | None = None,
        cache_bytes: int = _CACHE_BYTES,
        storage_options: Mapping[str, Any] | None = None,
    ) -> None:
        if not _REGISTRY_ID.fullmatch(registry_id):
            raise InvalidName("registry id", registry_id, "It must be one folder's name.")
        self.url, self.registry_id = shown(url), registry_id
        folder = _local_folder(url)
        self._blobs: LocalFolder | RemoteFolder = (
            RemoteFolder(url, registry_id, storage_options or {})
            if folder is None
            else LocalFolder(folder / registry_id)
        )
        self._private = PrivateFolder(cache_dir)
        self._copies = LocalCopies(self._private, cache_bytes)
        self._verifications = Verifications(self._private)

    def __repr__(self) -> str:
        return f"ArtifactStore({self.url!r}, {self.registry_id!r})"

    @property
    def is_local(self) -> bool:
        """Whether it is a folder of this machine, or mounted on it: whether a look at a file is cheap."""
        return isinstance(self._blobs, LocalFolder)

    def uri(self, digest: str) -> str:
        """Return where the bytes of a digest are, without secrets: a path where the store is local."""
        return self._blobs.uri(_key(digest))

    # --- writing ---------------------------------------------------------------------------------------

    def new_file(self) -> AbstractContextManager[Path]:
        """
        Give a private local file to write a new artifact to; what is left of it at the end is removed.

        On a local store it is on the same file system, so that :meth:`put` is one rename.

        :raises StoreUnavailable: if there is no place to write, or the disk takes no more.
        """
        if isinstance(self._blobs, LocalFolder):
            return file_in(self._blobs.folder / SCRATCH)
        return file_in_private_folder(self._private)

    def digest(self, path: Path) -> tuple[str, int]:
        """
        Return the SHA-256 (hexadecimal) and the size in bytes of a file.

        :raises StoreUnavailable: if it can't be read.
        """
        with reported("read", str(path)), path.open("rb", buffering=0) as file:
            return hashlib.file_digest(file, "sha256").hexdigest(), os.fstat(file.fileno()).st_size

    def put(self, path: Path, digest: str) -> None:
        """
        Store a file under its digest: all of it or nothing, durable when this returns; again is harmless.

        Damaged bytes that are there are replaced; on a remote store those of another length, for no others are read.

        :param path: of :meth:`new_file`; it may be gone afterwards.
        :param digest: of :meth:`digest`.
        :raises StoreUnavailable: if it can't be written; what is visible then is whole.
        """
        self._blobs.put(path, _key(digest))

    # --- reading ---------------------------------------------------------------------------------------

    def exists(self, digest: str, size: int) -> bool:
        """
        Return whether the bytes are there, by name and size; a load checks the digest.

        :raises StoreUnavailable: if the store doesn't answer.
        """
        return self._blobs.size(_key(digest)) == size

    def source(self, digest: str, size: int, *, what: str) -> VerifiedSource:
        """
        Return the bytes of a digest, to be read verified. This does no I/O yet.

        :param size: the registered number of bytes.
        :param what: how errors call the artifact.
        """
        return _source(
            self._blobs,
            _key(digest),
            digest,
            size,
            what,
            copies=self._copies,
            verifications=self._verifications,
        )

    # --- care ------------------------------------------------------------------------------------------

    def delete(self, digest: str) -> None:
        """
        Remove the bytes of a digest; nothing happens where there are none.

        :raises StoreUnavailable: if they can't be removed.
        """
        self._blobs.remove(_key(digest))

    def iter_blobs(self) -> Iterator[tuple[str, int]]:
        """
        Yield digest and size in bytes of everything stored, in the order of the digests.

        :raises StoreUnavailable: if the store can't be listed.
        """
        return (entry for entry in self._blobs.blobs("sha256") if _DIGEST.fullmatch(entry[0]))

    def age(self, digest: str) -> float:
        """
        Return for how many seconds bytes have been there; 0 where there are none.

        :raises StoreUnavailable: if the store doesn't answer.
        """
        return self._blobs.age(_key(digest))

    def check(self, digest: str, size: int, *, what: str) -> None:
        """
        Read stored bytes once more, all of them; memory stays small.

        :param what: how errors call them.
        :raises PayloadMissing: if they are gone.
        :raises DigestMismatch: if they are not those that were registered.
        :raises StoreUnavailable: if they can't be read.
        """
        if isinstance(self._blobs, LocalFolder):
            with self.source(digest, size, what=what).open():
                return  # what the block has not read is read, and checked, at its end
        # Not the local copy, which may be good where the store is not.
        with file_in_private_folder(self._private) as path:
            self._blobs.fetch(_key(digest), path, PayloadMissing(what, self.uri(digest)))
            found = self.digest(path)
        if found != (digest, size):
            raise DigestMismatch(what, digest, found[0], self.uri(digest))

    def iter_leftovers(self) -> Iterator[tuple[str, float]]:
        """
        Yield what writers have begun and not finished, and for how many seconds it has lain still.

        :raises StoreUnavailable: if the store can't be listed.
        """
        return self._blobs.leftovers()

    def remove_leftover(self, name: str) -> None:
        """
        Remove what :meth:`iter_leftovers` gave.

        :raises StoreUnavailable: if it can't be removed.
        """
        self._blobs.remove_leftover(name)

    def probe(self) -> None:
        """
        Write, read and remove a few bytes that nobody else stores.

        :raises StoreUnavailable: if one of these fails.
        """
        with self.new_file() as path:
            with reported("write", str(path)):
                path.write_bytes(b"airflow-model-provider " + os.urandom(32))
            digest, size = self.digest(path)
            self.put(path, digest)
        try:
            self.source(digest, size, what="a probe").read()
        finally:
            self.delete(digest)
            self._copies.drop(digest)


def source_at(
    uri: str,
    digest: str,
    size: int | None = None,
    *,
    what: str,
    cache_dir: Path | None = None,
    cache_bytes: int = _CACHE_BYTES,
    storage_options: Mapping[str, Any] | None = None,
) -> VerifiedSource:
    """
    Return the bytes at an address, to be read verified; nothing else of their store is needed.

    :param uri: as :meth:`ArtifactStore.uri` gives it.
    :param digest: SHA-256 that the bytes must have, hexadecimal.
    :param size: their number; None takes it from the file, which is I/O.
    :param what: how errors call the artifact.
    :raises InvalidDefinition: if no file can be at the address.
    :raises PayloadMissing: if the size is asked of a file that isn't there.
    """
    _key(digest)
    blobs, key = _blob_at(uri, storage_options or {})
    known = blobs.size(key) if size is None else size
    if known is None:
        raise PayloadMissing(what, blobs.uri(key))
    private = PrivateFolder(cache_dir)
    copies, verifications = LocalCopies(private, cache_bytes), Verifications(private)
    return _source(blobs, key, digest, known, what, copies=copies, verifications=verifications)


def _blob_at(uri: str, options: Mapping[str, Any]) -> tuple[LocalFolder | RemoteFolder, str]:
    """Return a folder, and the name in it that a URI means."""
    try:
        path = _local_folder(uri)
    except InvalidConfiguration as err:
        raise InvalidDefinition(_URI, err.problem, _URI_ADVICE) from None
    if path is not None:
        return LocalFolder(path.parent), path.name
    address, parameters = split_parameters(uri)
    url, folder, name = address.rsplit("/", 2)
    if not (url.partition("://")[2] and folder and name):
        raise InvalidDefinition(_URI, f"{shown(uri)!r} names no file in a folder", _URI_ADVICE)
    return RemoteFolder(url, folder, options, parameters), name


def _source(
    blobs: LocalFolder | RemoteFolder,
    key: str,
    digest: str,
    size: int,
    what: str,
    *,
    copies: LocalCopies,
    verifications: Verifications,
) -> VerifiedSource:
    uri = blobs.uri(key)
    missing = PayloadMissing(what, uri)
    return VerifiedSource(
        digest,
        size,
        what=what,
        uri=uri,
        origin=(
            blobs.folder / key
            if isinstance(blobs, LocalFolder)
            else lambda path: blobs.fetch(key, path, missing)
        ),
        copies=copies,
        verifications=verifications,
    )


def _key(digest: str) -> str:
    if not _DIGEST.fullmatch(digest):
        raise InvalidName("digest", digest, "It must be 64 hexadecimal digits.")
    return f"sha256/{digest[:2]}/{digest}"


def registries_in(url: str) -> list[str]:
    """Return the ids of the registries that have files in a store, if it is a folder on this machine."""
    folder = _local_folder(url)
    return [] if folder is None else sorted(found.parent.name for found in folder.glob("*/sha256"))


def _local_folder(url: str) -> Path | None:
    """Return the folder that a URL means on this machine, or None for one that is elsewhere."""
    scheme = _LOCAL_SCHEME.match(url)
    path = url[scheme.end() :] if scheme else url
    if not path.strip():
        raise InvalidConfiguration(_SETTING, f"{url!r} names no folder", _ADVICE)
    if not path.isprintable():
        problem = f"{quoted(shown(url))} holds what can't be seen"
        raise InvalidConfiguration(_SETTING, problem, _ADVICE)
    if not scheme and "://" in url:
        return None
    try:
        folder = Path(path).expanduser()
    except RuntimeError as err:
        raise InvalidConfiguration(_SETTING, f"{url!r} is not a folder ({err})", _ADVICE) from None
    if scheme and not folder.is_absolute():
        raise InvalidConfiguration(_SETTING, f"{url!r} is not absolute", "Write file:///folder.")
    return folder.absolute()
