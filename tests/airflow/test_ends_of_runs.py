"""Runs of random shapes end: no version stays open, none is ready that is not, and both worlds agree."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

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


def program(home: Path, *arguments: str, shapes: str = "0 0") -> str:
    """Run a program in it; return what it prints."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    own = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "CRITICAL",
        "AIRFLOW_CONN_MODEL_REGISTRY_DEFAULT": '{"conn_type": "model_registry"}',  # not asked for in each task
        "PYTHONPATH": f"{ROOT / 'tests' / 'support'}{os.pathsep}{ROOT}",
        "RUN_SHAPES": shapes,
    }
    done = subprocess.run(
        [sys.executable, *arguments], env={**kept, **own}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("first", range(0, SHAPES, BATCH))
def test_runs_of_all_shapes_end(first: int, home: Path, record_property: Any) -> None:
    """Mapped tasks and groups, skips, branches, retries, failures, clearings; what returns, only saves, promotes."""
    program(home, "-m", "airflow", "db", "migrate")
    said = program(home, str(ROOT / "tests" / "support" / "run_shapes.py"), shapes=f"{first} {BATCH}")
    told = json.loads(said.splitlines()[-1])

    assert told == {"shapes": BATCH, "wrong": {}}
    record_property("shapes of runs", BATCH)
