"""Runs of random shapes end: no version stays open, none is ready that is not, and both worlds agree."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.airflow_home import environment, make_database
from tests.support.soak import TIMES

ROOT = Path(__file__).parents[2]
SHAPES = 200 * TIMES
#: Run by one process: what is left of a run grows the database that the next ones ask.
BATCH = 100
#: Shapes of the long form that have found faults.
TELLING = (482, 1001, 1033, 3933)


@pytest.mark.timeout(7200)
def test_runs_of_all_shapes_end(tmp_path: Path, record_property: Any) -> None:
    """Mapped tasks and groups, skips, branches, retries, failures, clearings; what returns, only saves, promotes."""
    seeds = [*range(SHAPES), *(seed for seed in TELLING if seed >= SHAPES)]
    with ThreadPoolExecutor(2) as pool:
        parts = [seeds[first : first + BATCH] for first in range(0, len(seeds), BATCH)]
        batches = list(pool.map(partial(run, tmp_path), parts))

    assert sum(batch["shapes"] for batch in batches) == len(seeds)
    wrong = {name: said for batch in batches for name, said in batch["wrong"].items()}
    assert not wrong, json.dumps(wrong, indent=1)
    record_property("shapes of runs", SHAPES)


def run(folder: Path, seeds: list[int]) -> dict[str, Any]:
    """Run a batch of shapes in an AIRFLOW_HOME of their own; return what the program tells."""
    home = folder / f"{seeds[0]}"
    (home / "dags").mkdir(parents=True)
    (home / "dags" / "shapes.py").write_text(
        '"""Airflow dag."""\nfrom run_shapes import define\nDAGS = define()\n'
        "from shorter_list import shorter_list\nshorter_list()\n"
        "import cleared_runs, ended_runs\n"
        "for made in (*cleared_runs.PIPELINES, *ended_runs.PIPELINES): made()\n"
    )
    make_database(home / "airflow.db")
    own = {
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "CRITICAL",
        "AIRFLOW_CONN_MODEL_REGISTRY_DEFAULT": '{"conn_type": "model_registry"}',  # not asked for in each task
        "PYTHONPATH": f"{ROOT / 'tests' / 'support'}{os.pathsep}{ROOT}",
        "RUN_SHAPES": " ".join(map(str, seeds)),
    }
    done = subprocess.run(
        [sys.executable, ROOT / "tests" / "support" / "run_shapes.py"],
        env={**environment(home), **own},
        capture_output=True,
        text=True,
        check=False,
    )
    shutil.rmtree(home)
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(json.loads(done.stdout.splitlines()[-1]))
