"""What a run says of the versions it used, and what the registry keeps of that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import pytest

from airflow_model_provider import Client, Model, ModelStages, get_step_context, load_artifact, pipeline, step
from airflow_model_provider.exceptions import ArtifactNotFound, InvalidDefinition
from airflow_model_provider.handles import ModelVersion

if TYPE_CHECKING:
    from collections.abc import Callable

PRODUCTION = Model("iris", version="production")


@pytest.fixture
def promoted(model_registry: Client) -> ModelVersion:
    """A version with a collection of two, in production."""
    version = model_registry.register_model_version(
        "iris", {"trained_model": [1.5]}, metadata={"auc": 0.9}, kinds={"trained_model": "model"}
    )
    version.set_stage("production")
    return version


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Callable[..., list[tuple[str, str]]]:
    """Run a step that is given some references, and return level and text of what was logged of them."""

    def run(**references: Any) -> list[tuple[str, str]]:
        @step
        def use(**given: Any) -> None: ...

        @pipeline
        def scoring() -> None:
            use(**references)

        caplog.clear()
        with caplog.at_level("INFO"):
            scoring()
        words = ("Resolved", "not found")
        return [
            (item.levelname, item.message) for item in caplog.records if any(map(item.message.count, words))
        ]

    return run


def test_a_resolution_is_said_with_what_was_asked(
    promoted: ModelVersion, said: Callable[..., list[tuple[str, str]]]
) -> None:
    """A version, an artifact of it with its digest, a value: as they are, and of which version."""
    digest = promoted.get_artifact("trained_model").digest[:12]

    assert said(version=PRODUCTION) == [("INFO", "Resolved iris[production] to iris@1")]
    assert said(model=PRODUCTION.get_artifact("trained_model")) == [
        ("INFO", f"Resolved iris[production]/trained_model to iris@1/trained_model@1 (sha256:{digest})")
    ]
    assert said(auc=PRODUCTION.run_metadata["auc"], number=PRODUCTION.number) == [
        ("INFO", "Resolved iris[production].run_metadata['auc'] to 0.9 (of iris@1)"),
        ("INFO", "Resolved iris[production].number to 1 (of iris@1)"),
    ]


def test_a_default_is_said(promoted: ModelVersion, said: Callable[..., list[tuple[str, str]]]) -> None:
    """A warning with the nearest name if the version is there and lacks what is wanted of it."""
    mistyped = PRODUCTION.get_artifact("trained_modle", default=None)
    staging = Model("iris", version="staging").get_artifact("trained_model", default=3)

    assert said(model=mistyped) == [
        (
            "WARNING",
            "iris[production]/trained_modle not found; using default None. iris@1 has no artifact 'trained_modle'. "
            "Did you mean 'trained_model'? It has: trained_model.",
        )
    ]
    assert said(model=staging) == [("INFO", "iris[staging]/trained_model not found; using default 3")]


def test_a_promotion_in_a_step_is_logged(promoted: ModelVersion, caplog: pytest.LogCaptureFixture) -> None:
    """Once, with the version before."""

    @step
    def promote() -> None:
        get_step_context().model.set_stage(ModelStages.PRODUCTION, force=True)

    @pipeline(model=Model("iris", version=2))
    def promoting() -> None:
        promote()

    Client().register_model_version("iris")
    with caplog.at_level("INFO"):
        promoting()

    lines = [item.message for item in caplog.records if "Promoted" in item.message]
    assert lines == ["Promoted iris@2 to production (was iris@1, event 2)"]


def test_a_step_that_merely_belongs_did_not_use_the_version(promoted: ModelVersion) -> None:
    """The record tells it from one that took something; a version that was deleted stays known by its number."""

    @step
    def load() -> list[int]:
        return [3] * 5000

    @step
    def score(model: list[float], data: list[int]) -> list[float]:
        return [model[0] * value for value in data]

    @pipeline(model=PRODUCTION)
    def scoring() -> None:
        score(PRODUCTION.get_model_artifact("trained_model"), load())

    output = scoring().steps["score"].output
    used, all_of_them = promoted.used_by(), promoted.used_by(belonging=True)
    Client().register_model_version("iris", stage="production", force=True)
    Client().delete_model_version("iris", 1, purge=True)
    (tombstone,) = output.used_versions()

    assert [record.attempt.task_id for record in used] == ["score"]
    assert {(record.attempt.task_id, record.belongs) for record in all_of_them} == {
        *(("score", False), ("score", True), ("load", True))
    }
    assert (tombstone.number, tombstone.state, str(tombstone)) == (1, "deleted", "iris@1")
    assert {record.number for record in Client().list_resolutions(model="iris")} == {1}


def test_an_element_is_chosen_wherever_an_artifact_is(model_registry: Client) -> None:
    """From a lazy model, a version and the client; of every kind."""

    @step
    def half(number: int) -> Annotated[float, "half"]:
        return number / 2

    @pipeline(model=Model("halves"))
    def training() -> None:
        half.expand(number=[1, 2])

    training()
    version, lazy = model_registry.get_model_version("halves", 1), Model("halves", version=1)
    element = version.get_data_artifact("half", map_index=1)

    assert (element.load(), element.map_index) == (1.0, 1)
    assert model_registry.get_artifact(element.name, map_index=1).load() == 1.0
    assert load_artifact("half", map_index=1) == 1.0
    for at_once in (version, lazy):
        assert [at_once.load_artifact("half", map_index=index) for index in (0, 1)] == [0.5, 1.0]
    assert repr(lazy.get_model_artifact("half", map_index=1)) == "halves@1/half[1]"
    assert repr(lazy.get_deployment_artifact("half", map_index=1)) == "halves@1/half[1]"
    for get in (version.get_model_artifact, version.get_deployment_artifact):
        with pytest.raises(ArtifactNotFound):
            get("half", map_index=1)
        assert get("half", map_index=1, default=None) is None
    for find in (model_registry.get_artifact, version.load_artifact, lazy.load_artifact, load_artifact):
        with pytest.raises(ArtifactNotFound, match=r"no artifact 'half\[7\]'.* has: half\[0\], half\[1\]\."):
            find("half", map_index=7)
    with pytest.raises(InvalidDefinition, match="map_index=1 needs the name of an artifact"):
        load_artifact(lazy.get_artifact("half"), map_index=1)
