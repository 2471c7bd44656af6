"""One running Airflow for all tests of this folder, with the example DAGs and a few of their own."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.airflow_runtime import LIBRARIES, AirflowRuntime

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
    (
        dags / "example_batch_inference.py"
    ).unlink()  # the reference page takes its place, under the same DAG id
    pages = ROOT / "tests" / "pages"
    shutil.copy(pages / "load_artifacts_from_model.py", dags)
    second = (pages / "load_artifacts_with_client.py").read_text()
    (dags / "load_artifacts_with_client.py").write_text(second.replace("do_predictions", "with_client"))
    with AirflowRuntime(folder / "home", dags, preload=LIBRARIES) as runtime:
        yield runtime
