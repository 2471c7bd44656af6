"""A run whose tasks use several versions of a model says so; a team can choose that none does."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from airflow_model_provider import Client, Model, pipeline, step
from airflow_model_provider.exceptions import InvalidConfiguration

if TYPE_CHECKING:
    from airflow_model_provider.registry.entities import ResolutionRecord

DEFAULT_PIN = "AIRFLOW__MODEL_REGISTRY__DEFAULT_PIN"


@pytest.fixture
def second(model_registry: Client) -> Any:
    """Two versions, of which the first is in production; return the other."""
    model_registry.register_model_version("iris", {"w": [1]}, stage="production")
    return model_registry.register_model_version("iris", {"w": [2]})


def scored(second: Any, **options: Any) -> list[Any]:
    """Use production in two steps, with a promotion in between."""
    seen: list[Any] = []
    weights = Model("iris", version="production", **options).get_artifact("w")

    @step
    def prepare(w: list[int]) -> int:
        seen.append(w)
        return 1

    @step
    def promote(_: int) -> int:
        second.set_stage("production", force=True)
        return 2

    @step
    def score(w: list[int], _: int) -> None:
        seen.append(w)

    @pipeline
    def scoring() -> None:
        score(weights, promote(prepare(weights)))

    scoring()
    return seen


def mixed(records: list[ResolutionRecord]) -> list[tuple[str, int | None, int | None]]:
    """What the record says of each task, the first one first."""
    return [(item.attempt.task_id, item.number, item.earlier) for item in records][::-1]


def test_a_second_version_in_a_run_is_logged_and_recorded(
    second: Any, model_registry: Client, caplog: pytest.LogCaptureFixture
) -> None:
    """Of the task that got it, with the version that came first; a run by itself mixes nothing."""
    with caplog.at_level(logging.WARNING):
        assert scored(second) == [[1], [2]]
    (line,) = [item.getMessage() for item in caplog.records if item.levelno == logging.WARNING]
    scored(second)

    assert line.startswith(
        "iris[production]/w is iris@2 in this task, and was iris@1 in an earlier task of this Dag run"
    )
    assert mixed(model_registry.list_resolutions(model="iris")) == [
        ("prepare", 1, None),
        ("score", 2, 1),
        ("prepare", 2, None),
        ("score", 2, None),
    ]


def test_a_team_can_pin_all_references_for_the_run(second: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a model doesn't say it; what it says counts, and a model of which a run makes a version has no pin."""
    monkeypatch.setenv(DEFAULT_PIN, "run")

    assert scored(second) == [[1], [1]]
    assert (Model("iris", version=1).pin, Model("iris", version=1, pin="task").pin) == ("run", "task")
    assert Model("iris").pin == "task"
    monkeypatch.setenv(DEFAULT_PIN, "dag")
    with pytest.raises(InvalidConfiguration, match=r"default_pin.*'dag' is unknown.*task or run"):
        Model("iris", version=1)
