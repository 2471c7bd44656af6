"""Airflow dag: those that wait for promotions of ``runner``, however they fare."""

from __future__ import annotations

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, dag

from airflow_model_provider import Model, get_step_context, pipeline, step

PRODUCTION = Model("runner", version="production").asset


@step
def claimed() -> list[int]:
    """Tell which promotions this run has claimed."""
    return [event.sequence for event in get_step_context().promotions]


@pipeline(name="healthy_pipeline", schedule=PRODUCTION)
def healthy() -> None:
    claimed()


@dag(schedule=PRODUCTION | Model("runner", version="staging").asset, max_active_runs=1)
def healthy_dag():
    claimed()


with DAG("stock_only", schedule=PRODUCTION):
    EmptyOperator(task_id="nothing")

for number in (1, 2):

    @pipeline(name=f"rests_{number}", schedule=PRODUCTION)
    def rests() -> None:
        claimed()


with DAG("rests_stock", schedule=PRODUCTION):
    EmptyOperator(task_id="nothing")

healthy_dag()
