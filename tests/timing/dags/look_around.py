"""Airflow dag: tells which code processes of tasks have."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

from airflow.sdk import dag, task

from airflow_model_provider import step

if TYPE_CHECKING:
    import pandas as pd


@task
def loaded(names: list[str]) -> list[str]:
    return [name for name in names if name in sys.modules]


@step
def fit() -> tuple[Annotated[Any, "fitted_model"], Annotated[Any, "fitted_frame"]]:
    import pandas as pd
    from sklearn.linear_model import LogisticRegression

    frame = pd.DataFrame({"x": [0.0, 1.0, 2.0, 3.0]})
    return LogisticRegression().fit(frame, [0, 0, 1, 1]), frame


@step
def apply(model: Any, frame: pd.DataFrame) -> Annotated[list, "fitted_answers"]:
    return [int(label) for label in model.predict(frame)]


@dag(schedule=None, params={"names": []}, render_template_as_native_obj=True)
def look_around():
    loaded("{{ params.names }}")
    apply(*fit())


look_around()
