"""A default that is a reference is resolved where it is needed, and so are the defaults of that one."""

from __future__ import annotations

import json
import pickle
from typing import TYPE_CHECKING, Any

import pytest

from airflow_model_provider import Client, Model, pipeline, step
from airflow_model_provider.exceptions import InvalidDefinition, ModelNotFound
from airflow_model_provider.named_artifacts import read_reference
from airflow_model_provider.pipelines.values import references_in

if TYPE_CHECKING:
    from collections.abc import Callable

WORLD = Model("world", version="production")
COUNTRY = Model("country", version="production")
STORE = Model("store", version="production")
WEIGHTS = STORE.get_artifact(
    "weights", default=COUNTRY.get_artifact("weights", default=WORLD.get_artifact("weights"))
)
ERROR = STORE.run_metadata.get("error", default=WORLD.run_metadata["error"])


def register(client: Client, model: str, value: float) -> None:
    """Make a version that is in production."""
    client.register_model_version(model, {"weights": [value]}, metadata={"error": value}, stage="production")


def run(*references: Any, in_code: Callable[[], Any] | None = None) -> list[Any]:
    """Return what a step is given for references."""
    seen: list[Any] = []

    @step
    def use(values: list[Any]) -> None:
        seen.extend(values)
        if in_code is not None:
            seen.append(in_code())

    @pipeline
    def using() -> None:
        use(list(references))

    using()
    return seen


def test_a_chain_of_defaults_ends_at_the_first_that_is_there(model_registry: Client) -> None:
    """The loaded object, its plain values and metadata are those of one and the same."""
    asked = [WEIGHTS, WEIGHTS.number, ERROR]
    register(model_registry, "world", 1.0)
    first = run(*asked)
    register(model_registry, "country", 2.0)
    second = run(*asked)
    register(model_registry, "store", 3.0)
    third = run(*asked, WEIGHTS.digest)

    assert first == [[1.0], 1, 1.0]
    assert second == [[2.0], 2, 1.0]
    assert third[:3] == [[3.0], 3, 3.0]
    assert third[3] == model_registry.get_model_version("store", 1).get_artifact("weights").digest


def test_the_record_says_which_was_used(model_registry: Client) -> None:
    """What was asked for is recorded as unresolved, and what was got in its place with its version."""
    register(model_registry, "world", 1.0)
    run(WEIGHTS)

    records = [(item.wanted, item.number, item.resolved) for item in model_registry.list_resolutions()][::-1]

    assert records == [
        ("store[production]/weights", None, False),
        ("country[production]/weights", None, False),
        ("world[production]/weights", 1, True),
    ]


def test_where_none_is_there_the_last_one_says_so(model_registry: Client) -> None:
    """A plain default ends the chain; without one the error is that of the last reference."""
    model_registry.create_model("other")
    plain = STORE.get_artifact("weights", default=COUNTRY.get_artifact("weights", default=[0]))

    assert run(plain) == [[0]]
    with pytest.raises(ModelNotFound, match="no model 'world'"):
        run(WEIGHTS)


def test_code_and_programs_follow_defaults_too(model_registry: Client) -> None:
    """In a step's code, in an f-string of a template, and outside of any task."""
    register(model_registry, "world", 1.0)
    texts = run(f"{WEIGHTS.number}", f"{ERROR}", in_code=lambda: WEIGHTS.load())

    assert texts == ["1", "1.0", [1.0]]
    assert WEIGHTS.load() == [1.0]
    assert run(in_code=lambda: STORE.run_metadata.get("error", default=WORLD.run_metadata["error"])) == [1.0]


def test_a_reference_with_a_reference_is_a_value() -> None:
    """Equal by value, the same after JSON and pickle; a default of data that looks like one is another."""
    data = STORE.get_artifact("weights", default=WORLD.get_artifact("weights").to_json())
    copies = [read_reference(json.loads(json.dumps(WEIGHTS))), pickle.loads(pickle.dumps(WEIGHTS))]

    assert copies == [WEIGHTS] * 2
    assert data != WEIGHTS
    assert data.fallback is None
    assert [item.model for item in references_in([WEIGHTS])] == ["store", "country", "world"]
    assert (
        STORE.get_artifact("a", default=Model("iris", version=1)).fallback
        == Model("iris", version=1).reference
    )


def test_a_default_that_came_as_data_holds_no_template() -> None:
    """However deep it is."""
    late = Model("world", version="{{ params.version }}").get_artifact("weights")
    said = json.loads(
        json.dumps(STORE.get_artifact("weights", default=COUNTRY.get_artifact("w", default=late)))
    )

    with pytest.raises(InvalidDefinition, match="never rendered"):
        read_reference(said)


def test_a_template_in_a_default_waits_for_the_step_that_it_names(model_registry: Client) -> None:
    """It is filled in only where the default is needed."""
    register(model_registry, "world", 1.0)
    seen: list[Any] = []

    @step
    def choose() -> int:
        return 1

    @step
    def use(weights: list[float]) -> None:
        seen.append(weights)

    @pipeline
    def using() -> None:
        use(STORE.get_artifact("weights", default=Model("world", version=choose()).get_artifact("weights")))  # type: ignore[arg-type]

    using()

    assert seen == [[1.0]]
