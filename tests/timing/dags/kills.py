"""Airflow dag: tasks whose first try promotes the next version and is killed in the same moment."""

from __future__ import annotations

import os
import signal
from datetime import datetime, timedelta
from typing import Annotated, Any, NoReturn

from airflow.sdk import DAG

from airflow_model_provider import Model
from airflow_model_provider.operators.step import StepOperator


def die(moment: str) -> NoReturn:
    """End as the out-of-memory killer ends a process."""
    from airflow_model_provider.hooks.model_registry import ModelRegistryHook

    registry = ModelRegistryHook().get_conn().registry
    for pin in ("task", "run"):
        registry.set_stage(f"{moment}_{pin}", 2, "production", force=True)
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("still alive")


class KilledBeforeLoad(StepOperator):
    def pre_execute(self, context: Any) -> None:
        super().pre_execute(context)
        if context["ti"].try_number == 1:
            die("before_load")


def before_load(of_task: int, of_run: int) -> Annotated[list, "killed_before_load"]:
    return [of_task, of_run]


def before_save(of_task: int, of_run: int, ti: Any = None) -> Annotated[list, "killed_before_save"]:
    if ti.try_number == 1:
        die("before_save")
    return [of_task, of_run]


def in_save(of_task: int, of_run: int, ti: Any = None) -> Annotated[list, "killed_in_save"]:
    if ti.try_number == 1:
        from airflow_model_provider.registry.registry import Registry

        # The bytes are in the store, nothing says so yet.
        Registry.register_artifacts = lambda *args, **kwargs: die("in_save")
    return [of_task, of_run]


with DAG("kills", schedule=None, start_date=datetime(2026, 1, 1)):
    for function, operator in (
        (before_load, KilledBeforeLoad),
        (before_save, StepOperator),
        (in_save, StepOperator),
    ):
        name = function.__name__
        operator(
            task_id=name,
            python_callable=function,
            op_kwargs={
                "of_task": Model(f"{name}_task", version="production").get_artifact("marker"),
                "of_run": Model(f"{name}_run", version="production", pin="run").get_artifact("marker"),
            },
            retries=1,
            retry_delay=timedelta(0),
        )
