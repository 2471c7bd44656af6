"""One running Airflow for all tests of this folder, with the example DAGs and a few of their own."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.airflow_runtime import AirflowRuntime

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AirflowRuntime]:
    """A real Airflow whose registry is the default one, under its AIRFLOW_HOME."""
    folder = tmp_path_factory.mktemp("airflow")
    dags = folder / "dags"
    shutil.copytree(ROOT / "dags", dags, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "tests" / "system" / "dags", dags, dirs_exist_ok=True)
    with AirflowRuntime(folder / "home", dags) as runtime:
        yield runtime
