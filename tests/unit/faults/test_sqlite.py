"""A SQLite file on a disk that fails at every call, is full, is read-only, or is written to by somebody else (R13)."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import product
from pathlib import Path
from threading import Timer
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.dialects.sqlite.base import SQLiteDialect

from airflow_model_provider.exceptions import OutcomeUnknown, RegistryUnavailable
from airflow_model_provider.registry.registry import Registry
from airflow_model_provider.workspace import Workspace
from tests.support.plan import Plan, sample
from tests.support.sqlite_calls import sqlite_calls
from tests.unit.faults.operations import OPERATIONS, Operation
from tests.unit.faults.scene import DONE, NOT_DONE, UNKNOWN, Scene, opened

EVERY = pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)


@EVERY
def test_a_call_of_the_system_that_fails_is_an_error_and_nothing_is_done(
    operation: Operation, scene: Scene
) -> None:
    """Each read and write of SQLite, once: nothing of it is there, or SQLite did without; never is it not known."""
    plan = Plan()
    with sqlite_calls(plan, errno.EIO):
        calls = scene.rehearse(operation, plan)
    for index, error in sample([*product(range(len(calls)), (errno.EIO, errno.ENOSPC))], 7):
        with sqlite_calls(plan, error):
            outcome = scene.perform(operation, plan.failing(index))

        assert outcome.said in (DONE, NOT_DONE), calls[index]
    scene.check_end()


def test_a_registry_is_made_whole_or_not_at_all(tmp_path: Path) -> None:
    """Each call of the first opening fails once: the file holds no table, or all; the next opening succeeds."""
    plan = Plan()
    with sqlite_calls(plan, errno.EIO), plan.failing():
        Registry.open(f"sqlite:///{tmp_path / 'rehearsed.db'}").close()
    calls, tables = plan.calls, names(tmp_path / "rehearsed.db")
    assert "mr_version" in tables
    for index, error in sample([*product(range(len(calls)), (errno.EIO, errno.ENOSPC, errno.EACCES))], 12):
        file = tmp_path / f"{index} {error}.db"
        with sqlite_calls(plan, error), plan.failing(index):
            said = opening_error(file)

        assert not isinstance(said, OutcomeUnknown), calls[index]
        assert names(file) in ([], tables), calls[index]
        assert opening_error(file) is None
        assert names(file) == tables


def opening_error(file: Path) -> RegistryUnavailable | None:
    """Open a registry, which is made if it isn't there."""
    try:
        Registry.open(f"sqlite:///{file}").close()
    except RegistryUnavailable as err:
        return err
    return None


def names(file: Path) -> list[str]:
    """The tables of a file, and whatever else has a name there."""
    with closing(sqlite3.connect(file)) as connection:
        return [name for (name,) in connection.execute("SELECT name FROM sqlite_schema ORDER BY name")]


def on_connections(workspace: Workspace, words: str) -> None:
    """Say something on all connections of a workspace."""
    engine = workspace.registry._database.engine
    event.listen(engine, "connect", lambda connection, _record: connection.execute(words))
    engine.dispose()


@pytest.mark.parametrize(
    ("words", "reason"),
    [("PRAGMA max_page_count = 1", "full"), ("PRAGMA query_only = ON", "readonly.*read and write the file")],
    ids=["full", "read-only"],
)
def test_a_file_that_takes_nothing_is_an_error_that_says_so(words: str, reason: str, scene: Scene) -> None:
    """It has as many pages as it may have, or must not be written to; what is there can still be read."""
    workspace = opened(scene.address, patience=60)
    before = scene.rows()
    on_connections(workspace, words)

    with pytest.raises(RegistryUnavailable, match=reason) as caught:
        workspace.registry.create_version("large", description="x" * 100_000)
    assert type(caught.value) is RegistryUnavailable
    assert scene.rows() == before
    assert workspace.registry.list_models()
    workspace.close()


@pytest.fixture
def other_writer(scene: Scene) -> Iterator[sqlite3.Connection]:
    """Another connection to the file."""
    file = scene.address.url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(file, isolation_level=None, check_same_thread=False)) as connection:
        yield connection


@contextmanager
def writing(connection: sqlite3.Connection) -> Iterator[None]:
    """Begin to write, and end a little later."""
    connection.execute("BEGIN IMMEDIATE")
    end = Timer(0.1, connection.rollback)
    end.start()
    yield
    end.join()


@EVERY
def test_another_writer_is_waited_for(
    operation: Operation, scene: Scene, other_writer: sqlite3.Connection
) -> None:
    """Who writes for a while holds others up, and then they are done."""
    scene.rehearse(operation, Plan())

    assert scene.perform(operation, writing(other_writer)).said == DONE


def test_another_writer_who_does_not_end_is_waited_for_once(
    scene: Scene, other_writer: sqlite3.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    """For the time that patience says, not twice: SQLite itself has waited."""
    workspace = opened(scene.address, patience=0.2)
    before = scene.rows()
    other_writer.execute("BEGIN IMMEDIATE")

    with pytest.raises(RegistryUnavailable, match="locked"):
        workspace.registry.create_version("locked out")
    assert "Trying again" not in caplog.text
    other_writer.rollback()
    assert scene.rows() == before
    assert workspace.registry.create_version("let in").number == 1
    workspace.close()


@contextmanager
def unflushed(patch: pytest.MonkeyPatch, really: str) -> Iterator[None]:
    """Let COMMIT fail as it does where the disk refuses to flush what was written; ``really`` is what it does."""

    def refused(_dialect: Any, connection: Any) -> None:
        getattr(connection, really)()
        err = sqlite3.OperationalError("disk I/O error")
        err.sqlite_errorname = "SQLITE_IOERR_FSYNC"
        raise err

    with patch.context() as patched:
        patched.setattr(SQLiteDialect, "do_commit", refused)
        yield


@pytest.mark.parametrize(
    "name", ["save", "create a version", "promote by force", "roll back", "purge a version"]
)
@pytest.mark.parametrize("really", ["commit", "rollback"])
def test_a_commit_that_cannot_be_flushed_is_said_to_be_not_known(
    name: str, really: str, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite takes it back; a crash before the next change would show that it is done. It is done once at most."""
    scene.rehearse(OPERATIONS[name], Plan())

    assert scene.perform(OPERATIONS[name], unflushed(monkeypatch, really)).said == UNKNOWN
    scene.check_end()
