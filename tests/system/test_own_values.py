"""What a step gets and gives is the same here and under the scheduler: classes of the file, handles, types, copies."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_model_provider import Client

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.airflow_runtime import AirflowRuntime

FILE = Path(__file__).parent / "dags" / "team" / "own_values.py"


@pytest.fixture(params=["local", "scheduled"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., tuple[Client, dict[str, str]]]:
    """Run a pipeline of the file; return the registry and the errors of the steps that failed."""
    if request.param == "scheduled":
        airflow: AirflowRuntime = request.getfixturevalue("airflow")
        return lambda name, **params: scheduled(airflow, name, params)
    registry = Client(f"sqlite:///{tmp_path / 'registry.db'}", store=str(tmp_path / "store"))
    return lambda name, **params: here(registry, name, params)


def here(registry: Client, name: str, params: dict[str, Any]) -> tuple[Client, dict[str, str]]:
    """As a program."""
    spec = importlib.util.spec_from_file_location("own_values", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["own_values"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    result = getattr(module, name).run(registry=registry, raise_on_failure=False, **params)
    failed = {task: step.error for task, step in result.steps.items() if step.error is not None}
    return registry, {task: f"{type(error).__name__}: {error}" for task, error in failed.items()}


def scheduled(airflow: AirflowRuntime, name: str, params: dict[str, Any]) -> tuple[Client, dict[str, str]]:
    """As a Dag run: each step is a process of its own."""
    run_id = airflow.trigger(name, conf=params)
    airflow.wait_run(name, run_id, timeout=120)
    failed = [
        task_id
        for task_id, (task, *_) in airflow.task_instances(name, run_id).items()
        if task["state"] == "failed"
    ]
    return Client(airflow.registry_url, store=str(airflow.store)), {
        task_id: airflow.error(name, run_id, task_id) for task_id in failed
    }


def test_classes_of_the_file_are_the_same_in_the_next_step(run: Any) -> None:
    """Enum, dataclass, NamedTuple, pydantic, attrs, a model: ``is``, ``==``, ``isinstance``, ``match``, dict keys."""
    registry, errors = run("own_classes")

    assert errors == {}
    found = registry.get_artifact("own_recognized").load()
    assert found == dict.fromkeys(("is", "equal", "instances", "match", "key", "in", "cached"), True)


def test_inputs_are_the_same_whatever_their_size(run: Any) -> None:
    """Handles and ``.inputs`` of small and large outputs, values of one's own, texts that are not UTF-8."""
    registry, errors = run("own_inputs")

    assert errors == {}
    assert registry.get_artifact("own_handles").load() == ["own_short@1", "own_long@1", "6 of 0", "8 of 1"]
    assert registry.get_artifact("own_inputs").load() == [
        "own_short@1",
        "own_long@1",
        "True",
        "True",
        "False",
    ]
    assert [registry.get_artifact("own_grown", number).load() for number in (1, 2)] == [2, 2]
    elements = [registry.get_artifact("own_element", number).load() for number in (1, 2)]
    assert sorted(elements) == ["6 of 0", "8 of 1"]
    assert registry.get_artifact("own_name").load() == r"'scores-\udce9.csv'"


def test_types_are_checked_whatever_the_size(run: Any) -> None:
    """Small and large outputs, constants, parameters and results: the same errors, naming both types."""
    _, errors = run("own_wrong_types", number="abc")
    said = {task: re.split(", (?:and|but) ", error)[1].partition(". ")[0] for task, error in errors.items()}
    large = said.pop("takes_dict__1")

    assert said == {
        "takes_dict": "[1, 2, 3] is a list[int]",
        "takes_whole": "'abc' is a str",
        "takes_whole__1": "'abc' is a str",
        "lies": "returned a str",
    }
    assert large.startswith("own_long@")
    assert large.endswith("is a list")
