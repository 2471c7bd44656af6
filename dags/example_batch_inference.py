"""
Airflow dag: batch inference with the *production* version of ``iris_classifier``.

Which version that is, is decided when ``predict`` runs. Run ``example_training.py`` first.
"""

from datetime import datetime
from typing import Annotated

import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.datasets import load_iris

from airflow_model_provider import Model, ModelStages, get_pipeline_context, pipeline, step


@step
def load_data() -> pd.DataFrame:
    """The flowers to classify."""
    return load_iris(as_frame=True).data.sample(30, random_state=1)


@step
def predict(model: BaseEstimator, data: pd.DataFrame) -> Annotated[pd.Series, "predictions"]:
    """Score with whatever version production is when this runs."""
    return pd.Series(model.predict(data), index=data.index)


# [START predict]
iris = Model(name="iris_classifier", version=ModelStages.PRODUCTION)


@pipeline(schedule="@daily", start_date=datetime(2026, 1, 1), catchup=False, tags=["example"], model=iris)
def do_predictions():
    model = get_pipeline_context().model  # a lazy reference: no I/O while the DAG is parsed
    predict(model=model.get_model_artifact("trained_model"), data=load_data())


# [END predict]


if __name__ == "__main__":
    do_predictions()
