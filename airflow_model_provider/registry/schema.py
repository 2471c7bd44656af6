"""The schema's revision: made on first use, checked at each opening, changed only on request (R34, R35)."""

from __future__ import annotations

import logging
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DatabaseError

from airflow_model_provider.exceptions import InvalidConfiguration, SchemaMismatch
from airflow_model_provider.exceptions.base import quoted
from airflow_model_provider.exceptions.connections import UPGRADE
from airflow_model_provider.registry.database import Database, is_transient, run
from airflow_model_provider.registry.engine import make_folder
from airflow_model_provider.registry.tables import registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from alembic.config import Config

#: The newest revision of ``migrations/versions``: what this code reads and writes.
REVISION = "0001"
#: What is there before the first revision: nothing.
BASE = "base"
VERSION_TABLE = "mr_alembic_version"
#: Seconds that a process may take from making a file to making the tables in it.
_ANOTHER_MAKES_IT = 2.0
log = logging.getLogger(__name__)
#: PostgreSQL advisory lock held while the schema changes: "mrschema" as a number.
_LOCK = int.from_bytes(b"mrschema", "big")
_UPGRADE = f"Run: {UPGRADE}"
_INCOMPLETE = (
    "The file holds no tables, but the store {store} holds files of a registry. If it is a copy of that registry's "
    "file, copy it again with: sqlite3 ORIGINAL '.backup COPY' (newest changes are in a -wal file beside the "
    "original). For a new registry, name a file that does not exist. Nothing was changed."
)
_NEW_BESIDE_OLD_FILES = (
    "Created an empty model registry at %s, but the store %s holds files of another registry. If this registry should "
    "not be empty, restore its file."
)


class Identity(NamedTuple):
    """What one read tells about a registry's database."""

    revision: str
    id: str
    oldest_code: str


def ensure(database: Database, store_of_others: Callable[[], str | None] = lambda: None) -> str:
    """
    Make the schema if the database has none, and return the registry's id.

    :param store_of_others: says which store already holds files, which those of a new registry can't be; asked before
        one is made.
    :raises SchemaMismatch: if this release can't use the schema, or an empty file may be an incomplete copy.
    :raises RegistryUnavailable: if the database can't be opened.
    """
    make_folder(database.address)
    was_there = database.file is not None and database.file.exists()
    found = database.read(_identity)
    if found is None:
        found = _made(database, store_of_others(), was_there=was_there)
    return _usable(database, found).id


def _made(database: Database, store: str | None, *, was_there: bool) -> Identity | None:
    """Make the schema, unless an empty file stands beside a store of others, which nobody else fills."""
    if store is not None and was_there:
        if (found := _made_by_another(database)) is not None:
            return found
        raise SchemaMismatch(database.url, None, REVISION, _INCOMPLETE.format(store=store))
    _change(database, REVISION, only_if_empty=True)
    if store is not None:
        log.warning(_NEW_BESIDE_OLD_FILES, database.url, store)
    return database.read(_identity)


def _made_by_another(database: Database) -> Identity | None:
    """An empty file may be one in which another process is just about to make the schema."""
    from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

    looks = Retrying(
        retry=retry_if_result(lambda found: found is None),
        wait=wait_fixed(0.1),
        stop=stop_after_delay(_ANOTHER_MAKES_IT),
        retry_error_callback=lambda _state: None,
    )
    found: Identity | None = looks(database.read, _identity)
    return found


def check(url: str) -> None:
    """
    Check that the schema fits this release.

    :raises SchemaMismatch: if it doesn't, or is not there.
    """
    database = Database(url)
    with _closing(database):
        _usable(database, _read(database))


def current(url: str) -> str | None:
    """Return the schema's revision, or None where there is none."""
    database = Database(url)
    with _closing(database):
        found = _read(database)
    return found.revision if found else None


def upgrade(url: str) -> None:
    """
    Bring the schema to this release; makes it in an empty database.

    :raises SchemaMismatch: if it is a newer one that this release can't use.
    """
    database = Database(url)
    with _closing(database):
        make_folder(database.address)
        found = database.read(_identity)
        if found is None or found.revision < REVISION:
            _change(database, REVISION)
        else:
            _usable(database, found)


def downgrade(url: str, revision: str) -> None:
    """
    Take the schema back; what newer tables hold is lost.

    :param revision: the one to go back to; ``base`` removes everything, and nothing else does.
    :raises InvalidConfiguration: if there is no such revision.
    :raises SchemaMismatch: if there is none, or a newer one, whose way back only the release that has it knows.
    """
    if not re.fullmatch(r"[0-9a-z]+", revision):  # Alembic counts, too: -1
        problem = f"{quoted(revision)} is not the name of a revision"
        raise InvalidConfiguration(
            "The schema's revision", problem, f"Write {REVISION}, or {BASE} to remove all."
        )
    database = Database(url)
    with _closing(database):
        found = _read(database)
        if found is None:
            raise SchemaMismatch(database.url, None, REVISION, "There is nothing to take back.")
        if found.revision > REVISION:
            advice = "Take it back with the release that brought it there."
            raise SchemaMismatch(database.url, found.revision, REVISION, advice)
        _change(database, revision, down=True)


def _read(database: Database) -> Identity | None:
    """Asking must not make a file."""
    if database.file is not None and not database.file.exists():
        return None
    return database.read(_identity)


def _identity(connection: Connection) -> Identity | None:
    """One SELECT where the schema is there; looks closer only where that fails."""
    try:
        row = run(connection, _IDENTITY, {}).one_or_none()
    except DatabaseError as err:
        if is_transient(err):
            raise
        if not inspect(connection).has_table(registry.name):
            return None
        row = run(connection, _IDENTITY, {}).one_or_none()  # made by another process between the two looks
    return None if row is None else Identity(*tuple(row))


_IDENTITY = f"SELECT version_num, id, oldest_code FROM {VERSION_TABLE} CROSS JOIN mr_registry"  # noqa: S608 - a constant


def _usable(database: Database, found: Identity | None) -> Identity:
    if found is None:
        raise SchemaMismatch(database.url, None, REVISION, f"It is made at first use. {_UPGRADE}")
    if found.revision < REVISION:
        raise SchemaMismatch(database.url, found.revision, REVISION, _UPGRADE)
    if found.revision > REVISION and found.oldest_code > REVISION:
        advice = f"It serves releases from schema {found.oldest_code!r} on: install a newer airflow-model-provider."
        raise SchemaMismatch(database.url, found.revision, REVISION, advice)
    return found


def _change(database: Database, revision: str, *, down: bool = False, only_if_empty: bool = False) -> None:
    """Move to a revision, all or nothing, one process at a time."""
    if database.is_sqlite:
        database.read(lambda connection: connection.exec_driver_sql("PRAGMA journal_mode = WAL").scalar())

    def work(connection: Connection) -> None:
        if not database.is_sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        if only_if_empty and inspect(connection).has_table(registry.name):
            return  # another process was faster
        _migrate(connection, revision, down=down)

    database.write(work)


def _migrate(connection: Connection, revision: str, *, down: bool) -> None:
    from alembic import command
    from alembic.util import CommandError

    config = alembic_config(connection)
    try:
        (command.downgrade if down else command.upgrade)(config, revision)
    except CommandError as err:
        raise InvalidConfiguration(
            "The schema's revision", f"{quoted(revision)} cannot be reached ({err})"
        ) from err


def alembic_config(connection: Connection) -> Config:
    """Return what Alembic needs: the scripts inside the installed package, and the open connection."""
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", "airflow_model_provider.registry:migrations")
    config.set_main_option("path_separator", "os")
    return config


@contextmanager
def _closing(database: Database) -> Iterator[None]:
    try:
        yield
    finally:
        database.close()
