"""How long from a cold process to the loaded production model?"""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.harness import Row, paired, python

ROOT = Path(__file__).parents[1]
ROUNDS = 15
OURS = """
from airflow_model_provider import Client
Client().get_model_version("iris_classifier", "production").get_model_artifact("trained_model").load()
"""
BARE = """
import pickle, sklearn.linear_model, sqlalchemy
with open({path!r}, "rb") as file:
    pickle.load(file)
"""
FIND = """
from airflow_model_provider import Client
print(Client().get_model_version("iris_classifier", "production").get_model_artifact("trained_model").uri)
"""


def measure() -> list[Row]:
    """Resolve, verify, load; against importing scikit-learn and SQLAlchemy and unpickling the file."""
    import subprocess
    import sys

    with tempfile.TemporaryDirectory() as home:
        environment = {"AIRFLOW_HOME": home}
        python(ROOT / "dags" / "example_training.py", environment=environment)
        uri = subprocess.run(
            [sys.executable, "-c", FIND],
            env={"AIRFLOW_HOME": home},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        bare = BARE.format(path=uri.strip().removeprefix("file://"))
        pair = paired(
            lambda: python("-c", OURS, environment=environment), lambda: python("-c", bare), rounds=ROUNDS
        )
    return [
        Row(
            "cold load",
            "process start to loaded model / imports and pickle.load",
            *pair,
            "s",
            1.15,
            rounds=ROUNDS,
        )
    ]
