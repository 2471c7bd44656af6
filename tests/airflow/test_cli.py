"""``airflow model-registry``, through Airflow's own parser."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import joblib
import pytest
import yaml
from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from airflow_model_provider import Client, settings
from airflow_model_provider.registry.entities import VersionState
from airflow_model_provider.workspace import close_workspaces

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def two(model_registry: Client) -> Client:
    """A model with two versions."""
    for value in (1, 2):
        with model_registry.new_model_version("iris") as version:
            version.save_artifact("trained_model", value)
    return model_registry


def test_the_schema_is_made_checked_and_taken_back(airflow: Callable[..., str], tmp_path: Path) -> None:
    """``db upgrade`` makes it in an empty database, ``db check`` says whether it fits, ``db downgrade`` goes back."""
    (tmp_path / "model_registry" / "model_registry.db").unlink()
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
    assert airflow("promote", "iris", "1", "production") == "Promoted iris@1 to production (event 1).\n"
    assert (
        airflow("promote", "iris", "1", "production")
        == "iris@1 is production already. Nothing was changed.\n"
    )
    said = airflow("promote", "iris", "latest", "production", "--expected", "1", "--reason", "better")

    assert said == "Promoted iris@2 to production (was iris@1, event 2).\n"
    (event, _) = two.get_model("iris").history("production")
    assert (event.version, event.reason) == (2, "better")
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
    assert [event.version for event in two.get_model("iris").history()] == [1]


def test_a_command_has_no_role(
    airflow: Callable[..., str], two: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stage for roles only is closed to it, and the refusal says why."""
    monkeypatch.setenv(settings.variable("protected_stages"), "production = role:Admin")
    monkeypatch.setenv("LOGNAME", "alice")
    close_workspaces()

    with pytest.raises(
        SystemExit, match=r"user:alice may not change .*'production = role:Admin'.* Roles are known"
    ):
        airflow("promote", "iris", "1", "production")
    assert two.get_model("iris").history() == []


# --- what only reads -------------------------------------------------------------------------------------


@pytest.fixture
def promoted(two: Client) -> Client:
    """Version 1 was production, version 2 is; both have metadata."""
    for number, accuracy in ((1, 0.9), (2, 0.95)):
        version = two.get_model_version("iris", number)
        version.log_metadata({"accuracy": accuracy})
        version.set_stage("production", force=True, reason=f"accuracy {accuracy}")
    return two


def test_everything_that_is_read_is_json_too(airflow: Callable[..., str], promoted: Client) -> None:
    """Each command with each of Airflow's four forms of output."""
    commands = [
        ("models",),
        ("versions", "iris"),
        ("show", "iris", "production"),
        ("compare", "iris", "1", "production"),
        ("history", "iris"),
        ("history", "iris", "production", "--limit", "1"),
        ("resolve", "iris", "production"),
        ("lineage", "iris", "1"),
        ("verify",),
    ]
    for command in commands:
        assert isinstance(json.loads(airflow(*command, "--output", "json")), list)
        for form in ("table", "plain", "yaml"):
            assert airflow(*command, "--output", form).strip()


def rows(text: str) -> list[dict[str, Any]]:
    """Read what ``--output json`` gives."""
    found: list[dict[str, Any]] = json.loads(text)
    return found


def test_models_and_versions_are_listed(airflow: Callable[..., str], promoted: Client) -> None:
    """With their stages."""
    (model,) = rows(airflow("models", "-o", "json"))
    versions = rows(airflow("versions", "iris", "-o", "json"))

    assert (model["model"], model["newest_version"], model["stages"]) == ("iris", 2, {"production": 2})
    assert [(item["version"], item["stages"]) for item in versions] == [
        (2, ["production"]),
        (1, ["archived"]),
    ]


def test_a_version_is_shown_and_compared(airflow: Callable[..., str], promoted: Client) -> None:
    """Its artifacts and its metadata; those of several side by side."""
    shown = {
        (item["part"], item["name"]): item["value"]
        for item in rows(airflow("show", "iris", "latest", "-o", "json"))
    }
    compared = {item["metadata"]: item for item in rows(airflow("compare", "iris", "1", "2", "-o", "json"))}

    assert shown["version", "stages"] == ["production"]
    assert shown["metadata", "accuracy"] == 0.95
    digest = promoted.get_model_version("iris", 2).get_artifact("trained_model").digest
    said = {"version": 2, "kind": "data", "type": "builtins.int", "bytes": 1, "digest": digest}
    assert shown["artifact", "trained_model"] == {**said, "map_index": None}
    assert f"version: 2, kind: data, type: builtins.int, bytes: 1, digest: {digest}" in airflow(
        "show", "iris", "latest", "-o", "plain"
    )
    assert compared["accuracy"] == {"metadata": "accuracy", "iris@1": 0.9, "iris@2": 0.95}
    assert compared[None] == {"metadata": None, "iris@1": [], "iris@2": ["production"]}
    assert "(stages)" in airflow("compare", "iris", "1", "2", "-o", "table")


def test_programs_get_values_of_their_types(airflow: Callable[..., str], two: Client) -> None:
    """As they were logged; JSON, which has no NaN, has its name."""
    said = {"ok": True, "loss": 1.1, "text": "1.1", "none": None, "deep": {"list": [1, {"x": False}]}}
    two.get_model_version("iris", 1).log_metadata({**said, "nan": float("nan")})
    read = {}
    for form, of in (("json", json.loads), ("yaml", yaml.safe_load)):
        shown = of(airflow("show", "iris", "1", "-o", form))
        read[form] = {row["name"]: row["value"] for row in shown if row["part"] == "metadata"}

    assert read["json"] == {**said, "nan": "nan"}
    assert {**read["yaml"], "nan": None} == {**said, "nan": None}
    assert math.isnan(read["yaml"]["nan"])


def test_history_and_the_past(airflow: Callable[..., str], promoted: Client) -> None:
    """Who held a stage, and what it meant at a time."""
    newest, oldest = rows(airflow("history", "iris", "-o", "json"))
    when = promoted.get_model("iris").history("production")[-1].at.isoformat()
    (then,) = rows(airflow("resolve", "iris", "production", "--as-of", when, "-o", "json"))
    (now,) = rows(airflow("resolve", "iris", "production", "-o", "json"))

    assert (newest["version"], newest["previous"], newest["reason"]) == (2, 1, "accuracy 0.95")
    assert (oldest["version"], oldest["previous"]) == (1, None)
    assert (then["version"], now["version"]) == (1, 2)
    with pytest.raises(SystemExit, match="'yesterday' is not a time"):
        airflow("resolve", "iris", "production", "--as-of", "yesterday")


def test_an_empty_registry_says_so(airflow: Callable[..., str]) -> None:
    """And is an empty list to programs."""
    assert airflow("models") == "There is no model yet.\n"
    assert rows(airflow("models", "-o", "json")) == []
    with pytest.raises(SystemExit, match="ModelNotFound"):
        airflow("versions", "iris")


# --- what changes something ------------------------------------------------------------------------------


def test_a_stage_is_rolled_back(airflow: Callable[..., str], promoted: Client) -> None:
    """To the holder before; with a number to that one; without one left an error."""
    said = airflow("rollback", "iris", "production", "--reason", "drift")
    assert said == "Rolled back: iris@1 is production again (was iris@2, event 3).\n"
    with pytest.raises(SystemExit, match="NothingToRestore"):
        airflow("rollback", "iris", "production")
    airflow("rollback", "iris", "production", "--to", "2", "--expected", "1")

    assert promoted.get_model_version("iris", "production").number == 2
    assert [event.reason for event in promoted.get_model("iris").history()][1] == "drift"


def test_a_file_becomes_a_version_and_comes_back(
    airflow: Callable[..., str], model_registry: Client, tmp_path: Path
) -> None:
    """Byte by byte; it is loaded only when asked for."""
    file, back = tmp_path / "model.joblib", tmp_path / "back.joblib"
    joblib.dump({"weights": [1, 2]}, file)
    said = airflow(
        *("register", "iris", str(file), "--name", "v1", "--check"),
        *("--metadata", "accuracy=0.97", "--metadata", "team=blue"),
    )
    airflow("download", "iris", "v1", "model", "--to", str(back))
    version = model_registry.get_model_version("iris", "v1")

    assert said.splitlines()[0] == "Loaded: dict."
    assert back.read_bytes() == file.read_bytes()
    assert dict(version.run_metadata) == {"accuracy": 0.97, "team": "blue"}
    assert version.load_artifact("model") == {"weights": [1, 2]}
    with pytest.raises(SystemExit, match="AlreadyExists"):
        airflow("download", "iris", "v1", "model", "--to", str(back))
    with pytest.raises(SystemExit, match="no '='"):
        airflow("register", "iris", str(file), "--metadata", "accuracy")
    with pytest.raises(SystemExit, match="FileMissing"):
        airflow("register", "iris", str(tmp_path / "missing.joblib"))


def test_versions_move_in_a_file(airflow: Callable[..., str], promoted: Client, tmp_path: Path) -> None:
    """Into another registry, or as here into another model; what to promote is said, and again nothing is done."""
    file = str(tmp_path / "iris.zip")
    promoted.workspace.registry.create_version("iris", state=VersionState.FAILED)
    said = airflow("export", "iris", file)
    some = airflow("export", "iris", str(tmp_path / "some.zip"), "--versions", "production", "2")
    checked = rows(airflow("import", file, "--model", "flowers", "--dry-run", "-o", "json"))
    imported = airflow("import", file, "--model", "flowers", "-o", "plain")
    again = rows(airflow("import", file, "--model", "flowers", "-o", "json"))

    assert said == (
        f"Exported to {file}: 2 versions of iris, 2 files (2 bytes).\nNot ready, and so left out: iris@3 (failed).\n"
    )
    assert some == f"Exported to {tmp_path / 'some.zip'}: 1 version of iris, 1 file (1 byte).\n"
    assert [(item["source"], item["result"], item["version"]) for item in checked] == [
        ("iris@1", "valid", None),
        ("iris@2", "valid", None),
    ]
    assert imported.splitlines()[-2:] == [
        "Stages are assigned by promotions only. What was in one there:",
        "  airflow model-registry promote flowers 2 production",
    ]
    assert [(item["version"], item["result"], item["stages_there"]) for item in again] == [
        ("flowers@1", "present", []),
        ("flowers@2", "present", ["production"]),
    ]
    assert promoted.get_model_version("flowers", 2).load_artifact("trained_model") == 2
    assert airflow("import", file).count("present") == 2


def test_a_file_that_cannot_be_moved_is_one_line(
    airflow: Callable[..., str], two: Client, tmp_path: Path
) -> None:
    """An export over a file, and an import of one that is none."""
    file = tmp_path / "iris.zip"
    file.write_text("no export")
    for arguments, said in (
        (("export", "iris", str(file)), "AlreadyExists: The file .* exists already"),
        (
            ("export", "iris", str(file), "--versions", "7", "--force"),
            "VersionNotFound: 'iris' has no version '7'",
        ),
        (("import", str(file)), "InvalidExport: .*no whole zip file.*Nothing was imported"),
    ):
        with pytest.raises(SystemExit, match=said) as caught:
            airflow(*arguments)
        assert "\n" not in str(caught.value)
    assert file.read_text() == "no export"
    airflow("export", "iris", str(file), "--versions", "all", "--force")

    assert airflow("import", str(file)).count("present") == 2


def test_what_is_not_needed_is_removed_after_a_question(
    airflow: Callable[..., str], two: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dry run and an answer other than yes remove nothing."""
    two.delete_model_version("iris", 1)
    found = "1 file (1 byte), 0 unfinished uploads"
    monkeypatch.setattr("builtins.input", lambda question: "n")
    assert airflow("gc", "--older-than", "0", "--dry-run") == f"Not needed: {found}.\n"
    with pytest.raises(SystemExit, match="Nothing was removed"):
        airflow("gc", "--older-than", "0")
    assert airflow("gc") == "Not needed: 0 files (0 bytes), 0 unfinished uploads.\n"

    assert airflow("gc", "--older-than", "0", "--yes") == f"Removed: {found}.\n"
    assert airflow("verify") == "No damage in 1 stored file (1 byte).\n"


def test_damage_is_exit_code_one(airflow: Callable[..., str], two: Client) -> None:
    """And named."""
    blob = Path(two.get_model_version("iris", 2).get_artifact("trained_model").uri)
    blob.unlink()

    with pytest.raises(SystemExit) as ended:
        airflow("verify", "--output", "json")
    assert ended.value.code == 1


@pytest.mark.parametrize(
    "command",
    [
        ("models",),
        ("show", "iris", "1"),
        ("promote", "iris", "1", "production"),
        ("rollback", "iris", "production"),
        ("register", "iris", "no.joblib"),
        ("download", "iris", "1", "model"),
        ("export", "iris", "iris.zip"),
        ("import", "iris.zip"),
        ("verify",),
        ("gc",),
    ],
    ids=lambda command: command[0],
)
def test_every_command_knows_airflows_connections(
    airflow: Callable[..., str], monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    """Those that Airflow keeps, too: all commands look for the registry as tasks do."""
    asked: list[str] = []

    def get_connection(conn_id: str) -> Any:
        asked.append(conn_id)
        raise AirflowNotFoundException(conn_id)

    monkeypatch.setattr(BaseHook, "get_connection", get_connection)
    with pytest.raises(SystemExit, match="there is no such connection"):
        airflow(*command, "--conn-id", "other")

    assert asked[:1] == ["other"]
