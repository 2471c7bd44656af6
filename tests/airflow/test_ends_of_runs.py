"""Runs of random shapes end: no version stays open, none is ready that is not, and both worlds agree."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.airflow_home import environment, make_database
from tests.support.soak import TIMES

ROOT = Path(__file__).parents[2]
SHAPES = 200 * TIMES
#: Run by one process: what is left of a run grows the database that the next ones ask.
BATCH = 100


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An AIRFLOW_HOME with a migrated database, and the DAG file in its folder."""
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "shapes.py").write_text(
        '"""Airflow dag."""\nfrom run_shapes import define\nDAGS = define()\n'
    )
    return tmp_path


def run(home: Path, first: int, count: int) -> str:
    """Run shapes in it; return what the program prints."""
    own = {
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "CRITICAL",
        "AIRFLOW_CONN_MODEL_REGISTRY_DEFAULT": '{"conn_type": "model_registry"}',  # not asked for in each task
        "PYTHONPATH": f"{ROOT / 'tests' / 'support'}{os.pathsep}{ROOT}",
        "RUN_SHAPES": f"{first} {count}",
    }
    done = subprocess.run(
        [sys.executable, ROOT / "tests" / "support" / "run_shapes.py"],
        env={**environment(home), **own},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("first", range(0, SHAPES, BATCH))
def test_runs_of_all_shapes_end(first: int, home: Path, record_property: Any) -> None:
    """Mapped tasks and groups, skips, branches, retries, failures, clearings; what returns, only saves, promotes."""
    make_database(home / "airflow.db")
    told = json.loads(run(home, first, BATCH).splitlines()[-1])

    assert told == {"shapes": BATCH, "wrong": {}}
    record_property("shapes of runs", BATCH)
