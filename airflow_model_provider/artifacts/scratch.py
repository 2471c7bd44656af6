"""Private files for what is being written, before it takes its place in the store."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from contextlib import ExitStack, contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO

from airflow_model_provider.artifacts.trouble import reason, refusal, reported
from airflow_model_provider.exceptions import (
    AlreadyExists,
    InvalidConfiguration,
    StoreUnavailable,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_model_provider.artifacts.private import PrivateFolder

#: Folder of a store for what is being written.
SCRATCH = ".tmp"
#: A file that nobody has locked or written to for so long was left by a process that died: seconds.
_ABANDONED = 3600.0
_LOOKED_AT = 64
#: What has its name so that programs find it, and would be gone for all of them; a link to one, too.
_KEPT = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFBLK: "a device",
    stat.S_IFCHR: "a device",
}


def random_name(suffix: str = "") -> str:
    """Return a name that nobody else uses."""
    return os.urandom(16).hex() + suffix


@contextmanager
def file_in(folder: Path) -> Iterator[Path]:
    """
    Give a new file in a folder, which is made if missing; what is left of the file is removed.

    :raises StoreUnavailable: if there is no place to write, or the disk takes no more of what the block
        writes.
    """
    with reported("write to", str(folder)):
        try:
            path, lock = _locked_file(folder)
        except FileNotFoundError:
            folder.mkdir(parents=True, exist_ok=True)
            path, lock = _locked_file(folder)
    try:
        with lock, _trouble_reported(path):
            yield path
    finally:
        with suppress(OSError):
            path.unlink()


def check_target(target: Path, name: str, *, force: bool) -> None:
    """
    Refuse to write where something is.

    :param name: of a file that could be written if the target is a folder.
    :param force: whether a file may be replaced.
    :raises AlreadyExists: for a folder, and for anything else that may not be replaced.
    """
    if os.path.isdir(target):  # noqa: PTH112 - never raises
        raise AlreadyExists("folder", str(target), f"name a file in it: {target / name}")
    if os.path.lexists(target) and not force:
        raise AlreadyExists("file", str(target))


@contextmanager
def replacing(target: Path, *, force: bool) -> Iterator[BinaryIO]:
    """
    Give a file to write that gets its name when the block ends; if it raises, nothing is left of it.

    What has another name nearby stays as it is.

    :param force: take the place of what has the name already.
    :raises FileExistsError: if something has the name by then, be it a link to nowhere, and must keep it.
    :raises OSError: if it can't be written there, or what is there is no regular file.
    """
    _refuse_kept(target)
    part = target.parent / random_name(".part")
    try:
        with part.open("xb") as file:
            yield file
        if force:
            part.replace(target)
        else:
            _name(part, target)
    finally:
        with suppress(OSError, ValueError):
            part.unlink()


def _refuse_kept(target: Path) -> None:
    try:
        kept = _KEPT.get(stat.S_IFMT(target.stat().st_mode))
    except (OSError, ValueError):  # nothing is there, or nothing that could be written either
        return
    if kept is not None:
        raise OSError(errno.EINVAL, f"it is {kept}, and stays as it is", str(target))


def _name(part: Path, target: Path) -> None:
    """Give a file a name that nothing has."""
    try:
        target.hardlink_to(part)
    except FileExistsError:
        raise
    except OSError:  # a file system without links: the name is taken first
        target.touch(exist_ok=False)
        part.replace(target)


def _locked_file(folder: Path) -> tuple[Path, IO[bytes]]:
    """Make a file, and hold a lock on it that ends with this process at the latest: what is locked is no leftover."""
    while True:
        path = folder / random_name(".part")
        lock = path.open("xb", buffering=0)
        try:
            fcntl.flock(lock, fcntl.LOCK_SH)
            if os.fstat(lock.fileno()).st_nlink:
                return path, lock
        except OSError:
            with lock:
                path.unlink()
            raise
        lock.close()  # a collector came between the two


def is_abandoned(path: Path) -> bool:
    """Return whether nobody writes to a scratch file any more."""
    with _claimed(path) as claimed:
        return claimed


def remove_abandoned(path: Path) -> None:
    """Remove a scratch file, unless somebody writes to it; one who is about to notices that it is gone."""
    with _claimed(path) as claimed:
        if claimed:
            path.unlink(missing_ok=True)


@contextmanager
def _claimed(path: Path) -> Iterator[bool]:
    """Say whether nobody writes to a file; until the block ends nobody begins to."""
    with ExitStack() as held:
        try:
            file = held.enter_context(path.open("rb"))
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            claimed = True
        except FileNotFoundError:
            claimed = False
        except OSError as err:
            if err.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            claimed = False
        yield claimed


@contextmanager
def file_in_private_folder(folder: PrivateFolder) -> Iterator[Path]:
    """
    Give a new file for a store that is elsewhere.

    It is in the user's private folder, where the next writer finds what a killed one has left; or in a folder for
    temporary files, where there is no private one.

    :raises StoreUnavailable: as :func:`file_in`.
    """
    try:
        room = folder.room("scratch")
    except InvalidConfiguration:
        room = None
    if room is not None:
        _remove_old(room)
    with _file_in_temporary_folder() if room is None else file_in(room) as path:
        yield path


def _remove_old(room: Path) -> None:
    """Remove what killed writers have left, as far as a short look finds it."""
    before = time.time() - _ABANDONED
    with suppress(OSError), os.scandir(room) as entries:
        for entry in islice(entries, _LOOKED_AT):
            with suppress(OSError):
                if entry.stat(follow_symlinks=False).st_mtime < before:
                    remove_abandoned(Path(entry.path))


@contextmanager
def _file_in_temporary_folder() -> Iterator[Path]:
    import shutil
    import tempfile

    with reported("write to", "the folder for temporary files"):
        folder = tempfile.mkdtemp(prefix="airflow-model-provider-")
    try:
        with file_in(Path(folder)) as path:
            yield path
    finally:
        with suppress(OSError):
            shutil.rmtree(folder)


@contextmanager
def _trouble_reported(path: Path) -> Iterator[None]:
    """Whatever a writing library makes of a full disk, it is the store's trouble and not the value's."""
    try:
        yield
    except StoreUnavailable:
        raise
    except Exception as err:
        refused = refusal(err, path)
        if refused is None:
            raise
        place = str(refused.filename or path)
        raise StoreUnavailable(place, "write" if place == str(path) else "read", reason(refused)) from err
