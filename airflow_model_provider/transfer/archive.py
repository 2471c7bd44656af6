"""
The file that an export is: an uncompressed zip of ``manifest.json``, then ``sha256/<digest>`` once per payload.

Uncompressed, because payloads are compressed where it helps, and because what is read then is never more than the file.
"""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Final, Self

from airflow_model_provider.artifacts.scratch import replacing
from airflow_model_provider.artifacts.trouble import reason
from airflow_model_provider.exceptions import AlreadyExists, ExportFailed, InvalidExport, ModelRegistryError
from airflow_model_provider.transfer import manifest as manifests

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from airflow_model_provider.artifacts.source import VerifiedSource

_MANIFEST: Final = "manifest.json"
#: The most that a manifest may have, in bytes: tens of thousands of versions.
MANIFEST_SIZE: Final = 64 * 1024**2
_CHUNK: Final = 1 << 20


# --- writing ---------------------------------------------------------------------------------------------


@contextmanager
def new_archive(path: Path, manifest: bytes, *, force: bool) -> Iterator[NewArchive]:
    """
    Write an export; it takes its place when the block ends without an exception, and else nothing is left of it.

    :param force: replace an existing file.
    :raises AlreadyExists: if something is there when it is written.
    :raises ExportFailed: if it can't be written.
    """
    if len(manifest) > MANIFEST_SIZE:
        raise ExportFailed(
            str(path), f"it would say more than {MANIFEST_SIZE:,} bytes of its versions: name fewer"
        )
    try:
        with replacing(path, force=force) as target, zipfile.ZipFile(target, "w") as file:
            file.writestr(zipfile.ZipInfo(_MANIFEST), manifest)
            yield NewArchive(file)
    except ModelRegistryError:
        raise
    except FileExistsError:
        raise AlreadyExists("file", str(path)) from None
    except OSError as err:
        raise ExportFailed(str(path), reason(err)) from err


class NewArchive:
    """An export that is being written; the same models give the same bytes."""

    def __init__(self, file: zipfile.ZipFile) -> None:
        self._file = file

    def add(self, source: VerifiedSource) -> None:
        """
        Add the bytes of a digest.

        :raises DigestMismatch: if they are not those that were registered, and the others of a verified source.
        """
        entry = zipfile.ZipInfo(_member(source.digest))
        entry.file_size = source.size
        with source.open() as reader, self._file.open(entry, "w") as target:
            shutil.copyfileobj(reader, target, _CHUNK)


# --- reading ---------------------------------------------------------------------------------------------


class Archive:
    """
    An export that somebody gave us: nothing it says is believed before it was checked.

    :param path: of the file.
    :param file: the open file.
    :raises InvalidExport: naming the first thing that is wrong with it.
    """

    def __init__(self, path: Path, file: zipfile.ZipFile) -> None:
        self._path, self._file = path, file
        entries = {entry.filename: entry for entry in file.infolist()}
        if len(entries) != len(file.infolist()):
            raise self.invalid("a file stands in it twice")
        for entry in entries.values():
            if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
                raise self.invalid(f"{entry.filename!r} is compressed")
        if sum(entry.file_size for entry in entries.values()) > path.stat().st_size:
            raise self.invalid("its files overlap, or are said to be longer than it is")
        #: What it says of its versions.
        self.manifest = self._read_manifest(entries)
        #: The size of each of its payloads by digest.
        self.payloads = self.manifest.payloads()
        self._check_members(entries)

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator[Self]:
        """
        Open an export and check all but the bytes of its payloads.

        :raises InvalidExport: naming the first thing that is wrong with it.
        """
        with _readable(path):
            file = zipfile.ZipFile(path)
        with file:
            yield cls(path, file)

    def copy(self, digest: str, target: IO[bytes] | None = None) -> None:
        """
        Read a payload, and check that it is what its name says; memory stays small.

        :param target: where it is written to; not to be used before this has returned.
        :raises InvalidExport: if it is something else.
        """
        found, count = hashlib.sha256(), 0
        for chunk in self._chunks(_member(digest)):
            found.update(chunk)
            count += len(chunk)
            if target is not None:
                target.write(chunk)
        if found.hexdigest() != digest or count != self.payloads[digest]:
            raise self.invalid(f"the bytes of sha256:{digest} are sha256:{found.hexdigest()}")

    def invalid(self, problem: str, advice: str = "") -> InvalidExport:
        """Return the error that says what is wrong with it."""
        return InvalidExport(str(self._path), problem, advice)

    def _read_manifest(self, entries: dict[str, zipfile.ZipInfo]) -> manifests.Manifest:
        if _MANIFEST not in entries:
            raise self.invalid(f"there is no {_MANIFEST} in it")
        if entries[_MANIFEST].file_size > MANIFEST_SIZE:
            raise self.invalid(f"its manifest has more than {MANIFEST_SIZE:,} bytes")
        try:
            return manifests.read(b"".join(self._chunks(_MANIFEST)))
        except manifests.Unreadable as err:
            raise self.invalid(err.problem, err.advice) from None

    def _check_members(self, entries: dict[str, zipfile.ZipInfo]) -> None:
        wanted = {_member(digest): size for digest, size in self.payloads.items()}
        if missing := sorted(wanted.keys() - entries.keys()):
            raise self.invalid(f"{missing[0]} is missing")
        if unknown := sorted(entries.keys() - wanted.keys() - {_MANIFEST}):
            raise self.invalid(f"it holds {unknown[0][:200]!r}, of which its manifest says nothing")
        for name, size in wanted.items():
            if entries[name].file_size != size:
                raise self.invalid(f"{name} has {entries[name].file_size:,} bytes instead of {size:,}")

    def _chunks(self, name: str) -> Iterator[bytes]:
        with _readable(self._path):
            member = self._file.open(name)
        with member:
            while True:
                with _readable(self._path):
                    chunk = member.read(_CHUNK)
                if not chunk:
                    return
                yield chunk


def _member(digest: str) -> str:
    return f"sha256/{digest}"


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Whatever a damaged zip makes of the library that reads it is one error."""
    try:
        yield
    except OSError as err:
        advice = "Check the path, and who may read it."
        raise InvalidExport(str(path), f"it cannot be read ({reason(err)})", advice) from err
    except Exception as err:
        raise InvalidExport(str(path), f"it is no whole zip file ({err or type(err).__name__})") from err
