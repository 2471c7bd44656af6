"""Hostile texts on the command line: as arguments, and as what is printed (R40)."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import pytest
import yaml
from airflow.cli.cli_parser import get_parser

from airflow_model_provider import Client, host
from airflow_model_provider.artifacts import patience, scratch
from airflow_model_provider.cli import files
from airflow_model_provider.hooks.model_registry import ModelRegistryHook
from airflow_model_provider.workspace import close_workspaces
from tests.support.soak import TIMES
from tests.unit.hostile.conftest import LONGEST
from tests.unit.hostile.corpus import CHOSEN, TEXTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: A command's arguments in the ordinary form.
ARGUMENTS = TEXTS if TIMES > 1 else [*CHOSEN, *TEXTS[::40], "NaN", "inf", "-5", "1e400", "9" * 30, "9" * 5000]
#: What a description, a reason and a value of metadata keep.
KEPT = [
    text for text in TEXTS if text and not any(mark == "\0" or "\ud800" <= mark <= "\udfff" for mark in text)
]


@pytest.fixture
def airflow(model_registry: Client, capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., str]]:
    """Run an ``airflow model-registry`` command and return what it prints, its error included."""

    def run(*arguments: str) -> str:
        capsys.readouterr()
        try:
            args = get_parser().parse_args(["model-registry", *arguments])
        except SystemExit:  # argparse has refused it, and shown what the caller has just typed
            return ""
        try:
            args.func(args)
        except SystemExit as ended:
            return f"{capsys.readouterr().out}{ended}\n"
        return capsys.readouterr().out

    yield run
    close_workspaces()
    host._entered = False
    os.environ.pop("_AIRFLOW_PROCESS_CONTEXT", None)


def is_seen(said: str) -> bool:
    """Whether these are lines of what can be seen."""
    return all(line.isprintable() for line in said.split("\n"))


@pytest.fixture
def hostile(model_registry: Client) -> dict[str, str]:
    """A model that says everything hostile that can be said; and it, by metadata key."""
    metadata = {f"key {number:03}": text for number, text in enumerate(TEXTS)}
    model_registry.create_model(
        "iris", description="\n".join(KEPT)[:50_000], tags=["[bold]a[/]", "[/]", ":boom:"]
    )
    version = model_registry.create_model_version(
        "iris", "1.10", description="\x1b[2J[red]x[/red]", tags=["[b]"]
    )
    version.log_metadata({**metadata, "[red]key[/]": 1, "{{ 7*7 }}": 2})
    version.set_stage("production", reason="\x1b[31m[bold red]x[/]\nINFO - iris@9 is production now")
    version.save_artifact("noted", 1)
    return metadata


READING = [
    *(("models",), ("versions", "iris"), ("show", "iris", "1"), ("compare", "iris", "1", "1.10")),
    *(("history", "iris"), ("resolve", "iris", "1.10"), ("lineage", "iris", "1")),
]


@pytest.mark.parametrize("form", ["table", "plain"])
def test_what_people_read_is_text(airflow: Callable[..., str], hostile: dict[str, str], form: str) -> None:
    """No escape sequence reaches the terminal, no markup is obeyed or lost, no name becomes a number."""
    said = {command[0]: airflow(*command, "-o", form) for command in READING}

    assert [name for name, text in said.items() if not text or not is_seen(text)] == []
    for command, shown in (
        *(("models", "[bold]a[/], [/], :boom:"), ("versions", "1.10"), ("resolve", "1.10")),
        *(
            ("show", r"\x1b[2J[red]x[/red]"),
            ("show", "[red]key[/]"),
            ("show", "[link=https://example.com]x[/link]"),
        ),
        *(("compare", "{{ 7*7 }}"), ("history", r"\x1b[31m[bold red]x[/]\nINFO")),
    ):
        assert shown in said[command], command


@pytest.mark.parametrize(("form", "read"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_what_programs_read_is_exact(
    airflow: Callable[..., str], hostile: dict[str, str], form: str, read: Callable[[str], Any]
) -> None:
    """Every character comes back and is printed escaped; for a lone surrogate, which YAML doesn't know, its escape."""
    said = {command[0]: airflow(*command, "-o", form) for command in READING}
    rows = {(row["part"], row["name"]): row["value"] for row in read(said["show"])}

    assert [name for name, text in said.items() if not is_seen(text)] == []
    if form == "yaml":
        hostile = {key: text.encode(errors="backslashreplace").decode() for key, text in hostile.items()}
    assert {key: rows["metadata", key] for key in hostile} == hostile
    assert read(said["history"])[0]["reason"] == "\x1b[31m[bold red]x[/]\nINFO - iris@9 is production now"


COMMANDS: list[tuple[str, ...]] = [
    *(
        ("models", "--conn-id", "*"),
        ("versions", "*"),
        ("versions", "iris", "--limit", "*"),
        ("show", "*", "1"),
    ),
    *(
        ("show", "iris", "*"),
        ("compare", "iris", "1", "*"),
        ("history", "iris", "*"),
        ("resolve", "iris", "*"),
    ),
    *(("resolve", "iris", "production", "--as-of", "*"), ("lineage", "iris", "1", "--limit", "*")),
    *(("promote", "*", "1", "staging"), ("promote", "iris", "*", "staging"), ("promote", "iris", "1", "*")),
    *(
        ("promote", "iris", "1", "staging", "--expected", "*"),
        ("promote", "iris", "1", "staging", "--reason", "*"),
    ),
    *(("rollback", "iris", "*"), ("rollback", "iris", "production", "--to", "*")),
    *(("rollback", "iris", "production", "--reason", "*"), ("gc", "--dry-run", "--older-than", "*")),
    *(("register", "*", "file"), ("register", "iris", "*"), ("register", "iris", "file", "--name", "*")),
    *(("register", "iris", "file", "--artifact", "*"), ("register", "iris", "file", "--metadata", "*")),
    *(("register", "iris", "file", "--metadata", "a=*"), ("register", "iris", "file", "--kind", "*")),
    *(("download", "iris", "1", "*"), ("download", "iris", "1", "noted", "--to", "*")),
    ("db", "downgrade", "--to-revision", "*"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_hostile_argument_is_refused_or_used(
    airflow: Callable[..., str],
    model_registry: Client,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
) -> None:
    """Never a traceback, nor anything that a terminal obeys; downloads go where they are told, and nowhere else."""
    with model_registry.new_model_version("iris") as version:
        version.save_artifact("noted", 1)
    version.set_stage("production")
    work = tmp_path / "a" / "b" / "c" / "d" / "work"
    work.mkdir(parents=True)
    monkeypatch.chdir(work)
    monkeypatch.setattr("builtins.input", lambda question: str(is_seen(question)))
    (work / "file").write_text("file")
    wrong = []
    for text in ARGUMENTS:
        target = os.path.join(work, text)  # noqa: PTH118 - absolute ones stay what they are
        if "--to" in command and "download" in command and not target.startswith(str(work)):
            continue  # whoever asks to write there may
        said = airflow(*(part.replace("*", text) for part in command))
        if not all(line.isprintable() and len(line) <= LONGEST for line in said.split("\n")):
            wrong.append((text[:50], said[:200]))

    assert wrong == []
    assert model_registry.get_model_version("iris", 1).load_artifact("noted") == 1
    assert [path.name for path in work.iterdir() if path.name.endswith(".part")] == []


def test_a_download_leaves_what_is_beside_it(
    airflow: Callable[..., str], model_registry: Client, tmp_path: Path
) -> None:
    """A file that is called as a part would be, and where a link of that name leads."""
    with model_registry.new_model_version("iris") as version:
        version.save_artifact("noted", 1)
    part, canary, link = tmp_path / "x.json.part", tmp_path / "canary", tmp_path / "y.json.part"
    part.write_text("mine")
    canary.write_text("sings")
    link.symlink_to(canary)
    (tmp_path / "dangling").symlink_to("nowhere")
    for name in ("x.json", "y.json"):
        assert "is in" in airflow("download", "iris", "1", "noted", "--to", str(tmp_path / name))
        assert (tmp_path / name).read_text() == "1"

    assert (part.read_text(), canary.read_text(), link.is_symlink()) == ("mine", "sings", True)
    assert "exists already" in airflow("download", "iris", "1", "noted", "--to", str(tmp_path / "dangling"))
    assert "cannot be written" in airflow(
        "download", "iris", "1", "noted", "--to", str(tmp_path / "no" / "x")
    )


def test_a_download_of_bytes_that_change_meanwhile_leaves_nothing(
    airflow: Callable[..., str], model_registry: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was copied is what was verified (R39)."""
    with model_registry.new_model_version("iris") as version:
        blob = Path(version.save_artifact("noted", 1).uri)

    @contextmanager
    def replacing(*args: Any, **options: Any) -> Iterator[BinaryIO]:
        with scratch.replacing(*args, **options) as file:
            blob.chmod(0o600)
            blob.write_bytes(b"2")
            yield file

    monkeypatch.setattr(files, "replacing", replacing)
    said = airflow("download", "iris", "1", "noted", "--to", str(tmp_path / "back" / "noted.json"))
    assert "cannot be written" in said
    (tmp_path / "back").mkdir()
    said = airflow("download", "iris", "1", "noted", "--to", str(tmp_path / "back" / "noted.json"))

    assert "DigestMismatch" in said
    assert list((tmp_path / "back").iterdir()) == []


def test_a_download_does_not_replace_what_appears_meanwhile(
    airflow: Callable[..., str], model_registry: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless it was told to."""
    with model_registry.new_model_version("iris") as version:
        version.save_artifact("noted", 1)
    target = tmp_path / "noted.json"

    @contextmanager
    def replacing(*args: Any, **options: Any) -> Iterator[BinaryIO]:
        target.write_text("mine")
        with scratch.replacing(*args, **options) as file:
            yield file

    monkeypatch.setattr(files, "replacing", replacing)
    assert "exists already" in airflow("download", "iris", "1", "noted", "--to", str(target))
    assert target.read_text() == "mine"
    assert "is in" in airflow("download", "iris", "1", "noted", "--to", str(target), "--force")
    assert target.read_text() == "1"


@pytest.mark.parametrize(
    ("url", "store"),
    [
        ("", "s3://key:hunter2@bucket/models"),
        ("postgresql://me:a@hunter2@db.example.com/models", ""),
        ("mysql://me:hunter2@db.example.com/models", ""),
        ("postgresql://me:hunter2@127.0.0.1:1/models?no_such_option=1", ""),
        ("sqlite:////proc/nowhere/models.db?password=hunter2", "s3://key:hunter2@bucket/models"),
    ],
)
def test_neither_the_hook_nor_a_command_shows_a_secret(
    airflow: Callable[..., str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    url: str,
    store: str,
) -> None:
    """A connection that can't be used: what the page of connections, the log and the command line say."""
    monkeypatch.setattr(patience, "ATTEMPTS", 1)
    options = {"secret": "hunter2", "endpoint_url": "http://127.0.0.1:1"} if store else {}
    extra = {
        "url": url or f"sqlite:///{tmp_path / 'x.db'}",
        "store": store or str(tmp_path),
        "storage_options": options,
    }
    connection = {"conn_type": "model_registry", "login": "me", "password": "hunter2", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_MODEL_REGISTRY_DEFAULT", json.dumps(connection))
    caplog.set_level("DEBUG", "airflow_model_provider")
    hook = ModelRegistryHook()
    worked, said = hook.test_connection()
    shown = [
        said,
        repr(hook),
        *(airflow(command, "-o", form) for command in ("models", "verify") for form in ("json", "table")),
    ]

    assert not worked
    assert said
    assert [text for text in (*shown, caplog.text) if "hunter2" in text] == []
