"""Blobs in a folder of this machine (or mounted on it), with nothing but pathlib."""

from __future__ import annotations

import errno
import os
import stat
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from airflow_model_provider.artifacts.scratch import SCRATCH, is_abandoned, remove_abandoned
from airflow_model_provider.artifacts.trouble import reported

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class LocalFolder:
    """
    The blobs of one registry in a folder.

    :param folder: made when something is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def uri(self, key: str) -> str:
        """Return the path as text."""
        return str(self.folder / key)

    def size(self, key: str) -> int | None:
        """Return the bytes of a plain file; None where there is none, or something else."""
        status = self._status(key)
        return status.st_size if status is not None and stat.S_ISREG(status.st_mode) else None

    def age(self, key: str) -> float:
        """Return the seconds since a file was written; 0 where there is none."""
        status = self._status(key)
        return 0 if status is None else time.time() - status.st_mtime

    def _status(self, key: str) -> os.stat_result | None:
        with reported("read", self.uri(key)):
            try:
                return (self.folder / key).lstat()
            except (FileNotFoundError, NotADirectoryError):
                return None

    def put(self, path: Path, key: str) -> None:
        """
        Move a file of the same file system into place: whole or not at all, and durable.

        The same bytes that are there already stay: to compare them costs no more than to write others through to the
        disk, and on a network file system who reads a file elsewhere loses it when it is replaced.
        """
        target = self.folder / key
        with reported("write", str(target)):
            if not self._holds(path, key):
                with path.open("rb", buffering=0) as file:
                    os.fchmod(file.fileno(), stat.S_IMODE(os.fstat(file.fileno()).st_mode) & ~0o222)
                    os.fsync(file.fileno())
                try:
                    path.replace(target)
                except FileNotFoundError:
                    _make_folder(target.parent)
                    path.replace(target)
            # Also where it was there already: whoever put it there may not have come this far.
            _sync(target.parent)

    def _holds(self, path: Path, key: str) -> bool:
        """Return whether a blob has the bytes of a file; one that can't be read has not."""
        import filecmp

        try:
            return self.size(key) is not None and filecmp.cmp(path, self.folder / key, shallow=False)
        except OSError:
            return False

    def remove(self, key: str) -> None:
        """Remove a blob, if it is there."""
        with reported("remove", self.uri(key)):
            (self.folder / key).unlink(missing_ok=True)

    def blobs(self, top: str) -> Iterator[tuple[str, int]]:
        """Yield name and size of the files two levels below a folder, one folder at a time."""
        with reported("list", str(self.folder)):
            for folder in _names(self.folder / top):
                for name in _names(self.folder / top / folder):
                    size = self.size(f"{top}/{folder}/{name}")
                    if size is not None:
                        yield name, size

    def leftovers(self) -> Iterator[tuple[str, float]]:
        """Yield files that writers have begun and left, and the seconds since they last wrote to each."""
        with reported("list", str(self.folder / SCRATCH)):
            for name in _names(self.folder / SCRATCH):
                path = self.folder / SCRATCH / name
                with suppress(FileNotFoundError):
                    if is_abandoned(path):
                        yield f"{SCRATCH}/{name}", time.time() - path.lstat().st_mtime

    def remove_leftover(self, name: str) -> None:
        """Remove what :meth:`leftovers` gave, unless a writer has begun with it just then."""
        with reported("remove", self.uri(name)):
            remove_abandoned(self.folder / name)


def _names(folder: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it, each durable before something is put into it."""
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync(folder.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as err:
        # Some network file systems know no such thing; their server decides when a name is durable.
        if err.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)
