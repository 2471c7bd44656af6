"""What a pipeline's body must do: call steps, all that it prepares, and only what is defined above it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_model_provider import Client, pipeline, step
from airflow_model_provider.exceptions import InvalidDefinition
from airflow_model_provider.pipelines.building import build
from airflow_model_provider.pipelines.definition import PipelineDefinition


@pipeline
def uses_a_step_below() -> None:
    below()


@pipeline
def uses_a_value_below() -> None:
    [above(number) for number in NUMBERS]


@pipeline
def calls_what_uses_a_step_below() -> None:
    uses_a_step_below()


@step
def above(number: int) -> int:
    return number


@step
def numbers() -> list[int]:
    return [1, 2]


@pipeline
def looks_up_later() -> None:
    above.expand(number=numbers().map(lambda number: number + NUMBERS[0]))


@step
def below() -> int:
    return 1


NUMBERS = [1, 2]


def test_a_body_uses_what_is_defined_above_it(model_registry: Client) -> None:
    """A program could run it; Airflow, which runs the body where it reads the decorator, could not."""
    for found, name in (
        (uses_a_step_below, "below"),
        (uses_a_value_below, "NUMBERS"),
        (calls_what_uses_a_step_below, "below"),
        (uses_a_step_below.with_options(name="uses_a_step_below"), "below"),
    ):
        with pytest.raises(
            InvalidDefinition, match=f"uses '{name}', which is not defined above it. Define it above the pip"
        ):
            found()
    assert looks_up_later().state == "success"


def test_functions_that_make_pipelines_are_read_in_their_order(model_registry: Client) -> None:
    """What a function defines counts from when it runs, wherever it stands in the file."""

    def late() -> Any:
        @pipeline
        def made() -> None:
            inner()
            above(NUMBERS[0])

        @step
        def inner() -> int:
            return 1

        return made

    def in_time() -> Any:
        @step
        def inner() -> int:
            return 1

        @pipeline
        def made() -> None:
            inner()
            above(NUMBERS[0])

        return made

    with pytest.raises(InvalidDefinition, match="pipeline 'made': its body uses 'inner'"):
        late()()
    assert in_time()().state == "success"


def test_a_pipeline_that_is_called_wrongly_is_named(model_registry: Client) -> None:
    """With the parameters that it takes."""

    @pipeline
    def taking(number: int) -> None:
        above(number)

    for call in (taking, taking.run):
        with pytest.raises(
            InvalidDefinition, match=r"pipeline 'taking': missing a .*: 'number'. It takes: number"
        ):
            call()
        with pytest.raises(
            InvalidDefinition, match="pipeline 'taking': got an unexpected keyword argument 'nubmer'"
        ):
            call(1, nubmer=1)


def test_a_row_without_an_argument_names_the_step(model_registry: Client) -> None:
    """Rows are known when the step runs."""

    @step
    def rows() -> list[dict[str, int]]:
        return [{"number": 1}, {}]

    @pipeline
    def taking() -> None:
        above.expand_kwargs(rows())

    with pytest.raises(InvalidDefinition, match="step 'above': missing a required argument: 'number'"):
        taking()


def test_a_name_that_is_nowhere_is_the_same_error() -> None:
    """A misspelt one, too; what goes wrong in a body for another reason stays what it is."""

    def misspelt() -> None:
        abvoe(1)  # type: ignore[name-defined]  # noqa: F821

    def unbound() -> None:
        print(value)  # type: ignore[has-type]  # noqa: F821, T201
        value = 1  # noqa: F841

    with pytest.raises(InvalidDefinition, match="uses 'abvoe', which is not defined above it"):
        build_body(misspelt)
    with pytest.raises(UnboundLocalError):
        build_body(unbound)


def build_body(body: Callable[..., Any]) -> Any:
    return build(PipelineDefinition(body, "body"))
