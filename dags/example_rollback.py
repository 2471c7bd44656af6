"""
Airflow dag: one click gives a stage back to the version that held it before.

In Airflow's UI: Trigger, say why, done. Whoever may trigger this Dag may roll back; ``[model_registry]
protected_stages`` can say that nobody else may (``production = dag:rollback``).
"""

from __future__ import annotations

from datetime import datetime

from airflow.sdk import Param, dag

from airflow_model_provider.operators.rollback import ModelRollbackOperator


# [START rollback]
@dag(
    schedule=None,
    start_date=datetime(2026, 1, 1),
    tags=["example"],
    params={
        "model": Param("iris_classifier", type="string"),
        "stage": Param("production", type="string"),
        "to": Param(None, type=["null", "string"], description="an earlier holder; empty: the one before"),
        "reason": Param(None, type=["null", "string"], description="kept in the stage's history"),
    },
)
def rollback():
    ModelRollbackOperator(
        task_id="rollback",
        model="{{ params.model }}",
        stage="{{ params.stage }}",
        to="{{ params.to }}",
        reason="{{ params.reason or '' }}",
    )


# [END rollback]
rollback()
