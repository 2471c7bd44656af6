"""Airflow dag: one step with both kinds of pins."""

from __future__ import annotations

from typing import Annotated

from airflow.sdk import dag

from airflow_model_provider import Model, step


@step
def use(of_task: int, of_run: int) -> Annotated[list, "cleared_used"]:
    return [of_task, of_run]


@dag(schedule=None)
def cleared() -> None:
    use(
        Model("cleared_task", version="production").get_artifact("marker"),
        Model("cleared_run", version="production", pin="run").get_artifact("marker"),
    )


cleared()
