"""Blobs on any file system that universal-pathlib knows; that and tenacity are imported on first use."""

from __future__ import annotations

import errno
import logging
import os
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_model_provider.artifacts.patience import patiently
from airflow_model_provider.artifacts.scratch import SCRATCH, random_name
from airflow_model_provider.artifacts.trouble import Secrets, reason, reported, shown
from airflow_model_provider.exceptions import (
    InvalidConfiguration,
    MissingDependency,
    ModelRegistryError,
    StoreUnavailable,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

T = TypeVar("T")
_EXTRAS = {
    "s3": "s3",
    "s3a": "s3",
    "gs": "gcs",
    "gcs": "gcs",
    "az": "azure",
    "abfs": "azure",
    "abfss": "azure",
}
logger = logging.getLogger(__name__)


class RemoteFolder:
    """
    The blobs of one registry under a URL.

    :param url: of the store.
    :param folder: name of the registry's folder there.
    :param options: arguments of the fsspec file system.
    :param parameters: the query that each address in it gets, which may hold secrets.
    """

    def __init__(self, url: str, folder: str, options: Mapping[str, Any], parameters: str = "") -> None:
        self._url, self._folder, self._options, self._parameters = url, folder, dict(options), parameters
        self._shown = shown(url).rstrip("/")
        self._secrets = Secrets(url + parameters, options)
        self._opened: tuple[int, Any, str] | None = None

    def uri(self, key: str) -> str:
        """Return the URL, without secrets."""
        return f"{self._shown}/{self._folder}/{key}"

    def size(self, key: str) -> int | None:
        """Return the bytes of a blob, or None where there is none."""
        return self._try("read", key, lambda: self._size(key))

    def put(self, path: Path, key: str) -> None:
        """
        Upload a file: whole or not at all.

        What is there already is not read again: of the same length, it is taken for the same.
        """
        with reported("read", str(path)):
            size = path.stat().st_size
        if self.size(key) != size:
            self._try("write", key, lambda: self._upload(path, key, size))

    def fetch(self, key: str, path: Path, missing: Exception) -> None:
        """
        Download a blob into a file.

        :param missing: raised where there is no such blob.
        """
        self._try("read", key, lambda: self._system.get_file(self._path(key), str(path)), missing)

    def remove(self, key: str) -> None:
        """Remove a blob, if it is there."""

        def removed() -> None:
            with suppress(FileNotFoundError):
                self._system.rm_file(self._path(key))

        self._try("remove", key, removed)

    def blobs(self, top: str) -> Iterator[tuple[str, int]]:
        """Yield name and size of the files two levels below a folder, one folder at a time."""
        for folder in self._list(top):
            if folder["type"] == "directory":
                for entry in self._list(f"{top}/{_name(folder)}"):
                    if entry["type"] == "file":
                        yield _name(entry), entry["size"]

    def age(self, key: str) -> float:
        """Return the seconds since a file was written; 0 where there is none."""
        changed = self._try("read", key, lambda: self._changed(key))
        return 0 if changed is None else _age(changed)

    def leftovers(self) -> Iterator[tuple[str, float]]:
        """Yield files and uploads that writers have begun, and the seconds since each was begun or written to."""
        for entry in self._list(SCRATCH):
            key = f"{SCRATCH}/{_name(entry)}"
            changed = self._try("list", key, lambda: self._changed(key))  # noqa: B023 - called at once
            if changed is not None:
                yield key, _age(changed)
        for upload in self._uploads():
            yield f"{upload['Key']}?{upload['UploadId']}", _age(upload["Initiated"])

    def remove_leftover(self, name: str) -> None:
        """Remove what :meth:`leftovers` gave."""
        key, _, upload = name.partition("?")
        if not upload:
            self.remove(key)
            return
        bucket = self._system.split_path(self._path(""))[0]
        self._try(
            "remove",
            key,
            lambda: self._system.call_s3("abort_multipart_upload", Bucket=bucket, Key=key, UploadId=upload),
        )

    def _uploads(self) -> list[dict[str, Any]]:
        """What S3 keeps, and charges for, of uploads in parts that were never completed."""
        self._connect()
        if not hasattr(self._system, "list_multipart_uploads"):
            return []
        bucket, folder, _ = self._system.split_path(self._path(""))
        found = self._try("list", "", lambda: self._system.list_multipart_uploads(bucket))
        return [upload for upload in found if upload["Key"].startswith(f"{folder.rstrip('/')}/")]

    # --- one attempt -----------------------------------------------------------------------------------

    def _size(self, key: str) -> int | None:
        # What other processes did since does not show in fsspec's listings cache.
        self._system.invalidate_cache()
        try:
            info = self._system.info(self._path(key))
        except FileNotFoundError:
            return None
        return int(info["size"]) if info["type"] == "file" else None

    def _upload(self, path: Path, key: str, size: int) -> None:
        # Object stores show an object when its upload is complete, never before, and replace it in one step:
        # there a temporary key would only cost a copy. Others show a file while it grows: it gets its name
        # last.
        if _shows_only_whole_files(self._system):
            self._system.put_file(str(path), self._path(key))
        else:
            self._upload_and_rename(path, key, size)
        self._check(key, size)

    def _upload_and_rename(self, path: Path, key: str, size: int) -> None:
        part = f"{SCRATCH}/{random_name('.part')}"
        try:
            for name in (part, key):
                self._system.makedirs(self._path(name).rpartition("/")[0], exist_ok=True)
            self._system.put_file(str(path), self._path(part))
            self._check(part, size)
            self._system.mv(self._path(part), self._path(key))
        finally:
            with suppress(Exception):
                self._system.rm_file(self._path(part))

    def _check(self, key: str, size: int) -> None:
        arrived = self._size(key)
        if arrived != size:
            raise OSError(errno.EIO, f"{arrived} of {size} bytes arrived")

    def _changed(self, key: str) -> datetime | None:
        try:
            changed: datetime = self._system.modified(self._path(key))
        except FileNotFoundError:
            return None  # its writer has ended
        return changed

    def _list(self, key: str) -> list[dict[str, Any]]:
        def listed() -> list[dict[str, Any]]:
            self._system.invalidate_cache()
            try:
                entries = self._system.ls(self._path(key), detail=True)
            except FileNotFoundError:
                return []
            return sorted(entries, key=_name)

        return self._try("list", key, listed)

    # --- the file system -------------------------------------------------------------------------------

    @property
    def _system(self) -> Any:
        return self._open()[1]

    def _path(self, key: str) -> str:
        return f"{self._open()[2]}/{self._folder}/{key}{self._parameters}"

    def _open(self) -> tuple[int, Any, str]:
        # A forked child opens its own: the connections of its parent are not for both.
        if self._opened is None or self._opened[0] != os.getpid():
            from upath import UPath

            root = UPath(self._url, **self._options)
            if root.protocol in ("", "file", "local"):  # what is no scheme becomes a folder's name there
                raise ValueError(f"there is no file system {self._url.partition('://')[0]!r}")
            self._opened = (os.getpid(), root.fs, root.path.rstrip("/"))
        return self._opened

    def _connect(self) -> None:
        scheme = self._url.partition("://")[0].rpartition("::")[2]
        try:
            self._open()
        except ImportError as err:
            extra = _EXTRAS.get(scheme)
            install = f"airflow-model-provider[{extra}]" if extra else err.name or scheme
            raise MissingDependency(f"A store at {scheme}://", err.name or reason(err), install) from None
        except (ValueError, TypeError) as err:
            advice = "Give a folder or an fsspec URL."
            raise InvalidConfiguration(
                "[model_registry] store", self._secrets.mask(reason(err)), advice
            ) from None

    def _try(self, operation: str, key: str, call: Callable[[], T], missing: Exception | None = None) -> T:
        def announce(err: BaseException, attempt: int, wait: float) -> None:
            said = self._secrets.mask(reason(err))
            text = "The artifact store could not %s %s (attempt %d, next in %.1f s): %s"
            logger.warning(text, operation, self.uri(key), attempt, wait, said)

        self._connect()
        try:
            return patiently(call, announce)
        except ModelRegistryError:
            raise
        except Exception as err:
            if missing is not None and isinstance(err, FileNotFoundError):
                raise missing from None
            trouble = StoreUnavailable(self.uri(key), operation, self._secrets.mask(reason(err)))
            raise trouble from (None if self._secrets.are_in(err) else err)


def _age(time: datetime) -> float:
    time = time.replace(tzinfo=UTC) if time.tzinfo is None else time
    return (datetime.now(UTC) - time).total_seconds()


def _name(entry: Mapping[str, Any]) -> str:
    return str(entry["name"]).rstrip("/").rpartition("/")[2]


def _shows_only_whole_files(system: Any) -> bool:
    protocol = system.protocol
    return not _EXTRAS.keys().isdisjoint([protocol] if isinstance(protocol, str) else protocol)
