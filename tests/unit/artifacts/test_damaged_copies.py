"""A local copy of a remote artifact that was damaged or taken away: found, thrown away, and made again."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from airflow_model_provider.artifacts.copies import LocalCopies
from airflow_model_provider.artifacts.store import ArtifactStore
from airflow_model_provider.exceptions import DigestMismatch, StoreUnavailable
from airflow_model_provider.materializers import codec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.s3 import S3Bucket

ARRAY = np.arange(5000.0)


def saved(store: ArtifactStore) -> tuple[str, int]:
    """An array in a store: its digest and size."""
    with store.new_file() as path:
        codec.write(ARRAY, path, what="an array")
        digest, size = store.digest(path)
        store.put(path, digest)
    return digest, size


def loaded(store: ArtifactStore, digest: str, size: int) -> np.ndarray:
    """The array, through a reader that verifies what passes."""
    source = store.source(digest, size, what="an array")
    return codec.read(source, materializer="numpy.npy", format_version=1, attributes={}, what="an array")


@pytest.mark.parametrize("damage", [b"x" * 40128, b"\x93NUMPY"], ids=["no such format", "cut short"])
def test_a_damaged_copy_is_made_again_by_the_load_that_meets_it(
    s3: S3Bucket, tmp_path: Path, damage: bytes
) -> None:
    """Whether the bytes fail to parse or only to verify, the load gives the value, and the next one too."""
    store = ArtifactStore(f"{s3.url}/copies", "registry", cache_dir=tmp_path, storage_options=s3.options)
    digest, size = saved(store)
    loaded(store, digest, size)
    (copy,) = [path for path in tmp_path.rglob(digest) if path.is_file()]
    copy.chmod(0o600)
    copy.write_bytes(damage)

    assert (loaded(store, digest, size) == ARRAY).all()
    assert (loaded(store, digest, size) == ARRAY).all()


@pytest.mark.parametrize("times", [1, 100], ids=["once", "always"])
def test_a_copy_that_another_process_drops_at_once_is_made_again(
    s3: S3Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    """The bytes are where they belong, so they are not called missing; nor is it tried for ever."""
    store = ArtifactStore(f"{s3.url}/dropped", "registry", cache_dir=tmp_path, storage_options=s3.options)
    digest, size = saved(store)
    new, dropped = LocalCopies.new, []

    @contextmanager
    def taken(self: LocalCopies, *args: Any) -> Iterator[Path]:
        with new(self, *args) as part:
            yield part
        if len(dropped) < times:
            dropped.append(digest)
            self.drop(digest)

    monkeypatch.setattr(LocalCopies, "new", taken)
    source = store.source(digest, size, what="an array")
    if times == 1:
        assert source.path().read_bytes() == source.read()
    else:
        with pytest.raises(StoreUnavailable, match="removed while it was read"):
            source.read()
    assert 1 <= len(dropped) < 10


def test_changed_bytes_that_cannot_be_parsed_are_called_changed(tmp_path: Path) -> None:
    """Not a failure to load: the error names both digests."""
    store = ArtifactStore(str(tmp_path / "store"), "registry", cache_dir=tmp_path / "cache")
    digest, size = saved(store)
    (blob,) = [path for path in (tmp_path / "store").rglob(digest) if path.is_file()]
    blob.chmod(0o600)
    blob.write_bytes(b"no array")

    with pytest.raises(DigestMismatch, match=digest):
        loaded(store, digest, size)
