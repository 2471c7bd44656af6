"""From a URL to an engine: drivers, SQLite's settings, and URLs that can be shown."""

from __future__ import annotations

import re
import sqlite3
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError

from airflow_model_provider.exceptions import InvalidConfiguration, MissingDependency, RegistryUnavailable
from airflow_model_provider.limits import is_address
from airflow_model_provider.registry.columns import sqlite_now

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SETTING = "The model registry's url"
_EXAMPLES = (
    "Examples: sqlite:////var/lib/airflow/model_registry.db, postgresql://user:password@host/database."
)
_POSTGRESQL: dict[str, Any] = {
    "connect_timeout": 10,
    # What is said twice will be said again: it is planned once more, not four times. Tasks say most things once.
    "prepare_threshold": 1,
    "application_name": "airflow-model-provider",
    # A server that is gone without a word is noticed within half a minute: a step must not wait for it for hours.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 4,
    "tcp_user_timeout": 30_000,
}
#: Whoever stops in the middle of a transaction, as a suspended worker does, loses its locks after that: a
#: promotion's keep all others waiting.
LET_GO = "set_config('idle_in_transaction_session_timeout', '60s', true)"
#: Execution option of a connection whose transaction will write.
WRITES = "mr_write"
#: Execution option: see :class:`Together`.
TOGETHER = "mr_together"
#: What a connection knows of its transaction: PostgreSQL's number of it, and whether COMMIT was sent.
TRANSACTION, ENDS = "mr_transaction", "mr_ends"


class Together(NamedTuple):
    """
    Statements to execute in one go.

    :param said: the words of each (SQLite's are several), and its values.
    :param answers: takes the rows of each.
    :param synced: whether their transaction waits for the disk.
    :param last: whether it ends with them.
    """

    said: Sequence[tuple[Sequence[str], Mapping[str, Any]]]
    answers: list[list[Any]]
    synced: bool
    last: bool


def parse_url(text: str) -> URL:
    """
    Read a registry's URL. ``postgres://`` and ``postgresql://`` mean psycopg 3.

    :raises InvalidConfiguration: if it is no URL, or of another database.
    """
    try:
        url = make_url(text if is_address(text) else "")
        kind = url.get_backend_name() if url.drivername != "postgres" else "postgresql"
    except (ArgumentError, ValueError):
        raise InvalidConfiguration(_SETTING, "this is not a database URL", _EXAMPLES) from None
    if "@" in (url.host or ""):  # the end of a password, which would be shown
        raise InvalidConfiguration(_SETTING, "a user or password has an '@' in it", "Write it as %40.")
    if kind == "postgresql":
        return url.set(drivername="postgresql+psycopg")
    if kind != "sqlite":
        raise InvalidConfiguration(_SETTING, f"{kind!r} is neither SQLite nor PostgreSQL", _EXAMPLES)
    if not url.database or ":memory:" in url.database:
        raise InvalidConfiguration(_SETTING, "a database in memory is gone when this process ends", _EXAMPLES)
    try:
        file = Path(url.database).expanduser().absolute()
    except RuntimeError as err:
        raise InvalidConfiguration(_SETTING, f"{url.database!r} is not a file ({err})", _EXAMPLES) from None
    return url.set(drivername="sqlite", database=str(file))


def masked(url: URL) -> str:
    """Return the URL as it may be shown: no password, neither in front nor among the parameters (R40)."""
    secret = dict.fromkeys(_secret_parameters(url), "***")
    shown = url.set(drivername=url.get_backend_name()).update_query_dict(secret)
    return shown.render_as_string(hide_password=True)


def without_secrets(url: URL, text: str) -> str:
    """Return what a driver says about a URL without the passwords that stand in it."""
    values = [url.password, *(url.query[key] for key in _secret_parameters(url))]
    for value in filter(None, values):
        for form in (str(value), quote(str(value), safe="")):
            text = text.replace(form, "***")
    return text


def _secret_parameters(url: URL) -> list[str]:
    return [key for key in url.query if re.search(r"pass|pwd|secret|token", key, re.IGNORECASE)]


def make_engine(url: URL, patience: float) -> Engine:
    """
    Make an engine; nothing is opened yet.

    :param patience: seconds to wait for another writer (SQLite).
    :raises MissingDependency: if PostgreSQL's driver isn't installed.
    :raises InvalidConfiguration: for parameters that the driver doesn't know.
    """
    try:
        if url.get_backend_name() == "sqlite":
            return _sqlite(url, patience)
        hidden = {
            key: url.query[key] for key in _secret_parameters(url)
        }  # the engine's own repr would show them
        return _postgresql(url, hidden)
    except ImportError:
        raise MissingDependency(
            "A registry on PostgreSQL", "psycopg", "airflow-model-provider[postgres]"
        ) from None
    except (ArgumentError, TypeError, ValueError) as err:
        problem = f"{masked(url)} cannot be used ({without_secrets(url, str(err))})"
        raise InvalidConfiguration(_SETTING, problem, _EXAMPLES) from None


def make_folder(url: URL) -> None:
    """
    Make the folder that a SQLite file will stand in.

    :raises RegistryUnavailable: if that is not possible.
    """
    if url.get_backend_name() == "sqlite":
        try:
            Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)
        except OSError as err:
            raise RegistryUnavailable(masked(url), f"its folder cannot be made ({err.strerror})") from err


def _postgresql(url: URL, hidden: dict[str, Any]) -> Engine:
    given = {**hidden, **_prepare_threshold(url)}
    engine = create_engine(
        url.difference_update_query(given),
        pool_size=2,
        max_overflow=8,
        hide_parameters=True,
        isolation_level="AUTOCOMMIT",  # reads are in no transaction: one statement is one snapshot
        use_native_hstore=False,  # one question less on the first connection
        connect_args={
            **{key: value for key, value in _POSTGRESQL.items() if key not in url.query},
            **given,
        },
    )
    event.listen(engine, "connect", _configure_postgresql)
    event.listen(engine, "begin", _begin_postgresql)
    event.listen(engine, "checkin", _end_postgresql)
    event.listen(engine, "do_execute", _in_one_round_trip)
    return engine


def _prepare_threshold(url: URL) -> dict[str, int | None]:
    """Return the driver's argument that ``?prepare_threshold=`` in the URL means: a number, or ``none`` for poolers."""
    said = url.query.get("prepare_threshold")
    if said is None:
        return {}
    if not isinstance(said, str) or not re.fullmatch("none|[0-9]{1,6}", said, re.IGNORECASE):
        raise ArgumentError("prepare_threshold must be a number or none. Example: ?prepare_threshold=none")
    return {"prepare_threshold": int(said) if said.isdigit() else None}


def _configure_postgresql(connection: Any, _record: Any) -> None:
    from psycopg import IsolationLevel

    connection.isolation_level = IsolationLevel.READ_COMMITTED  # of transactions; reads are in none


def _begin_postgresql(connection: Connection) -> None:
    # The driver says BEGIN with the first statement, unless that is said together with others.
    if connection.get_execution_options().get(WRITES):
        driver: Any = connection.connection.driver_connection
        driver.autocommit = False


def _end_postgresql(connection: Any, _record: Any) -> None:
    if connection is not None and not connection.closed and not connection.autocommit:
        connection.autocommit = True


def _in_one_round_trip(cursor: Any, _words: str, _values: Any, context: Any) -> bool:
    """Send several statements at once, with BEGIN where it is due, and COMMIT where nothing else is to come."""
    asked: Together | None = context.execution_options.get(TOGETHER)
    connection = cursor.connection
    if asked is None and connection.autocommit:
        return False
    from psycopg import Pipeline
    from psycopg.pq import TransactionStatus

    begins = not connection.autocommit and connection.info.transaction_status is TransactionStatus.IDLE
    if asked is None:
        if begins:
            connection.execute(f"SELECT {LET_GO}")
        return False
    ends = asked.last and context.execution_options.get(WRITES)
    if begins:
        connection.autocommit = True  # the driver would wait for the answer to its own BEGIN
    end = "" if asked.synced else ", set_config('synchronous_commit', 'off', true)"
    several = begins or ends or len(asked.said) > 1
    with connection.pipeline() if several and Pipeline.is_supported() else nullcontext():
        if begins:
            cursor.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
        cursors = [connection.execute(words + end, values) for (words,), values in asked.said]
        if ends:
            context.root_connection.info[ENDS] = True
            cursor.execute("COMMIT")
    asked.answers.extend(found.fetchall() if found.pgresult.nfields else [] for found in cursors)
    return True


def _one_by_one(cursor: Any, _words: str, _values: Any, context: Any) -> bool:
    """SQLite has no round trips."""
    asked: Together | None = context.execution_options.get(TOGETHER)
    if asked is None:
        return False
    execute = cursor.connection.execute
    if not asked.synced:
        execute("PRAGMA synchronous = NORMAL")
    for parts, values in asked.said:
        for words in parts:
            rows = execute(words, values).fetchall()
        asked.answers.append(rows)
    if not asked.synced:
        execute("PRAGMA synchronous = FULL")
    return True


def _sqlite(url: URL, patience: float) -> Engine:
    if sqlite3.sqlite_version_info < (3, 35):
        raise InvalidConfiguration(
            _SETTING, f"SQLite {sqlite3.sqlite_version} is too old", "It must be 3.35 or newer."
        )
    engine = create_engine(
        url, pool_size=2, max_overflow=8, hide_parameters=True, connect_args={"timeout": patience}
    )
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    event.listen(engine, "do_execute", _one_by_one)
    return engine


def _configure_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions begin where we say so
    connection.create_function("mr_now", -1, sqlite_now)
    connection.execute("PRAGMA foreign_keys = ON")
    # A promotion that was acknowledged survives a power cut; NORMAL could lose it in WAL mode.
    connection.execute("PRAGMA synchronous = FULL")


def _begin_sqlite(connection: Connection) -> None:
    # Taking the write lock first never fails halfway, as a read transaction that begins to write can.
    if connection.get_execution_options().get(WRITES):
        connection.exec_driver_sql("BEGIN IMMEDIATE")
