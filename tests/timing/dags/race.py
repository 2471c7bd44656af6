"""Airflow dag: many instances of one step, and a few of a stock task, that start while stages move."""

from __future__ import annotations

import os
from typing import Annotated, Any

from airflow.sdk import dag, task

from airflow_model_provider import Model

each = Model("race_task", version="production")
all_one = Model("race_run", version="production", pin="run").get_artifact("marker")
#: A list that is known while parsing spares every instance a question to Airflow.
numbers = list(range(int(os.environ["RACE_SIZE"])))


@dag(schedule=None, max_active_tasks=64)
def race() -> None:
    @task.step
    def take(of_task: int, number: int, of_run: int, index: int) -> Annotated[list, "race_taken"]:
        return [of_task, number, of_run]

    @task
    def stock(of_run: Any, index: int) -> int:
        return of_run.load()

    take.partial(of_task=each.get_artifact("marker"), number=each.number, of_run=all_one).expand(
        index=numbers
    )
    stock.partial(of_run=all_one).expand(index=[0, 1, 2])


race()
