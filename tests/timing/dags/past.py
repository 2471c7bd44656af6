"""Airflow dag: scores each day with the model that was in production then."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from airflow.sdk import dag

from airflow_model_provider import Model, step

then = Model("past", version="production", as_of=("data_interval_end", "run_after"))


@step(retries=2)
def use(marker: int, number: int) -> Annotated[list, "past_used"]:
    return [marker, number]


@dag(
    schedule="@daily", start_date=datetime(2026, 1, 1, tzinfo=UTC), end_date=datetime(2026, 1, 31, tzinfo=UTC)
)
def past() -> None:
    use(then.get_artifact("marker"), then.number)


past()
