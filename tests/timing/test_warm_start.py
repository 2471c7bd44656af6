"""What a task's process has before it does anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_model_provider.plugins import warm_start

if TYPE_CHECKING:
    from tests.support.timed_airflow import Airflow


def test_a_task_finds_the_registry_loaded(airflow: Airflow) -> None:
    """LocalExecutor forks tasks from a scheduler that has the registry's code already, and no data library."""
    data = ["pandas", "sklearn", "pyarrow"]
    run_id = airflow.trigger("look_around", conf={"names": [*warm_start.NEEDED, *data]})
    airflow.succeed("look_around", run_id)

    assert airflow.xcom("look_around", run_id, "loaded") == list(warm_start.NEEDED)
