"""One running Airflow whose scheduler and triggerer are killed, and two DAGs that wait for promotions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_model_provider import Client
from tests.support.timed_airflow import Airflow

if TYPE_CHECKING:
    from collections.abc import Iterator

SETTINGS = {
    "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "True",
    # A scheduler that was killed leaves tasks queued; who adopts them looks every five minutes otherwise.
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "10",
}


@pytest.fixture(scope="session")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    """A real Airflow that schedules."""
    folder = tmp_path_factory.mktemp("promotion")
    with Airflow(folder / "home", Path(__file__).parent / "dags", settings=SETTINGS) as runtime:
        yield runtime


@pytest.fixture(scope="session")
def registry(airflow: Airflow) -> Client:
    """The registry that the running Airflow uses by default."""
    return Client(airflow.registry_url, store=str(airflow.store))
