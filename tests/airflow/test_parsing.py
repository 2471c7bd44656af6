"""What Airflow's DAG processor gets from a file, and what that costs (R1, R2, R5)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag

from tests.support import parsing
from tests.support.soak import TIMES

ROOT = Path(__file__).parents[2]


#: A registry that can't be opened.
UNUSABLE = {
    "AIRFLOW__MODEL_REGISTRY__URL": "sqlite:////dev/null/registry.db",
    "AIRFLOW__MODEL_REGISTRY__STORE": "/dev/null/store",
}
SEEDS = ("0", "1", "2", "31337")


def parse(seed: str, *folders: Path) -> list[dict[str, Any]]:
    """Parse folders, each in a child process of one interpreter."""
    done = subprocess.run(
        [sys.executable, parsing.__file__, *map(str, folders)],
        env={**os.environ, **UNUSABLE, "PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return list(json.loads(done.stdout[done.stdout.index("[{") :]))


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Parses of the example DAGs with several hash seeds, one of them twice; the last is of files that are wrong."""
    folder = tmp_path_factory.mktemp("wrong")
    for name, (code, _, _) in WRONG.items():
        (folder / f"{name}.py").write_text(f"{HEAD}{code}\n")
    first, *others = SEEDS
    again = 4 if TIMES > 1 else 0
    found = [answer for seed in others for answer in parse(seed, *[ROOT / "dags"] * (1 + again))]
    return [*found, *parse(first, *[ROOT / "dags"] * (2 + again), folder)]


@pytest.fixture(scope="module")
def parsed(answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of the example DAGs."""
    return answers[:-1]


def test_the_example_dags_parse(parsed: list[dict[str, Any]]) -> None:
    """Without an error, whatever the registry is."""
    assert parsed[0]["errors"] == {}
    dags = {"training", "do_predictions", "client_predictions", "mapped_scoring", "stock_operators"}
    dags |= {"train_gate_promote", "approval", "rollback", "wait_for_version", "promotion_starts_scoring"}
    assert set(parsed[0]["dags"]) == dags


def test_parsing_opens_and_imports_nothing(parsed: list[dict[str, Any]]) -> None:
    """No file, database or socket of ours; no pandas, scikit-learn, pyarrow or SQLAlchemy on our account."""
    assert [seen for answer in parsed for seen in answer["seen"]] == []


def test_the_serialized_form_is_always_the_same(parsed: list[dict[str, Any]]) -> None:
    """Byte for byte over as many processes, and hash seeds."""
    assert len(parsed) > len(SEEDS)
    assert len({json.dumps(answer["texts"]) for answer in parsed}) == 1


def params_in(value: Any) -> list[dict[str, Any]]:
    """The params anywhere in a serialized DAG: of the DAG, and of tasks that show a form."""
    if isinstance(value, list):
        return [param for item in value for param in params_in(item)]
    if not isinstance(value, dict):
        return []
    if "schema" in value and "default" in value:
        return [value]
    return [param for item in value.values() for param in params_in(item)]


def test_forms_can_be_sent_as_they_are(parsed: list[dict[str, Any]]) -> None:
    """Airflow's form can't be sent while a field is empty, unless its type says that it may be null."""
    params = params_in([json.loads(text) for text in parsed[0]["texts"].values()])

    assert len(params) >= 8
    empty = [param for param in params if param["default"] in ("", None)]
    assert len(empty) >= 4
    assert [param for param in empty if "null" not in param["schema"].get("type", "null")] == []


def test_a_reference_reads_well_in_the_serialized_dag(parsed: list[dict[str, Any]]) -> None:
    """Airflow's pages show which model, which stage, which artifact."""
    text = parsed[0]["texts"]["do_predictions"]

    assert "iris_classifier[production]/trained_model" in text
    assert "object at 0x" not in text


HEAD = '''"""Airflow dag."""
from datetime import datetime
from typing import Annotated
from airflow_model_provider import *
START = dict(schedule=None, start_date=datetime(2026, 1, 1))

@step
def use(value): ...
'''
WRONG = {
    "near_miss": ("Model('iris', version='prodcution')", "Did you mean 'production'", 9),
    "no_name": ("Model('')", "'' is not a valid model name", 9),
    "no_model": (
        "@pipeline(**START)\ndef p():\n    use(get_pipeline_context().model)",
        "pipeline 'p' has no model",
        11,
    ),
    "loads": (
        "@pipeline(**START)\ndef p():\n    Model('iris', version='production').load_artifact('m')",
        "while a DAG is built",
        11,
    ),
    "computes": (
        "@pipeline(**START)\ndef p(n: int = 1):\n    use(n + 1)",
        "has no value until a task runs",
        11,
    ),
    "same_output": (
        "@step\ndef two() -> tuple[Annotated[int, 'x'], Annotated[int, 'x']]: ...\n"
        "@pipeline(**START)\ndef p():\n    two()",
        "two outputs are called 'x'",
        13,
    ),
    "wrong_argument": (
        "@pipeline(**START)\ndef p():\n    use(nothing=1)",
        "missing a required argument: 'value'",
        11,
    ),
    "unknown_pin": ("Model('iris', version='production', pin='runs')", "Did you mean 'run'", 9),
    "unknown_policy": (
        "Model('iris', version='production', on_missing='skipp')",
        "on_missing='skipp' is unknown",
        9,
    ),
    "naive_time": (
        "Model('iris', version='production', as_of=datetime(2026, 3, 1))",
        "has no time zone. Pass a datetime with",
        9,
    ),
    "unknown_date": (
        "Model('iris', version='production', as_of='data_interval_stop')",
        "Did you mean 'data_interval_end'",
        9,
    ),
    "time_of_a_number": ("Model('iris', version=3, as_of='run_after')", "as_of needs a stage", 9),
    "operator": (
        "from airflow_model_provider.operators.promote import ModelPromoteOperator\n"
        "from airflow.sdk import DAG\nwith DAG('d', schedule=None):\n"
        "    ModelPromoteOperator(task_id='t', model='iris', version=1, stage='prodction')",
        "Did you mean 'production'",
        12,
    ),
    "not_called": (
        "@pipeline(**START)\ndef p():\n    use(1) >> use",
        "step 'use': it was not called",
        11,
    ),
    "stage_of_a_model": (
        "Model('iris', stage='production')",
        "it has no argument 'stage'. Say which version",
        9,
    ),
    "undeclared_stage": (
        "@pipeline(**START, model=Model('iris', version=ModelStages.ARCHIVED))\ndef p():\n    use(1)",
        "'archived'",
        9,
    ),
}


@pytest.fixture(scope="module")
def refused(answers: list[dict[str, Any]]) -> dict[str, str]:
    """The import errors of files that are wrong."""
    return dict(answers[-1]["errors"])


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_refused_with_its_line(refused: dict[str, str], name: str) -> None:
    """What can be known wrong at parse time fails at parse time (R5)."""
    _, said, line = WRONG[name]

    assert said in refused[f"{name}.py"]
    assert f'{name}.py", line {line}' in refused[f"{name}.py"]


def test_a_pipeline_of_a_module_is_a_dag_of_each_file_that_calls_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the module is there already: a test, or a file that was read before, has imported it."""
    (tmp_path / "shared_pipelines.py").write_text(
        "from airflow_model_provider import pipeline, step\n"
        "@step\ndef one(): ...\n"
        "@pipeline\ndef shared_pipeline(): one()\n"
    )
    folder = tmp_path / "dags"
    folder.mkdir()
    (folder / "first.py").write_text(
        "# airflow dag\nfrom shared_pipelines import shared_pipeline\nshared_pipeline()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "shared_pipelines", raising=False)
    for _ in range(2):
        bag = DagBag(str(folder))
        assert not bag.import_errors
        assert list(bag.dags) == ["shared_pipeline"]
    monkeypatch.delitem(sys.modules, "shared_pipelines")
