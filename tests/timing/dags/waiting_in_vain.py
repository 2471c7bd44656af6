"""Airflow dag: a step that waits three seconds for a model that never comes."""

from __future__ import annotations

import os

from airflow.sdk import dag

from airflow_model_provider import Model, step

# A task's process reads this file before it waits; no other task's process does.
os.environ["AIRFLOW__MODEL_REGISTRY__WAIT_TIMEOUT"] = "3"


@step(retries=2)
def use(marker: int) -> None:
    raise AssertionError(f"this must not run with {marker!r}")


@dag(schedule=None)
def waiting_in_vain() -> None:
    use(Model("never_promoted", version="staging", on_missing="wait").get_artifact("marker"))


waiting_in_vain()
