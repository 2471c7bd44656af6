"""What the function of a step can be, and that its code runs whatever it is."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, Optional

import pytest

from airflow_model_provider import (
    ArtifactConfig,
    Client,
    Model,
    get_step_context,
    log_metadata,
    pipeline,
    step,
)
from airflow_model_provider.exceptions import InvalidDefinition
from airflow_model_provider.pipelines.outputs import declared_outputs, read_annotation

if TYPE_CHECKING:
    import decimal
    import fractions

config = ArtifactConfig(artifact_type="model", run_metadata={"by": "me"})


def test_the_code_of_an_async_step_runs(model_registry: Client) -> None:
    """To its end, in the step's context; what it raises fails the run."""

    @step
    async def train(rate: float) -> Annotated[float, "weight"]:
        await asyncio.sleep(0)
        get_step_context().model.log_metadata({"rate": rate})
        return rate * 2

    @step
    async def notify() -> None:
        await asyncio.sleep(0)
        raise ConnectionRefusedError("no mail")

    @pipeline(model=Model("gentle"))
    def training(rate: float = 0.5) -> None:
        train(rate)

    @pipeline
    def notifying() -> None:
        notify()

    version = training().model_version

    assert version is not None
    assert version.get_artifact("weight").load() == 1.0
    assert version.run_metadata["rate"] == 0.5
    assert notifying.run(raise_on_failure=False).state == "failed"


def test_an_async_step_runs_in_a_notebook_too(model_registry: Client) -> None:
    """There an event loop runs already, in which nothing else could be run to its end."""

    @step
    async def fetch(number: int) -> int:
        await asyncio.sleep(0)
        return number + 1

    @pipeline
    def fetching() -> None:
        fetch(fetch(1))

    async def cell() -> Any:
        return fetching()

    assert asyncio.run(cell()).steps["fetch__1"].output.load() == 3


def _generator() -> Iterator[int]:
    yield 1


async def _async_generator() -> AsyncIterator[int]:
    yield 1


class _Yielding:
    __name__ = "yielding"

    def __call__(self) -> Iterator[int]:
        yield 1


def _method(self: Any) -> None: ...


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (_generator, "generator"),
        (functools.partial(_generator), "generator"),
        (_async_generator, "generator"),
        (_Yielding(), "generator"),
        (_method, "takes self"),
        (step(_method.__init__), "task already"),
        ("train", "is not a function"),
    ],
)
def test_what_cannot_be_a_step_is_refused_when_decorated(function: Any, said: str) -> None:
    """A generator's code would never run; a method has nobody to be called on."""
    with pytest.raises(InvalidDefinition, match=said):
        step(name="odd")(function)


def test_a_generator_that_only_the_call_shows_is_an_error(model_registry: Client) -> None:
    """Of a step that returns nothing too: it would be green without having done anything."""
    ran: list[int] = []

    def lazily(function: Callable[[], Any]) -> Callable[[], Any]:
        @functools.wraps(function)
        def wrapper() -> Any:
            return function()

        return wrapper

    @step
    @lazily
    def clean() -> None:  # type: ignore[misc]
        yield ran.append(1)

    @pipeline
    def cleaning() -> None:
        clean()

    with pytest.raises(
        InvalidDefinition, match=r"step 'clean': it returned a generator, whose code has not run"
    ):
        cleaning()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"retires": 3}, "no argument 'retires'. Did you mean 'retries'?"),
        ({"nonsense": 1}, "It takes name, model, substitutions and the arguments of a task in Airflow"),
        ({"enable_cache": True}, "Airflow runs every task"),
        ({"multiple_outputs": True}, "Declare several outputs"),
        ({"retries": 1, "mode": Model("iris")}, "Did you mean 'model'?"),
    ],
)
def test_an_unknown_argument_of_a_step_is_refused(arguments: dict[str, Any], said: str) -> None:
    """When decorated, and by with_options: with the nearest name, or what does the same in Airflow."""
    with pytest.raises(InvalidDefinition) as error:
        step(name="odd", **arguments)(_generator)
    assert said in str(error.value) or "generator" in str(error.value)
    with pytest.raises(InvalidDefinition) as error:
        step(name="odd", **arguments)(lambda: 1)
    assert said in str(error.value)
    with pytest.raises(InvalidDefinition) as error:
        step(name="odd")(lambda: 1).with_options(**arguments)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"shedule": "@daily"}, "Did you mean 'schedule'?"),
        ({"schedule_interval": "@daily"}, "Airflow's name is schedule"),
        ({"retries": 2}, "It takes name, model and the arguments of a DAG in Airflow"),
    ],
)
def test_an_unknown_argument_of_a_pipeline_is_refused(arguments: dict[str, Any], said: str) -> None:
    """As those of a step are."""
    with pytest.raises(InvalidDefinition) as error:
        pipeline(name="odd", **arguments)(lambda: None)
    assert said in str(error.value)
    with pytest.raises(InvalidDefinition) as error:
        pipeline(name="odd")(lambda: None).with_options(**arguments)
    assert said in str(error.value)


def test_name_and_configuration_of_an_output_are_combined() -> None:
    """Whichever comes first, inside Optional too."""

    def first() -> Annotated[dict[str, int], "scores", config]: ...
    def last() -> Annotated[dict[str, int], config, "scores"]: ...
    def optional() -> Optional[Annotated[dict[str, int], "scores", config]]: ...  # noqa: UP045
    def same() -> Annotated[int, "scores", ArtifactConfig("scores", "model", run_metadata={"by": "me"})]: ...
    def several() -> tuple[Annotated[int, "scores", config] | None, Annotated[int, "other"] | None]: ...

    expected = ArtifactConfig("scores", "model", run_metadata={"by": "me"})
    for function in (first, last, optional, same, several):
        output = declared_outputs(function, {})[0]
        assert (output.name, output.config) == ("scores", expected)
    assert [output.name for output in declared_outputs(several, {})] == ["scores", "other"]


def test_two_names_of_one_output_are_refused_when_decorated() -> None:
    """One of them would be lost."""

    def names() -> Annotated[int, "a", "b"]: ...
    def config() -> Annotated[int, "a", ArtifactConfig(name="b")]: ...
    def configs() -> tuple[int, Annotated[int, ArtifactConfig(format="x"), ArtifactConfig("b")]]: ...

    for function in (names, config):
        with pytest.raises(InvalidDefinition, match=r"one output says 'a' and 'b'. Keep one"):
            step(function)
    with pytest.raises(InvalidDefinition, match="two different ArtifactConfig"):
        step(configs)


def test_types_that_only_type_checkers_import_are_any() -> None:
    """The outputs that an annotation declares are those, whatever its names are at run time."""

    def pair() -> tuple[decimal.Decimal, Annotated[fractions.Fraction, "half"]]: ...
    def one(x: decimal.Decimal | None, *, y: list[decimal.Decimal]) -> decimal.Decimal: ...

    assert [output.name for output in declared_outputs(pair, {})] == ["output_0", "half"]
    assert len(declared_outputs(one, {})) == 1
    assert read_annotation(one, "y") == list[read_annotation(one, "return")]


def test_metadata_lands_on_the_output_that_the_step_makes(model_registry: Client) -> None:
    """Called by its name while it isn't saved yet, although an older artifact has that name."""

    @step
    def score(value: int) -> tuple[Annotated[int, "score"], Annotated[int, "rest"]]:
        log_metadata({"unit": value}, artifact_name="score")
        return value, 0

    @pipeline
    def scoring(value: int) -> None:
        score(value)

    for value in (1, 2):
        scoring(value)

    assert [model_registry.get_artifact("score", number).metadata for number in (1, 2)] == [
        {"unit": 1},
        {"unit": 2},
    ]
