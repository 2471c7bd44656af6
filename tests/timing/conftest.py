"""One running Airflow for what depends on time: races, kills, past dates, waiting, clearing."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import pytest

from airflow_model_provider import Client
from tests.support.airflow_runtime import AirflowRuntime

if TYPE_CHECKING:
    from collections.abc import Iterator

DAGS = Path(__file__).parent / "dags"
#: Runs in an Airflow of its own, because its registry goes away.
OUTAGE = "outage.py"


class Instance(NamedTuple):
    """What Airflow knows of a task instance."""

    state: str | None
    try_number: int
    start: datetime
    end: datetime


class Airflow(AirflowRuntime):
    """A running Airflow that also tells about thousands of task instances, which its API does page by page."""

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Ask Airflow's own database."""
        with closing(sqlite3.connect(f"file:{self.home / 'airflow.db'}?mode=ro", uri=True)) as database:
            return database.execute(query, values).fetchall()

    def instances(self, dag_id: str, run_id: str, task_id: str) -> dict[int, Instance]:
        """Return the instances of a task by map index."""
        query = """SELECT map_index, state, try_number, start_date, end_date FROM task_instance
            WHERE dag_id = ? AND run_id = ? AND task_id = ?"""
        return {
            index: Instance(state, number, _time(start), _time(end))
            for index, state, number, start, end in self.rows(query, dag_id, run_id, task_id)
        }

    def returned(self, dag_id: str, run_id: str, task_id: str) -> dict[int, Any]:
        """Return what the instances of a task have returned, by map index."""
        query = """SELECT map_index, value FROM xcom
            WHERE dag_id = ? AND run_id = ? AND task_id = ? AND key = 'return_value'"""
        return {index: json.loads(value) for index, value in self.rows(query, dag_id, run_id, task_id)}

    def succeed(self, dag_id: str, run_id: str, *, timeout: float = 120) -> None:
        """Wait for the end of a run, which has to be a good one."""
        state = self.wait_run(dag_id, run_id, timeout=timeout)

        assert state == "success", self.failures(dag_id, run_id)


def _time(text: str | None) -> datetime:
    return datetime.fromisoformat(f"{text or '1970-01-01'}+00:00")


class Make(Protocol):
    """Makes versions 1, 2, ... of a model, of which artifact ``marker`` holds the number."""

    def __call__(self, model: str, count: int) -> None: ...


@pytest.fixture(scope="session")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    """A real Airflow with room for eight tasks at once."""
    folder = tmp_path_factory.mktemp("timing")
    shutil.copytree(DAGS, folder / "dags", ignore=shutil.ignore_patterns("__pycache__", OUTAGE))
    settings = {"AIRFLOW__CORE__PARALLELISM": "8", "AIRFLOW__CORE__MAX_MAP_LENGTH": "100000"}
    with Airflow(folder / "home", folder / "dags", settings=settings) as runtime:
        yield runtime


@pytest.fixture(scope="session")
def registry(airflow: Airflow) -> Client:
    """The registry that the running Airflow uses by default."""
    return Client(airflow.registry_url, store=str(airflow.store))


@pytest.fixture(scope="session")
def make(registry: Client) -> Make:
    """Make numbered versions in the registry of the running Airflow."""

    def numbered(model: str, count: int) -> None:
        for number in range(1, count + 1):
            with registry.new_model_version(model) as version:
                version.save_artifact("marker", number)

    return numbered
