"""
Airflow, where a test imports it, gets a throw-away home: no test reads or writes the user's own.

Tests that share a running Airflow stay in one process; two such groups run side by side.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

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


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say which tests belong together, for ``--dist loadgroup``: those of a folder."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(item.path.parent.name))
