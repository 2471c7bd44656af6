"""A stage's URI, and what stands for its asset in a program."""

from __future__ import annotations

import pytest

from airflow_model_provider import Model
from airflow_model_provider.exceptions import InvalidDefinition
from airflow_model_provider.stage_uri import StageAddress, read_stage_uri, stage_uri


@pytest.mark.parametrize(
    "address",
    [
        StageAddress(None, "iris_classifier", "production"),
        StageAddress("team registry/2", "iris classifier", "staging"),
        StageAddress("größe@#?%", "v1.0-x", "champion"),
    ],
)
def test_a_uri_means_one_stage(address: StageAddress) -> None:
    """Whatever a connection is called."""
    uri = stage_uri(*address)

    assert read_stage_uri(uri) == address
    assert uri.isascii()
    assert uri.count("/") == 4


@pytest.mark.parametrize(
    "uri", ["s3://bucket/model/production", "model://default/iris", "model://a/b/c/d", "model:///b/c", ""]
)
def test_other_uris_mean_none(uri: str) -> None:
    """Of other assets, and mistyped ones."""
    assert read_stage_uri(uri) is None


def test_a_connection_is_not_called_as_the_default_one_is() -> None:
    """Its stages would be those of another registry."""
    with pytest.raises(InvalidDefinition, match=r"conn_id='default'.*another id"):
        _ = Model("iris", version="production", conn_id="default").asset


def test_the_default_connection_may_be_named() -> None:
    """It is the same registry: its model is the same model, and one version is made of it."""
    assert Model("iris", conn_id="model_registry_default") == Model("iris")
    assert repr(Model("iris", version="latest", conn_id="model_registry_default").reference) == "iris[latest]"


def test_a_program_has_a_stand_in() -> None:
    """Which can be combined like an asset; its schedule counts nowhere."""
    asset = Model("iris", version="production").asset

    assert asset.uri == asset.name == "model://default/iris/production"
    assert (asset | object()) is asset
    assert (object() & asset) is asset


@pytest.mark.parametrize("version", [None, 3, "latest", "v1", "{{ params.version }}", "triggering"])
def test_only_a_stage_is_an_asset(version: str | int | None) -> None:
    """Nothing else is promoted."""
    with pytest.raises(InvalidDefinition, match="only a stage of a model is an asset"):
        Model("iris", version=version).asset  # noqa: B018


def test_what_started_the_run_is_not_waited_for() -> None:
    """It is there, or nothing has started it."""
    with pytest.raises(InvalidDefinition, match="on_missing='skip'"):
        Model("iris", version="triggering", on_missing="wait")
