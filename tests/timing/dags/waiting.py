"""Airflow dag: five steps that wait for five models."""

from __future__ import annotations

import time
from typing import Annotated

from airflow.sdk import dag

from airflow_model_provider import Model, step


@step
def use(marker: int) -> Annotated[list, "waiting_used"]:
    return [marker, time.time()]


@dag(schedule=None)
def waiting() -> None:
    for index in range(5):
        awaited = Model(f"awaited_{index}", version="production", on_missing="wait")
        use.override(task_id=f"use_{index}")(awaited.get_artifact("marker"))


waiting()
