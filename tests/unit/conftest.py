"""Core tests: none of them needs Airflow, and the test command runs them where it can't be imported."""

from __future__ import annotations

import importlib.util
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.databases import PostgresServer

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server of this session."""
    with tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True) as folder:
        server = PostgresServer(Path(folder) / "data")
        yield server
        server.stop()


def pytest_report_header() -> str:
    """Say whether this run shows that Airflow is not needed."""
    try:
        found = importlib.util.find_spec("airflow") is not None
    except ModuleNotFoundError:
        found = False
    return f"Airflow importable: {found}"
