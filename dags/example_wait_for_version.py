"""
Airflow dag: wait for a version that is newer than the one in production, then look at it.

While it waits, the sensor holds no worker; many that wait ask the registry one question for all of them.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from airflow.sdk import dag, task

from airflow_model_provider import Model
from airflow_model_provider.sensors.model_version import ModelVersionSensor


@dag(
    schedule=None,
    start_date=datetime(2026, 1, 1),
    tags=["example"],
)
def wait_for_version():
    # [START wait]
    candidate = ModelVersionSensor(
        task_id="candidate",
        model="iris_classifier",
        version="latest",
        newer_than=Model("iris_classifier", version="production"),  # any, while nothing is in production
        timeout=timedelta(hours=12),
    )

    @task.step
    def look_at(version) -> Annotated[dict, "candidate_report"]:
        return {"version": str(version), "metadata": dict(version.run_metadata)}

    look_at(candidate.output)
    # [END wait]


wait_for_version()
