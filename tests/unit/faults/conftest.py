"""Registries with their stores, on both databases."""

from __future__ import annotations

import uuid
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_model_provider.addresses import Address
from airflow_model_provider.workspace import connect
from tests.support.databases import PostgresServer, ready_file
from tests.support.postgres_proxy import PostgresProxy, postgres_proxy
from tests.support.s3 import S3Bucket, s3_server
from tests.support.s3_proxy import S3Proxy, s3_proxy
from tests.unit.faults.scene import Scene

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of local copies and of notes."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("AIRFLOW__MODEL_REGISTRY__CACHE_DIR", str(folder))
    return folder


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> str:
    """A registry on PostgreSQL."""
    return postgres.new_database()


@pytest.fixture
def proxy(postgres_url: str) -> Iterator[PostgresProxy]:
    """What stands in front of that."""
    with postgres_proxy(postgres_url) as found:
        yield found


@pytest.fixture
def postgres_scene(proxy: PostgresProxy, postgres_url: str, tmp_path: Path) -> Iterator[Scene]:
    """A registry behind a proxy, and a folder."""
    observed = Address(postgres_url, str(tmp_path / "store"), "test")
    with closing(Scene(observed._replace(url=proxy.url), connect(observed))) as scene:
        yield scene


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """A registry in a file, and a folder."""
    address = Address(ready_file(tmp_path / "registry.db"), str(tmp_path / "store"), "test")
    with closing(Scene(address, connect(address))) as scene:
        yield scene


@pytest.fixture(scope="session")
def bucket() -> Iterator[S3Bucket]:
    """An S3 server of this session."""
    with s3_server("faults") as found:  # moto's servers share what they hold
        yield found


@pytest.fixture
def s3(bucket: S3Bucket) -> Iterator[S3Proxy]:
    """What stands in front of that."""
    with s3_proxy(bucket) as found:
        yield found


@pytest.fixture
def s3_scene(bucket: S3Bucket, s3: S3Proxy, tmp_path: Path) -> Iterator[Scene]:
    """A registry in a file, and a store behind a proxy."""
    url, store = ready_file(tmp_path / "registry.db"), f"{bucket.url}/{uuid.uuid4().hex}"
    observed = Address(url, store, "test", bucket.options)
    with closing(Scene(observed._replace(storage_options=s3.options), connect(observed))) as scene:
        yield scene
