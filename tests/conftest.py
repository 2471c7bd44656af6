"""Airflow, where a test imports it, gets a throw-away home: no test reads or writes the user's own."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import pytest

HOME = tempfile.mkdtemp(prefix="airflow-home-")
atexit.register(shutil.rmtree, HOME, ignore_errors=True)
for name in [name for name in os.environ if name.startswith("AIRFLOW_")]:
    del os.environ[name]
os.environ |= {
    "AIRFLOW_HOME": HOME,
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{HOME}/airflow.db",
}


@pytest.fixture
def model_registry(tmp_path: Path, request: pytest.FixtureRequest) -> object:
    """The fixture that users have, whose default registry is there already."""
    from tests.support.databases import ready_file

    ready_file(tmp_path / "model_registry" / "model_registry.db")
    return request.getfixturevalue("model_registry")
