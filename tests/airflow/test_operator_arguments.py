"""What can be known to be wrong of an operator's arguments is refused while the DAG file is parsed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_model_provider import Client, Model
from airflow_model_provider.exceptions import InvalidDefinition
from airflow_model_provider.operators.approval import ModelApprovalOperator
from airflow_model_provider.operators.promote import ModelPromoteOperator
from airflow_model_provider.operators.register import ModelRegisterOperator
from airflow_model_provider.sensors.model_version import ModelVersionSensor
from tests.support.tasks import TaskInstance, run

PROMOTION = {"model": "iris", "version": 1, "stage": "production"}


@pytest.mark.parametrize(
    ("operator", "given", "said"),
    [
        (ModelPromoteOperator, PROMOTION | {"version": None}, "version=None names no version"),
        (ModelApprovalOperator, PROMOTION | {"version": None}, "version=None names no version"),
        (ModelPromoteOperator, PROMOTION | {"gates": 3}, "gates: 3 "),
        (ModelPromoteOperator, PROMOTION | {"gates": "hard"}, "gates: 'hard' "),
        (
            ModelPromoteOperator,
            PROMOTION | {"require": {"a": "high"}},
            "require\\['a'\\]='high' cannot be parsed",
        ),
        (ModelRegisterOperator, {"model": "iris", "files": ["x"]}, r"files=\['x'\] must be a mapping"),
        (ModelRegisterOperator, {"model": "iris", "files": "x.joblib"}, "files='x.joblib' must be a mapping"),
        (
            ModelVersionSensor,
            {"model": "iris", "newer_than": Model("other", version=1)},
            "it expects a version of 'iris' but got one of 'other'",
        ),
    ],
)
def test_an_impossible_argument_is_refused(operator: Any, given: dict[str, Any], said: str) -> None:
    """With the operator's name."""
    with DAG("stages", schedule=None), pytest.raises(InvalidDefinition, match=said):
        operator(task_id="act", **given)


def test_an_operator_takes_the_keywords_of_promote(model_registry: Client) -> None:
    """The fields of one gate; in a mapped task too."""
    for loss in (0.5, 0.4):
        model_registry.register_model_version("iris", metadata={"loss": loss})
    model_registry.get_model_version("iris", 1).set_stage("production")
    with DAG("stages", schedule=None):
        task = ModelPromoteOperator(
            task_id="act",
            model="iris",
            version=2,
            stage="production",
            require={"loss": "< 1"},
            better_than="production",
            metric="loss",
            mode="min",
            max_age=timedelta(days=1),
            start_dags=False,
        )
        mapped = ModelPromoteOperator.partial(
            task_id="mapped", model="iris", stage="production", require={"loss": "< 1"}
        ).expand(version=[1, 2])
    done = run(task, TaskInstance())
    (event, _) = model_registry.get_model("iris").history("production")

    assert (done["version"], done["changed"], event.quiet) == (2, True, True)
    assert mapped.partial_kwargs["require"] == {"loss": "< 1"}
