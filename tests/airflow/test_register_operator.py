"""A version made by a Dag's task of what is there already: whole, once, whatever is retried (R23, R31)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import joblib
import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException
from sklearn.linear_model import LogisticRegression

from airflow_model_provider import Client, Model, host
from airflow_model_provider.exceptions import DefinitionError, InvalidDefinition, InvalidName, UnknownStage
from airflow_model_provider.operators.register import ModelRegisterOperator
from airflow_model_provider.references import OutputReference
from tests.support.tasks import TaskInstance, run

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def registry(model_registry: Client) -> Iterator[Client]:
    """An empty registry."""
    yield model_registry
    host._entered = False


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A model that another program has made."""
    path = tmp_path / "legacy.joblib"
    joblib.dump(LogisticRegression(C=0.25), path)
    return path


def register(**given: Any) -> ModelRegisterOperator:
    """The operator in a Dag."""
    with DAG("stages", schedule=None):
        return ModelRegisterOperator(**{"task_id": "act", "model": "iris"} | given)


def output(registry: Client, name: str, value: Any) -> OutputReference:
    """What an operator receives of an output that a step has returned."""
    with registry.new_model_version("elsewhere") as version:
        return version.save_artifact(name, value).reference()


def test_a_file_becomes_a_version_once(registry: Client, file: Path) -> None:
    """With name, metadata and stage; a retry gives the same version and writes nothing."""
    task = {
        "files": {"trained_model": "{{ params.path }}"},
        "name": "v-{{ params.day }}",
        "metadata": {"accuracy": 0.9},
        "tags": ["legacy"],
        "stage": "staging",
        "expected": None,
        "reason": "from {{ params.path }}",
    }
    ti, params = TaskInstance(), {"path": str(file), "day": "1"}
    told = [run(register(**task), item, params=params) for item in (ti, ti.retried(), ti.retried().retried())]
    version = registry.get_model_version("iris", "staging")

    assert told == [version.reference()] * 3
    assert (version.version_name, version.record.tags, dict(version.run_metadata)) == (
        "v-1",
        ("legacy",),
        {"accuracy": 0.9},
    )
    assert version.load_artifact("trained_model").C == 0.25
    assert len(registry.list_model_versions("iris")) == 1
    (event,) = registry.get_model("iris").history()
    assert (event.reason, event.task_id, event.who) == (f"from {file}", "act", None)
    assert version.record.run == event.run


def test_each_task_map_index_and_run_makes_its_own(registry: Client, file: Path) -> None:
    """Of the same file; and a task that is cleared after the file has changed makes another one."""
    tasks = [
        TaskInstance(),
        TaskInstance("ti-2", map_index=1),
        TaskInstance("ti-3", task_id="other"),
        TaskInstance("ti-4", run_id="manual__2"),
    ]
    made = [[run(register(files={"m": str(file)}), ti).selector.value for _ in range(2)] for ti in tasks]
    assert made == [[1, 1], [2, 2], [3, 3], [4, 4]]

    joblib.dump(LogisticRegression(C=9.0), file)
    assert run(register(files={"m": str(file)}), TaskInstance("cleared", try_number=2)).selector.value == 5


def test_upstream_artifacts_are_linked(registry: Client) -> None:
    """Not copied: the very artifact versions, whichever way they come; a plain value is stored."""
    trained, report = output(registry, "trained_model", [1.5]), output(registry, "report", "good")
    first = run(register(artifacts=[trained, report]))
    pinned = Model("elsewhere", version=1).get_artifact("trained_model")
    second = run(
        register(artifacts={"trained_model": pinned, "limits": [0, 1]}), TaskInstance(task_id="second")
    )
    third = [run(register(artifacts=trained), TaskInstance(task_id="third")) for _ in range(2)]

    held = [
        {
            item.name: item.record.id
            for item in registry.get_model_version("iris", made.selector.value).list_artifacts()
        }
        for made in (first, second, third[0])
    ]
    assert held[0] == {"trained_model": trained.id, "report": report.id}
    assert held[1]["trained_model"] == held[2]["trained_model"] == trained.id
    assert registry.get_model_version("iris", second.selector.value).load_artifact("limits") == [0, 1]
    assert third[0] == third[1]


def test_the_client_links_too(registry: Client) -> None:
    """A handle among the artifacts."""
    output(registry, "trained_model", [1.5])
    handle = registry.get_artifact("trained_model")
    version = registry.register_model_version("iris", {"trained_model": handle, "note": "x"})

    assert {item.name: item.number for item in version.list_artifacts()} == {"trained_model": 1, "note": 1}
    with pytest.raises(InvalidDefinition, match="Call it 'trained_model'"):
        registry.register_model_version("iris", {"model": handle})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"files": {"m": "/nowhere.joblib"}}, "FileMissing: .*nowhere.joblib"),
        ({"artifacts": ["plain"]}, "InvalidDefinition: .*'plain' in artifacts= must be an artifact"),
        ({"artifacts": {"m": [1]}, "stage": "staging"}, "StageOccupied: .*occupied by iris@1"),
        (
            {"artifacts": {"m": [1]}, "stage": "staging", "expected": "none"},
            "StageConflict: Expected no version in .*, found iris@1",
        ),
        ({"artifacts": {"m": [1]}, "name": "{{ 'first' }}"}, "AlreadyExists: .*'iris@first'"),
        ({"artifacts": {"m": [1]}, "metadata": {"a": {1, 2}}}, "NotJson: metadata 'a' of type set"),
        ({"artifacts": {"m": [1]}, "formats": {"n": "file"}}, "InvalidDefinition: .*formats= names 'n'"),
    ],
)
def test_what_is_refused_leaves_nothing(registry: Client, given: dict[str, Any], said: str) -> None:
    """One sentence, no retries, no version."""
    registry.register_model_version("iris", name="first", stage="staging")
    with pytest.raises(AirflowFailException, match=said):
        run(register(**given))

    assert len(registry.list_model_versions("iris")) == 1


def test_an_artifact_of_another_registry_is_refused(registry: Client, tmp_path: Path) -> None:
    """Both are named."""
    other = Client(f"sqlite:///{tmp_path}/other.db", store=f"{tmp_path}/other")
    with pytest.raises(AirflowFailException, match=r"WrongRegistry.*Copy the version with airflow"):
        run(register(artifacts=output(other, "trained_model", 1)))


def test_the_example_of_the_page(registry: Client) -> None:
    """It is a task; that there is no such file on the worker is said when it runs."""
    with DAG("stages", schedule=None) as dag:
        # [START register]
        ModelRegisterOperator(
            task_id="register",
            model="iris_classifier",
            files={"trained_model": "/models/iris.joblib"},
            metadata={"accuracy": 0.97},
            stage="staging",
            force=True,
        )
        # [END register]
    with pytest.raises(AirflowFailException, match=r"FileMissing: .*/models/iris\.joblib"):
        run(dag.get_task("register"))


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({}, InvalidDefinition),
        ({"files": {"m": "m.joblib"}, "stage": "stagin"}, UnknownStage),
        ({"files": {"m": "m.joblib"}, "model": "/"}, InvalidName),
    ],
)
def test_what_can_be_known_wrong_is_an_import_error(
    given: dict[str, Any], error: type[DefinitionError]
) -> None:
    """While the file is parsed."""
    with pytest.raises(error):
        register(**given)
