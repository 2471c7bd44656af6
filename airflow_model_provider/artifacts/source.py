"""Stored bytes, verified before anything is made of them (R18, R39)."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import stat
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from airflow_model_provider.artifacts.trouble import reported
from airflow_model_provider.artifacts.verification import Verifications, wait_out_tick
from airflow_model_provider.exceptions import (
    DigestMismatch,
    PayloadMissing,
    PayloadReplaced,
    StoreUnavailable,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_model_provider.artifacts.copies import LocalCopies

T = TypeVar("T")
# Small enough to be hashed while still in the processor's cache.
_CHUNK = 1 << 18
#: How often a copy is made anew that others drop at once.
_COPIES = 3


class VerifiedSource:
    """
    The bytes of one blob.

    :param digest: the registered SHA-256, hexadecimal.
    :param size: the registered number of bytes.
    :param what: how errors call the artifact.
    :param uri: where it is stored, without secrets.
    :param origin: the blob where it is a local file; else what downloads it into a file.
    """

    def __init__(
        self,
        digest: str,
        size: int,
        *,
        what: str,
        uri: str,
        origin: Path | Callable[[Path], None],
        copies: LocalCopies,
        verifications: Verifications,
    ) -> None:
        self.digest, self.size = digest, size
        self._what, self._uri, self._origin = what, uri, origin
        self._copies, self._verifications = copies, verifications
        #: Whether a local copy turned out damaged under a reader, and was thrown away for a new one.
        self.is_worth_another_try, self._tried = False, False

    def read(self) -> bytes:
        """
        Return all bytes; the digest is that of the very buffer returned.

        :raises DigestMismatch: if they are not those that were registered.
        :raises PayloadMissing: if they are gone.
        :raises StoreUnavailable: if they can't be read.
        """
        return self._on_local_file(self._read)

    def path(self) -> Path:
        """
        Return a local file with the bytes, verified; it may be mapped, and must not be written to.

        The verification stays valid while device, inode, size and change time of the file stay the same, so a
        second call costs a look at these. Bytes that can execute code come from :meth:`read`.

        :raises DigestMismatch: and the others as :meth:`read`.
        """
        return self._on_local_file(self._verified)

    @contextmanager
    def open(self) -> Iterator[VerifyingReader]:
        """
        Give a reader (``read``, ``readinto``) whose bytes are hashed as they pass.

        What was not read is read when the block ends without an exception, and then the digest is checked:
        nothing may be done before that with bytes that can execute code.

        :raises DigestMismatch: at the end of the block, and the others as :meth:`read`.
        """
        with self._on_local_file(self._opened) as file:
            reader = VerifyingReader(file, self._uri)
            try:
                yield reader
            except Exception:
                self._check_rest(reader)  # what can't be parsed may have been changed: that is the news then
                raise
            self._check_rest(reader)

    def _check_rest(self, reader: VerifyingReader) -> None:
        reader.drain()
        try:
            self._check(reader.hexdigest(), reader.count)
        except DigestMismatch:
            if not isinstance(self._origin, Path):
                self._copies.drop(self.digest)
                self.is_worth_another_try, self._tried = not self._tried, True
            raise

    # --- on a local file ---------------------------------------------------------------------------------

    def _on_local_file(self, use: Callable[[Path], T]) -> T:
        """Use the blob or its copy; a copy that was evicted just now, or damaged, is made again."""
        if isinstance(self._origin, Path):
            return use(self._origin)
        copy = self._copies.find(self.digest)
        if copy is not None:
            try:
                return use(copy)
            except (DigestMismatch, PayloadMissing):
                self._copies.drop(self.digest)
        return self._on_new_copy(use, self._origin)

    def _on_new_copy(self, use: Callable[[Path], T], fetch: Callable[[Path], None]) -> T:
        for _ in range(_COPIES):
            with self._copies.new(self.digest, self.size) as part:
                fetch(part)
            try:
                return use(self._copies.find(self.digest) or part)
            except DigestMismatch:
                self._copies.drop(self.digest)
                raise
            except PayloadMissing:  # not in the store, whence it came: another process has dropped the copy
                continue
        raise StoreUnavailable(self._uri, "read", "its local copy was removed while it was read")

    def _read(self, path: Path) -> bytes:
        with self._opened(path) as file:
            if self._status(file).st_size == self.size:
                with reported("read", self._uri):
                    data = file.readall()
                self._check(hashlib.sha256(data).hexdigest(), len(data))
                return data
            # Not what was registered, perhaps more than memory holds: only hashed, to be named in the error.
            raise self._mismatch(self._hash(file))

    def _verified(self, path: Path) -> Path:
        with self._opened(path) as file:
            status = self._status(file)
            if not self._verifications.hold(path, self.digest, status):
                wait_out_tick(status)
                begun = time.time_ns()
                self._check(self._hash(file), status.st_size)
                self._verifications.remember(path, self.digest, status, begun)
        return path

    def _opened(self, path: Path) -> io.FileIO:
        with reported("read", self._uri, missing=PayloadMissing(self._what, self._uri)):
            try:
                file = io.FileIO(path, opener=_open)
            except OSError as err:
                if err.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
                    raise PayloadReplaced(self._what, self._uri) from None
                raise
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                file.close()
                raise PayloadReplaced(self._what, self._uri)
            return file

    def _status(self, file: io.FileIO) -> os.stat_result:
        with reported("read", self._uri):
            return os.fstat(file.fileno())

    def _hash(self, file: io.FileIO) -> str:
        with reported("read", self._uri):
            return hashlib.file_digest(file, "sha256").hexdigest()

    def _check(self, found: str, length: int) -> None:
        if found != self.digest or length != self.size:
            raise self._mismatch(found)

    def _mismatch(self, found: str) -> DigestMismatch:
        return DigestMismatch(self._what, self.digest, found, self._uri)


class VerifyingReader(io.RawIOBase):
    """
    A readable file that hashes what passes.

    :param file: what is read, from its beginning.
    :param uri: how errors call it.
    """

    def __init__(self, file: io.FileIO, uri: str) -> None:
        self._file, self._uri = file, uri
        self._hash = hashlib.sha256()
        #: Bytes that have passed.
        self.count = 0

    def readable(self) -> bool:  # noqa: D102 - of io.RawIOBase
        return True

    def readinto(self, buffer: memoryview | bytearray) -> int:  # type: ignore[override]  # any buffer will do
        """Fill a buffer, to the end of the file at most; return the number of bytes."""
        whole = memoryview(buffer)
        view = whole.cast("B") if whole.nbytes else whole
        done = 0
        with reported("read", self._uri):
            while done < view.nbytes:
                part = view[done : done + _CHUNK]
                count = self._file.readinto(part) or 0
                if not count:
                    break
                self._hash.update(part[:count])
                done += count
        self.count += done
        return done

    def readall(self) -> bytes:
        """Return what is left."""
        return b"".join(iter(lambda: self.read(_CHUNK), b""))

    def drain(self) -> None:
        """Read what is left, and forget it."""
        buffer = bytearray(_CHUNK)
        while self.readinto(buffer):
            pass

    def hexdigest(self) -> str:
        """Return the SHA-256 of what has passed."""
        return self._hash.hexdigest()


def _open(path: str, flags: int) -> int:
    # Blobs are plain files: a link planted in place of one is not followed, a pipe not waited for.
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)
