"""The cluster policy that Airflow applies to each Dag it reads: tiny, because all of them pay for it."""

from __future__ import annotations

from typing import Any

from airflow.policies import hookimpl

from airflow_model_provider.stage_uri import stages_in


@hookimpl
def dag_policy(dag: Any) -> None:
    """Have Dags that are scheduled on stages of models woken by assets of their own."""
    if next(stages_in(getattr(dag.timetable, "asset_condition", None)), None) is not None:
        from airflow_model_provider.assets import wake_by_own_assets

        wake_by_own_assets(dag)
