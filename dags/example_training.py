"""
Airflow dag: train a version of ``iris_classifier`` and promote it if it is better than the one in production.

Trigger it with another ``c`` to train a version that is better or worse.
"""

from datetime import datetime
from typing import Annotated

import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from airflow_model_provider import (
    ArtifactConfig,
    Model,
    ModelStages,
    get_step_context,
    log_metadata,
    pipeline,
    step,
)


@step
def load_data() -> tuple[Annotated[pd.DataFrame, "train_data"], Annotated[pd.DataFrame, "test_data"]]:
    """Iris, with its target column, split in two."""
    iris = load_iris(as_frame=True).frame
    train_data, test_data = train_test_split(iris, test_size=0.4, random_state=7, stratify=iris["target"])
    return train_data, test_data


@step
def train(
    data: pd.DataFrame, c: float
) -> Annotated[BaseEstimator, ArtifactConfig(name="trained_model", is_model_artifact=True)]:
    """Fit a classifier; it is saved as an artifact of the version that this run makes."""
    return LogisticRegression(C=c, max_iter=500).fit(data.drop(columns="target"), data["target"])


@step
def evaluate(model: BaseEstimator, data: pd.DataFrame) -> Annotated[float, "accuracy"]:
    """Score it on data it has not seen, and log the result onto the version."""
    accuracy = float(model.score(data.drop(columns="target"), data["target"]))
    log_metadata({"accuracy": accuracy}, infer_model=True)
    return accuracy


@step
def promote_if_better(accuracy: float, production_accuracy: float | None) -> None:
    """Promote the version that this run made, from task logic."""
    if production_accuracy is None or accuracy > production_accuracy:
        get_step_context().model.set_stage(
            ModelStages.PRODUCTION, force=True, reason=f"{accuracy=:.3f}, before: {production_accuracy}"
        )


# [START pipeline]
@pipeline(
    schedule="@weekly",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    tags=["example"],
    model=Model(name="iris_classifier"),  # no version: each run makes a new one
)
def training(c: float = 1.0):
    train_data, test_data = load_data()
    clf = train(train_data, c)
    production = Model(name="iris_classifier", version=ModelStages.PRODUCTION)
    promote_if_better(evaluate(clf, test_data), production.run_metadata.get("accuracy", default=None))


# [END pipeline]


if __name__ == "__main__":
    training()
