"""What programs read of ``airflow model-registry``: each command has ``--output``, and JSON is all of its stdout."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from airflow.cli.cli_parser import get_parser

from airflow_model_provider import Client
from airflow_model_provider.cli import runs
from airflow_model_provider.cli.definition import COMMANDS, DB_COMMANDS
from airflow_model_provider.registry.entities import RunKey

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def two(model_registry: Client) -> Client:
    """A model with two versions; the second has failed."""
    model_registry.register_model_version("iris", {"trained_model": 1}, metadata={"accuracy": 0.9})
    with pytest.raises(ZeroDivisionError), model_registry.new_model_version("iris"):
        raise ZeroDivisionError
    return model_registry


@pytest.fixture
def row(airflow: Callable[..., str]) -> Callable[..., dict[str, Any]]:
    """Run a command with ``--output json`` and return its only row; YAML and tables would say the same."""

    def run(*arguments: str) -> dict[str, Any]:
        (found,) = json.loads(airflow(*arguments, "--output", "json"))
        return dict(found)

    return run


def test_each_command_has_it() -> None:
    """Those of the database too."""
    for command in (*COMMANDS, *DB_COMMANDS):
        flags = [flag for arg in command.args for flag in arg.flags]
        assert "--output" in flags, command.name


def test_a_promotion_is_its_event(row: Callable[..., dict[str, Any]], two: Client) -> None:
    """As ``history`` shows it; what changed nothing says so."""
    made = row("promote", "iris", "1", "production", "--reason", "good")
    again = row("promote", "iris", "1", "production")
    (event,) = two.get_model("iris").history()

    assert (made["changed"], made["sequence"], made["version"], made["stage"], made["reason"]) == (
        *(True, event.sequence, 1, "production", "good"),
    )
    assert (again["changed"], again["sequence"], again["version"], again["stage"]) == (
        *(False, None, 1, "production"),
    )
    assert made.keys() == again.keys()


def test_a_rollback_is_its_event(row: Callable[..., dict[str, Any]], two: Client) -> None:
    """With who held the stage before."""
    for _ in range(2):
        two.create_model_version("iris").set_stage("production", force=True)
    back = row("rollback", "iris", "production")

    assert (back["model"], back["version"], back["previous"], back["rollback"]) == ("iris", 3, 4, True)


def test_a_registration_and_a_download_say_what_they_are_of(
    row: Callable[..., dict[str, Any]], two: Client, tmp_path: Path
) -> None:
    """The version, the artifact, its digest; the file that was written."""
    (tmp_path / "m.npy").write_bytes(b"some bytes")
    made = row("register", "iris", str(tmp_path / "m.npy"), "--name", "v3", "--kind", "deployment")
    got = row("download", "iris", "v3", "model", "--to", str(tmp_path / "back"))
    artifact = two.get_model_version("iris", 3).get_artifact("model")

    assert made == {
        "model": "iris",
        "version": 3,
        "version_name": "v3",
        "artifact": "model",
        "kind": "deployment",
        "format": "numpy.npy",
        "loaded": None,
        "bytes": 10,
        "digest": artifact.digest,
    }
    assert got == {
        "artifact": "iris@3/model@1",
        "map_index": None,
        "path": str(tmp_path / "back"),
        "bytes": 10,
        "digest": artifact.digest,
    }


def test_an_export_and_an_import_say_what_was_moved(
    row: Callable[..., dict[str, Any]], two: Client, tmp_path: Path
) -> None:
    """And what was left out."""
    two.get_model_version("iris", 1).set_stage("production")
    file = str(tmp_path / "iris.zip")

    assert row("export", "iris", file) == {
        "path": file,
        "versions": ["iris@1"],
        "left_out": ["iris@2 (failed)"],
        "files": 1,
        "bytes": 1,
    }
    assert row("import", file, "--model", "flowers")["version"] == "flowers@1"


def test_a_collection_counts_what_it_removed(row: Callable[..., dict[str, Any]], two: Client) -> None:
    """Or would remove, or did not find."""
    two.delete_model_version("iris", 1)
    would = row("gc", "--older-than", "0", "--dry-run")
    done = row("gc", "--older-than", "0", "--yes")
    nothing = row("gc", "--older-than", "0")

    assert would == {
        "result": "found",
        "files": 1,
        "bytes": 1,
        "unfinished_uploads": 0,
        "outputs": 0,
        "resolutions": 0,
        "run_pins": 0,
        "abandoned_versions": 0,
        "versions_of_ended_runs": 0,
    }
    assert done == {**would, "result": "removed"}
    assert nothing == {**done, "files": 0, "bytes": 0}


def test_a_collection_says_if_airflow_cannot_be_asked(
    airflow: Callable[..., str],
    model_registry: Client,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Whether a run is over; it goes on then, and the version stays open."""
    said = []
    monkeypatch.setattr(runs, "note", said.append)
    runs._tell.cache_clear()
    monkeypatch.setattr("airflow.utils.session.create_session", refuse)
    run = RunKey("default", "training", "manual__1")
    model_registry.workspace.registry.version_for_run("iris", run, producer="train")
    found = airflow("gc")

    assert found == "Not needed: 0 files (0 bytes), 0 unfinished uploads.\n"
    assert said == ["Airflow's database could not be asked which Dag runs are over (no such table)."]


def refuse(*_: Any, **__: Any) -> None:
    """As a database that was never migrated."""
    raise OSError("no such table\nSELECT")


def test_the_schema_is_a_row(row: Callable[..., dict[str, Any]], two: Client) -> None:
    """Where it is now."""
    assert row("db", "upgrade") == row("db", "check") == {"revision": "0001"}
    assert row("db", "downgrade", "--to-revision", "base", "--yes") == {"revision": None}


@pytest.mark.parametrize("form", ["table", "plain", "yaml"])
def test_the_other_forms_are_of_the_same_row(airflow: Callable[..., str], two: Client, form: str) -> None:
    """A table where it is asked for; else a sentence."""
    said = airflow("promote", "iris", "1", "production", "--output", form)

    assert "changed" in said
    assert "Promoted" not in said
    if form == "yaml":
        assert yaml.safe_load(said)[0]["changed"] is True
    assert (
        airflow("promote", "iris", "1", "production")
        == "iris@1 is production already. Nothing was changed.\n"
    )


def test_questions_and_what_is_loaded_are_not_on_stdout(
    model_registry: Client,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A pickle that prints when it is loaded, and a question, leave JSON as it is."""
    (tmp_path / "m.pkl").write_bytes(b"cbuiltins\nprint\n(S'hello'\ntR.")
    (tmp_path / "answers").write_text("Y\n")
    model_registry.register_model_version("iris", {"a": 1})
    model_registry.delete_model_version("iris", 1)
    for command, asked in (
        (("register", "iris", str(tmp_path / "m.pkl"), "--check"), "hello"),
        (("gc", "--older-than", "0"), "Remove 1 file"),
    ):
        args = get_parser().parse_args(["model-registry", *command, "-o", "json"])
        capsys.readouterr()
        with (tmp_path / "answers").open() as answers:
            monkeypatch.setattr("sys.stdin", answers)
            args.func(args)
        said = capsys.readouterr()
        assert len(json.loads(said.out)) == 1
        assert asked in said.err
