"""A pipeline in the body of another one, as a program."""

from __future__ import annotations

from typing import Annotated

import pytest

from airflow_model_provider import Client, Model, get_pipeline_context, pipeline, step
from airflow_model_provider.exceptions import InvalidDefinition


@step
def fit(c: float) -> Annotated[float, "weight"]:
    return c * 2


@step
def describe(value: float, word: str) -> Annotated[str, "described"]:
    return f"{word} {value}"


@pipeline(model=Model("inner"))
def fitting(c: float = 1.0) -> float:
    return fit(c)


@pipeline(model=Model("outer"))
def outer(c: float = 3.0) -> None:
    described = describe(fitting(c), "{{ params.c }}")
    describe(fitting(0.5), described)


def test_a_called_pipeline_is_a_part_of_the_run(model_registry: Client) -> None:
    """Its steps are those of a group, its output is an output, its model gets a version of its own."""
    result = outer(4.0)

    assert list(result.steps) == ["fitting.fit", "describe", "fitting__1.fit", "describe__1"]
    assert result.steps["describe"].output.load() == "4.0 8.0"
    assert result.steps["describe__1"].output.load() == "4.0 8.0 1.0"
    assert str(result.model_version) == "outer@1"
    inner = model_registry.get_model_version("inner", "latest")
    assert (inner.number, str(inner.state)) == (1, "ready")


def test_a_pipeline_is_not_called_in_a_step(model_registry: Client) -> None:
    """There nothing can be added to the run any more, in Airflow neither."""

    @step
    def calling() -> None:
        fitting(2.0)

    @pipeline
    def wrong() -> None:
        assert get_pipeline_context().name == "wrong"
        calling()

    with pytest.raises(InvalidDefinition, match="pipeline 'fitting': it was called in the code of a task"):
        wrong()
    assert fitting(1.0).steps["fit"].output.load() == 2.0
