"""Tasks that wait for a promotion."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_model_provider import Client
    from tests.timing.conftest import Airflow, Make

TASKS = [f"use_{index}" for index in range(5)]


def states(airflow: Airflow, dag_id: str, run_id: str, tasks: list[str]) -> list[str | None]:
    """Return the states of unmapped tasks."""
    return [airflow.instances(dag_id, run_id, name)[-1].state for name in tasks]


def test_waiting_tasks_start_soon_after_a_promotion(airflow: Airflow, registry: Client, make: Make) -> None:
    """While they wait they hold no worker; then their code runs within three seconds, at the first try."""
    for index in range(5):
        make(f"awaited_{index}", 2)
    run_id = airflow.trigger("waiting")
    airflow.wait_for(lambda: states(airflow, "waiting", run_id, TASKS) == ["deferred"] * 5, timeout=60)
    waited = []
    for index, name in enumerate(TASKS):
        event = registry.get_model_version(f"awaited_{index}", 2).set_stage("production")
        airflow.wait_for(lambda: states(airflow, "waiting", run_id, [name]) == ["success"], timeout=60)  # noqa: B023
        marker, began = airflow.returned("waiting", run_id, name)[-1]
        waited.append(round(began - event.at.timestamp(), 2))
        assert marker == 2
        left = TASKS[index + 1 :]
        assert states(airflow, "waiting", run_id, left) == ["deferred"] * len(left)
    airflow.succeed("waiting", run_id)
    print(f"waited: {waited}")  # noqa: T201 - seen where the assertion fails

    assert median(waited) <= 3.0, waited
    assert {airflow.instances("waiting", run_id, name)[-1].try_number for name in TASKS} == {1}


def test_waiting_in_vain_ends_with_one_clear_error(airflow: Airflow, make: Make) -> None:
    """When the time is over the task fails for good, although it has retries, and says for what it has waited."""
    make("never_promoted", 1)
    run_id = airflow.trigger("waiting_in_vain")
    state = airflow.wait_run("waiting_in_vain", run_id)
    error = airflow.error("waiting_in_vain", run_id, "use")

    assert state == "failed"
    assert airflow.instances("waiting_in_vain", run_id, "use")[-1].try_number == 1
    assert error.startswith("WaitTimedOut: never_promoted[staging]/marker was waited for during ")
    assert "No version of 'never_promoted' is in stage 'staging'" in error
