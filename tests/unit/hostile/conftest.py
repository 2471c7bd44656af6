"""A registry with its store, and what lies around them and must stay as it is."""

from __future__ import annotations

import hashlib
import logging
import os
import sqlite3
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from sqlalchemy import event, inspect

from airflow_model_provider import Client
from airflow_model_provider.exceptions import ModelRegistryError
from airflow_model_provider.registry import tables
from airflow_model_provider.workspace import close_workspaces

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_model_provider.client import RegisteredModel
    from airflow_model_provider.registry.database import Database

#: Characters of a sentence or of a line of the log, at most: 4,000, if all of them had to be escaped.
LONGEST = 12 * 4_000


def is_harmless(said: str) -> bool:
    """Whether a terminal, a log and a reader get one short line of what can be seen."""
    return said.isprintable() and len(said) <= LONGEST


class Lines(logging.Handler):
    """Everything that is logged."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep our messages as a file would get them."""
        if record.name.startswith("airflow_model_provider"):
            self.lines.append(record.getMessage())


class World:
    """
    A registry with its store, and a folder around them.

    :param folder: holds all of it; a task's working directory is in it.
    :param url: of the registry.
    """

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url, self.store = folder, url, folder / "store"
        for name in ("work", "beside"):
            (folder / name).mkdir()
        (folder / "beside" / "canary").write_text("sings")
        self.client = Client(url, store=str(self.store))
        self.registry = self.client.workspace.registry
        _hurry(self.registry._database)
        self._observer = observer(url)
        with self.client.new_model_version("canary") as version:
            version.save_artifact("song", [1, 2])
            version.log_metadata({"loud": True})
        version.set_stage("production", reason="sings")
        self.version = self.client.create_model_version("given")
        self.client.create_model_version("renamed")
        self.lines = Lines()
        self._rows: list[int] | None = None

    def close(self) -> None:
        """Give back what it has opened by itself."""
        self._observer.close()

    def rows(self) -> list[int]:
        """How many rows each table has."""
        asked = ", ".join(f"(SELECT count(*) FROM {name})" for name in tables.metadata.tables)
        return list(self._observer.execute(f"SELECT {asked}").fetchone())

    def pair(self) -> RegisteredModel:
        """A model with two versions, the first of which is in staging."""
        if "pair" not in [model.name for model in self.client.list_models()]:
            for _ in (1, 2):
                self.client.create_model_version("pair").set_stage("staging", force=True)
            self.client.get_model("pair").rollback("staging")
            self.prepared()
        return self.client.get_model("pair")

    def prepared(self) -> None:
        """Say that nothing may be written from here on if what is given now is refused."""
        self._rows = self.rows()

    def around(self) -> dict[str, str]:
        """Everything that isn't the registry or its store: names, kinds, contents; and the names of all tables."""
        found = {}
        for path in sorted(self.folder.rglob("*")):
            name = str(path.relative_to(self.folder))
            if name.startswith(("registry.db", "store/")) or name == "store":
                continue
            content = path.readlink() if path.is_symlink() else path.read_bytes() if path.is_file() else ""
            found[name] = f"{oct(path.lstat().st_mode)} {content!r}"
        names = inspect(self.registry._database.engine).get_table_names()
        return {**found, "tables": ", ".join(sorted(names)), "canary": self._canary()}

    def _canary(self) -> str:
        version = self.client.get_model_version("canary", "production")
        (event,) = self.client.get_model("canary").history()
        return repr((version.record, version.run_metadata, version.load_artifact("song"), event))

    def strays(self) -> list[str]:
        """What lies in the store and isn't called by its digest, below the registry's own folder."""
        found = []
        for path in self.store.rglob("*"):
            if not path.is_dir():
                top, kind, start, digest = path.relative_to(self.store).parts
                good = (self.registry.id, "sha256", digest[:2], hashlib.sha256(path.read_bytes()).hexdigest())
                found += [] if (top, kind, start, digest) == good else [str(path)]
        return found

    def accepts(self, put: Callable[[World, Any], Any], given: Any) -> bool:
        """Whether it is accepted: then the same comes back; else nothing was written, and the error is harmless."""
        self.lines.lines = []
        if self._rows is None:
            self.prepared()
        accepted = True
        try:
            accepted = judged(lambda item: put(self, item), given)
            assert accepted or self.rows() == self._rows, "it was refused, and something was written"
        finally:
            self._rows = None if accepted else self._rows
        assert [line[:300] for line in self.lines.lines if not is_harmless(line)] == []
        return accepted


def judged(put: Callable[[Any], Any], given: Any) -> bool:
    """Whether it is accepted, and the same comes back; if not, the error is harmless."""
    try:
        found = put(given)
    except ModelRegistryError as err:
        said = [str(err), repr(err), *getattr(err, "__notes__", ())]
        assert [words[:300] for words in said if not is_harmless(words)] == []
        return False
    assert same(found, given), f"{str(found)[:300]!r} came back"
    return True


def observer(url: str) -> Any:
    """A connection of its own, of the plain driver, on which each statement stands for itself."""
    if url.startswith("sqlite"):
        return sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    return psycopg.connect(url, autocommit=True)


def _hurry(database: Database) -> None:
    """A test's data need not survive a power cut."""
    if database.is_sqlite:
        database.close()
        event.listen(
            database.engine,
            "connect",
            lambda connection, _: connection.execute("PRAGMA synchronous = OFF"),
        )


def same(found: Any, given: Any) -> bool:
    """Whether one is the other: of the same type, and for numbers bit for bit."""
    if isinstance(given, float):
        return repr(found) == repr(given)
    return type(found) is type(given) and bool(found == given)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One of them for all tests of a module."""
    folder = tmp_path_factory.mktemp("world")
    url = f"sqlite:///{folder / 'registry.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").new_database()
    made = World(folder, url)
    with working(made):
        yield made
    made.close()
    close_workspaces()


@contextmanager
def working(world: World) -> Iterator[None]:
    """Work in its folder, log everything, and look at the end what has changed around it."""
    before, root = world.around(), logging.getLogger()
    level, here = root.level, Path.cwd()
    os.chdir(world.folder / "work")
    root.addHandler(world.lines)
    root.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        root.setLevel(level)
        root.removeHandler(world.lines)
        os.chdir(here)
    assert world.around() == before
    assert world.strays() == []
