"""SQLite's file under a living process: removed, replaced, or copied without its newest changes."""

from __future__ import annotations

import logging
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from airflow_model_provider import Client
from airflow_model_provider.exceptions import RegistryUnavailable, SchemaMismatch
from airflow_model_provider.workspace import close_workspaces


@pytest.fixture(autouse=True)
def _closed() -> None:
    close_workspaces()


def client(folder: Path, file: str = "r.db") -> Client:
    return Client(f"sqlite:///{folder / file}", store=str(folder / "store"))


def backup(source: Path, target: Path) -> None:
    """What SQLite offers for copying a database that is in use."""
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)


def remove(file: Path) -> None:
    for name in (file, Path(f"{file}-wal"), Path(f"{file}-shm")):
        name.unlink(missing_ok=True)


@pytest.mark.parametrize("what", ["removed", "replaced"])
def test_nothing_is_written_into_a_file_that_is_gone(tmp_path: Path, what: str) -> None:
    """Reading and writing say it, and no empty file appears in its place."""
    registry = client(tmp_path)
    registry.create_model("iris")
    backup(tmp_path / "r.db", tmp_path / "copy.db")
    remove(tmp_path / "r.db")
    if what == "replaced":
        (tmp_path / "copy.db").rename(tmp_path / "r.db")
    for ask in (lambda: registry.create_model("wine"), registry.list_models):
        with pytest.raises(RegistryUnavailable, match=f"file was {what} while this process had it open"):
            ask()

    assert (tmp_path / "r.db").exists() is (what == "replaced")


def test_a_file_that_goes_before_commit_is_noticed(tmp_path: Path) -> None:
    """The change is refused, not reported as done."""
    registry = client(tmp_path).workspace.registry
    registry.create_model("iris")

    def work(_connection: object) -> None:
        remove(tmp_path / "r.db")

    with pytest.raises(RegistryUnavailable, match="file was removed"):
        registry._database.write(work)


def test_a_new_client_sees_the_restored_file(tmp_path: Path) -> None:
    """A process that goes on opens what stands there now."""
    client(tmp_path).create_model("iris")
    backup(tmp_path / "r.db", tmp_path / "copy.db")
    client(tmp_path).create_model("wine")
    remove(tmp_path / "r.db")
    (tmp_path / "copy.db").rename(tmp_path / "r.db")

    assert [model.name for model in client(tmp_path).list_models()] == ["iris"]


def test_an_incomplete_copy_is_not_an_empty_registry(tmp_path: Path) -> None:
    """Without its -wal file the copy of a living registry holds no tables."""
    client(tmp_path).register_model_version("iris", {"weights": [1.0]})
    shutil.copy(tmp_path / "r.db", tmp_path / "copy.db")
    with pytest.raises(SchemaMismatch, match="copy it again with: sqlite3 ORIGINAL"):
        client(tmp_path, "copy.db").list_models()

    with closing(sqlite3.connect(tmp_path / "copy.db")) as copied:
        assert copied.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)


def test_a_new_registry_beside_the_files_of_another_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Two registries can share a store; but a registry that was lost must not come back empty without a word."""
    client(tmp_path).register_model_version("iris", {"weights": [1.0]})
    with caplog.at_level(logging.WARNING):
        assert client(tmp_path, "other.db").list_models() == []

    assert "Created an empty model registry" in caplog.text
    assert "holds files of another registry" in caplog.text
