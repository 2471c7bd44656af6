"""Files on the command line: what becomes a version, whole or not at all, and what is written where."""

from __future__ import annotations

import json
import os
import socket
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np
import pytest

from airflow_model_provider import Client
from airflow_model_provider.registry.entities import Attempt, Link, Relation, RunKey
from airflow_model_provider.workspace import Saving

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def file(tmp_path: Path) -> str:
    """A file that can be loaded."""
    joblib.dump([1, 2], tmp_path / "m.joblib")
    return str(tmp_path / "m.joblib")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("{folder}/missing.joblib",), "FileMissing"),
        (("{folder}",), "FileMissing"),
        (("s3://bucket/m.joblib",), "FileMissing"),
        (("{file}", "--metadata", "accuracy"), "no '='"),
        (("{file}", "--metadata", "=1"), "InvalidName"),
        (("{file}", "--artifact", "../m"), "InvalidName"),
        (("{file}", "--format", "npy", "--check"), "LoadFailed"),
        (("{folder}/broken.pkl", "--check"), "LoadFailed"),
        (("{folder}/broken.skops", "--check"), "artifact 'model' of a new version of 'iris'"),
    ],
)
def test_what_cannot_be_registered_leaves_nothing(
    airflow: Callable[..., str],
    model_registry: Client,
    tmp_path: Path,
    file: str,
    arguments: tuple[str, ...],
    said: str,
) -> None:
    """No model, no failed version; the number and the name are those of the next one."""
    for name in ("broken.pkl", "broken.skops"):
        (tmp_path / name).write_bytes(b"broken")
    with pytest.raises(SystemExit, match=said):
        airflow(
            *("register", "iris", "--name", "v1"),
            *(part.format(file=file, folder=tmp_path) for part in arguments),
        )

    assert model_registry.list_models() == []
    airflow("register", "iris", file, "--name", "v1", "--check")
    (made,) = model_registry.list_model_versions("iris")
    assert (made.number, made.version_name, made.state.value) == (1, "v1", "ready")


def test_a_name_that_is_taken_uses_up_no_number(
    airflow: Callable[..., str], model_registry: Client, file: str
) -> None:
    """Nor does it leave a version without a name."""
    airflow("register", "iris", file, "--name", "v1")
    with pytest.raises(SystemExit, match="AlreadyExists"):
        airflow("register", "iris", file, "--name", "v1")
    airflow("register", "iris", file, "--name", "v2")

    assert [item.number for item in model_registry.list_model_versions("iris")] == [2, 1]


def test_kind_and_format_are_kept(
    airflow: Callable[..., str], model_registry: Client, tmp_path: Path
) -> None:
    """As they were chosen."""
    np.save(tmp_path / "weights.npy", np.arange(3))
    (tmp_path / "weights.npy").rename(tmp_path / "weights.bin")
    file = str(tmp_path / "weights.bin")
    said = airflow("register", "iris", file, "--format", "npy", "--kind", "model", "--check")
    artifact = model_registry.get_model_version("iris", 1).get_model_artifact("model")

    assert said.splitlines()[0] == "Loaded: ndarray."
    assert list(artifact.load()) == [0, 1, 2]


_STAYS = "is a (pipe|socket), and stays as it is"


@pytest.fixture
def special(tmp_path: Path) -> Any:
    """A pipe, a socket, a link to the pipe, a folder: what they are called, and what they are."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    (tmp_path / "folder").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        here = os.open(tmp_path, os.O_RDONLY)
        server.bind(f"/proc/self/fd/{here}/socket")  # whose whole path would be too long
        os.close(here)
        names = ("pipe", "socket", "link", "folder")
        yield {tmp_path / name: stat.S_IFMT((tmp_path / name).lstat().st_mode) for name in names}


@pytest.mark.parametrize("command", [("download", "iris", "1", "noted", "--to"), ("export", "iris")])
def test_what_is_no_regular_file_is_not_replaced(
    airflow: Callable[..., str], model_registry: Client, special: dict[Path, int], command: tuple[str, ...]
) -> None:
    """Not with ``--force`` either: a pipe or a device would be gone for all programs that use it."""
    model_registry.register_model_version("iris", {"noted": 1})
    for path in special:
        says = (
            "is a folder: name a file in it: .*/folder/(noted|iris.zip). Nothing" if path.is_dir() else _STAYS
        )
        with pytest.raises(SystemExit, match=says) as caught:
            airflow(*command, str(path), "--force")
        assert "\n" not in str(caught.value)

    with pytest.raises(SystemExit, match="is a folder: name a file in it"):
        airflow(*command, str(next(path for path in special if path.is_dir())))

    assert {path: stat.S_IFMT(path.lstat().st_mode) for path in special} == special


@pytest.mark.parametrize("command", [("download", "iris", "1", "noted", "--to"), ("export", "iris")])
def test_a_regular_file_is_replaced(
    airflow: Callable[..., str], model_registry: Client, tmp_path: Path, command: tuple[str, ...]
) -> None:
    """And a link to one, not what it leads to."""
    model_registry.register_model_version("iris", {"noted": 1})
    kept, link = tmp_path / "kept", tmp_path / "link"
    kept.write_text("mine")
    link.symlink_to(kept)
    airflow(*command, str(link), "--force")

    assert (kept.read_text(), link.is_symlink(), link.stat().st_size > 0) == ("mine", False, True)


def test_json_of_a_registration_names_what_was_loaded(
    airflow: Callable[..., str], model_registry: Client, file: str
) -> None:
    """Only where it was."""
    (row,) = json.loads(airflow("register", "iris", file, "--check", "-o", "json"))

    assert row["loaded"] == "list"


# --- elements of what a mapped step has made ---------------------------------------------------------------


@pytest.fixture
def folds(model_registry: Client) -> Client:
    """A version with three elements of one name, and an artifact that is no element."""
    run, workspace = RunKey("default", "training", "manual__1"), model_registry.workspace
    made = workspace.registry.version_for_run("iris", run, producer="fold", producers={"fold": True})
    for index in range(3):
        attempt = Attempt(run, "fold", f"ti-{index}", map_index=index)
        links = [Link(made.id, Relation.OUTPUT)]
        workspace.save(f"fold {index}", Saving("fold", what="fold"), attempt=attempt, links=links)
    model_registry.get_model_version("iris", 1).save_artifact("noted", 1)
    return model_registry


def test_one_element_is_downloaded(
    airflow: Callable[..., str], folds: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside the others, each in a file of its own."""
    monkeypatch.chdir(tmp_path)
    said = [airflow("download", "iris", "1", "fold", "--map-index", str(index)) for index in (0, 2)]
    (row,) = json.loads(
        airflow("download", "iris", "1", "fold", "--map-index", "1", "--to", "one", "-o", "json")
    )

    assert [(tmp_path / name).read_text() for name in ("fold-0", "one", "fold-2")] == [
        *("fold 0", "fold 1", "fold 2"),
    ]
    assert said[1].startswith("iris@1/fold@3[2] is in fold-2 (")
    assert (row["artifact"], row["map_index"]) == ("iris@1/fold@2[1]", 1)


@pytest.mark.parametrize(
    ("artifact", "said"),
    [
        (("fold",), r"^AmbiguousArtifact: .*elements 0, 1, 2\. Choose one, for example --map-index 0\.$"),
        (
            ("fold", "--map-index", "3"),
            r"no artifact 'fold\[3\]'.* It has: fold\[0\], fold\[1\], fold\[2\]\.$",
        ),
        (("noted", "--map-index", "0"), r"no artifact 'noted\[0\]'.* It has: noted\.$"),
        (("nothing", "--map-index", "0"), r"no artifact 'nothing\[0\]'.* It has: fold, noted\.$"),
        (("fold", "--map-index", "-2"), "-2 is not a valid map index"),
    ],
)
def test_an_element_that_is_not_there_is_named_with_those_that_are(
    airflow: Callable[..., str], folds: Client, artifact: tuple[str, ...], said: str
) -> None:
    """In the words of the command."""
    with pytest.raises(SystemExit, match=said):
        airflow("download", "iris", "1", *artifact, "--to", "-")


def test_elements_are_told_apart(
    airflow: Callable[..., str], folds: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    """By ``show``, ``lineage`` and ``verify``; a program gets the index as a number."""
    elements = ["fold[0]", "fold[1]", "fold[2]"]
    for form in ("table", "plain"):
        assert [name for name in elements if name in airflow("show", "iris", "1", "-o", form)] == elements
    shown = [
        row for row in json.loads(airflow("show", "iris", "1", "-o", "json")) if row["part"] == "artifact"
    ]
    assert [(row["name"], row["value"]["map_index"]) for row in shown] == [
        *(("fold", 0), ("fold", 1), ("fold", 2), ("noted", None)),
    ]
    made = {row["artifact"] for row in json.loads(airflow("lineage", "iris", "1", "-o", "json"))}
    assert made == {"fold@1[0]", "fold@2[1]", "fold@3[2]", "noted@1"}

    Path(folds.get_model_version("iris", 1).get_artifact("fold", map_index=1).uri).unlink()
    with pytest.raises(SystemExit):
        airflow("verify")
    assert "iris@1/fold[1]" in capsys.readouterr().out
