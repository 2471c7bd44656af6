"""
Airflow dag: the same batch inference, with the version asked of a ``Client``.

In the body of a pipeline the client reads nothing: it gives a lazy reference, resolved when ``predict`` runs.
"""

from datetime import datetime
from typing import Annotated

import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.datasets import load_iris

from airflow_model_provider import Client, ModelStages, get_step_context, pipeline, step


@step
def load_data() -> pd.DataFrame:
    """The flowers to classify."""
    return load_iris(as_frame=True).data.sample(30, random_state=2)


# [START client]
@step
def predict(
    model: BaseEstimator,
    data: pd.DataFrame,
) -> Annotated[pd.DataFrame, "scored_flowers"]:
    """Score, and say in the output's metadata what made it."""
    used = get_step_context().inputs["model"]
    get_step_context().add_output_metadata({"model": used.model_version, "digest": used.digest})
    return data.assign(prediction=model.predict(data))


@pipeline(start_date=datetime(2026, 1, 1), schedule=None, tags=["example"])
def client_predictions():
    # model name and version are directly passed into client method
    model = Client().get_model_version("iris_classifier", ModelStages.PRODUCTION)
    inference_data = load_data()
    predict(
        # Here, we load in the `trained_model` from a trainer step
        model=model.get_model_artifact("trained_model"),
        data=inference_data,
    )


# [END client]


if __name__ == "__main__":
    client_predictions()
