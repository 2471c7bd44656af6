"""The command line where nobody watches, nobody reads, or what was typed means nothing."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from airflow.cli.cli_parser import get_parser
from sklearn.linear_model import LogisticRegression
from sqlalchemy import text

from airflow_model_provider import Client, settings
from airflow_model_provider.registry.entities import RunKey
from airflow_model_provider.workspace import close_workspaces
from tests.support.airflow_home import environment
from tests.support.preloaded import Preloaded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def promoted(model_registry: Client) -> Client:
    """Two versions, one of them in production."""
    for value in (1, 2):
        model_registry.register_model_version("iris", {"noted": value})
    model_registry.get_model_version("iris", 1).set_stage("production")
    return model_registry


# --- stages and times ------------------------------------------------------------------------------------


def test_the_history_of_no_stage_is_an_error(airflow: Callable[..., str], promoted: Client) -> None:
    """A misspelt one; a declared one that nothing was in is named."""
    with pytest.raises(SystemExit, match=r"UnknownStage.*Did you mean 'production'"):
        airflow("history", "iris", "prodcution")

    assert airflow("history", "iris", "staging") == "No version of iris was in stage staging yet.\n"
    promoted.create_model_version("other")
    assert airflow("history", "other") == "No version of other was in a stage yet.\n"


def test_the_history_of_a_stage_that_is_not_declared_any_more_can_be_read(
    airflow: Callable[..., str], promoted: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a model that was in it; not of another one."""
    with monkeypatch.context() as declared:
        declared.setenv(settings.variable("stages"), "champion")
        close_workspaces()
        Client().get_model_version("iris", 2).set_stage("champion")
    close_workspaces()
    (row,) = json.loads(airflow("history", "iris", "champion", "-o", "json"))

    assert row["version"] == 2
    promoted.create_model_version("other")
    with pytest.raises(SystemExit, match="UnknownStage"):
        airflow("history", "other", "champion")


@pytest.mark.parametrize("selector", ["1", "latest", "some-name"])
def test_only_a_stage_has_a_past(airflow: Callable[..., str], promoted: Client, selector: str) -> None:
    """As ``Model(version=1, as_of=...)`` says, too."""
    with pytest.raises(SystemExit, match="as_of needs a stage"):
        airflow("resolve", "iris", selector, "--as-of", "2030-01-01T00:00Z")


def test_a_time_that_is_none_in_utc_is_shown_as_it_was_typed(
    airflow: Callable[..., str], promoted: Client
) -> None:
    """Not as Python writes it."""
    with pytest.raises(SystemExit, match=r"'0001-01-01 00:00:00\+14:00' cannot be converted to UTC"):
        airflow("resolve", "iris", "production", "--as-of", "0001-01-01T00:00+14:00")


# --- lists that are cut ----------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [("versions", "iris"), ("history", "iris"), ("lineage", "iris", "1")])
def test_a_list_that_is_cut_says_so(
    model_registry: Client,
    airflow: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: tuple[str, ...],
) -> None:
    """On stderr, and only then; nothing is no number of rows."""
    from airflow_model_provider.references import Reference, Wanted
    from airflow_model_provider.registry.entities import Attempt, RunKey
    from airflow_model_provider.selectors import Selector

    attempt = Attempt(RunKey("default", "scoring", "run"), "score", "try")
    for _ in range(2):
        model_registry.create_model_version("iris").set_stage("production", force=True)
    registry = model_registry.workspace.registry
    for number, name in enumerate(("score", "report")):
        used = registry.resolve([Reference("iris", Selector.parse(1), Wanted.VERSION)])
        registry.record(used, attempt._replace(task_id=name, attempt_id=f"try {number}"))
    said: list[str] = []
    monkeypatch.setattr("airflow_model_provider.cli.reading.note", said.append)

    assert len(json.loads(airflow(*command, "--limit", "2", "-o", "json"))) == 2
    assert said == []
    assert len(json.loads(airflow(*command, "--limit", "1", "-o", "json"))) == 1
    assert said == ["Showing the newest 1. Use --limit for more."]
    for wrong in ("0", "-1"):
        with pytest.raises(SystemExit, match="--limit"):
            airflow(*command, "--limit", wrong)


def test_the_newest_version_is_one_that_is_there(airflow: Callable[..., str], promoted: Client) -> None:
    """Neither one that failed nor one that was deleted."""
    newest = lambda: json.loads(airflow("models", "-o", "json"))[0]["newest_version"]  # noqa: E731
    with pytest.raises(ZeroDivisionError), promoted.new_model_version("iris"):
        raise ZeroDivisionError

    assert newest() == 2
    promoted.delete_model_version("iris", 2)
    assert newest() == 1
    promoted.create_model("empty")
    assert {row["model"]: row["newest_version"] for row in json.loads(airflow("models", "-o", "json"))} == {
        "empty": None,
        "iris": 1,
    }


# --- the schema ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("revision", ["", "@", "-1", "0001-1", "head-1"])
def test_a_revision_has_a_name(airflow: Callable[..., str], promoted: Client, revision: str) -> None:
    """Alembic's other ways to say one could mean to remove everything, which ``base`` alone does."""
    with pytest.raises(
        SystemExit, match=r"is not the name of a revision\. Write 0001, or base to remove all"
    ):
        airflow("db", "downgrade", f"--to-revision={revision}", "--yes")
    assert promoted.get_model_version("iris", 1).stage == "production"


def test_going_back_to_nothing_says_what_is_lost(
    airflow: Callable[..., str], promoted: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of it."""
    asked: list[str] = []
    monkeypatch.setattr("builtins.input", lambda question: asked.append(question) or "Yes")

    assert airflow("db", "downgrade", "--to-revision", "base") == "The registry's schema is at base.\n"
    assert "Remove the whole registry?" in asked[0]
    assert "all models, versions, stages and their history are lost" in asked[0]


def test_what_has_no_schema_has_no_older_one(airflow: Callable[..., str], tmp_path: Path) -> None:
    """A database that is not there, and one of another program: nobody is asked."""
    file = tmp_path / "model_registry" / "model_registry.db"
    file.unlink()
    with pytest.raises(SystemExit, match=r"SchemaMismatch.*There is nothing to take back"):
        airflow("db", "downgrade", "--to-revision", "base")
    assert not file.exists()
    with closing(sqlite3.connect(file)) as database:
        database.execute("CREATE TABLE mine (x)")
    with pytest.raises(SystemExit, match=r"SchemaMismatch.*There is nothing to take back"):
        airflow("db", "downgrade", "--to-revision", "base")


# --- nobody is there -------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", ["y", "Y", "yes", " YES\n"])
def test_yes_has_several_words(
    airflow: Callable[..., str], promoted: Client, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    """As in Airflow's own commands."""
    promoted.delete_model_version("iris", 2)
    monkeypatch.setattr("builtins.input", lambda question: answer)

    assert airflow("gc", "--older-than", "0").startswith("Removed: 1 file")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An AIRFLOW_HOME of which nothing runs."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def python(folder: Path) -> Iterator[Preloaded]:
    """What runs commands in it."""
    with Preloaded(folder, environment(folder)) as python:
        yield python


@pytest.fixture
def home(folder: Path) -> Client:
    """Its registry, made anew."""
    close_workspaces()
    (folder / "model_registry.db").unlink(missing_ok=True)
    client = Client(f"sqlite:///{folder / 'model_registry.db'}", store=str(folder / "model_artifacts"))
    client.register_model_version("iris", {"noted": 1})
    client.register_model_version("iris", {"other": 2})
    client.delete_model_version("iris", 2)
    return client


@pytest.mark.parametrize("command", ["gc --older-than 0", "db downgrade --to-revision base"])
def test_without_a_terminal_nothing_is_done(home: Client, python: Preloaded, command: str) -> None:
    """And one line says how to agree beforehand."""
    done = python.airflow("model-registry", *command.split(), check=False)

    assert (done.returncode, done.stdout) == (1, "")
    assert (
        done.stderr.splitlines()[-1]
        == "Cannot prompt without a terminal. Nothing was changed. Pass --yes to confirm."
    )
    assert "Traceback" not in done.stderr
    assert "1 file " in python.airflow("model-registry", "gc", "--older-than", "0", "--dry-run").stdout


@pytest.mark.parametrize("command", ["verify", "db check", "models -o json", "versions iris -o table"])
def test_a_reader_that_goes_ends_a_command_quietly(home: Client, python: Preloaded, command: str) -> None:
    """With the exit code of what SIGPIPE has ended, not that of damage."""
    done = python.airflow("model-registry", *command.split(), check=False, unread=True)

    assert (done.returncode, done.stderr) == (141, "")


def shell(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    """Run a command of bash, in which ``$A`` is ``airflow model-registry``."""
    return subprocess.run(
        ["bash", "-c", command],
        env={**environment(folder), "A": f"{sys.executable} -m airflow model-registry"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_stderr_a_command_does_its_work(folder: Path, home: Client) -> None:
    """Nobody sees its progress."""
    done = shell(folder, "$A verify 2>&-")

    assert (done.returncode, done.stdout) == (0, "No damage in 1 stored file (1 byte).\n")


def test_without_stdout_a_command_does_its_work(folder: Path, home: Client) -> None:
    """Nobody sees its result."""
    assert shell(folder, "$A promote iris 1 production >&-").returncode == 0
    assert home.get_model_version("iris", "production").number == 1


def test_skops_says_nothing_of_airflow(home: Client, python: Preloaded, tmp_path: Path) -> None:
    """It asks all modules for a function's name, those too that Airflow warns of."""
    fitted = LogisticRegression().fit([[0], [1]], [0, 1])
    made = home.register_model_version("made", {"m": fitted}, formats={"m": "skops.file"})
    file = tmp_path / "m.skops"
    file.write_bytes(made.get_artifact("m").path().read_bytes())
    done = python.airflow("model-registry", "register", "iris", str(file), "--check", "-o", "json")

    assert done.stderr == ""
    assert json.loads(done.stdout)[0]["loaded"] == "LogisticRegression"


def test_a_version_that_may_be_forgotten_is_pointed_out(
    airflow: Callable[..., str], model_registry: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the list, if it has been in the making for more than a day; the run behind it is named there."""
    registry = model_registry.workspace.registry
    for name in ("monday", "tuesday"):
        run = RunKey("default", "training", name)
        registry.version_for_run("iris", run, producer="train")
    with registry._database.engine.begin() as connection:
        connection.execute(text("UPDATE mr_version SET created_at = '2026-01-01 00:00:00' WHERE number = 1"))
    args = get_parser().parse_args(["model-registry", "versions", "iris"])
    capsys.readouterr()
    args.func(args)
    found = capsys.readouterr()

    assert "monday" in found.out
    assert found.err == (
        "In the making for more than a day: iris@1. If the run is over, close it: airflow model-registry gc\n"
    )
