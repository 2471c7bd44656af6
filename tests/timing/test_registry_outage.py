"""A registry on PostgreSQL that goes away while tasks run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_model_provider import Client
from tests.timing.conftest import PASSWORD
from tests.timing.outage import PATIENCE

if TYPE_CHECKING:
    from tests.support.timed_airflow import Airflow
    from tests.timing.outage import Outage


@pytest.mark.parametrize("task_id", ["pins_late", "save_late"])
def test_tasks_ride_out_twenty_seconds(airflow: Airflow, outage: Outage, task_id: str) -> None:
    """Whether the registry is gone when a task asks or when it saves: it waits, and its first try succeeds."""
    instance = airflow.instances("outage", outage.run_id, task_id)[-1]
    log = airflow.log("outage", outage.run_id, task_id)

    assert outage.late >= 20
    assert (instance.state, instance.try_number) == ("success", 1), log
    assert airflow.returned("outage", outage.run_id, task_id) == {-1: 1}
    assert "is not usable yet" in log
    assert "Trying again" in log


def test_a_registry_that_stays_away_fails_the_task_with_one_error(airflow: Airflow, outage: Outage) -> None:
    """After thirty seconds, and the one error says which registry does not answer and what to check."""
    instance = airflow.instances("outage", outage.run_id, "fails")[-1]
    error = airflow.error("outage", outage.run_id, "fails")

    assert (instance.state, instance.try_number) == ("failed", 1)
    assert (instance.end - instance.start).total_seconds() >= PATIENCE
    assert error.startswith("RegistryUnavailable: The model registry at postgresql://postgres:***@")
    assert "Check the URL" in error


def test_airflows_retries_apply(airflow: Airflow, outage: Outage) -> None:
    """An outage is not hopeless: the first try fails, and the second finds the registry back."""
    instance = airflow.instances("outage", outage.run_id, "fails_once")[-1]

    assert (instance.state, instance.try_number) == ("success", 2)
    assert airflow.error("outage", outage.run_id, "fails_once").startswith("RegistryUnavailable: ")
    assert airflow.returned("outage", outage.run_id, "fails_once") == {-1: 1}


def test_the_outage_leaves_one_record_and_one_output_per_successful_try(
    lonely: dict[str, str], outage: Outage
) -> None:
    """Nothing that was tried again is there twice."""
    registry = Client(lonely["url"], store=lonely["store"])
    records = registry.list_resolutions(dag_id="outage", run_id=outage.run_id)
    saved = registry.get_artifact("outage_saved")

    assert sorted((item.attempt.task_id, item.attempt.try_number) for item in records) == [
        ("fails_once", 2),
        ("first", 1),
        ("pins_late", 1),
        ("save_late", 1),
    ]
    assert (saved.number, saved.load()) == (1, 1)


def test_the_password_is_in_no_log(airflow: Airflow, outage: Outage) -> None:
    """Neither of tasks nor of Airflow's own processes."""
    texts = {
        path: path.read_text(errors="replace")
        for path in (airflow.home / "logs").rglob("*")
        if path.is_file()
    }
    of_run = [path for path in texts if outage.run_id in str(path)]

    assert len(of_run) >= 8
    assert [path for path, text in texts.items() if PASSWORD in text] == []
