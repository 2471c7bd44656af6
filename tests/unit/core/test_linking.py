"""An artifact that is there becomes one of another version too: linked, or registered anew, never stored twice."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest

from airflow_model_provider import (
    Artifact,
    Client,
    Model,
    ModelStages,
    link_artifact_to_model,
    log_metadata,
    pipeline,
    save_artifact,
    step,
)
from airflow_model_provider.exceptions import InvalidDefinition, NotSerializable, PayloadMissing

FACTORS = np.arange(300.0)
OLD = Model("factors", version=ModelStages.PRODUCTION).get_artifact("factors")
SKIPPING = Model("factors", version=ModelStages.STAGING, on_missing="skip").get_artifact("factors")


@pytest.fixture
def registry(model_registry: Client) -> Client:
    """Version 1 is production and holds factors; a run before has made no other."""
    with model_registry.new_model_version("factors") as version:
        version.save_artifact("factors", FACTORS, metadata={"rows": 300})
        version.save_artifact("words", {"old": 1})
    version.set_stage("production")
    return model_registry


def stored_files(registry: Client) -> list[Path]:
    """The files in the store."""
    found = [path for path in Path(registry.workspace.store.url).rglob("*") if path.is_file()]
    assert found
    return found


@step
def keep(factors: Artifact[np.ndarray]) -> Annotated[np.ndarray, "factors"]:
    return factors  # type: ignore[return-value]


@step
def rename(factors: Artifact[np.ndarray]) -> Annotated[np.ndarray, "kept_factors"]:
    log_metadata({"kept": True}, infer_artifact=True)
    return factors  # type: ignore[return-value]


@step
def collect(factors: Artifact[np.ndarray]) -> Annotated[dict[str, Any], "both"]:
    return {"old": factors, "more": FACTORS * 2}


@step
def read(value: Any) -> Annotated[float, "seen"]:
    return float(np.sum(value["old"]) if isinstance(value, dict) else np.sum(value))


@step
def keep_reference() -> Annotated[np.ndarray, "factors"]:
    return OLD  # type: ignore[return-value]


@step
def rename_reference() -> Annotated[np.ndarray, "kept_factors"]:
    return OLD  # type: ignore[return-value]


@step
def collect_references() -> Annotated[dict[str, Any], "both"]:
    return {
        "old": OLD,
        "number": Model("factors", version=ModelStages.PRODUCTION).number,
        "digest": OLD.digest,
    }


@pytest.mark.parametrize("keeping", [keep_reference, rename_reference, collect_references])
def test_a_reference_that_a_step_returns_is_its_declared_output(registry: Client, keeping: Any) -> None:
    """The version that the step makes lacks nothing: it holds what the reference means."""

    @pipeline(name="retraining", model=Model("factors"))
    def retraining() -> None:
        read(keeping())

    result = retraining()
    version = result.model_version
    (name,) = set(result.steps[keeping.__name__].outputs)

    assert [artifact.name for artifact in version.list_artifacts()] == sorted([name, "seen"])
    assert result.steps["read"].output.load() == FACTORS.sum()


def test_a_reference_that_skips_where_nothing_is_there_is_handed_on(registry: Client) -> None:
    """The step that gets it is skipped, whether or not the step that returns it makes a version."""

    @step
    def pick() -> Any:
        return SKIPPING

    for model in (None, Model("factors")):

        @pipeline(name="picking", model=model)
        def picking() -> None:
            read(pick())

        result = picking.run(raise_on_failure=False)

        assert {name: found.state for name, found in result.steps.items()} == {
            "pick": "success",
            "read": "skipped",
        }


def test_a_value_that_is_nested_too_deep_names_the_output(registry: Client) -> None:
    """Of a step that makes a version as of any other."""

    @step
    def deep() -> Annotated[list[Any], "deep"]:
        value: list[Any] = []
        for _ in range(5000):
            value = [value]
        return value

    for model in (None, Model("factors")):

        @pipeline(name="nesting", model=model)
        def nesting() -> None:
            deep()

        with pytest.raises(NotSerializable, match=r"output 'deep' of step 'deep' .* nested too deep"):
            nesting()


@pytest.mark.parametrize("keeping", [keep, rename, collect])
def test_a_handle_that_a_step_returns_is_its_declared_output(registry: Client, keeping: Any) -> None:
    """Under its own name, under another one, and in a container: the version holds it, the next step gets it."""

    @pipeline(name="retraining", model=Model("factors"))
    def retraining() -> None:
        read(keeping(OLD))

    result = retraining()
    version = result.model_version
    (name,) = set(result.steps[keeping.__name__].outputs)

    assert str(version.state) == "ready"
    assert [artifact.name for artifact in version.list_artifacts()] == sorted([name, "seen"])
    assert result.steps["read"].output.load() == FACTORS.sum()
    kept = version.load_artifact(name)
    assert np.array_equal(kept["old"] if name == "both" else kept, FACTORS)
    if name == "kept_factors":
        assert version.get_artifact(name).metadata == {"rows": 300, "kept": True}


def test_what_is_handed_on_is_neither_loaded_nor_stored_again(registry: Client) -> None:
    """The bytes are those of the old version, and their number in the store does not grow."""
    before = stored_files(registry)

    @pipeline(name="retraining", model=Model("factors"))
    def retraining() -> None:
        keep(OLD)
        rename(OLD)

    version = retraining().model_version

    assert stored_files(registry) == before
    old = registry.get_model_version("factors", "production").get_artifact("factors")
    assert {version.get_artifact(name).digest for name in ("factors", "kept_factors")} == {old.digest}
    assert version.get_artifact("factors").record.id == old.record.id


@pytest.mark.parametrize("how", ["save", "rename", "function", "version", "reference"])
def test_a_handle_is_linked_by_hand(registry: Client, how: str) -> None:
    """By ``save_artifact`` of a version, under any name, and by ``link_artifact_to_model``."""
    old, before = registry.get_model_version("factors", 1).get_artifact("factors"), stored_files(registry)
    with registry.new_model_version("factors") as version:
        if how in ("save", "rename"):
            version.save_artifact("factors" if how == "save" else "renamed", old)
        elif how == "function":
            link_artifact_to_model(old, version)
        elif how == "version":
            version.link_artifact(old)
        else:
            link_artifact_to_model(old, Model("factors", version=version.number))

    assert np.array_equal(version.load_artifact("renamed" if how == "rename" else "factors"), FACTORS)
    assert [artifact.metadata for artifact in version.list_artifacts()] == [{"rows": 300}]
    assert (stored_files(registry), str(version.state)) == (before, "ready")


def test_a_step_saves_a_handle_beside_its_output(registry: Client) -> None:
    """``save_artifact`` in a step links it to the version that the step makes."""

    @step
    def train(factors: Artifact[np.ndarray]) -> Annotated[int, "size"]:
        save_artifact(factors, "factors")
        link_artifact_to_model(Client().get_model_version("factors", 1).get_artifact("words"))
        return factors.size

    @pipeline(name="retraining", model=Model("factors"))
    def retraining() -> None:
        train(OLD)

    version = retraining().model_version

    assert [artifact.name for artifact in version.list_artifacts()] == ["factors", "size", "words"]


def test_a_handle_of_another_registry_is_copied(registry: Client, tmp_path: Path) -> None:
    """Its bytes come along, verified."""
    other = Client(f"sqlite:///{tmp_path / 'other.db'}", store=str(tmp_path / "other"))
    handle = registry.get_model_version("factors", 1).get_artifact("factors")
    with other.new_model_version("copies") as version:
        link_artifact_to_model(handle, version)

    assert np.array_equal(version.load_artifact("factors"), FACTORS)
    assert version.get_artifact("factors").registry_id == other.workspace.registry.id


def test_what_is_no_handle_or_no_version_is_refused(registry: Client) -> None:
    """With what to pass; and a format can't be chosen for bytes that are stored."""
    handle = registry.get_model_version("factors", 1).get_artifact("factors")
    with pytest.raises(InvalidDefinition, match=r"'factors' is not the handle of an artifact"):
        link_artifact_to_model("factors", Model("factors", version=1))  # type: ignore[arg-type]
    with pytest.raises(InvalidDefinition, match=r"model='factors' is not a version"):
        link_artifact_to_model(handle, "factors")  # type: ignore[arg-type]
    version = registry.get_model_version("factors", 1)
    with pytest.raises(InvalidDefinition, match=r"format='joblib' is given for .*stored already"):
        version.save_artifact("factors", handle, format="joblib")
    Path(handle.uri).unlink()
    with pytest.raises(PayloadMissing):
        version.save_artifact("renamed", handle)
