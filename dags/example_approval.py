"""
Airflow dag: a person decides whether a version comes into production.

Trigger it, open the task ``approve``, and look under "Required Actions": candidate and holder stand side by side. Run
``example_training.py`` first.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import Param, dag

from airflow_model_provider.operators.approval import ModelApprovalOperator


@dag(
    schedule=None,
    start_date=datetime(2026, 1, 1),
    tags=["example"],
    params={
        "model": Param("iris_classifier", type="string"),
        "version": Param("latest", type="string", description="a stage, a number or a version name"),
    },
)
def approval():
    # [START approve]
    approve = ModelApprovalOperator(
        task_id="approve",
        model="{{ params.model }}",
        version="{{ params.version }}",
        stage="production",
        body="Please look at the [evaluation](https://wiki.example/evaluation) as well.",
        params={"reason": Param(None, type=["null", "string"], description="kept in the stage's history")},
        response_timeout=timedelta(days=2),
    )
    announce = BashOperator(  # skipped if the person rejects
        task_id="announce",
        bash_command='echo "version $VERSION was approved by $WHO"',
        env={
            "VERSION": "{{ ti.xcom_pull(task_ids='approve')['version'] }}",
            "WHO": "{{ ti.xcom_pull(task_ids='approve')['who'] }}",
        },
        append_env=True,
    )
    approve >> announce
    # [END approve]


approval()
