"""Local copies of remote blobs, by digest, kept under a size (R21)."""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from airflow_model_provider.artifacts.scratch import random_name
from airflow_model_provider.artifacts.trouble import reported

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator
    from pathlib import Path

    from airflow_model_provider.artifacts.private import PrivateFolder

_USED = ".used"
_PART = ".part"
#: A copy used so recently may be about to be opened, and is not evicted: seconds.
_GRACE = 10.0
#: A part that nobody has written to for so long was left by a process that died: seconds.
_ABANDONED = 3600.0


class LocalCopies:
    """
    Copies shared by this user's processes; the least recently used go first.

    A copy that is larger than the limit is kept until the next one comes.

    :param folder: the user's private folder.
    :param limit: bytes that the copies are kept under.
    """

    def __init__(self, folder: PrivateFolder, limit: int) -> None:
        self._folder, self._limit = folder, limit

    def find(self, digest: str) -> Path | None:
        """
        Return the copy of a digest and mark it as used, or None.

        :raises StoreUnavailable: if it can't be looked at.
        """
        path = self._room / digest
        with reported("read", str(path)):
            if not path.exists():
                return None
        # Beside the copy: touching the copy itself would change its change time, and so end its verification.
        with suppress(OSError):
            path.with_name(digest + _USED).touch(mode=0o600)
        return path

    @contextmanager
    def new(self, digest: str, size: int) -> Iterator[Path]:
        """
        Give a path to write a copy to; the copy takes its place when the block ends without an exception.

        :raises StoreUnavailable: if it can't.
        """
        with reported("list", str(self._room)):
            self._make_room(size)
        part = self._room / random_name(_PART)
        try:
            with reported("write", str(part)):
                yield part
                part.chmod(0o400)
                part.replace(self._room / digest)
        finally:
            with suppress(OSError):
                part.unlink()

    def drop(self, digest: str) -> None:
        """Remove the copy of a digest; whoever has it open or mapped keeps it."""
        for name in (digest, digest + _USED):
            with suppress(OSError):
                (self._room / name).unlink()

    @property
    def _room(self) -> Path:
        return self._folder.room("copies")

    def _make_room(self, size: int) -> None:
        copies = list(self._listed())
        total = sum(length for _, length, _ in copies) + size
        for used, length, digest in sorted(copies):
            if total <= self._limit or used > time.time() - _GRACE:
                break
            self.drop(digest)
            total -= length

    def _listed(self) -> Iterator[tuple[float, int, str]]:
        """Yield when each copy was last used (seconds since the epoch), its bytes and its digest."""
        for path in self._room.iterdir():
            with suppress(FileNotFoundError):  # another process evicts too
                status = path.stat()
                if path.suffix == _PART:
                    if status.st_mtime < time.time() - _ABANDONED:
                        path.unlink()
                elif path.suffix != _USED:
                    yield _used(path, status), status.st_size, path.name


def _used(path: Path, status: os.stat_result) -> float:
    try:
        return max(path.with_name(path.name + _USED).stat().st_mtime, status.st_mtime)
    except FileNotFoundError:
        return status.st_mtime
