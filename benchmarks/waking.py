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
DAGS = '''"""Airflow dag."""
from airflow_model_provider import Model, get_step_context, pipeline, step

@step
def score(number: int) -> int:
    return number

@pipeline(schedule=Model("racer", version="production").asset)
def waits():
    score(Model("racer", version="triggering").number)

@step(model=Model("racer"))
def train() -> None:
    get_step_context().model.set_stage("production", force=True, allow_incomplete=True)

@pipeline
def trains():
    train()

waits(), trains()
'''


def measure() -> list[Row]:
    """Promoted by a program, a command and a task, beside runs that are started through Airflow's own API."""
    from tests.support.airflow_runtime import AirflowRuntime

    with tempfile.TemporaryDirectory() as name:
        dags = Path(name) / "dags"
        dags.mkdir()
        (dags / "waits.py").write_text(DAGS)
        settings = {"AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "True"}
        with AirflowRuntime(Path(name) / "home", dags, settings=settings) as airflow:
            bench = _Bench(airflow)
            bench.took(bench.program)
            taken = {
                origin: [bench.took(promote) for _ in range(COUNT)]
                for origin, promote in {
                    "a program": bench.program,
                    "the command line": bench.command,
                    "a task": bench.task,
                }.items()
            }
            bare = [bench.took_after_request() for _ in range(COUNT)]
    rows = [
        _row(f"{origin} promotes: to the first task / started through the API, {word}", of(ours), of(bare))
        for origin, ours in taken.items()
        for word, of in (("median", median), ("maximum", max))
    ]
    every = median(seconds for ours in taken.values() for seconds in ours)
    return [*rows, _row("promotion to first task, median, at the default poll", every, 0, most=3)]


def _row(case: str, ours: float, other: float, *, most: float | None = None) -> Row:
    return Row("waking", case, ours, other, "s", most, difference=most is not None, rounds=COUNT)


class _Bench:
    """Promotes, and waits for the run that it starts."""

    def __init__(self, airflow: AirflowRuntime) -> None:
        self._airflow = airflow
        self._client = Client(airflow.registry_url, store=str(airflow.store))

    def program(self) -> None:
        """Promote as any process that has the library does."""
        self._client.register_model_version("racer", stage="production", force=True)

    def command(self) -> None:
        """Promote on the command line."""
        number = self._client.register_model_version("racer").number
        command = ("model-registry", "promote", "racer", str(number), "production", "--force")
        self._airflow.airflow(*command)

    def task(self) -> None:
        """Promote in a step."""
        self._airflow.wait_run("trains", self._airflow.trigger("trains"))

    def took(self, promote: Callable[[], object]) -> float:
        """Seconds from the promotion, as the history has it, until the task of the new run starts."""
        started = self._started_by(promote)
        (event,) = self._client.get_model("racer").history("production", limit=1)
        return (started - event.at).total_seconds()

    def took_after_request(self) -> float:
        """Seconds until the task of a run starts that was asked for by itself."""
        begun = datetime.now(UTC)
        return (self._started_by(lambda: self._airflow.trigger("waits")) - begun).total_seconds()

    def _started_by(self, start: Callable[[], object]) -> datetime:
        before = len(self._runs())
        start()
        self._airflow.wait_for(lambda: len(self._runs()) > before, timeout=60)
        run_id = self._runs()[-1]
        self._airflow.wait_run("waits", run_id)
        (task,) = self._airflow.task_instances("waits", run_id)["score"]
        return datetime.fromisoformat(task["start_date"])

    def _runs(self) -> list[Any]:
        found = self._airflow._get("/dags/waits/dagRuns", order_by="id", limit=1000)["dag_runs"]
        return [run["dag_run_id"] for run in found]
