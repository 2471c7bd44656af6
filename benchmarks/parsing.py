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
#: One body for both: with references in every place, and with plain text there.
EVERYWHERE = (
    HEAD
    + """
from airflow.providers.standard.operators.bash import BashOperator

{decorator}
def use(model, nested=None, text="", *, number): ...

@dag(dag_id="{name}", schedule=None, start_date=datetime(2026, 1, 1))
def many():
    {values}
    for number in range({count} // 4):
        use.{options}({task_id}=f"use_{{number}}")(model, [{{"a": (model, version)}}], f"v{{version}}", number=number)
        use.{options}({task_id}=f"part_{{number}}").partial(model=model, number=number).expand(nested=[model, version])
        task(lambda a, b: None).override(task_id=f"stock_{{number}}")(model, [version])
        BashOperator(task_id=f"bash_{{number}}", bash_command=f"echo {{version}}", env={{"M": model}})
many()
"""
)
REFERENCES = {
    "decorator": "@step",
    "values": 'model, version = production.get_model_artifact("trained_model"), production.number',
    "options": "with_options",
    "task_id": "name",
}
TEXTS = {
    "decorator": "@task",
    "values": 'model, version = "iris_classifier[production]/trained_model", "{{{{ params.number }}}}"',
    "options": "override",
    "task_id": "task_id",
}


def measure() -> list[Row]:
    """Read the file and serialize the DAG, as the DAG processor does."""
    with tempfile.TemporaryDirectory() as home:
        os.environ |= {
            "AIRFLOW_HOME": home,
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        }
        rows = [
            _row(Path(home), count, f"{count:,} steps / {count:,} plain @task", STEPS, TASKS)
            for count in (10, 100, 1000)
        ]
        ours = EVERYWHERE.replace("{name}", "steps").replace("{count}", "1000")
        bare = EVERYWHERE.replace("{name}", "tasks").replace("{count}", "1000")
        case = "1,000 tasks with references in every place / with text there"
        return [*rows, _row(Path(home), 1000, case, _filled(ours, REFERENCES), _filled(bare, TEXTS))]


def _filled(code: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        code = code.replace(f"{{{name}}}", value)
    return code


def _row(folder: Path, count: int, case: str, ours: str, bare: str) -> Row:
    from airflow.dag_processing.dagbag import DagBag
    from airflow.serialization.serialized_objects import DagSerialization

    def parse(name: str, code: str) -> float:
        file = folder / f"{name}_{abs(hash(case))}.py"
        file.write_text(code.format(count=count))

        def work() -> None:
            bag = DagBag(str(file))
            if bag.import_errors or len(bag.dags[name].tasks) != count:
                raise RuntimeError(bag.import_errors)
            DagSerialization.to_dict(bag.dags[name])

        return seconds(work)

    pair = paired(lambda: parse("steps", ours), lambda: parse("tasks", bare), rounds=ROUNDS)
    return Row("parsing", case, *pair, "s", 1.3 if count == 1000 else None, rounds=ROUNDS)
