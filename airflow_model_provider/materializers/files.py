"""Files and folders: a file byte for byte, a folder as an uncompressed tar."""

from __future__ import annotations

import os
import shutil
import stat
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from airflow_model_provider.exceptions.base import quoted
from airflow_model_provider.materializers.base import ExactnessLost, Materializer, Source

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Files and folders that one folder may hold.
MEMBERS: Final = 1_000_000
_OUTSIDE: Final = "is not in a folder of the archive"
_CHUNK: Final = 1 << 20
#: How many bytes of an archive are looked at together: tarfile copies what it has not used yet, entry by entry.
_BLOCK: Final = 1 << 16


class PathMaterializer(Materializer):
    """A ``pathlib.Path``: what comes back is the path of a private copy under the same name."""

    key = "path"

    def save(self, value: Any, path: Path) -> Mapping[str, Any]:
        if not isinstance(value, Path):
            raise ExactnessLost(f"{type(value).__name__} is not a pathlib.Path")
        original = Path(value)
        try:
            name = os.path.basename(os.path.abspath(original))  # noqa: PTH100, PTH119 - a link keeps its own name
            mode = original.stat().st_mode
        except ValueError as err:  # NUL in its name
            raise OSError(f"{quoted(str(original))} is not a path: {err}") from None
        if stat.S_ISDIR(mode):
            _pack(original, path)
            return {"name": name, "folder": True}
        if not stat.S_ISREG(mode):
            raise OSError(f"{quoted(str(original))} is neither a file nor a folder")
        with original.open("rb") as source, path.open("wb") as target:
            shutil.copyfileobj(source, target, _CHUNK)
        return {"name": name, "folder": False}

    def load(self, source: Source, attributes: Mapping[str, Any], *, mmap: bool = False) -> Any:
        name = Path(str(attributes["name"])).name
        folder = Path(tempfile.mkdtemp(prefix="model_artifact_"))
        target = folder / ("artifact" if name in ("", "..") else name)
        try:
            if attributes["folder"]:
                target.mkdir()
                _unpack(source, target)
            else:
                with source.open() as reader, target.open("wb") as file:
                    while chunk := reader.read(_CHUNK):
                        file.write(chunk)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return target


class _Contents:
    """
    What a folder holds so far, in the order of its archive: the same is refused when it is saved and when it is loaded.

    Every entry lies in a folder that came before it, never behind a link; a link leads out of nowhere: it begins
    with as many ``..`` as it lies deep, at most, and goes up nowhere else. So none leads outside, whatever the
    others are.

    :param size: bytes that all files together may have; None where that isn't known yet.
    """

    def __init__(self, size: int | None = None) -> None:
        self._kinds: dict[str, bytes] = {"": tarfile.DIRTYPE}
        self._left = size

    def admit(self, member: tarfile.TarInfo) -> None:
        """
        Take in the next entry.

        :raises OSError: for one that could leave the folder, or is neither file, folder nor link.
        """
        folder = member.name.rpartition("/")[0]
        if not _is_below(member.name) or self._kinds.get(folder) != tarfile.DIRTYPE:
            _refuse(member, _OUTSIDE)
        if member.name in self._kinds:
            _refuse(member, "is there twice")
        if len(self._kinds) > MEMBERS:
            raise OSError(f"it holds more than {MEMBERS:,} files and folders: pack them into one file")
        if member.issym():
            _check_link(member)
        elif member.islnk():
            if self._kinds.get(member.linkname) != tarfile.REGTYPE:
                _refuse(member, "is a link to no file of the archive")
        elif member.issparse() or not (member.isdir() or member.type in (tarfile.REGTYPE, tarfile.AREGTYPE)):
            _refuse(member, "is neither a file, a folder nor a link")
        self._count(member)
        self._kinds[member.name] = tarfile.REGTYPE if member.isreg() else member.type

    def _count(self, member: tarfile.TarInfo) -> None:
        if self._left is None:
            return
        self._left -= member.size
        if member.size < 0 or self._left < 0:
            _refuse(member, "is larger than the archive")


def _is_below(name: str) -> bool:
    """Return whether a name stays below the folder that it begins in: an absolute one has an empty first part."""
    return "\0" not in name and not {"", ".", ".."} & set(name.split("/"))


def _check_link(member: tarfile.TarInfo) -> None:
    parts = member.linkname.split("/")
    ups = 0
    while parts[ups : ups + 1] == [".."]:
        ups += 1
    if not member.linkname or not parts[0] or "\0" in member.linkname or ".." in parts[ups:]:
        _refuse(
            member,
            f"is a link to {quoted(member.linkname)}: give one that says how to get there in the folder",
        )
    if ups > member.name.count("/"):
        _refuse(member, f"is a link out of the folder, to {quoted(member.linkname)}")


def _refuse(member: tarfile.TarInfo, why: str) -> NoReturn:
    raise OSError(f"{quoted(member.name)} in it {why}")


def _pack(folder: Path, path: Path) -> None:
    contents = _Contents()
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for item in sorted(_below(folder)):
            name = item.relative_to(folder).as_posix()
            content = _content(item, folder)
            contents.admit(archive.gettarinfo(content, name))
            archive.add(content, name, recursive=False, filter=_anonymous)


def _below(folder: Path) -> list[Path]:
    """Return everything in a folder; ``rglob`` would leave out what may not be read."""
    found: list[Path] = []
    for place, folders, files in os.walk(folder, onerror=_raise):
        found += [Path(place, name) for name in (*folders, *files)]
    return found


def _raise(err: OSError) -> NoReturn:
    raise err


def _unpack(source: Source, target: Path) -> None:
    contents = _Contents(source.size)
    with (
        source.open() as reader,
        # never compressed: nothing in it is larger than it is itself; of a stream no more is asked than to be read
        tarfile.open(fileobj=reader, mode="r|", bufsize=_BLOCK) as archive,  # type: ignore[call-overload]
    ):
        while (member := archive.next()) is not None:
            contents.admit(member)
            _make(archive, member, target)
            archive.members.clear()  # a million would take a gigabyte


def _make(archive: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    """Unpack one entry; tarfile's own way replaces what is there, and goes on after some errors."""
    place = _place(member, member.name, target)
    if member.isdir():
        place.mkdir()
    elif member.issym():
        place.symlink_to(member.linkname)
    elif member.islnk():
        place.hardlink_to(_place(member, member.linkname, target))
    elif (data := archive.extractfile(member)) is not None:
        with data, place.open("xb") as file:
            shutil.copyfileobj(data, file, _CHUNK)
        place.chmod(0o755 if member.mode & 0o100 else 0o644)


def _place(member: tarfile.TarInfo, name: str, target: Path) -> Path:
    """Return where an entry, or what it is linked with, lies: below the target, whatever was admitted."""
    if not _is_below(name):  # pathlib would take an absolute name for the whole place
        _refuse(member, _OUTSIDE)
    return target / name


def _content(item: Path, folder: Path) -> Path:
    """Return what to archive for an item: of a link that leads out of the folder, the file that it leads to."""
    if item.is_symlink():
        target, end = item.readlink(), Path(os.path.realpath(item))  # which a loop of links does not trouble
        if not target.is_absolute() and end.is_relative_to(folder.resolve()):
            return item
        if end.is_file():
            return end
        raise OSError(
            f"{quoted(str(item))} is a link to {quoted(str(target))}, which is not a file, nor inside the folder"
        )
    if not (item.is_file() or item.is_dir()):
        raise OSError(f"{quoted(str(item))} is neither a file nor a folder")
    return item


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Same content, same bytes: no owner, no time."""
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    return member
