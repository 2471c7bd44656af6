"""What a task's process has before it does anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_model_provider.plugins import warm_start

if TYPE_CHECKING:
    from airflow_model_provider import Client
    from tests.support.timed_airflow import Airflow


def test_tasks_find_the_registry_loaded_and_load_the_rest(airflow: Airflow, registry: Client) -> None:
    """
    LocalExecutor forks tasks from a scheduler that has the registry's code already, and no data library: a task that
    is given a model and a frame loads what they need.
    """
    data = ["pandas", "sklearn", "pyarrow"]
    run_id = airflow.trigger("look_around", conf={"names": [*warm_start.NEEDED, *data]})
    airflow.succeed("look_around", run_id)

    assert airflow.xcom("look_around", run_id, "loaded") == list(warm_start.NEEDED)
    assert registry.get_artifact("fitted_answers").load() == [0, 0, 1, 1]
