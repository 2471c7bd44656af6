"""A backfill: each date gets the version of its time."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from airflow_model_provider.registry import engine
from airflow_model_provider.registry.columns import SQLITE_TIME

if TYPE_CHECKING:
    from tests.timing.conftest import Airflow

#: Each date of the backfill, and the version that was in production at its midnight.
EXPECTED = {"02": None, "03": 1, "04": 2, "05": 2, "06": 3}


@pytest.fixture(scope="module")
def runs(airflow: Airflow) -> dict[str, str]:
    """The runs of the backfill by day."""
    airflow.airflow(
        *("backfill", "create", "--dag-id", "past", "--max-active-runs", "5"),
        *("--from-date", "2026-01-02", "--to-date", "2026-01-06"),
    )
    return {day: f"backfill__2026-01-{day}T00:00:00+00:00" for day in EXPECTED}
