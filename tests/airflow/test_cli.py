"""``airflow model-registry``, through Airflow's own parser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from airflow.cli.cli_parser import get_parser

from airflow_model_provider import Client, host
from airflow_model_provider.workspace import close_workspaces

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def airflow(model_registry: Client, capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., str]]:
    """Run an ``airflow model-registry`` command and return what it prints."""

    def run(*arguments: str) -> str:
        args = get_parser().parse_args(["model-registry", *arguments])
        capsys.readouterr()
        args.func(args)
        return capsys.readouterr().out

    yield run
    close_workspaces()
    host._entered = False


@pytest.fixture
def two(model_registry: Client) -> Client:
    """A model with two versions."""
    for value in (1, 2):
        with model_registry.new_model_version("iris") as version:
            version.save_artifact("trained_model", value)
    return model_registry


def test_the_schema_is_made_checked_and_taken_back(airflow: Callable[..., str]) -> None:
    """``db upgrade`` makes it in an empty database, ``db check`` says whether it fits, ``db downgrade`` goes back."""
    assert "is at" in airflow("db", "upgrade")
    assert "fits this release" in airflow("db", "check")
    airflow("db", "downgrade", "--to-revision", "base", "--yes")

    with pytest.raises(SystemExit, match="airflow model-registry db upgrade"):
        airflow("db", "check")


def test_a_downgrade_asks_first(airflow: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Anything but y changes nothing."""
    airflow("db", "upgrade")
    monkeypatch.setattr("builtins.input", lambda question: "")

    with pytest.raises(SystemExit, match="Nothing was changed"):
        airflow("db", "downgrade", "--to-revision", "base")
    assert "fits this release" in airflow("db", "check")


def test_a_version_is_promoted(airflow: Callable[..., str], two: Client) -> None:
    """By number, by ``latest``, with a reason; again it changes nothing."""
    assert airflow("promote", "iris", "1", "production") == "iris@1 is production now (event 1).\n"
    assert airflow("promote", "iris", "1", "production") == "iris@1 holds production already.\n"
    said = airflow("promote", "iris", "latest", "production", "--expected", "1", "--reason", "better")

    assert said == "iris@2 is production now, before: version 1 (event 2).\n"
    (event, _) = two.get_model("iris").history("production")
    assert (event.number, event.reason) == (2, "better")
    assert event.who


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("iris", "2", "production"), "StageOccupied.*iris@1.*--force"),
        (("iris", "2", "production", "--expected", "none"), "StageConflict.*iris@1"),
        (("iris", "2", "production", "--expected", "first"), "neither a version number nor none"),
        (("iris", "7", "production"), "VersionNotFound.*7"),
        (("irsi", "1", "production"), "ModelNotFound.*irsi.*iris"),
        (("iris", "1", "prodcution"), "UnknownStage.*Did you mean 'production'"),
        (("iris", "2", "latest"), "UnknownStage.*latest"),
    ],
)
def test_a_refusal_is_one_line(
    airflow: Callable[..., str], two: Client, arguments: tuple[str, ...], said: str
) -> None:
    """What is wrong, and what to do; nothing has changed."""
    airflow("promote", "iris", "1", "production")
    with pytest.raises(SystemExit, match=said) as caught:
        airflow("promote", *arguments)

    assert "\n" not in str(caught.value)
    assert [event.number for event in two.get_model("iris").history()] == [1]
