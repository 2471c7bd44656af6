"""What ``dag.test()`` runs: a pipeline that holds other Airflow tasks and is called as a program; the operators."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.airflow_home import environment, make_database
from tests.support.preloaded import Preloaded

MIXED = '''"""Airflow dag: a pipeline that holds a stock task."""
from datetime import datetime
from typing import Annotated
from airflow.sdk import task
from airflow_model_provider import Model, pipeline, step

@task
def numbers(limit) -> list:
    return list(range(int(limit)))

@step
def total(values: list, fail: bool) -> Annotated[list, "total"]:
    if fail:
        raise ValueError("as asked")
    return [sum(values)] * 2000

@pipeline(start_date=datetime(2026, 1, 1), schedule=None, model=Model("mixed"))
def mixed(limit: int = 3, fail: bool = False):
    total(numbers(limit), fail)

@step
def one() -> int:
    return 1

@pipeline(start_date=datetime(2026, 1, 1), schedule=None)
def steps_only():
    one()
'''
UNKEPT = """
import mixed
from airflow_model_provider import pipeline

class Unkept:
    def serialize(self):
        raise TypeError("no words for it")

@pipeline(schedule=None)
def unkept():
    mixed.total([Unkept(), mixed.numbers(1)], False)

try:
    unkept()
except Exception as err:
    print(err)
"""
ACTING = '''"""Airflow dag: what happens to a model, each as a task."""
import json
from datetime import datetime, timedelta
from pathlib import Path
from airflow.sdk import DAG, task
from airflow_model_provider import Gates
from airflow_model_provider.operators.promote import ModelPromoteOperator
from airflow_model_provider.operators.register import ModelRegisterOperator
from airflow_model_provider.operators.rollback import ModelRollbackOperator
from airflow_model_provider.sensors.model_version import ModelVersionSensor

START = dict(schedule=None, start_date=datetime(2026, 1, 1))
HOW = dict(model="acting", files={"weights": __file__})

@task
def tell(promoted, back, waited):
    Path(__file__).with_suffix(".json").write_text(json.dumps([promoted, back, waited]))

with DAG("acting", **START) as acting:
    first = ModelRegisterOperator(task_id="first", metadata={"accuracy": 0.8}, stage="production", **HOW)
    second = ModelRegisterOperator(task_id="second", metadata={"accuracy": 0.9}, **HOW)
    better = Gates(better_than="production", metric="accuracy")
    promote = ModelPromoteOperator(
        task_id="promote", model="acting", version=second.output, stage="production", gates=better
    )
    back = ModelRollbackOperator(task_id="back", model="acting", stage="production", expected=promote.output)
    wait = ModelVersionSensor(task_id="wait", model="acting", version="production", timeout=60)
    first >> second >> promote >> back >> wait
    tell(promoted=promote.output, back=back.output, waited=wait.output)

with DAG("refused", default_args={"retries": 3, "retry_delay": timedelta(0)}, **START) as refused:
    ModelPromoteOperator.partial(task_id="mapped", model="acting", version=2, stage="production").expand(
        gates=[{"requires": {}}, Gates(require={"accuracy": "> 0.99"})]
    )
'''
MAPPED = '''"""Airflow dag: tasks that are mapped over what steps return."""
import json
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from airflow.sdk import dag, task, task_group
from airflow.sdk.exceptions import AirflowSkipException
from airflow_model_provider import Model, load_artifact, pipeline, step

START = dict(schedule=None, start_date=datetime(2026, 1, 1))

def tell(*what):
    with Path(__file__).with_suffix(".jsonl").open("a") as file:
        file.write(json.dumps(what) + "\\n")

@step
def give(what: Any) -> Annotated[Any, "given"]:
    return set(what) if what == "set" else what

@step
def use(x: Any) -> Any:
    tell("use", x)
    return x

def short(text):
    if len(text) > 1000:
        raise AirflowSkipException("too long")
    return text

@dag(**START)
def grouped():
    @task.step
    def add(row: str, whole: list) -> int:
        return len(row) + len(whole)

    @task
    def look(row, number):
        tell("look", row if row == "short" else len(load_artifact(row)), number)

    @task_group
    def each(row):
        look(row, add(row, rows))

    rows = give(["short", "long" * 500])
    each.expand(row=rows)
grouped()

@pipeline(model=Model("too_many"), **START)
def too_many():
    use.expand(x=give([1, 2, 3, 4]))

@pipeline(model=Model("no_rows"), **START)
def no_rows():
    use(use.expand(x=give([])))

@pipeline(default_args={"retries": 2}, **START)
def no_list():
    use.expand(x=give("set"))

@pipeline(**START)
def skipped():
    use.expand(x=give(["short", "long" * 500]).map(short))
'''
RUN_MAPPED = """
import json, mapped
from airflow.dag_processing.dagbag import DagBag
from airflow_model_provider import Client
states = {}
for name, dag in DagBag(mapped.__file__).dags.items():
    tasks = dag.test().get_task_instances()
    states[name] = sorted([task.task_id, task.map_index, str(task.state), task.try_number] for task in tasks)
versions = [Client().get_model_version(model, 1) for model in ("too_many", "no_rows")]
told = [[str(version.state), [artifact.name for artifact in version.list_artifacts()]] for version in versions]
print(json.dumps({"states": states, "versions": told}))
"""
RUN = """
import acting, json
from airflow_model_provider import Client
runs = [dag.test() for dag in (acting.acting, acting.refused)]
tries = [[task.task_id, task.state, task.try_number] for run in runs for task in run.get_task_instances()]
events = reversed(Client().get_model("acting").history("production"))
print(json.dumps({"tries": sorted(tries), "history": [[event.version, event.task_id] for event in events]}))
"""
WARNED = """
import sys, warnings
warnings.showwarning = lambda message, *rest: print(message)
{look}
"""
USERS_TEST = """
import mixed

def test_it(model_registry):
    mixed.mixed()
    assert [str(version) for version in model_registry.list_model_versions("mixed")] == ["mixed@1"]
"""
LOOK = """
import json, sys, mixed
from airflow_model_provider import Client
from airflow_model_provider.exceptions import ModelRegistryError
code = {code!r}
try:
    result = eval(code)
    steps = {{name: (step.state, [kept.load()[0] if isinstance(kept.load(), list) else kept.load() for kept in
        step.outputs.values()], step.error and str(step.error)) for name, step in result.steps.items()}}
    told = {{"state": result.state, "run": result.run_id, "steps": steps, "version": str(result.model_version)}}
except ModelRegistryError as err:
    told = {{"error": f"{{type(err).__name__}}: {{err}}"}}
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An AIRFLOW_HOME with a migrated database and the files in its DAGs folder."""
    home = tmp_path_factory.mktemp("home")
    (home / "dags").mkdir()
    for name, text in {"mixed": MIXED, "acting": ACTING, "mapped": MAPPED}.items():
        (home / "dags" / f"{name}.py").write_text(text)
    make_database(home / "airflow.db")
    return home


@pytest.fixture(scope="module")
def python(home: Path) -> Iterator[Preloaded]:
    """What runs programs in it."""
    with Preloaded(home, environment(home), first="from tests.support.hurry import hurry; hurry()") as python:
        yield python


def call(python: Preloaded, code: str) -> tuple[str, dict[str, Any]]:
    """Run code as a program; return what it prints, and what is told of its result."""
    return program(python, LOOK.format(code=code))


def program(python: Preloaded, text: str, **variables: str) -> tuple[str, dict[str, Any]]:
    """Run a program; return what it prints, and the JSON in its last line."""
    said = python.run(text, **variables).stdout
    return said, dict(json.loads(said.splitlines()[-1]))


def test_it_runs_and_says_so(python: Preloaded) -> None:
    """State, version, outputs: as a local run tells them; parameters arrive."""
    said, told = call(python, "mixed.mixed(limit=4)")

    assert "through Airflow's dag.test(), for these are not steps: numbers" in said
    assert told["state"] == "success"
    assert told["steps"] == {"numbers": ["success", [], None], "total": ["success", [6], None]}
    assert told["version"] == "mixed@1"
    assert told["run"].startswith("manual__")


def test_failed_tasks_are_named(home: Path, python: Preloaded) -> None:
    """As an error, or in the result; into another registry, if one is given."""
    _, told = call(python, "mixed.mixed.run(fail=True)")
    assert told["error"].startswith("PipelineFailed: Pipeline 'mixed' failed. Failed tasks: total.")

    other = f"Client('sqlite:///{home}/other.db', store='{home}/other')"
    _, told = call(python, f"mixed.mixed.run(fail=True, raise_on_failure=False, registry={other})")
    assert told["state"] == "failed"
    assert told["version"] == "mixed@1"
    assert told["steps"]["total"][0] == "failed"
    assert "total" in told["steps"]["total"][2]


def test_a_constant_that_airflow_cannot_keep_is_refused(python: Preloaded) -> None:
    """The error says what to do with it."""
    said = python.run(UNKEPT).stdout

    assert "pipeline 'unkept': dag.test() can't run it (SerializationError" in said
    assert "Make the value in a step, and pass its output." in said


@pytest.fixture
def unmade(home: Path) -> Iterator[None]:
    """No database of Airflow."""
    (home / "airflow.db").rename(home / "kept.db")
    yield
    (home / "kept.db").replace(home / "airflow.db")


@pytest.mark.usefixtures("unmade")
def test_a_pipeline_of_steps_needs_no_database(python: Preloaded) -> None:
    """Airflow is imported by the file, but only used where it is needed; where it is, the error says what to do."""
    said, told = call(python, "mixed.steps_only()")
    assert told["state"] == "success"
    assert told["run"].startswith("local__")
    assert "dag.test" not in said

    _, told = call(python, "mixed.mixed()")
    assert "InvalidDefinition: pipeline 'mixed': dag.test() can't run it (OperationalError" in told["error"]
    assert "airflow db migrate" in told["error"]


@pytest.fixture
def stored(home: Path) -> Iterator[str]:
    """The URL of a registry to which the connection in Airflow's database points."""
    url = f"sqlite:///{home}/stored.db"
    extra = json.dumps({"url": url, "store": f"{home}/stored"})
    row = ("model_registry_default", "model_registry", extra)
    with closing(sqlite3.connect(home / "airflow.db")) as database, database:
        words = "INSERT INTO connection (conn_id, conn_type, extra, is_encrypted, is_extra_encrypted)"
        database.execute(f"{words} VALUES (?, ?, ?, 0, 0)", row)
    yield url
    with closing(sqlite3.connect(home / "airflow.db")) as database, database:
        database.execute("DELETE FROM connection")


def test_a_program_writes_where_it_says(home: Path, python: Preloaded, stored: str) -> None:
    """All tasks use the registry of the first line; that Airflow knows another one is said."""
    said, _ = program(python, WARNED.format(look=LOOK.format(code="mixed.mixed()")))

    assert f"Model registry sqlite:///{home}/model_registry.db" in said
    assert "Airflow's connection 'model_registry_default' names another model registry" in said
    assert not (home / "stored.db").exists()


def test_the_fixture_comes_before_a_stored_connection(home: Path, python: Preloaded, stored: str) -> None:
    """In the tasks of ``dag.test()`` too: a user's test writes nothing into the team's registry."""
    (home / "test_mixed.py").write_text(USERS_TEST)
    done = python.run(
        "import pytest; raise SystemExit(pytest.main())",
        *("pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(home), str(home / "test_mixed.py")),
        check=False,
    )

    assert done.returncode == 0, done.stdout[-3000:]
    assert "1 passed" in done.stdout
    assert not (home / "stored.db").exists()


def test_the_operators_act_one_after_the_other(home: Path, python: Preloaded) -> None:
    """Registered, promoted, rolled back, waited for; wrong arguments and refusals of mapped tasks cost one try."""
    _, told = program(python, RUN)

    assert told["history"] == [[1, "first"], [2, "promote"], [1, "back"]]
    succeeded = [[name, "success", 1] for name in ("back", "first", "promote", "second", "tell", "wait")]
    assert told["tries"] == sorted([*succeeded, *[["mapped", "failed", 1]] * 2])
    promoted, back, waited = json.loads((home / "dags" / "acting.json").read_text())
    assert (promoted["version"], promoted["previous"]) == (2, 1)
    assert (back["version"], back["previous"]) == (1, 2)
    assert (waited["model"], waited["version"]) == ("acting", 1)


def test_tasks_are_mapped_over_what_steps_return(home: Path, python: Preloaded) -> None:
    """In groups, over nothing, over too much, over what is no list, and with functions that skip: as Airflow does."""
    said, told = program(python, RUN_MAPPED, AIRFLOW__CORE__MAX_MAP_LENGTH="3")
    states = told["states"]

    ran = [[f"each.{name}", index, "success", 1] for name in ("add", "look") for index in (0, 1)]
    assert states["grouped"] == [*ran, ["give", -1, "success", 1]]
    lines = sorted((home / "dags" / "mapped.jsonl").read_text().splitlines())
    assert [json.loads(line) for line in lines] == [
        ["look", "short", 7],
        ["look", 2000, 2002],
        ["use", "short"],
    ]
    stopped = [["give", -1, "failed", 1], ["use", -1, "upstream_failed", 0]]
    assert [item for item in states["too_many"] if item[0] in ("give", "use")] == stopped
    assert states["no_list"] == stopped
    assert "too large to map as a downstream's dependency" in said
    assert (
        "UnmappableXComTypePushed: Output 'given' of step 'give' cannot be mapped over: its value is a set"
        in said
    )
    skipped = [["use", -1, "skipped", 0], ["use__1", -1, "skipped", 0]]
    assert [item for item in states["no_rows"] if item[0].startswith("use")] == skipped
    assert states["skipped"][1:] == [["use", 0, "success", 1], ["use", 1, "skipped", 1]]
    assert told["versions"] == [["failed", []], ["ready", ["given"]]]
