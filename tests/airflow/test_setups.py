"""Steps that are setups, by ``dag.test()``: what one that skips itself, or fails, leaves of the run's version."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.airflow_home import environment, make_database
from tests.support.preloaded import Preloaded

DAGS = '''
from typing import Annotated
from airflow.sdk import dag, setup, task
from airflow.sdk.exceptions import AirflowSkipException
from airflow_model_provider import Model, pipeline, step

@task
def clean(): pass

def by_its_task(made): made.operator.as_setup()
def by_its_teardown(made): made >> clean().as_teardown(setups=made)

def define(how, ends, is_mapped, wrap):
    name = f"{wrap}_{how}_{ends.__name__}_{is_mapped}"
    model = Model(name)

    @step(model=model)
    def begin(x: int) -> Annotated[int, "begun"]:
        raise ends("as planned")

    @step(model=model)
    def load() -> Annotated[int, "loaded"]:
        return 1

    def body():
        made = setup(begin)(1) if how == "decorated" else begin.expand(x=[1, 2]) if is_mapped else begin(1)
        if how != "decorated": globals()[how](made)
        made >> load.with_options(name="behind")()
        load()

    pipeline(name=name)(body)() if wrap == "pipeline" else dag(dag_id=name, schedule=None)(body)()

for ends in (AirflowSkipException, ValueError):
    define("decorated", ends, False, "dag")
    define("by_its_task", ends, True, "dag")
    define("by_its_teardown", ends, False, "dag")
    define("by_its_teardown", ends, True, "pipeline")

@pipeline(model=Model("alone"))
def alone():
    """The setup comes last, and nothing that writes into the version stands behind it."""
    @step
    def load() -> Annotated[int, "loaded"]:
        return 1
    @step
    def begin() -> Annotated[int, "begun"]:
        return 2
    load()
    made = begin()
    made.operator.as_setup()
    clean.override(task_id="long")() >> clean.override(task_id="longer")() >> made
alone()
'''
RUN = """
import json, os
from airflow.dag_processing.dagbag import DagBag
from airflow_model_provider import Client
told = {}
for name, dag in DagBag(os.environ["AIRFLOW_HOME"] + "/dags/setups.py").dags.items():
    instances = sorted(dag.test().get_task_instances(), key=lambda item: item.end_date or item.start_date)
    (version,) = Client().list_model_versions(name)
    told[name] = {
        "states": {item.task_id: str(item.state) for item in instances},
        "version": [str(version.state), sorted(artifact.name for artifact in version.list_artifacts())],
    }
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What became of the tasks of each run, in the order in which they ended, and of its version."""
    home = tmp_path_factory.mktemp("home")
    (home / "dags").mkdir()
    (home / "dags" / "setups.py").write_text(DAGS)
    make_database(home / "airflow.db")
    first = "from tests.support.hurry import hurry; hurry()"
    with Preloaded(home, environment(home), first=first) as python:
        return dict(json.loads(python.run(RUN).stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "how",
    ["dag_decorated_{}_False", "dag_by_its_task_{}_True", "dag_by_its_teardown_{}_False",
     "pipeline_by_its_teardown_{}_True"],
)  # fmt: skip
@pytest.mark.parametrize(
    ("ends", "states", "state"),
    [("AirflowSkipException", ("skipped", "skipped", "success"), "ready"),
     ("ValueError", ("failed", "upstream_failed", "failed"), "failed")],
)  # fmt: skip
def test_the_version_is_closed_whatever_becomes_of_a_setup(
    told: dict[str, Any], how: str, ends: str, states: tuple[str, ...], state: str
) -> None:
    """One that skips itself takes what is behind it, and its own teardown, along: not the task that closes."""
    name = how.format(ends)
    found = told[name]["states"]

    assert (found["begin"], found["behind"], found[f"close_{name}"]) == states
    assert told[name]["version"] == [state, ["loaded"]]


def test_the_closing_task_waits_for_a_setup_that_nothing_stands_behind(told: dict[str, Any]) -> None:
    """Of others it waits for what is behind them, so that it does not become their teardown."""
    assert list(told["alone"]["states"])[-2:] == ["begin", "close_alone"]
    assert told["alone"]["version"] == ["ready", ["begun", "loaded"]]
