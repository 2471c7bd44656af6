"""The whole of it under a real scheduler, with the executor that runs tasks without Airflow's database."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_model_provider import Client

if TYPE_CHECKING:
    from tests.support.airflow_runtime import AirflowRuntime

SUCCESS = "success"


@pytest.fixture
def registry(airflow: AirflowRuntime) -> Client:
    """The registry that the running Airflow uses by default."""
    return Client(airflow.registry_url, store=str(airflow.store))


def run(airflow: AirflowRuntime, dag_id: str, expected: str = SUCCESS, **options: Any) -> str:
    """Trigger a run, wait for its end, and return its id."""
    run_id = airflow.trigger(dag_id, **options)
    state = airflow.wait_run(dag_id, run_id, timeout=120)

    assert state == expected, airflow.failures(dag_id, run_id)
    return run_id


def test_a_stage_is_bound_between_queue_and_start(airflow: AirflowRuntime, registry: Client) -> None:
    """Queued while version 1 is production, started after 2 was promoted: it gets 2, and everything says 2."""
    run(airflow, "training", conf={"c": 1.0})
    one = registry.get_model_version("iris_classifier", "production").number
    run(airflow, "training", conf={"c": 0.001})
    two = registry.get_model_version("iris_classifier", "latest")
    assert two.number > one
    with airflow.queued("client_predictions", "predict", after="load_data") as run_id:
        assert registry.get_model_version("iris_classifier", "production").number == one
        two.set_stage("production", force=True, reason="between queue and start")
    assert airflow.wait_run("client_predictions", run_id, timeout=120) == SUCCESS

    printed = f"iris_classifier@{two.number}"
    (used,) = registry.list_resolutions(dag_id="client_predictions", run_id=run_id, model="iris_classifier")
    assert (used.number, used.attempt.task_id, used.attempt.try_number) == (two.number, "predict", 1)
    xcom = airflow.xcom("client_predictions", run_id, "predict")
    assert xcom["model_versions"] == [printed]
    assert airflow.xcom("client_predictions", run_id, "predict", key="model_versions") == [printed]
    assert f"Resolved iris_classifier[production]/trained_model to {printed}" in airflow.log(
        "client_predictions", run_id, "predict"
    )
    output = registry.get_artifact("scored_flowers")
    assert output.metadata["model"] == printed
    trained = registry.get_model_version("iris_classifier", two.number).get_model_artifact("trained_model")
    assert output.metadata["digest"] == trained.digest == used.digest
    frame = output.load()
    assert (frame["prediction"] == trained.load().predict(frame.drop(columns="prediction"))).all()


@pytest.mark.parametrize("dag_id", ["do_predictions", "with_client"])
def test_the_reference_page_runs_as_a_dag(airflow: AirflowRuntime, registry: Client, dag_id: str) -> None:
    """Both forms: the file that runs as a program is a DAG, and its XCom is a small readable reference."""
    ensure_production(airflow, registry)
    run_id = run(airflow, dag_id)

    xcom = airflow.xcom(dag_id, run_id, "predict")
    assert xcom["__artifact__"].startswith("predictions@")
    assert len(json.dumps(xcom)) < 1000
    production = registry.get_model_version("iris_classifier", "production")
    assert xcom["model_versions"] == [str(production)]
    assert registry.get_artifact("predictions").load().shape == (150,)


def test_mapped_steps_score_shards(airflow: AirflowRuntime, registry: Client) -> None:
    """A plain @dag with @task.step mapped over shards: each instance pins and records, the last one gets a list."""
    ensure_production(airflow, registry)
    run_id = run(airflow, "mapped_scoring")

    records = registry.list_resolutions(dag_id="mapped_scoring", run_id=run_id, model="iris_classifier")
    assert sorted(item.attempt.map_index for item in records) == [0, 1, 2]
    counts = airflow.xcom("mapped_scoring", run_id, "summarize")
    assert sum(counts.values()) == 150


def test_stock_operators_follow_the_trigger_form(airflow: AirflowRuntime, registry: Client) -> None:
    """Every task of a run gets the version that the form names, in a step, a stock task, an env and a template."""
    ensure_production(airflow, registry)
    run_id = run(airflow, "stock_operators", conf={"version": "1"})

    first = registry.get_model_version("iris_classifier", 1)
    described = airflow.xcom("stock_operators", run_id, "describe")
    digest = first.get_model_artifact("trained_model").digest
    assert described == {
        "model": "iris_classifier@1",
        "digest": digest,
        "accuracy": first.run_metadata["accuracy"],
    }
    assert airflow.xcom("stock_operators", run_id, "announce") == f"scored with version 1, {digest}"
    assert {item.number for item in registry.list_resolutions(run_id=run_id, model="iris_classifier")} == {1}
    (output,) = {item.used_versions()[0].number for item in [registry.get_artifact("scores_for_report")]}
    assert output == 1


def test_clearing_a_training_task_makes_no_extra_version_unless_sealed(
    airflow: AirflowRuntime, registry: Client
) -> None:
    """A cleared task adds to its run's version; where that one was promoted, it opens exactly one new version."""
    ensure_production(airflow, registry)
    run_id = run(airflow, "training", conf={"c": 0.001})
    before = registry.get_model_version("iris_classifier", "latest").number
    airflow.clear("training", run_id, ["train"])
    assert airflow.wait_run("training", run_id, timeout=120) == SUCCESS
    assert registry.get_model_version("iris_classifier", "latest").number == before

    registry.get_model_version("iris_classifier", before).set_stage("staging", force=True)
    airflow.clear("training", run_id, ["load_data", "train", "evaluate"])
    assert airflow.wait_run("training", run_id, timeout=120) == SUCCESS

    assert registry.get_model_version("iris_classifier", "latest").number == before + 1


def test_an_empty_stage_fails_without_burning_retries(airflow: AirflowRuntime, registry: Client) -> None:
    """Nothing in the stage: one clear error in the log, first try, although the task has retries."""
    run_id = run(airflow, "nothing_in_stage", "failed")

    (task,) = airflow.task_instances("nothing_in_stage", run_id)["use"]
    assert (task["state"], task["try_number"]) == ("failed", 1)
    log = airflow.log("nothing_in_stage", run_id, "use")
    assert "has no model 'never_trained'" in log


def test_a_dag_keeps_its_version(airflow: AirflowRuntime) -> None:
    """However often the files are parsed, no DAG gets a second version in Airflow."""
    airflow.reparse()

    assert {dag_id: airflow.dag_versions(dag_id) for dag_id in airflow.dag_ids()} == dict.fromkeys(
        airflow.dag_ids(), 1
    )
    assert airflow.import_errors() == []


def test_concurrent_runs_make_a_version_each(airflow: AirflowRuntime, registry: Client) -> None:
    """Two runs at once make two versions, each complete."""
    before = len(registry.list_model_versions("iris_classifier")) if registry.list_models() else 0
    runs = [airflow.trigger("training", conf={"c": 0.001}) for _ in range(2)]
    assert [airflow.wait_run("training", run_id, timeout=180) for run_id in runs] == [SUCCESS, SUCCESS]

    made = registry.list_model_versions("iris_classifier")[: -before or None]
    assert len(made) == 2
    assert {str(version.state) for version in made} == {"ready"}
    assert {version.record.run.run_id for version in made} == set(runs)


def ensure_production(airflow: AirflowRuntime, registry: Client) -> None:
    """Train and promote a version if no other test has."""
    if not any(event.stage == "production" for model in registry.list_models() for event in model.history()):
        run(airflow, "training", conf={"c": 1.0})
