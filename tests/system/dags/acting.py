"""Airflow dag: operators that act on the registry, mapped and chained; approvals that end badly."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from airflow.sdk import dag, task

from airflow_model_provider.operators.approval import ModelApprovalOperator
from airflow_model_provider.operators.promote import ModelPromoteOperator
from airflow_model_provider.operators.register import ModelRegisterOperator
from airflow_model_provider.operators.rollback import ModelRollbackOperator
from airflow_model_provider.sensors.model_version import ModelVersionSensor

START = {"schedule": None, "start_date": datetime(2026, 1, 1)}


@dag(**START)
def acting():
    @task.step
    def make() -> Annotated[list, "acting_weights"]:
        return list(range(2000))  # too long to travel as a plain value

    @task
    def scores() -> list[dict]:
        return [{"metadata": {"score": score}} for score in (0.5, 0.7)]

    weights = make()
    register = ModelRegisterOperator.partial(
        task_id="register", model="acting", artifacts=weights, reason="{{ run_id }}"
    ).expand_kwargs(scores())
    promote = ModelPromoteOperator.partial(
        task_id="promote",
        model="acting",
        stage="production",
        gates={"better_than": "production", "metric": "score", "soft": True},
        max_active_tis_per_dagrun=1,
    ).expand(version=register.output)
    stage = ModelPromoteOperator(
        task_id="stage", model="acting", version="production", stage="staging", force=True
    )
    wait = ModelVersionSensor(task_id="wait", model="acting", version="staging")

    @task.step
    def use(version) -> Annotated[str, "acting_used"]:
        return f"{version} {version.stage} {len(version.load_artifact('acting_weights'))}"

    back = ModelRollbackOperator(task_id="back", model="acting", stage="production", trigger_rule="all_done")
    promote >> stage >> wait >> use(wait.output) >> back


@dag(**START)
def decisions():
    asked = {"model": "decided", "version": "latest", "stage": "production", "retries": 2}
    # Not shorter: while a busy scheduler has not heard that the task's process ended, it takes an end for a kill.
    ModelApprovalOperator(task_id="in_time", response_timeout=timedelta(seconds=10), **asked)
    ModelApprovalOperator(task_id="strict", fail_on_reject=True, **asked)
    approved = ModelApprovalOperator(task_id="approve", **asked)

    @task
    def after():
        return "done"

    approved >> after()


acting()
decisions()
