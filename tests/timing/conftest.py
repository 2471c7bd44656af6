"""One running Airflow for what depends on time: races, kills, past dates, waiting, clearing, promotions that wake."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

from airflow_model_provider import Client
from airflow_model_provider.registry import engine
from airflow_model_provider.workspace import close_workspaces
from tests.support.soak import TIMES
from tests.support.timed_airflow import Airflow, make_numbered

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DAGS = Path(__file__).parent / "dags"
#: How many instances of a step race with promotions; 2,000 in the long form.
RACE_SIZE = 200 * min(TIMES, 10)
#: When versions of model ``past`` came into production.
HISTORY = {
    "2026-01-02 06:00:00.000000": 1,
    "2026-01-04 00:00:00.000000": 2,
    "2026-01-05 18:30:00.000000": 3,
}


class Make(Protocol):
    """Makes versions 1, 2, ... of a model, of which artifact ``marker`` holds the number."""

    def __call__(self, model: str, count: int) -> None: ...


@pytest.fixture(scope="session")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    """A real Airflow with room for eight tasks at once."""
    folder = tmp_path_factory.mktemp("timing")
    shutil.copytree(DAGS, folder / "dags", ignore=shutil.ignore_patterns("__pycache__"))
    settings = {
        "AIRFLOW__CORE__PARALLELISM": "8",
        "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "True",
        # A scheduler that was killed leaves tasks queued; who adopts them looks every five minutes otherwise.
        "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "10",
        "RACE_SIZE": str(RACE_SIZE),
    }
    runtime = Airflow(folder / "home", folder / "dags", settings=settings)
    live_through(HISTORY, Client(runtime.registry_url, store=str(runtime.store)))
    with runtime:
        yield runtime


def live_through(history: Mapping[str, int], registry: Client) -> None:
    """Make model ``past`` and promote its versions at times long ago, as the registry itself would have then."""
    clock = ["2025-12-31 00:00:00.000000"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "sqlite_now", lambda after=None: clock[0])
        make_numbered(registry, "past", len(history))
        for clock[0], number in history.items():
            registry.get_model_version("past", number).set_stage("production", force=True)
        close_workspaces()  # later ones get the true clock


@pytest.fixture(scope="session")
def registry(airflow: Airflow) -> Client:
    """The registry that the running Airflow uses by default."""
    return Client(airflow.registry_url, store=str(airflow.store))


@pytest.fixture(scope="session")
def make(registry: Client) -> Make:
    """Make numbered versions in the registry of the running Airflow."""
    return partial(make_numbered, registry)
