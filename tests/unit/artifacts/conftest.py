"""Every store test runs on a local folder and against a real S3 protocol server."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_model_provider.artifacts.store import ArtifactStore
from tests.support.s3 import S3Bucket, s3_server

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Bucket]:
    """An S3 server of this session."""
    with s3_server() as bucket:
        yield bucket


class Place:
    """Where a store keeps its bytes, seen from outside."""

    def __init__(self, store: ArtifactStore, bucket: S3Bucket | None) -> None:
        self.store, self._bucket = store, bucket

    def overwrite(self, digest: str, data: bytes) -> None:
        """Change stored bytes behind the store's back."""
        uri = self.store.uri(digest)
        if self._bucket:
            self._bucket.file_system().pipe_file(uri.removeprefix("s3://"), data)
        else:
            Path(uri).chmod(0o600)
            Path(uri).write_bytes(data)

    def names(self) -> list[str]:
        """Every file there is, temporary ones too."""
        root = self.store.uri("0" * 64).partition("/sha256/")[0]
        if self._bucket:
            found = self._bucket.file_system().find(root.removeprefix("s3://"))
            return sorted(name.rpartition("/")[2] for name in found)
        return sorted(path.name for path in Path(root).rglob("*") if path.is_file())


@pytest.fixture(params=["local", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A store with nothing in it."""
    cache = tmp_path / "cache"
    if request.param == "local":
        return Place(ArtifactStore(str(tmp_path / "store"), "registry", cache_dir=cache), None)
    bucket: S3Bucket = request.getfixturevalue("s3")
    url = f"{bucket.url}/{uuid.uuid4().hex}"
    store = ArtifactStore(url, "registry", cache_dir=cache, storage_options=bucket.options)
    return Place(store, bucket)


@pytest.fixture
def store(place: Place) -> ArtifactStore:
    """A store with nothing in it."""
    return place.store
