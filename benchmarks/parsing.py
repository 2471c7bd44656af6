"""What does parsing a DAG of many steps cost beside the same DAG of plain tasks?"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from benchmarks.harness import Row, paired, seconds

ROUNDS = 7
HEAD = '''"""Airflow dag."""
from datetime import datetime
from airflow.sdk import dag, task
from airflow_model_provider import Model, step
production = Model("iris_classifier", version="production")

'''
STEPS = (
    HEAD
    + """
@step
def use(model, number): ...

@dag(dag_id="steps", schedule=None, start_date=datetime(2026, 1, 1))
def many():
    for number in range({count}):
        use.with_options(name=f"use_{{number}}")(production.get_model_artifact("trained_model"), number)
many()
"""
)
TASKS = (
    HEAD
    + """
@task
def use(model, number): ...

@dag(dag_id="tasks", schedule=None, start_date=datetime(2026, 1, 1))
def many():
    for number in range({count}):
        use.override(task_id=f"use_{{number}}")("iris_classifier[production]/trained_model", number)
many()
"""
)


def measure() -> list[Row]:
    """Read the file and serialize the DAG, as the DAG processor does."""
    with tempfile.TemporaryDirectory() as home:
        os.environ |= {
            "AIRFLOW_HOME": home,
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        }
        return [_row(Path(home), count) for count in (10, 100, 1000)]


def _row(folder: Path, count: int) -> Row:
    from airflow.dag_processing.dagbag import DagBag
    from airflow.serialization.serialized_objects import DagSerialization

    def parse(name: str, code: str) -> float:
        file = folder / f"{name}_{count}.py"
        file.write_text(code.format(count=count))

        def work() -> None:
            bag = DagBag(str(file))
            if bag.import_errors or len(bag.dags[name].tasks) != count:
                raise RuntimeError(bag.import_errors)
            DagSerialization.to_dict(bag.dags[name])

        return seconds(work)

    pair = paired(lambda: parse("steps", STEPS), lambda: parse("tasks", TASKS), rounds=ROUNDS)
    budget = 1.3 if count == 1000 else None
    return Row("parsing", f"{count:,} steps / {count:,} plain @task", *pair, "s", budget, rounds=ROUNDS)
