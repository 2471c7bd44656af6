"""A user's AIRFLOW_HOME: an environment for programs, and a database that is copied, for making one takes long."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: Where empty databases of Airflow are kept, as pytest keeps what it knows.
KEPT = ROOT / ".pytest_cache"


def environment(home: Path) -> dict[str, str]:
    """Return a user's environment: programs import what is in the DAGs folder, and the database is the default one."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    return {
        **kept,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__FERNET_KEY": "",  # else forks of a process that had no airflow.cfg differ
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "PYTHONPATH": os.pathsep.join([str(home / "dags"), str(ROOT)]),
    }


def make_database(file: Path) -> None:
    """Copy the empty database that this version of Airflow has made before, or make it now."""
    kept = KEPT / f"airflow-{version('apache-airflow')}.db"
    KEPT.mkdir(exist_ok=True)
    with (KEPT / "airflow.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # other workers of the tests wait for it
        if not kept.exists():
            _migrate(kept)
    _copy(kept, file)


def _migrate(kept: Path) -> None:
    with tempfile.TemporaryDirectory(dir=KEPT) as name:
        home = Path(name)
        done = subprocess.run(
            [sys.executable, "-m", "airflow", "db", "migrate"],
            env=environment(home),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        _copy(home / "airflow.db", home / "whole.db")
        (home / "whole.db").replace(kept)


def _copy(source: Path, target: Path) -> None:
    with closing(sqlite3.connect(source)) as one, closing(sqlite3.connect(target)) as other:
        one.backup(other)
