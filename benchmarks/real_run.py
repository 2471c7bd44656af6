"""What does a step cost beside a plain task, in the same run of a real Airflow?"""

from __future__ import annotations

import tempfile
from datetime import datetime
from pathlib import Path
from statistics import median

from airflow_model_provider import Client
from benchmarks.harness import Row

COUNT = 40
DAG = '''"""Airflow dag."""
from datetime import datetime
from airflow.sdk import dag, task
from airflow_model_provider import Model

@dag(schedule=None, start_date=datetime(2026, 1, 1))
def race():
    @task
    def load_and_use(number):
        return number

    @task.step
    def use(value, number) -> int:
        return number

    production = Model("numbers", version="production")
    before = None
    for number in range({count}):
        plain = load_and_use.override(task_id=f"plain_{{number}}")(number)
        ours = use.with_options(task_id=f"step_{{number}}")(production.get_artifact("value"), number)
        if before is not None:
            before >> plain
        plain >> ours
        before = ours
race()
'''


def measure() -> list[Row]:
    """Plain tasks and steps take turns; a step resolves, records, loads a small artifact, and saves its output."""
    from tests.support.airflow_runtime import AirflowRuntime

    with tempfile.TemporaryDirectory() as name:
        dags = Path(name) / "dags"
        dags.mkdir()
        (dags / "race.py").write_text(DAG.format(count=COUNT))
        with AirflowRuntime(Path(name) / "home", dags) as airflow:
            client = Client(airflow.registry_url, store=str(airflow.store))
            with client.new_model_version("numbers") as version:
                version.save_artifact("value", 1)
            version.set_stage("production")
            run_id = airflow.trigger("race")
            if airflow.wait_run("race", run_id, timeout=600) != "success":
                raise RuntimeError(airflow.failures("race", run_id))
            tasks = airflow.task_instances("race", run_id)
    took = {task_id: _seconds(items[0]) * 1000 for task_id, items in tasks.items()}
    ours, bare = (
        median(value for key, value in took.items() if key.startswith(kind)) for kind in ("step", "plain")
    )
    return [
        Row("real run", "a step, beyond a plain @task", ours, bare, "ms", 50, difference=True, rounds=COUNT)
    ]


def _seconds(task: dict[str, str]) -> float:
    begun, ended = (datetime.fromisoformat(task[key]) for key in ("start_date", "end_date"))
    return (ended - begun).total_seconds()
