"""Private files for what is being written, before it takes its place in the store."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_model_provider.artifacts.trouble import reason, refusal, reported
from airflow_model_provider.exceptions import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator


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
    path = folder / random_name(".part")
    with reported("write to", str(folder)):
        folder.mkdir(parents=True, exist_ok=True)
        path.touch(exist_ok=False)
    try:
        with _full_disk_reported(path):
            yield path
    finally:
        with suppress(OSError):
            path.unlink()


@contextmanager
def file_in_temporary_folder() -> Iterator[Path]:
    """
    Give a new file in a private folder of its own, for a store that is elsewhere.

    :raises StoreUnavailable: as :func:`file_in`.
    """
    import tempfile

    with reported("write to", "the folder for temporary files"):
        folder = tempfile.TemporaryDirectory(prefix="airflow-model-provider-", ignore_cleanup_errors=True)
    with folder, file_in(Path(folder.name)) as path:
        yield path


@contextmanager
def _full_disk_reported(path: Path) -> Iterator[None]:
    """Whatever a writing library makes of a full disk, it is the store's trouble and not the value's."""
    try:
        yield
    except StoreUnavailable:
        raise
    except Exception as err:
        refused = refusal(err)
        if refused is None:
            raise
        raise StoreUnavailable(str(path), "write", reason(refused)) from err
