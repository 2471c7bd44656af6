"""Tasks that wait for a promotion."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from airflow_model_provider import Client
    from tests.support.timed_airflow import Airflow
    from tests.timing.conftest import Make

TASKS = [f"use_{index}" for index in range(5)]


class Waiting(NamedTuple):
    """Two runs that have just begun to wait, in an Airflow in which nothing has waited before."""

    run_id: str
    vain_id: str


@pytest.fixture(scope="module")
def waiting(airflow: Airflow, make: Make) -> Waiting:
    """Five tasks that wait for five models, and one that waits in vain."""
    for model in ["never_promoted", *(f"awaited_{index}" for index in range(5))]:
        make(model, 2)
    run_id, vain_id = airflow.trigger("waiting"), airflow.trigger("waiting_in_vain")
    airflow.wait_for(lambda: states(airflow, run_id, TASKS) == ["deferred"] * 5, timeout=60)
    return Waiting(run_id, vain_id)


def states(airflow: Airflow, run_id: str, tasks: list[str]) -> list[str | None]:
    """Return the states of waiting tasks."""
    return [airflow.instances("waiting", run_id, name)[-1].state for name in tasks]


def test_waiting_tasks_start_soon_after_a_promotion(
    airflow: Airflow, registry: Client, waiting: Waiting
) -> None:
    """While they wait they hold no worker; then their code runs within three seconds, at the first try."""
    waited = []
    for index, name in enumerate(TASKS):
        event = registry.get_model_version(f"awaited_{index}", 2).set_stage("production")
        airflow.wait_for(lambda: states(airflow, waiting.run_id, [name]) == ["success"], timeout=60)  # noqa: B023
        marker, began = airflow.returned("waiting", waiting.run_id, name)[-1]
        waited.append(round(began - event.at.timestamp(), 2))
        assert marker == 2
        left = TASKS[index + 1 :]
        assert states(airflow, waiting.run_id, left) == ["deferred"] * len(left)
    airflow.succeed("waiting", waiting.run_id)
    print(f"seconds from promotion to code: {waited}")  # noqa: T201 - for who measures

    assert median(waited) <= 3.0, waited
    assert {airflow.instances("waiting", waiting.run_id, name)[-1].try_number for name in TASKS} == {1}


def test_waiting_in_vain_ends_with_one_clear_error(airflow: Airflow, waiting: Waiting) -> None:
    """When the time is over the task fails for good, although it has retries, and says for what it has waited."""
    airflow.wait_run("waiting_in_vain", waiting.vain_id)
    instance = airflow.instances("waiting_in_vain", waiting.vain_id, "use")[-1]
    error = airflow.error("waiting_in_vain", waiting.vain_id, "use")

    assert (instance.state, instance.try_number) == ("failed", 1)
    assert error.startswith("WaitTimedOut: never_promoted[staging]/marker was waited for during ")
    assert "No version of 'never_promoted' is in stage 'staging'" in error
