"""
Airflow dag: a plain ``@dag`` that scores shards side by side with ``@task.step``.

Each mapped task pins the production version when it runs, and records which one it was.
"""

from datetime import datetime
from typing import Annotated

import pandas as pd
from airflow.sdk import dag, task
from sklearn.base import BaseEstimator
from sklearn.datasets import load_iris

from airflow_model_provider import Model, ModelStages


@dag(schedule=None, start_date=datetime(2026, 1, 1), tags=["example"])
def mapped_scoring():
    # [START mapped]
    iris = Model("iris_classifier", version=ModelStages.PRODUCTION)

    @task
    def list_shards() -> list[int]:
        return [0, 1, 2]

    @task.step
    def score(clf: BaseEstimator, shard: int) -> Annotated[pd.Series, "shard_scores"]:
        flowers = load_iris(as_frame=True).data.iloc[shard * 50 : (shard + 1) * 50]
        return pd.Series(clf.predict(flowers), index=flowers.index, name=f"shard {shard}")

    @task.step
    def summarize(scores: list[pd.Series]) -> Annotated[dict, "class_counts"]:
        counts = pd.concat(scores).value_counts().sort_index()
        return {str(label): int(count) for label, count in counts.items()}

    scores = score.partial(clf=iris.get_model_artifact("trained_model")).expand(shard=list_shards())
    summarize(scores)
    # [END mapped]


mapped_scoring()
