"""``Client.compare``: what versions of a model hold, side by side."""

from __future__ import annotations

import json
from datetime import datetime

import pandas as pd
import pytest

from airflow_model_provider import Client, Model, ModelStages, get_step_context, pipeline, step
from airflow_model_provider.exceptions import (
    InvalidDefinition,
    LoadingWhileBuilding,
    ModelNotFound,
    StageNotAssigned,
    VersionNotFound,
)


@pytest.fixture
def three(model_registry: Client) -> Client:
    """Three versions of a model with metadata of different kinds; the second is in two stages."""
    for accuracy in (0.9, 0.95, None):
        version = model_registry.create_model_version("iris", f"try-{accuracy}")
        version.log_metadata({"rows": 150} if accuracy is None else {"accuracy": accuracy, "ok": True})
    for stage in ("staging", "production"):
        model_registry.get_model_version("iris", 2).set_stage(stage)
    return model_registry


def test_versions_are_side_by_side(three: Client) -> None:
    """In the order that was asked for, each once; None where a version has no such key; JSON holds it."""
    found = three.compare("iris", ["latest", 1, ModelStages.PRODUCTION, "try-0.95"])

    assert found.stages == {"iris@3": (), "iris@1": (), "iris@2": ("staging", "production")}
    assert list(found.stages) == ["iris@3", "iris@1", "iris@2"]
    assert found.metadata == {
        "accuracy": {"iris@3": None, "iris@1": 0.9, "iris@2": 0.95},
        "ok": {"iris@3": None, "iris@1": True, "iris@2": True},
        "rows": {"iris@3": 150, "iris@1": None, "iris@2": None},
    }
    assert json.loads(json.dumps(found.metadata)) == found.metadata


def test_a_frame_of_it_has_a_row_per_version(three: Client) -> None:
    """pandas takes it as it is."""
    frame = pd.DataFrame(three.compare("iris", [1, 2]).metadata)

    assert frame["accuracy"].to_dict() == {"iris@1": 0.9, "iris@2": 0.95}


def test_one_version_is_enough(three: Client) -> None:
    """Also without a list."""
    assert three.compare("iris", "production") == three.compare("iris", [2])


@pytest.mark.parametrize(
    ("model", "versions", "error"),
    [
        ("iris", [1, 7], VersionNotFound),
        ("iris", [1, "try-7"], VersionNotFound),
        ("irsi", [1], ModelNotFound),
        ("iris", [], InvalidDefinition),
        ("iris", None, InvalidDefinition),
    ],
)
def test_what_is_missing_is_an_error(three: Client, model: str, versions: object, error: type) -> None:
    """The usual one; and nothing to compare is one too."""
    with pytest.raises(error):
        three.compare(model, versions)  # type: ignore[arg-type]


def test_an_empty_stage_is_an_error(model_registry: Client) -> None:
    """As everywhere."""
    model_registry.create_model_version("iris")
    with pytest.raises(StageNotAssigned):
        model_registry.compare("iris", [1, "production"])


def test_the_body_of_a_pipeline_compares_nothing(three: Client) -> None:
    """It reads the registry, as ``list_model_versions`` does."""

    @pipeline(schedule=None, start_date=datetime(2026, 1, 1))
    def comparing() -> None:
        three.compare("iris", [1, 2])

    with pytest.raises(LoadingWhileBuilding, match="Client"):
        comparing()


def test_a_step_compares_what_it_has_pinned(three: Client) -> None:
    """A promotion in between changes neither what the step got nor what it compares."""

    @step
    def compared() -> list[str]:
        before = Client().get_model_version("iris", "production")
        three.get_model_version("iris", 1).set_stage("production", force=True)
        assert get_step_context() is not None
        return [str(before), *Client().compare("iris", ["production"]).stages]

    @pipeline(schedule=None, start_date=datetime(2026, 1, 1), model=Model("iris", version=3))
    def comparing() -> None:
        compared()

    assert comparing().steps["compared"].output.load() == ["iris@2", "iris@2"]
