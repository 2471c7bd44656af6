"""Commands that change a version or what it holds, and values where there could be sentences."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from airflow_model_provider import Client, settings
from airflow_model_provider.exceptions import StageConflict, UnknownStage, VersionNotFound
from airflow_model_provider.registry.entities import VersionState
from airflow_model_provider.workspace import close_workspaces

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = "a-key-that-is-long-enough"


@pytest.fixture
def iris(model_registry: Client) -> Client:
    """Three versions, the first of which was in production."""
    for value in (1, 2, 3):
        model_registry.register_model_version("iris", {"noted": value}, tags=["a", "b"])
    for number in (1, 2):
        model_registry.get_model_version("iris", number).set_stage("production", force=True)
    return model_registry


def test_a_version_is_deleted(
    airflow: Callable[..., str], iris: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a question; one that has been in a stage with ``--purge`` only, which the refusal names."""
    monkeypatch.setattr("builtins.input", lambda question: "n")
    with pytest.raises(SystemExit, match="Nothing was deleted"):
        airflow("delete", "iris", "latest")
    with pytest.raises(
        SystemExit, match=r"it has been in stage 'production'. Pass --purge to delete it anyway"
    ):
        airflow("delete", "iris", "1", "--yes")
    assert airflow("delete", "iris", "1", "--yes", "--purge").startswith("Deleted iris@1.")
    (row,) = json.loads(airflow("delete", "iris", "latest", "--yes", "-o", "json"))

    assert row == {"model": "iris", "version": 3, "deleted": True}
    assert [version.number for version in iris.list_model_versions("iris")] == [2]
    with pytest.raises(VersionNotFound):
        iris.get_model_version("iris", 3)


def test_a_version_that_is_being_produced_is_kept(airflow: Callable[..., str], iris: Client) -> None:
    """It is deleted with ``--force`` only."""
    iris.workspace.registry.create_version("iris", state=VersionState.PRODUCING)
    with pytest.raises(SystemExit, match=r"is still being produced.*or pass --force"):
        airflow("delete", "iris", "4", "--yes")
    assert airflow("delete", "iris", "4", "--yes", "--force").startswith("Deleted iris@4.")

    assert [item.number for item in iris.list_model_versions("iris")] == [3, 2, 1]


def test_metadata_are_logged(airflow: Callable[..., str], iris: Client) -> None:
    """JSON where it is some, else text."""
    said = airflow("log-metadata", "iris", "3", "accuracy=0.97", "team=a=b", "flags=[1, true]")

    assert said == "Logged accuracy, team, flags onto iris@3.\n"
    assert dict(iris.get_model_version("iris", 3).run_metadata) == {
        "accuracy": 0.97,
        "team": "a=b",
        "flags": [1, True],
    }
    with pytest.raises(SystemExit, match=r"'accuracy' has no '='\. Example: log-metadata iris 3 accuracy"):
        airflow("log-metadata", "iris", "3", "accuracy")


def test_what_is_there_is_signed(
    airflow: Callable[..., str], iris: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dry run shows it; a version that consumers could not load is refused with the command that signs it."""
    model = LinearRegression().fit(np.arange(4.0).reshape(-1, 1), np.arange(4.0))
    iris.register_model_version("iris", {"model": model})
    monkeypatch.setenv(settings.variable("signing_keys"), KEY)
    close_workspaces()
    for options in ((), ("--version", "4"), ("--all", "--model", "iris")):
        with pytest.raises(SystemExit, match="it needs --model, with or without --version, or --all"):
            airflow("sign", *options, "--yes")
    with pytest.raises(SystemExit, match="airflow model-registry sign --model iris --version 4") as refused:
        airflow("promote", "iris", "4", "staging")
    (found,) = json.loads(airflow("sign", "--all", "--dry-run", "-o", "json"))
    (signed,) = json.loads(airflow("sign", "--model", "iris", "--version", "4", "--yes", "-o", "json"))

    assert "Nothing was changed." in str(refused.value)
    assert (found["artifact"], found["result"]) == ("model@1", "unsigned")
    assert (signed["artifact"], signed["result"]) == ("iris@4/model@1", "signed")
    assert airflow("sign", "--all", "--yes") == "Of all artifacts none needs a signature.\n"
    assert airflow("promote", "iris", "4", "staging") == "Promoted iris@4 to staging (event 3).\n"


def test_an_artifact_is_written_to_stdout(
    airflow: Callable[..., str],
    iris: Client,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """``--to -``: its bytes and nothing else."""
    out = io.TextIOWrapper(io.BytesIO())
    with monkeypatch.context() as piped:
        piped.setattr("sys.stdout", out)
        from airflow.cli.cli_parser import get_parser

        args = get_parser().parse_args(["model-registry", "download", "iris", "2", "noted", "--to", "-"])
        args.func(args)

    assert out.buffer.getvalue() == b"2"  # type: ignore[attr-defined]
    assert "iris@2/noted@2 (1 byte, sha256:" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="stdout is for the artifact's bytes"):
        airflow("download", "iris", "2", "noted", "--to", "-", "-o", "json")


def test_a_time_needs_its_zone(airflow: Callable[..., str], iris: Client) -> None:
    """The refusal shows it in UTC."""
    with pytest.raises(
        SystemExit, match=r"'2026-03-01' has no time zone. In UTC it is 2026-03-01T00:00:00\+00:00"
    ):
        airflow("resolve", "iris", "production", "--as-of", "2026-03-01")


def test_a_version_leaves_all_its_stages(airflow: Callable[..., str], iris: Client) -> None:
    """The answer names each."""
    airflow("promote", "iris", "2", "staging", "--force")

    said = airflow("promote", "iris", "2", "archived")

    assert said == "Moved iris@2 out of production and staging (event 5).\n"
    with pytest.raises(StageConflict, match=r"history iris\. "):
        iris.get_model_version("iris", 2).set_stage("archived", expected=1)


def test_a_version_in_no_stage_is_not_archived(airflow: Callable[..., str], iris: Client) -> None:
    """Which is said as it is."""
    (row,) = json.loads(airflow("promote", "iris", "3", "archived", "-o", "json"))

    assert airflow("promote", "iris", "3", "archived") == "iris@3 is in no stage. Nothing was changed.\n"
    assert (row["changed"], row["version"]) == (False, 3)
    assert airflow("promote", "iris", "2", "archived") == "Moved iris@2 out of production (event 3).\n"


def test_lists_have_a_limit(
    airflow: Callable[..., str], iris: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    """In Python and on the command line; what both worlds call an error is one."""
    iris.create_model("another")
    for name in "xy":
        iris.get_model_version("iris", 3).save_artifact(name, 1)

    def names(*options: str) -> list[Any]:
        return [row["model"] for row in json.loads(airflow("models", *options, "-o", "json"))]

    assert (names(), names("--limit", "1")) == (["another", "iris"], ["another"])
    assert [model.name for model in iris.list_models(limit=1)] == ["another"]
    assert [version.number for version in iris.list_model_versions("iris", limit=2)] == [3, 2]
    assert [version.number for version in iris.get_model("iris").versions(limit=1)] == [3]
    assert [event.previous for event in iris.get_model("iris").history(limit=1)] == [1]
    assert len(json.loads(airflow("lineage", "iris", "3", "--limit", "1", "-o", "json"))) == 1
    with pytest.raises(UnknownStage, match="Did you mean 'production'"):
        iris.get_model("iris").history("prodcution")


def test_programs_read_values(airflow: Callable[..., str], iris: Client) -> None:
    """Lists and mappings, no sentences."""
    (model,) = json.loads(airflow("models", "-o", "json"))
    shown = {row["name"]: row["value"] for row in json.loads(airflow("show", "iris", "2", "-o", "json"))}

    assert (model["stages"], model["tags"]) == ({"production": 2}, [])
    assert (shown["stages"], shown["tags"], shown["dag_id"]) == (["production"], ["a", "b"], None)
    assert shown["noted"]["kind"] == "data"
