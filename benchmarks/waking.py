"""How long does it take from a promotion to the first task of the Dag that waits for it, in a real Airflow?"""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from airflow_model_provider import Client
from benchmarks.harness import Row

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.airflow_runtime import AirflowRuntime

COUNT = 20
DAG = '''"""Airflow dag."""
from airflow_model_provider import Model, pipeline, step

@step
def score(number: int) -> int:
    return number

@pipeline(schedule=Model("racer", version="production").asset)
def waits():
    score(Model("racer", version="triggering").number)
waits()
'''


def measure() -> list[Row]:
    """Promoted by a process that only has the library, beside runs that are started through Airflow's own API."""
    from tests.support.airflow_runtime import AirflowRuntime

    with tempfile.TemporaryDirectory() as name:
        dags = Path(name) / "dags"
        dags.mkdir()
        (dags / "waits.py").write_text(DAG)
        settings = {"AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "True"}
        with AirflowRuntime(Path(name) / "home", dags, settings=settings) as airflow:
            client = Client(airflow.registry_url, store=str(airflow.store))

            def promote() -> None:
                client.register_model_version("racer", stage="production", force=True)

            _took(airflow, promote)
            ours = [_took(airflow, promote) for _ in range(COUNT)]
            bare = [_took(airflow, lambda: airflow.trigger("waits")) for _ in range(COUNT)]
    return [
        Row(
            "waking",
            f"promotion to first task / started through the API, {word}",
            *pair,
            "s",
            most,
            rounds=COUNT,
        )
        for word, pair, most in (
            ("median", (median(ours), median(bare)), None),
            ("maximum", (max(ours), max(bare)), None),
        )
    ] + [
        Row(
            "waking",
            "promotion to first task, median, at a poll of 1 s",
            median(ours),
            0,
            "s",
            3,
            difference=True,
        )
    ]


def _took(airflow: AirflowRuntime, start: Callable[[], Any]) -> float:
    """Seconds until the task of a new run starts."""
    before = len(_runs(airflow))
    begun = datetime.now(UTC)
    start()
    airflow.wait_for(lambda: len(_runs(airflow)) > before, timeout=60)
    run_id = _runs(airflow)[-1]
    airflow.wait_run("waits", run_id)
    (task,) = airflow.task_instances("waits", run_id)["score"]
    return (datetime.fromisoformat(task["start_date"]) - begun).total_seconds()


def _runs(airflow: AirflowRuntime) -> list[str]:
    found = airflow._get("/dags/waits/dagRuns", order_by="id", limit=1000)["dag_runs"]
    return [run["dag_run_id"] for run in found]
