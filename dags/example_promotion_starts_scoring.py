"""
Airflow dag: score with a version of ``iris_classifier`` as soon as it is promoted, wherever that was done.

The promotion of ``example_training.py``, of ``airflow model-registry promote`` or of a notebook starts it.
"""

import logging
from datetime import datetime
from typing import Annotated

import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.datasets import load_iris

from airflow_model_provider import Model, ModelStages, get_step_context, pipeline, step

log = logging.getLogger(__name__)


@step
def score(model: BaseEstimator) -> Annotated[pd.Series, "promoted_predictions"]:
    """Score with the version that this run was started for."""
    for event in get_step_context().promotions:
        log.info("version %s, by %s: %s", event.version, event.who or event.task_id, event.reason)
    flowers = load_iris(as_frame=True).data.sample(30, random_state=1)
    return pd.Series(model.predict(flowers), index=flowers.index)


# [START asset]
production = Model("iris_classifier", version=ModelStages.PRODUCTION)
promoted = Model("iris_classifier", version="triggering")  # the version that started the run


@pipeline(schedule=production.asset, start_date=datetime(2026, 1, 1), tags=["example"], model=promoted)
def promotion_starts_scoring():
    score(promoted.get_model_artifact("trained_model"))


# [END asset]


if __name__ == "__main__":
    promotion_starts_scoring()
