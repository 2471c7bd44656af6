"""
References in Airflow's own operators, one version for the whole run, and a version chosen in the trigger form.

Airflow reads this file because it speaks of an airflow dag.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import pandas as pd
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import Param, dag, task
from sklearn.base import BaseEstimator
from sklearn.datasets import load_iris

from airflow_model_provider import Model

# [START stock]
#: "production", or what the trigger form says; all tasks of a run get the same version.
iris = Model("iris_classifier", version="{{ params.version or 'production' }}", pin="run")


@dag(
    schedule=None,
    start_date=datetime(2026, 1, 1),
    tags=["example"],
    params={"version": Param(None, type=["null", "string"], description="a stage, a number, a version name")},
)
def stock_operators():
    @task.step
    def score(clf: BaseEstimator) -> Annotated[pd.Series, "scores_for_report"]:
        flowers = load_iris(as_frame=True).data
        return pd.Series(clf.predict(flowers), index=flowers.index)

    @task
    def describe(model, accuracy):  # a stock task gets a pinned handle: text with .digest, .load(), ...
        return {"model": model.model_version, "digest": model.digest, "accuracy": accuracy}

    announce = BashOperator(
        task_id="announce",
        bash_command='echo "scored with version $NUMBER, {{ macros.model_registry.version("iris_classifier", '
        'params.version or "production", pin="run").artifact("trained_model").digest }}"',
        env={"NUMBER": f"{iris.number}"},  # BashOperator takes texts only
        append_env=True,
    )

    trained = iris.get_model_artifact("trained_model")
    score(trained) >> describe(trained, iris.run_metadata["accuracy"]) >> announce


# [END stock]
stock_operators()
