"""What a step gets and gives, whatever its size: checked against the annotations, with a handle, and its own."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
import pandas as pd
import pytest

from airflow_model_provider import Artifact, Client, Model, get_step_context, pipeline, step
from airflow_model_provider.exceptions import InputNotFound, WrongOutput, WrongType
from airflow_model_provider.pipelines.inputs import own_copy

LONG = list(range(2000))
#: What the steps below were given.
SEEN: list[Any] = []
GRID: dict[str, list[int]] = {"a": [1]}


@step
def give(kind: str) -> Any:
    return {"small": [1, 2, 3], "large": LONG, "text": "abc", "file": "scores-\udce9.csv", "nul": "a\0b"}[
        kind
    ]


@step
def takes_dict(value: dict) -> int:  # type: ignore[type-arg]
    SEEN.append(value)
    return len(value)


@step
def takes_whole(value: int, share: float = 0.5) -> None:
    SEEN.append((value, share))


@step
def takes_handle(value: Artifact[list], also: list[Artifact[Any]] = []) -> Annotated[int, "length"]:  # type: ignore[type-arg]  # noqa: B006
    SEEN.append([value, *also])
    return len(value.load())


@step
def takes_list(value: list) -> Annotated[bool, "known"]:  # type: ignore[type-arg]
    inputs = get_step_context().inputs
    SEEN.append((value, inputs["value"]))
    return "value" in inputs


@step
def grow(grid: dict[str, list[int]], start: list[int] = [0]) -> Annotated[int, "size"]:  # noqa: B006
    grid["a"].append(2)
    start.append(1)
    return len(grid["a"]) + len(start)


@step
def give_grid() -> Annotated[dict[str, list[int]], "grid"]:
    return GRID


@pytest.fixture(autouse=True)
def registry(model_registry: Client) -> Client:
    """A throw-away registry."""
    return model_registry


def run(body: Callable[..., Any], *args: Any, **params: Any) -> Any:
    """Run a pipeline of this body; return what its steps were given."""
    SEEN.clear()
    result = pipeline(name="local")(body).run(*args, **params)
    return list(SEEN) or result


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (lambda: takes_dict(give("small")), r"'value' of .* must be dict, but \[1, 2, 3\] is a list\[int\]"),
        (lambda: takes_dict(give("large")), r"'value' of .* must be dict, but local.give.output@1 is a list"),
        (lambda: takes_whole("abc"), r"'value' of .* must be int, but 'abc' is a str"),
        (lambda: takes_whole(pd.DataFrame({"a": [1]})), r"but its value is a pandas\S*DataFrame"),
        (lambda: takes_whole(1, give("text")), r"'share' of .* must be float, but 'abc' is a str"),
        (lambda: takes_whole.expand(value=[1, "b"]), r"'value' of .* must be int, but 'b' is a str"),
        (lambda: takes_handle([1]), r"'value' of .* must be .*Artifact\[list\], but \[1\] is a list\[int\]"),
        (lambda: takes_handle(give("text")), r"must be .*Artifact\[list\], but .* is an? .*Artifact\[str\]"),
    ],
)
def test_each_input_is_checked_whatever_it_came_from(body: Callable[..., Any], said: str) -> None:
    """Outputs small and large, constants, frames, mapped elements; both types are named."""
    with pytest.raises(WrongType, match=said):
        run(body)

    assert [seen for seen in SEEN if seen != (1, 0.5)] == []


@pytest.mark.parametrize(("value", "fits"), [(3, True), ("3", False), (None, False), (3.5, False)])
def test_a_pipeline_parameter_is_checked(value: Any, fits: bool) -> None:
    """As the trigger form gives it; a whole number serves as a fraction."""

    def body(value: Any = 1) -> None:
        takes_whole(value, value)

    if fits:
        assert run(body, value) == [(value, value)]
        return
    with pytest.raises(WrongType, match=r"'value' of .* must be int"):
        run(body, value)


@step
def lies(value: Any) -> tuple[Annotated[int, "whole"], Annotated[float, "share"]]:
    return value


@step
def says_array(value: Artifact[Any]) -> Annotated[np.ndarray, "array"]:
    return value  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            lambda: lies(("a", 1.0)),
            r"'lies' declares output 'whole' as int, and returned a str. None of its outputs was saved",
        ),
        (lambda: lies((1, None)), r"'lies' declares output 'share' as float, and returned None"),
        (
            lambda: says_array(give("large")),
            r"declares output 'array' as numpy.ndarray, and returned an? .*list\]",
        ),
    ],
)
def test_a_result_is_checked_before_it_is_saved(
    registry: Client, body: Callable[..., Any], said: str
) -> None:
    """Each output against its annotation, a handle by what is recorded of it; no part of a wrong result is saved."""
    with pytest.raises(WrongOutput, match=said):
        run(body)

    for name in ("whole", "share", "array"):
        with pytest.raises(LookupError):
            registry.get_artifact(name)
    assert isinstance(pickle.loads(pickle.dumps(WrongOutput("s", "o", "int", "str"))), WrongOutput)


@pytest.mark.parametrize("kind", ["small", "large"])
def test_a_handle_is_given_whatever_the_size(registry: Client, kind: str) -> None:
    """``Artifact[...]`` gives the handle of the artifact that the step saved, alone and in a list."""

    def body() -> None:
        value = give(kind)
        takes_handle(value, [value])

    ((value, also),) = run(body)

    assert repr(value) == repr(also) == "local.give.output@1"
    assert value.load() == also.load()


@pytest.mark.parametrize("kind", ["small", "large"])
def test_inputs_know_the_artifact_whatever_the_size(kind: str) -> None:
    """The handle of what a parameter came from, although the code is given the value."""
    ((value, handle),) = run(lambda: takes_list(give(kind)))

    assert repr(handle) == "local.give.output@1"
    assert handle.load() == value


def test_outputs_of_a_mapped_step_are_given_as_handles() -> None:
    """Each element is the handle of its instance's output."""

    @step
    def double(number: int) -> Annotated[int, "doubled"]:
        return 2 * number

    @step
    def collect(numbers: list[Artifact[int]]) -> None:
        SEEN.extend((handle.load(), handle.record.map_index) for handle in numbers)

    assert run(lambda: collect(double.expand(number=[3, 4]))) == [(6, 0), (8, 1)]


def test_an_instance_is_given_the_handle_of_the_instance_that_it_is_mapped_over() -> None:
    """Small values of a mapped step, also if the consumer is mapped over something else as well."""

    @step
    def double(number: int) -> Annotated[int, "doubled"]:
        return 2 * number

    @step
    def look(number: Artifact[int], other: int) -> None:
        SEEN.append((number.load(), number.record.map_index, other))

    def body() -> None:
        look.expand(number=double.expand(number=[3, 4]), other=[5, 6])

    assert run(body) == [(6, 0, 5), (6, 0, 6), (8, 1, 5), (8, 1, 6)]


def test_inputs_that_are_no_artifacts_are_told_from_those_that_are() -> None:
    """A constant has no artifact: the error names the parameters that have one."""

    @step
    def look(value: Any, constant: int) -> None:
        with pytest.raises(InputNotFound, match=r"'look' has no artifact for parameter 'constant'.*: value"):
            get_step_context().inputs["constant"]
        SEEN.append(isinstance(InputNotFound("s", "p"), KeyError) and list(get_step_context().inputs))

    assert run(lambda: look(give("small"), 3)) == [["value"]]


@pytest.mark.parametrize("given", ["constant", "output", "parameter", "mapped"])
def test_what_one_step_changes_no_other_sees(given: str) -> None:
    """Constants, small outputs, pipeline parameters and defaults; nor does the program."""

    def body(grid: Any = None) -> None:
        value = {"constant": GRID, "output": give_grid(), "parameter": grid, "mapped": GRID}[given]
        if given == "mapped":
            grow.partial(grid=value).expand(start=[[0], [0]])
        else:
            grow.after(grow(value))(value)

    result = run(body, {"a": [1]})

    sizes = [step.output for name, step in result.steps.items() if name.startswith("grow")]
    flat = [handle for found in sizes for handle in (found if isinstance(found, list) else [found])]
    assert [handle.load() for handle in flat] == [4, 4]
    assert GRID == {"a": [1]}


def test_what_is_done_later_to_a_returned_object_does_not_count() -> None:
    """The next step gets what was returned, as it was then."""
    kept: list[int] = [1]

    @step
    def give_kept() -> Annotated[list[int], "kept"]:
        return kept

    @step
    def change(value: list[int]) -> Annotated[list[int], "seen"]:
        kept.append(2)
        return value

    def body() -> None:
        value = give_kept()
        change.after(change(value))(value)

    result = run(body)

    assert [result.steps[name].output.load() for name in ("change", "change__1")] == [[1], [1]]


def test_what_cannot_be_copied_is_shared() -> None:
    """A lock, also beside what is copied."""
    lock, numbers = threading.Lock(), [1]
    copied = own_copy({"lock": lock, "numbers": numbers, "pair": (lock, numbers)})

    assert copied == {"lock": lock, "numbers": [1], "pair": (lock, [1])}
    assert copied["numbers"] is not numbers
    assert copied["lock"] is lock


@pytest.mark.parametrize("kind", ["file", "nul"])
def test_texts_that_no_network_or_database_takes_come_back(kind: str) -> None:
    """File names that are not UTF-8 and texts with NULs travel as artifacts."""
    texts = {"file": "scores-\udce9.csv", "nul": "a\0b"}

    @step
    def read(text: str) -> None:
        SEEN.append((text, "text" in get_step_context().inputs))

    assert run(lambda: read(give(kind))) == [(texts[kind], True)]


def test_a_handle_that_was_taken_outside_is_loaded(registry: Client) -> None:
    """Like its reference, and recorded like it; ``Artifact[...]`` is given the handle."""
    with registry.new_model_version("factors") as version:
        version.save_artifact("factors", LONG)
    handle = registry.get_model_version("factors", 1).get_artifact("factors")

    def body() -> None:
        takes_list(handle)
        takes_handle(handle)

    (value, known), (given,) = run(body)

    assert value == LONG
    assert known is given is handle
    assert {record.artifact for record in registry.list_resolutions(dag_id="local")} == {"factors"}
    with pytest.raises(WrongType, match=r"'value' of .* must be dict, but factors@1/factors@1 is a list"):
        run(lambda: takes_dict(handle))
    assert Model("factors", version=1).get_artifact("factors").load() == LONG
