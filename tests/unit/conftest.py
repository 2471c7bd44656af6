"""Core tests: none of them needs Airflow, and the test command runs them where it can't be imported."""

from __future__ import annotations

import importlib.util
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.databases import PostgresServer

if TYPE_CHECKING:
    from collections.abc import Iterator


#: A folder in memory, and how much has to be free there; a database of a test is a thousand small files.
IN_MEMORY, ENOUGH = Path("/dev/shm"), 4 * 2**30


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server of this session."""
    fast = IN_MEMORY.is_dir() and shutil.disk_usage(IN_MEMORY).free > ENOUGH
    folder = IN_MEMORY if fast else None
    with tempfile.TemporaryDirectory(prefix="pg", dir=folder, ignore_cleanup_errors=True) as name:
        server = PostgresServer(Path(name) / "data")
        yield server
        server.stop()


@pytest.fixture(scope="module")
def postgres(postgres_server: PostgresServer) -> Iterator[PostgresServer]:
    """The server; what a module has made there goes with it."""
    yield postgres_server
    postgres_server.drop_databases()


def pytest_report_header() -> str:
    """Say whether this run shows that Airflow is not needed."""
    try:
        found = importlib.util.find_spec("airflow") is not None
    except ModuleNotFoundError:
        found = False
    return f"Airflow importable: {found}"
