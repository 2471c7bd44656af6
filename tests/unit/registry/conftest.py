"""Every registry test runs on SQLite and on a real PostgreSQL."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_model_provider.registry import database
from airflow_model_provider.registry.registry import Registry
from tests.support.databases import ready_file

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(params=["sqlite", "postgresql"])
def backend(request: pytest.FixtureRequest) -> str:
    """Which database a test runs on."""
    return str(request.param)


@pytest.fixture
def empty_url(backend: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database that has nothing in it."""
    if backend == "sqlite":
        return f"sqlite:///{tmp_path / 'registry.db'}"
    return str(request.getfixturevalue("postgres").new_database(empty=True))


@pytest.fixture
def url(backend: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a registry."""
    if backend == "sqlite":
        return ready_file(tmp_path / "registry.db")
    return str(request.getfixturevalue("postgres").new_database())


@pytest.fixture(autouse=True)
def no_connection_stays_checked_out() -> Iterator[None]:
    """Whatever a test does, and however it opens its registries."""
    yield
    held = [item.url for item in list(database._opened) if item.engine.pool.checkedout()]

    assert held == []


@pytest.fixture
def registry(url: str) -> Iterator[Registry]:
    """An open registry."""
    with Registry.open(url) as opened:
        yield opened
