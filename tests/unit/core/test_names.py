"""One name for one thing on every object, and look-ups by key that fail as look-ups by key do."""

from __future__ import annotations

import pickle
from collections import ChainMap
from string import Template
from typing import TYPE_CHECKING, Any

import pytest

from airflow_model_provider import Client, Model, get_step_context, log_metadata, pipeline, step
from airflow_model_provider.exceptions import (
    ArtifactNotFound,
    MetadataNotFound,
    ModelNotFound,
    StageNotAssigned,
    VersionNotFound,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_model_provider import ModelVersion

NAMES = ("name", "number", "version_name", "stage")


@step
def look(version: Any) -> dict[str, Any]:
    """Return what a version calls itself, and what the reference made of it does."""
    again = Model(version.name, version=version.number)
    return {
        "given": [getattr(version, name) for name in NAMES],
        "again": [getattr(again, name) for name in NAMES],
    }


@pytest.mark.parametrize("given", [None, "blue"])
def test_every_object_calls_a_thing_by_the_same_name(model_registry: Client, given: str | None) -> None:
    """``name`` is the model's, ``version_name`` the one that the version was given, or None."""
    model_registry.create_model_version("iris", given).set_stage("production")
    production = Model("iris", version="production")

    @pipeline
    def looking() -> None:
        look(production)

    expected = ["iris", 1, given, "production"]
    version = model_registry.get_model_version("iris", "production")
    found = looking().steps["look"].output.load()

    assert [getattr(version, name) for name in NAMES] == expected
    assert found == {"given": expected, "again": expected}
    assert production.name == "iris"
    assert not hasattr(version, "model_name")


def test_a_version_is_compared_with_the_model_of_its_name(model_registry: Client) -> None:
    """The name of the step's version leads to the version in production, so that a worse one stays out."""

    @step
    def train(score: float) -> float:
        log_metadata({"score": score}, infer_model=True)
        return score

    @step
    def promote_the_better(score: float) -> None:
        made = get_step_context().model
        try:
            best = Model(made.name, version="production").run_metadata["score"]
        except KeyError:
            best = None
        if best is None or score > best:
            made.set_stage("production", force=True)

    @pipeline(model=Model("ranked"))
    def training(score: float) -> None:
        promote_the_better(train(score))

    training(0.9)
    training(0.5)

    assert model_registry.get_model_version("ranked", "production").number == 1


@pytest.fixture
def version(model_registry: Client) -> ModelVersion:
    """Return a version that holds one artifact and one value, and no stage."""
    made = model_registry.create_model_version("iris")
    made.save_artifact("rows", [1])
    made.log_metadata({"accuracy": 0.9})
    return made


@pytest.mark.parametrize(
    ("find", "error"),
    [
        (lambda version: version.run_metadata["rmse"], MetadataNotFound),
        (lambda version: version.get_artifact("tree"), ArtifactNotFound),
        (lambda _: Client().get_model_version("iris", 7), VersionNotFound),
        (lambda _: Client().get_model_version("iris", "production"), StageNotAssigned),
        (lambda _: Client().get_model("lily"), ModelNotFound),
    ],
)
def test_what_is_not_found_is_a_key_error(
    version: ModelVersion, find: Callable[[ModelVersion], Any], error: type[Exception]
) -> None:
    """It says the sentence of its own, unquoted, also after a journey between processes."""
    with pytest.raises(KeyError) as raised:
        find(version)

    assert type(raised.value) is error
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)
    assert str(raised.value) != repr(str(raised.value))
    assert "iris" in str(raised.value) or "lily" in str(raised.value)


def test_metadata_serves_where_a_mapping_does(version: ModelVersion) -> None:
    """What falls back on a KeyError falls back."""
    metadata = version.run_metadata

    assert ChainMap(metadata, {"rmse": 1.0})["rmse"] == 1.0  # type: ignore[arg-type]
    assert Template("$accuracy $rmse").safe_substitute(metadata) == "0.9 $rmse"
