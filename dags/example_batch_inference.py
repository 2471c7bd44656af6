"""
Airflow dag: batch inference with the *production* version of ``iris_classifier``.

Which version that is, is decided when ``predict`` runs. Run ``example_training.py`` first.
"""

from datetime import datetime
from typing import Annotated

import pandas as pd
from sklearn.base import ClassifierMixin
from sklearn.datasets import load_iris

from airflow_model_provider import Model, ModelStages, get_pipeline_context, pipeline, step


@step
def load_data() -> pd.DataFrame:
    """The flowers to classify."""
    return load_iris(as_frame=True).data.sample(30, random_state=1)


# [START predict]
@step
def predict(
    model: ClassifierMixin,
    data: pd.DataFrame,
) -> Annotated[pd.Series, "predictions"]:
    return pd.Series(model.predict(data), index=data.index)


@pipeline(
    schedule="@daily",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    tags=["example"],
    model=Model(
        name="iris_classifier",
        # Using the production stage
        version=ModelStages.PRODUCTION,
    ),
)
def do_predictions():
    # model name and version are derived from pipeline context
    model = get_pipeline_context().model
    inference_data = load_data()
    predict(
        # Here, we load in the `trained_model` from a trainer step
        model=model.get_model_artifact("trained_model"),
        data=inference_data,
    )


# [END predict]


if __name__ == "__main__":
    do_predictions()
