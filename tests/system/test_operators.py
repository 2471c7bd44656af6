"""The operators under a real scheduler: chained, mapped, waiting; a person who approves, rejects, or doesn't care."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_model_provider import Client
from tests.support.people import asks

if TYPE_CHECKING:
    from tests.support.airflow_runtime import AirflowRuntime


@pytest.fixture
def registry(airflow: AirflowRuntime) -> Client:
    """The registry that the running Airflow uses by default."""
    return Client(airflow.registry_url, store=str(airflow.store))


def test_operators_work_together(airflow: AirflowRuntime, registry: Client) -> None:
    """
    A step's output becomes two versions, each goes through gates to production, one on to staging; the sensor sees it,
    a step uses it, and at the end production is rolled back. Each change names its task and run.
    """
    run_id = airflow.trigger("acting")
    state = airflow.wait_run("acting", run_id, timeout=180)

    assert state == "success", airflow.failures("acting", run_id)
    history = [
        (event.stage, event.version, event.task_id, event.run and event.run.run_id)
        for event in reversed(registry.get_model("acting").history())
    ]
    best = {item.run_metadata["score"]: item.number for item in registry.list_model_versions("acting")}[0.7]
    promoted = [event for event in history if event[2] == "promote"]
    assert promoted[-1][:2] == ("production", best)
    assert ("staging", best, "stage", run_id) in history
    assert airflow.xcom("acting", run_id, "use") == f"acting@{best} staging 2000"
    assert {event[3] for event in history} == {run_id}
    skipped = airflow.states("acting", run_id)["promote"].count("skipped")
    assert len(promoted) + skipped == 2
    assert airflow.xcom("acting", run_id, "wait")["version"] == best


def test_a_person_decides(airflow: AirflowRuntime, registry: Client) -> None:
    """
    Approved: what the person saw is promoted, in the person's name. Rejected or not answered: nothing is changed,
    nothing is tried again, and what comes after a rejection is skipped.
    """
    registry.register_model_version("decided", metadata={"accuracy": 0.9}, stage="production")
    registry.register_model_version("decided", metadata={"accuracy": 0.95})
    run_id = airflow.trigger("decisions")
    for task_id in ("strict", "approve"):
        request = asks(airflow, "decisions", run_id, task_id)
        assert request["subject"] == "Promote decided@2 to production?"
        assert "| `accuracy` | `0.95` | `0.9` |" in request["body"]
    registry.register_model_version("decided", metadata={"accuracy": 0.1})  # latest is another one now
    for task_id in ("strict", "approve"):
        airflow.answer("decisions", run_id, task_id, "Reject")
    assert airflow.wait_run("decisions", run_id, timeout=120) == "failed"

    found = airflow.states("decisions", run_id)
    assert found == {
        "in_time": ["failed"],
        "strict": ["failed"],
        "approve": ["success"],
        "after": ["skipped"],
    }
    assert "Nobody has decided within" in airflow.error("decisions", run_id, "in_time")
    assert "has rejected decided@2" in airflow.error("decisions", run_id, "strict")
    instances = airflow.task_instances("decisions", run_id)
    assert {item["try_number"] for items in instances.values() for item in items} <= {0, 1}
    assert registry.get_model_version("decided", "production").number == 1

    conf = {"model": "decided", "version": "2"}
    run_id = airflow.trigger("approval", conf=conf)
    request = asks(airflow, "approval", run_id, "approve")
    assert request["body"].startswith("Please look at the [evaluation]")
    airflow.answer("approval", run_id, "approve", "Approve", reason="I have looked")
    assert airflow.wait_run("approval", run_id, timeout=120) == "success", airflow.failures(
        "approval", run_id
    )

    event = registry.get_model("decided").history("production")[0]
    assert (event.version, event.previous, event.reason, event.task_id) == (2, 1, "I have looked", "approve")
    assert event.who
    assert airflow.xcom("approval", run_id, "announce") == f"version 2 was approved by {event.who}"


def test_the_examples_run(airflow: AirflowRuntime, registry: Client) -> None:
    """Trained and promoted; the same again is skipped by its soft gate; a newer version is waited for; rolled back."""
    first = airflow.trigger("train_gate_promote")
    assert airflow.wait_run("train_gate_promote", first) == "success", airflow.failures(
        "train_gate_promote", first
    )
    second = airflow.trigger("train_gate_promote", conf={"c": 0.0001})
    for number in (1, 2):
        registry.register_model_version("iris_classifier", metadata={"number": number})
    newest = registry.get_model_version("iris_classifier", "latest")
    waiting = airflow.trigger("wait_for_version")
    registry.get_model_version("iris_classifier", newest.number - 1).set_stage("staging", force=True)
    newest.set_stage("staging", force=True)
    conf = {"stage": "staging", "reason": "it drifts"}
    back = airflow.trigger("rollback", conf=conf)
    for dag_id, run_id in (("train_gate_promote", second), ("wait_for_version", waiting), ("rollback", back)):
        assert airflow.wait_run(dag_id, run_id, timeout=120) == "success", airflow.failures(dag_id, run_id)

    assert airflow.states("train_gate_promote", second)["promote"] == ["skipped"]
    assert registry.get_model_version("iris_gated", "production").number == 1
    assert airflow.xcom("wait_for_version", waiting, "look_at")["version"] == str(newest)
    event = registry.get_model("iris_classifier").history("staging")[0]
    assert (event.version, event.reason, event.task_id) == (newest.number - 1, "it drifts", "rollback")
