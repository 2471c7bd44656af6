"""Airflow dag: steps that meet a registry which is gone, at all moments of their life."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from airflow.sdk import dag, task

from airflow_model_provider import Model, step

# A task's process reads this file before it asks for its registry; no other DAG's task does.
os.environ["AIRFLOW_CONN_MODEL_REGISTRY_DEFAULT"] = os.environ["LONELY_REGISTRY"]
marker = Model("outage", version="production").get_artifact("marker")


def wait_for(path: Path) -> None:
    while not path.exists():
        time.sleep(0.05)  # between two looks at the condition: a task has nobody to wake it


@step
def use(marker: int, folder: str) -> Annotated[int, "outage_used"]:
    return marker


@step
def save_late(marker: int, folder: str) -> Annotated[int, "outage_saved"]:
    Path(folder, "loaded").touch()
    wait_for(Path(folder, "save"))
    return marker


@task
def gate(name: str, folder: str) -> None:
    wait_for(Path(folder, name))


@dag(schedule=None, params={"folder": ""})
def outage() -> None:
    folder = "{{ params.folder }}"
    first = use.override(task_id="first")(marker, folder)
    now, later = (gate.override(task_id=name)(name, folder) for name in ("now", "later"))
    fails = use.override(task_id="fails")(marker, folder)
    fails_once = use.override(task_id="fails_once", retries=1, retry_delay=timedelta(0))(marker, folder)
    pins_late = use.override(task_id="pins_late")(marker, folder)
    first >> [now, later, save_late(marker, folder)]
    now >> [fails, fails_once]
    later >> pins_late


outage()
