"""Files and folders: a file byte for byte, a folder as an uncompressed tar."""

from __future__ import annotations

import os
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_model_provider.exceptions import LoadFailed
from airflow_model_provider.materializers.base import Materializer, Source

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The most that a folder may unpack to, in bytes.
UNPACKED = 100 * 1024**3


class PathMaterializer(Materializer):
    """A ``pathlib.Path``: what comes back is the path of a private copy under the same name."""

    key = "path"

    def save(self, value: Any, path: Path) -> Mapping[str, Any]:
        original = Path(value)
        name = os.path.basename(os.path.abspath(original))  # noqa: PTH100, PTH119 - a link keeps its own name
        if original.is_dir():
            with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
                for item in sorted(original.rglob("*")):
                    inside = item.relative_to(original).as_posix()
                    archive.add(_content(item, original), inside, recursive=False, filter=_anonymous)
            return {"name": name, "folder": True}
        with original.open("rb") as source, path.open("wb") as target:
            while chunk := source.read(1 << 20):
                target.write(chunk)
        return {"name": name, "folder": False}

    def load(self, source: Source, attributes: Mapping[str, Any], *, mmap: bool = False) -> Any:
        name = Path(str(attributes["name"])).name or "artifact"
        target = Path(tempfile.mkdtemp(prefix="model_artifact_")) / name
        if not attributes["folder"]:
            with source.open() as reader, target.open("wb") as file:
                while chunk := reader.read(1 << 20):
                    file.write(chunk)
            return target
        target.mkdir()
        with tarfile.open(source.path()) as archive:
            members = archive.getmembers()
            if sum(member.size for member in members) > UNPACKED:
                raise LoadFailed(name, f"it would unpack to more than {UNPACKED} bytes")
            archive.extractall(target, members, filter="data")  # no absolute names, no .., no links outside
        return target


def _content(item: Path, folder: Path) -> Path:
    """Return what to archive for an item: of a link that leads out of the folder, the file that it leads to."""
    if item.is_symlink():
        target, end = item.readlink(), item.resolve()
        if not target.is_absolute() and end.is_relative_to(folder.resolve()):
            return item
        if end.is_file():
            return end
        raise OSError(f"{item} is a link to {target}, which is no file and not in the folder")
    if not (item.is_file() or item.is_dir()):
        raise OSError(f"{item} is neither a file nor a folder")
    return item


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Same content, same bytes: no owner, no time."""
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    return member
