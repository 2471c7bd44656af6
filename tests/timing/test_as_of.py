"""A backfill: each date gets the version of its time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from airflow_model_provider import Client
    from tests.support.timed_airflow import Airflow

#: The days of the backfill, and the version that was in production at each midnight: see HISTORY in conftest.py.
EXPECTED = {"03": 1, "04": 2, "05": 2, "06": 3}
TOO_EARLY = "02"


def run_of(day: str) -> str:
    """The id that Airflow gives the run of a day."""
    return f"backfill__2026-01-{day}T00:00:00+00:00"


@pytest.fixture(scope="module", autouse=True)
def backfill(airflow: Airflow) -> dict[str, str]:
    """Run the DAG for five days of the past; return the states of its runs by day."""
    with airflow.quiet():
        airflow.airflow(
            *("backfill", "create", "--dag-id", "past", "--max-active-runs", "5"),
            *("--from-date", f"2026-01-{TOO_EARLY}", "--to-date", f"2026-01-{max(EXPECTED)}"),
        )
    return {day: airflow.wait_run("past", run_of(day)) for day in [TOO_EARLY, *EXPECTED]}


def test_each_date_of_a_backfill_gets_the_version_of_its_time(
    airflow: Airflow, registry: Client, backfill: dict[str, str]
) -> None:
    """Also where the promotion was in that very moment; what is in production today plays no part."""
    got = {day: airflow.returned("past", run_of(day), "use")[-1] for day in EXPECTED}

    assert backfill == {TOO_EARLY: "failed", **dict.fromkeys(EXPECTED, "success")}
    assert got == {day: [number, number] for day, number in EXPECTED.items()}
    assert registry.get_model_version("past", "production").number == 3


def test_a_date_before_the_first_promotion_fails_and_says_when_that_was(airflow: Airflow) -> None:
    """At the first try, because no retry can change the past."""
    error = airflow.error("past", run_of(TOO_EARLY), "use")

    assert airflow.instances("past", run_of(TOO_EARLY), "use")[-1].try_number == 1
    assert error.startswith(
        "StageNotAssigned: No version of 'past' was in stage 'production' as of 2026-01-02T00:00"
    )
    assert "its first version came at 2026-01-02T06:00:00" in error


def test_the_records_of_a_backfill_name_the_versions(registry: Client) -> None:
    """Each day's run is on record with the version it got, and under the time for which it asked."""
    records = [
        record for day in EXPECTED for record in registry.list_resolutions(dag_id="past", run_id=run_of(day))
    ]

    assert {(item.selector, item.number) for item in records} == {
        (f"production as of 2026-01-{day}T00:00:00+00:00", number) for day, number in EXPECTED.items()
    }
