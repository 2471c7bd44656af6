"""A local run and ``dag.test()``: the same pipelines end alike, step by step and value by value."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.airflow_home import environment, make_database
from tests.support.soak import TIMES

FILE = Path(__file__).parent / "dags" / "agreeing.py"
#: Runs every pipeline both ways, each way with a registry of its own, and prints what became of it.
PROGRAM = """
from tests.support.hurry import hurry
hurry()
import json, sys
import agreeing
from datetime import UTC, datetime
from airflow_model_provider import Client, dag_test, local_run
from airflow_model_provider.cli.runs import ended_runs
from airflow_model_provider.registry.entities import RunKey
from airflow_model_provider.dag_builder import build_dag
from airflow_model_provider.decorators.pipeline import Pipeline

DATE = datetime(2026, 3, 1, tzinfo=UTC)
RUNS = []

def loaded(output):
    if isinstance(output, list):
        return [loaded(item) for item in output]
    return [output.load(), dict(output.metadata)]

def told(run, registry):
    result = run(registry.workspace)
    RUNS.append(result.run_id)
    version = result.model_version
    steps = {name: [step.state, {name: loaded(found) for name, found in step.outputs.items()}]
        for name, step in result.steps.items() if not name.startswith("close_")}
    return {"state": result.state, "version": version and [str(version), str(version.state)], "steps": steps}

def both(found, params):
    options = {"logical_date": DATE, "raise_on_failure": False}
    definition = found.definition
    here = lambda registry: local_run.run(definition, (), params, registry=registry, **options)
    there = lambda registry: dag_test.run(definition, build_dag(definition), params, registry=registry, **options)
    return [told(here, registries["local"]), told(there, registries["airflow"])]

folder = sys.argv[1]
registries = {way: Client(f"sqlite:///{folder}/{way}.db", store=f"{folder}/{way}") for way in ("local", "airflow")}
answers = {name: both(found, {}) for name, found in vars(agreeing).items() if isinstance(found, Pipeline)}
answers["unconditional"] = both(agreeing.conditional, {"skip": False})
asked = [RunKey("default", dag_id, RUNS[-1]) for dag_id in ("conditional", "nothing")]
ended = {run.dag_id: outcomes for run, outcomes in ended_runs(asked).items()}
print(json.dumps([answers, ended], default=lambda value: type(value).__name__))
"""
#: Over how many elements of each kind tasks are mapped.
LENGTHS = (0, 1, 3) if TIMES == 1 else (0, 1, 90, 200, 1000)
#: What both ways tell, where it is not plain from the pipeline: the run's state, and those of its steps.
STATES: dict[str, tuple[str, dict[str, str]]] = {
    "asynchronous": ("success", {"slowly": "success", "slowly__1": "success"}),
    "asynchronous_failing": ("failed", {"notify": "failed"}),
    "mapped_over_what_is_not_there": (
        "failed",
        {"listed": "failed", "listed__1": "skipped", "even": "success"}
        | {
            "each": "upstream_failed",
            "each__1": "skipped",
            "each__2": "upstream_failed",
            "each__3": "success",
        }
        | {"each__4": "upstream_failed", "each__5": "upstream_failed"},
    ),
    "with_a_teardown": ("failed", {"cluster": "success", "work": "failed", "delete": "success"}),
    "with_a_failing_setup": (
        "failed",
        dict.fromkeys(("first", "work", "clean"), "upstream_failed") | {"bad": "failed"},
    ),
    "with_a_failing_teardown": ("success", {"cluster": "success", "good": "success", "broken": "failed"}),
    "with_a_teardown_that_counts": ("failed", {"cluster": "success", "good": "success", "broken": "failed"}),
    "promoted_by_one_of_two": ("failed", {"promoting_at": "failed"}),
    "promoted_by_the_only_one": ("success", {"promoting_at": "success"}),
    "promoted_too_early": ("failed", {"early": "failed", "good": "upstream_failed"}),
    "cleaned_up": ("success", {"bad": "failed", "good": "success"}),
    "conditional": ("success", {"good": "success", "asked": "skipped", "asked_otherwise": "skipped"}),
    "unconditional": ("success", {"good": "success", "asked": "success", "asked_otherwise": "success"}),
    "gated_softly": ("success", {"try_to_promote": "skipped", "good": "skipped"}),
}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """What both ways tell of every pipeline of the file, and what Airflow tells of a run that is over."""
    home = tmp_path_factory.mktemp("home")
    (home / "dags").mkdir()
    shutil.copy(FILE, home / "dags")
    make_database(home / "airflow.db")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(home)],
        env={**environment(home), "MAPPED_LENGTHS": " ".join(map(str, LENGTHS))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return list(json.loads(done.stdout.splitlines()[-1]))


@pytest.fixture(scope="module")
def answers(program: list[Any]) -> dict[str, list[dict[str, Any]]]:
    """What both ways tell of every pipeline of the file."""
    return dict(program[0])


def test_airflow_tells_what_became_of_a_run_that_is_over(program: list[Any]) -> None:
    """By task, as a version calls its parts; nothing of a run that it does not know."""
    outcomes = dict.fromkeys(("good", "asked", "asked_otherwise", "close_asked"), "committed")

    assert program[1] == {"conditional": outcomes}


PIPELINES = re.findall(r"^@pipeline.*\ndef (\w+)", FILE.read_text(), re.MULTILINE)


@pytest.mark.parametrize("name", [*PIPELINES, "unconditional"])
def test_both_ways_tell_the_same(answers: dict[str, list[dict[str, Any]]], name: str) -> None:
    """The states of run, steps and version; what steps returned and logged."""
    local, airflow = answers[name]

    assert local == airflow
    if name in STATES:
        told = local["state"], {step: state for step, (state, _) in local["steps"].items()}
        assert told == STATES[name]


def test_what_both_ways_tell_is_right(answers: dict[str, list[dict[str, Any]]]) -> None:
    """They agree on the truth."""
    told = {name: local["steps"] for name, (local, _) in answers.items()}

    assert told["asynchronous"]["slowly__1"] == ["success", {"slowly": [3, {"seen": 2}]}]
    assert told["in_context"]["named"][1]["named"][0] == [1, "named", -1, "{{ ds }}", "2026-03-01", True]
    assert told["in_context"]["keywords"][1]["keywords"][0] == [2, "{{ ds }}", "keywords", "given", False]
    assert told["in_context"]["late"][1]["late"][0] == ["2026-03-01", 3]
    assert told["in_context"]["given"][1]["late"][0] == ["2020-01-01", 4]
    assert told["several_outputs"]["measured"][1]["accuracy"] == [0.9, {"unit": "%"}]
    seen = [
        told["several_outputs_of_a_skipped_one"][name][1]["seen"][0]
        for name in ("nothing_there", "nothing_there__1")
    ]
    assert seen == [[None], [None]]
    assert list(told["calling"]) == [
        *("fitting.note", "fitting.fitted", "another.note", "another.fitted"),
        *("splitting.fitting.note", "splitting.fitting.fitted", "splitting.halves"),
        *("skipping", "fitting__1.note", "fitting__1.fitted", "silent.log", "silent.log__1", "last", "named"),
        *("sees_low", "sees_high"),
    ]
    assert told["calling"]["sees_low"][1]["seen"][0] == [6.0]
    assert told["calling"]["another.note"][1]["text"][0] == "hello another.note"
    assert told["none_in_the_place_of_what_was_pushed"]["nothing_there"][1]["seen"][0] == [None]
    assert told["elements_that_are_none_or_whole"]["shown"][1]["shown"][0] == "[2]"
    assert answers["calling"][0]["version"] == ["outer@1", "ready"]
    assert answers["conditional"][0]["version"] == ["asked@1", "ready"]
    assert answers["promoted_by_the_only_one"][0]["version"] == ["elements@1", "ready"]
    assert answers["promoted_by_one_of_two"][0]["version"] == ["half@1", "failed"]
    assert answers["named_as_an_instance"][0]["version"] == ["alike@1", "ready"]


@pytest.mark.parametrize(("kind", "type_name"), [
    ("numbers", "int"), ("texts", "str"), ("dictionaries", "dict"), ("frames", "DataFrame"), ("models", "Marked"),
])  # fmt: skip
def test_each_instance_gets_its_own_element(
    answers: dict[str, list[dict[str, Any]]], kind: str, type_name: str, record_property: Any
) -> None:
    """As many instances as elements, and each loads one: its own."""
    for told in answers["mapped_over_all_kinds"]:
        for length in LENGTHS:
            state, outputs = told["steps"][f"taken_{kind}_{length}"]
            loads = 0 if kind == "numbers" else 1
            assert state == ("success" if length else "skipped")
            taken = [value for value, _ in outputs.get("taken", [])]
            assert taken == [[number, type_name, loads] for number in range(length)]
    record_property("instances in each world", sum(LENGTHS))
