"""A registry with its store, on all kinds of both that behave differently."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_model_provider.addresses import Address
from airflow_model_provider.workspace import Workspace, connect
from tests.support.databases import ready_file
from tests.support.s3 import S3Bucket, s3_server

if TYPE_CHECKING:
    from collections.abc import Iterator

PLACES = ["sqlite, folder", "postgresql, folder", "postgresql, s3"]


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Bucket]:
    """An S3 protocol server of this session."""
    with s3_server("upkeep") as bucket:  # moto's servers share what they hold
        yield bucket


@pytest.fixture(params=PLACES)
def address(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Address:
    """Where a registry and its store are."""
    monkeypatch.setenv("AIRFLOW__MODEL_REGISTRY__CACHE_DIR", str(tmp_path / "cache"))
    database, store = request.param.split(", ")
    if database == "postgresql":
        url = request.getfixturevalue("postgres").new_database()
    else:
        url = ready_file(tmp_path / "registry.db")
    if store == "folder":
        return Address(url, str(tmp_path / "store"), "test", {})  # pickles, as the default does not
    bucket = request.getfixturevalue("s3")
    return Address(url, f"{bucket.url}/{tmp_path.name}", "test", bucket.options)


@pytest.fixture
def workspace(address: Address) -> Iterator[Workspace]:
    """An open registry with its store."""
    opened = connect(address)
    yield opened
    opened.close()
