"""What does the reference page cost as a program, from a cold start?"""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.harness import Row, paired, python

ROOT = Path(__file__).parents[1]
ROUNDS = 11
LIBRARIES = "import pandas, sklearn.base, sklearn.datasets, sklearn.linear_model, sqlalchemy"


def measure() -> list[Row]:
    """``python file.py`` against importing the libraries that it and its model need."""
    page = ROOT / "tests" / "pages" / "load_artifacts_from_model.py"
    with tempfile.TemporaryDirectory() as home:
        environment = {"AIRFLOW_HOME": home}
        python(ROOT / "dags" / "example_training.py", environment=environment)
        pair = paired(
            lambda: python(page, environment=environment), lambda: python("-c", LIBRARIES), rounds=ROUNDS
        )
    return [
        Row(
            "program",
            "python file.py / importing pandas, scikit-learn, SQLAlchemy",
            *pair,
            "s",
            1.5,
            rounds=ROUNDS,
        )
    ]
