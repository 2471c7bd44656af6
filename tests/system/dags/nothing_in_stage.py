"""Airflow dag: refers to a model that nobody trains."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow_model_provider import Model, ModelStages, pipeline, step


@step(retries=3, retry_delay=timedelta(seconds=1))
def use(model: object) -> None:
    raise AssertionError(f"this must not run with {model!r}")


@pipeline(
    schedule=None,
    start_date=datetime(2026, 1, 1),
    model=Model(name="never_trained", version=ModelStages.PRODUCTION),
)
def nothing_in_stage() -> None:
    use(model=Model("never_trained", version="production").get_model_artifact("trained_model"))
