"""Airflow dag: the reference page's second form, with only its imports changed and the first form's steps."""

from typing_extensions import Annotated
from airflow_model_provider import pipeline, step
from airflow_model_provider import ModelStages
import pandas as pd
from sklearn.base import ClassifierMixin
from sklearn.datasets import load_iris
from airflow_model_provider import Client


@step
def load_data() -> pd.DataFrame:
    return load_iris(as_frame=True).data


@step
def predict(
    model: ClassifierMixin,
    data: pd.DataFrame,
) -> Annotated[pd.Series, "predictions"]:
    predictions = pd.Series(model.predict(data))
    return predictions

@pipeline
def do_predictions():
    # model name and version are directly passed into client method
    model = Client().get_model_version("iris_classifier", ModelStages.PRODUCTION)
    inference_data = load_data()
    predict(
        # Here, we load in the `trained_model` from a trainer step
        model=model.get_model_artifact("trained_model"),  
        data=inference_data,
    )


if __name__ == "__main__":
    do_predictions()
