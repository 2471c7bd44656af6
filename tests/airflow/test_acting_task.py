"""Whatever code of a task acts, in its threads and callbacks too, it is recorded as that task."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.callbacks.callback_requests import DagCallbackRequest
from airflow.dag_processing import processor
from airflow.models.dagrun import DagRun
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG
from airflow.sdk.execution_time.task_runner import _run_task_state_change_callbacks

from airflow_model_provider import Client, Model, host, log_metadata, save_artifact
from airflow_model_provider.exceptions import LoadingWhileBuilding, StageProtected
from airflow_model_provider.references import Reference
from airflow_model_provider.workspace import close_workspaces
from tests.support.tasks import running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def registry(model_registry: Client) -> Iterator[Client]:
    """A registry with two versions; the first is in production."""
    model_registry.register_model_version("iris", {"w": [1]}, stage="production")
    model_registry.register_model_version("iris", {"w": [2]})
    yield model_registry
    host._entered = False


def act(*_: Any) -> str:
    """Do by hand what a step does through its context."""
    client = Client()
    used = client.get_model_version("iris", "production")
    log_metadata({"seen": 1}, model_name="iris", model_version=1)
    save_artifact([3], "by_hand")
    client.get_model_version("iris", 2).set_stage("staging")
    return str(used)


def in_a_thread(*_: Any) -> str:
    """The same, in a thread."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(act).result()


def python(dag: DAG, **options: Any) -> PythonOperator:
    """A standard task."""
    return PythonOperator(task_id="predict", python_callable=dict, dag=dag, **options)


PLACES: dict[str, Callable[[Any], object]] = {"code": act, "thread": in_a_thread}


@pytest.mark.parametrize("name", PLACES)
def test_code_of_a_standard_task_acts_as_the_task(registry: Client, name: str) -> None:
    """History, metadata, artifacts and resolutions name it, not the user of the worker."""
    with running(python(DAG("acting", schedule=None))) as context:
        assert PLACES[name](context) == "iris@1"

    check(registry, "acting", "predict")


@pytest.mark.parametrize("name", PLACES)
def test_a_callback_of_a_task_acts_as_the_task(registry: Client, name: str) -> None:
    """Airflow has no current context then."""
    task = python(DAG("acting", schedule=None), on_success_callback=PLACES[name])
    with running(task) as given:
        context = dict(given)
    context["outlet_events"] = {}
    _run_task_state_change_callbacks(task, "on_success_callback", context, logging.getLogger())  # type: ignore[arg-type]

    check(registry, "acting", "predict")


def test_a_callback_of_a_dag_acts_as_its_run(registry: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs in the Dag processor, whose user has nothing to do with it."""
    dag = DAG("acting", schedule=None, on_success_callback=in_a_thread)
    monkeypatch.setattr(processor, "_get_dag_with_task", lambda *_: (dag, None))
    request = DagCallbackRequest(
        dag_id="acting", run_id="manual__1", filepath="x", bundle_name="b", bundle_version=None,
        is_failure_callback=False,
    )  # fmt: skip
    said = lambda *_, **__: None  # noqa: E731 - short
    log: Any = SimpleNamespace(info=said, warning=said, exception=pytest.fail)
    processor._execute_dag_callbacks(None, request, log)  # type: ignore[arg-type]

    check(registry, "acting", "dag_callback")


def test_a_callback_of_a_dag_in_its_test_acts_as_its_run(registry: Client) -> None:
    """There the process that runs the test calls it."""
    said = lambda *_, **__: None  # noqa: E731 - short
    run: Any = SimpleNamespace(
        run_id="manual__1", log=SimpleNamespace(info=said, warning=said, exception=pytest.fail)
    )
    DagRun.execute_dag_callbacks(run, DAG("acting", schedule=None, on_success_callback=in_a_thread))

    check(registry, "acting", "dag_callback")


def check(registry: Client, dag_id: str, task_id: str) -> None:
    """See that all that was done bears the task's name."""
    event = registry.get_model("iris").history("staging")[0]
    made = registry.get_artifact("by_hand").made_by
    assert made is not None

    assert (event.task_id, event.run and event.run.dag_id, event.who) == (task_id, dag_id, None)
    assert (made.task_id, made.run.dag_id) == (task_id, dag_id)
    assert [(item.attempt.task_id, item.number) for item in registry.list_resolutions(model="iris")] == [
        (task_id, 2),
        (task_id, 1),
        (task_id, 1),
    ]
    assert host.running_task_context() is None


def test_a_protected_stage_is_judged_by_the_task_s_dag(
    registry: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A standard task that uses the client may what its Dag may."""
    monkeypatch.setenv("AIRFLOW__MODEL_REGISTRY__PROTECTED_STAGES", "production = dag:releases")
    close_workspaces()

    def promote() -> Any:
        return Client().get_model_version("iris", 2).set_stage("production", force=True)

    with (
        running(python(DAG("acting", schedule=None))),
        pytest.raises(StageProtected, match="dag:acting may not"),
    ):
        promote()
    with running(python(DAG("releases", schedule=None))):
        assert promote().version == 2


def test_one_task_has_one_view_whatever_asks(registry: Client) -> None:
    """The client, a model and a thread get the version that the task has pinned."""
    iris = Model("iris", version="production")
    with running(python(DAG("acting", schedule=None))):
        assert Client().get_model_version("iris", "production").number == 1
        registry.get_model("iris")
        Client().get_model_version("iris", 2).set_stage("production", force=True)
        with ThreadPoolExecutor(1) as pool:
            found = [iris.load().number, pool.submit(iris.load).result().number]

    assert found == [1, 1]
    assert iris.load().number == 2


def test_a_client_is_lazy_while_airflow_reads_a_dag_file(
    model_registry: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the top of the file too: a reference then, and an error for what would read the registry."""
    monkeypatch.setattr(host, "airflow_is_parsing", lambda: True)
    found = Client().get_model_version("iris", "production")

    assert found == Model("iris", version="production")
    assert isinstance(found.number, Reference)
    with pytest.raises(LoadingWhileBuilding, match="Client reads the registry"):
        Client().list_models()
    with pytest.raises(LoadingWhileBuilding):
        found.load()
