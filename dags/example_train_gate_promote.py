"""
Airflow dag: train a version of ``iris_gated`` and promote it if it passes gates, with an operator.

Where it is worse than the version in production, the last task is skipped. Trigger it with another ``c`` to see that.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

import pandas as pd
from airflow.sdk import Param, dag, task
from sklearn.base import BaseEstimator
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from airflow_model_provider import ArtifactConfig, Gates, Model, log_metadata
from airflow_model_provider.operators.promote import ModelPromoteOperator

iris = Model("iris_gated")  # no version: each run makes a new one


@dag(
    schedule=None,
    start_date=datetime(2026, 1, 1),
    tags=["example"],
    params={"c": Param(1.0, type="number", exclusiveMinimum=0)},
)
def train_gate_promote():
    @task.step(model=iris)
    def train(
        params: dict,  # of the Dag run, as in Airflow's own tasks
    ) -> Annotated[BaseEstimator, ArtifactConfig(name="gated_model", is_model_artifact=True)]:
        flowers = load_iris(as_frame=True).frame.iloc[::2]
        clf = LogisticRegression(C=params["c"], max_iter=500)
        return clf.fit(flowers.drop(columns="target"), flowers["target"])

    @task.step(model=iris)
    def evaluate(clf: BaseEstimator) -> Annotated[float, "gated_accuracy"]:
        flowers: pd.DataFrame = load_iris(as_frame=True).frame.iloc[1::2]
        accuracy = float(clf.score(flowers.drop(columns="target"), flowers["target"]))
        log_metadata({"accuracy": accuracy}, infer_model=True)
        return accuracy

    # [START promote]
    trained = train()
    promote = ModelPromoteOperator(
        task_id="promote",
        model="iris_gated",
        version=trained,  # the version that this run makes, whatever is made beside it
        stage="production",
        gates=[
            Gates(require={"accuracy": ">= 0.5"}, artifacts=["gated_model"], max_age=timedelta(days=1)),
            Gates(better_than="production", metric="accuracy", soft=True),  # worse: skipped, not failed
        ],
        reason="run {{ run_id }}",
    )
    evaluate(trained) >> promote
    # [END promote]


train_gate_promote()
