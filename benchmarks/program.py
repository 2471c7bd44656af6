"""What does the reference page cost as a program, from a cold start?"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import peers
from benchmarks.harness import Row, paired, python

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[1]
ROUNDS = 11
PEER_ROUNDS = 5
ZENML_IMPORTS = {
    "from airflow_model_provider import get_pipeline_context": "from zenml import get_pipeline_context",
    "from airflow_model_provider import ModelStages": "from zenml.enums import ModelStages",
}
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
        peer = _zenml(Path(home), lambda: python(page, environment=environment), page.read_text())
    return [
        peer,
        Row(
            "program",
            "python file.py / importing pandas, scikit-learn, SQLAlchemy",
            *pair,
            "s",
            1.5,
            rounds=ROUNDS,
        ),
    ]


def _zenml(home: Path, ours: Callable[[], float], page: str) -> Row:
    """The same page with ZenML's imports, in ZenML's own environment, after a training program of its own."""
    interpreter, theirs = peers.interpreter("zenml"), home / "page.py"
    for here, there in ZENML_IMPORTS.items():
        assert here in page
        page = page.replace(here, there)
    theirs.write_text(page)
    environment = {
        "HOME": str(home),
        "ZENML_CONFIG_PATH": str(home / "zenml"),
        "ZENML_ANALYTICS_OPT_IN": "false",
        "ZENML_LOGGING_VERBOSITY": "ERROR",
    }

    def run(file: Path) -> float:
        return python(file, environment=environment, interpreter=interpreter)

    run(Path(__file__).with_name("zenml_training.py"))
    pair = paired(ours, lambda: run(theirs), rounds=PEER_ROUNDS)
    return Row("program", "python file.py / the same page in ZenML", *pair, "s", 0.4, rounds=PEER_ROUNDS)
