"""What the page about gates shows, as it stands there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_model_provider import Client, Gates, Model, ModelStages, get_step_context, pipeline, step
from airflow_model_provider.exceptions import PromotionRefused

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = Path(__file__).parents[3] / "docs" / "gates.md"


@pytest.fixture
def client(url: str, tmp_path: Path) -> Iterator[Client]:
    """A registry whose iris has a version in production."""
    made = Client(url, store=str(tmp_path / "store"))
    made.register_model_version(
        "iris", {"trained_model": 1}, metadata={"accuracy": 0.97, "rmse": 2, "seconds": 1}, stage="production"
    )
    yield made
    made.workspace.close()


def test_a_promotion_with_gates(client: Client) -> None:
    """The version that is worse is refused in the words of the page, the better one replaces the holder."""

    def promote(accuracy: float) -> None:
        metadata = {"accuracy": accuracy, "rmse": 2.5}
        version = client.register_model_version("iris", {"trained_model": 1}, metadata=metadata)
        # [START promote]
        version.promote(
            "production",
            require={"accuracy": ">= 0.95", "rmse": "< 3"},
            better_than="production",
            metric="accuracy",
            artifacts=["trained_model"],
            reason="weekly training",
        )
        # [END promote]

    with pytest.raises(PromotionRefused) as caught:
        promote(0.93)
    promote(0.98)

    assert f"\n{caught.value}\n" in PAGE.read_text()
    assert client.get_model_version("iris", "production").number == 3


def test_gates_as_values(client: Client) -> None:
    """Objects and mappings together; for a version that is there and one that is made."""
    version, clf = client.get_model_version("iris", 1), 7
    # [START values]
    good_enough = Gates(require={"accuracy": ">= 0.95"})
    fresh = {"max_age": 7 * 24 * 3600, "soft": True}

    version.set_stage("staging", force=True, gates=[good_enough, fresh])
    client.register_model_version(
        "iris",
        {"trained_model": clf},
        metadata={"accuracy": 0.98},
        stage="staging",
        force=True,
        gates=good_enough,
    )
    # [END values]

    assert [item.version for item in client.get_model("iris").history("staging")] == [2, 1]


def test_a_function_of_your_own(client: Client) -> None:
    """Its objection stands in the refusal."""
    check = "tests.support.gate_checks:not_slower"
    for seconds in (3, 2):
        client.create_model_version("iris").log_metadata({"seconds": seconds})
    with pytest.raises(PromotionRefused, match="iris@2: it takes 3 s, more than twice as long as iris@1"):
        client.get_model_version("iris", 2).promote("production", force=True, check=check)
    client.get_model_version("iris", 3).promote("production", force=True, check=check)

    assert client.get_model_version("iris", "production").number == 3


def test_a_step_promotes_with_gates(model_registry: Client) -> None:
    """The version that the pipeline makes, and one that a reference means; both have the same words."""

    @step
    def train(accuracy: float) -> float:
        version = get_step_context().model
        version.log_metadata({"accuracy": accuracy})
        version.promote(
            ModelStages.PRODUCTION, better_than="production", metric="accuracy", allow_incomplete=True
        )
        return accuracy

    @step
    def stage() -> None:
        Model("iris", version="latest").promote("staging", require={"accuracy": "> 0.9"}, force=True)
        Model("iris", version="latest").set_stage("staging", gates=Gates(require={"accuracy": "> 1"}))

    @pipeline(model=Model("iris"))
    def training(accuracy: float = 0.9) -> None:
        train(accuracy)

    @pipeline
    def staging() -> None:
        stage()

    states = [
        training.run(accuracy=accuracy, raise_on_failure=False).state for accuracy in (0.95, 0.94, 0.96)
    ]
    staging()

    holders = {
        name: model_registry.get_model_version("iris", name).number for name in ("production", "staging")
    }
    assert states == ["success", "failed", "success"]
    assert holders == {"production": 3, "staging": 3}
    (event, *_) = model_registry.get_model("iris").history("production")
    assert event.task_id == "train"
