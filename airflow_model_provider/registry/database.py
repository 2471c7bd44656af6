"""Work on the database, tried again while trouble is transient and it is certain that nothing is done twice (R13)."""

from __future__ import annotations

import functools
import logging
import os
import re
import time
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from sqlalchemy.exc import (
    DatabaseError,
    DBAPIError,
    InterfaceError,
    InternalError,
    OperationalError,
    ProgrammingError,
)
from sqlalchemy.exc import TimeoutError as NoConnectionFree

from airflow_model_provider.exceptions import (
    InvalidConfiguration,
    ModelRegistryError,
    OutcomeUnknown,
    RegistryUnavailable,
)
from airflow_model_provider.registry.engine import (
    ENDS,
    LET_GO,
    TOGETHER,
    TRANSACTION,
    WRITES,
    Together,
    make_engine,
    masked,
    parse_url,
    without_secrets,
)
from airflow_model_provider.registry.same_file import SameFile
from airflow_model_provider.registry.trouble import advice, is_of_rights_or_tables, state

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy import Connection, CursorResult, Table

T = TypeVar("T")
#: Words as for :func:`run`, with their values.
Statement: TypeAlias = "tuple[str, Mapping[str, Any]]"
log = logging.getLogger(__name__)

#: PostgreSQL: too many connections, shutting down, starting up, serialization failure, deadlock.
_TRANSIENT_STATES = frozenset({"53300", "57P01", "57P02", "57P03", "40001", "40P01"})
#: PostgreSQL: no such prepared statement, or one that is there already: of another session.
_PREPARED_ELSEWHERE = frozenset({"26000", "42P05"})
_SETTING = "The model registry's url"
_POOLER = (
    "A connection pooler such as PgBouncer in transaction mode changes sessions between transactions. Add "
    "?prepare_threshold=none to the url. Nothing was changed."
)
#: What libpq says, without a code, about a server that answered and refused for good.
_HOPELESS = (
    "authentication failed",
    "does not exist",
    "no pg_hba.conf entry",
    "no password supplied",
    "permission",
)
_STARTING = ("starting up", "shutting down", "in recovery", "too many", "remaining connection slots")


class Database:
    """
    A registry's database.

    :param url: SQLAlchemy URL.
    :param patience: seconds during which transient trouble is waited out.
    :raises InvalidConfiguration: if the URL cannot be used.
    """

    def __init__(self, url: str, *, patience: float = 30.0) -> None:
        self.address = parse_url(url)
        #: The address as it may be shown.
        self.url = masked(self.address)
        #: The connection that commands name to mean this registry; None for the default one.
        self.conn_id: str | None = None
        self.is_sqlite = self.address.get_backend_name() == "sqlite"
        self.patience = patience
        #: SQLite's file.
        self.file = Path(str(self.address.database)) if self.is_sqlite else None
        self.engine = make_engine(self.address, patience)
        self._same_file = None if self.file is None else SameFile(self.engine, self.file, self.url)
        _opened.add(self)

    @property
    def was_replaced(self) -> bool:
        """Whether another file stands where the one that was opened stood."""
        return self._same_file is not None and self._same_file.was_replaced

    def read(self, work: Callable[[Connection], T]) -> T:
        """
        Do work whose statements stand each for themselves: reads, or one write that nobody but writers sees.

        :raises RegistryUnavailable: if the database doesn't answer.
        """

        def once() -> T:
            with self.engine.connect() as connection:
                return work(connection)

        return self._patiently(once)

    def note(self, statement: Statement) -> Any:
        """
        Do one statement that writes what a crash of the database may lose: it is not waited for the disk.

        :param statement: it ends with what it returns, and is harmless to repeat.
        :return: the row, and perhaps more.
        :raises RegistryUnavailable: if the database doesn't answer.
        """

        def once() -> Any:
            with self.engine.connect() as connection:
                try:
                    ((row,),) = together(connection, statement, synced=False)
                except BaseException:
                    connection.invalidate()  # so that nobody else does not wait for the disk
                    raise
                return row

        return self._patiently(once)

    def repeat(self, work: Callable[[Connection], T]) -> T:
        """
        Do one statement that writes and is harmless to repeat.

        :raises RegistryUnavailable: if the database doesn't answer; the work is not done then.
        :raises OutcomeUnknown: if its answer was lost, and the database stayed away.
        """
        unsure: list[DBAPIError] = []

        def once() -> T:
            with self.engine.connect() as connection:
                try:
                    return work(connection)
                except DBAPIError as err:
                    if _leaves_open(err):
                        unsure.append(err)
                    raise

        return self._patiently(once, unsure)

    def write(self, work: Callable[[Connection], T], recall: Callable[[Connection], T] | None = None) -> T:
        """
        Do work in one transaction, exactly once even where the answer to COMMIT was lost.

        :param recall: reads what the work has done, where it ends its transaction itself; see :func:`together`.
        :raises RegistryUnavailable: if the database doesn't answer; the work is not done then.
        :raises OutcomeUnknown: if COMMIT's answer was lost, and the database could not be asked since.
        """
        unsure: list[tuple[int | None, Callable[[Connection], T]]] = []

        def once() -> T:
            if unsure:
                transaction, result = unsure[-1]
                if self._was_committed(transaction):
                    with self.engine.connect() as connection:  # trouble now leaves it open what was done
                        return result(connection)
                unsure.clear()
            known: dict[Any, Any] = {}
            try:
                with (
                    self.engine.connect() as connection,
                    connection.execution_options(**{WRITES: True}).begin(),
                ):
                    known = connection.info
                    known.pop(TRANSACTION, None)
                    known.pop(ENDS, None)
                    done = work(connection)
                    transaction = None if self.is_sqlite else _number_of_transaction(connection)
                    if self.is_sqlite or transaction is not None:
                        unsure.append((transaction, lambda _connection: done))
            except DBAPIError as err:
                if not _leaves_open(err):
                    unsure.clear()
                elif recall is not None and known.get(ENDS) and not unsure:
                    unsure.append((known[TRANSACTION], recall))
                raise
            return done

        return self._patiently(once, unsure)

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    def _was_committed(self, transaction: int | None) -> bool:
        with self.engine.connect() as connection:
            outcome = run(connection, _OUTCOME, {"transaction": transaction}).scalar()
        if outcome == "in progress":
            raise _StillUnderWay
        return outcome == "committed"

    def _patiently(self, once: Callable[[], T], unsure: Sequence[object] = ()) -> T:
        try:
            return self._retried(once, unsure)
        except ModelRegistryError as err:
            err.conn_id = self.conn_id
            raise

    def _retried(self, once: Callable[[], T], unsure: Sequence[object]) -> T:
        begun = time.monotonic()
        try:
            return once()
        except (DBAPIError, NoConnectionFree) as err:
            # SQLite itself has waited for another writer.
            if not is_transient(err) or time.monotonic() - begun >= self.patience:
                raise self._explained(err, unsure) from err
            waiting = "The model registry at %s is not usable yet: %s. Trying again for %.0f s, then failing."
            log.warning(waiting, self.url, self._reason(err), self.patience - (time.monotonic() - begun))
        from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

        retrying = Retrying(
            stop=stop_after_delay(self.patience),
            wait=wait_random_exponential(multiplier=0.1, max=3),
            retry=retry_if_exception(is_transient),
            reraise=True,
        )
        try:
            done = retrying(once)
        except (DBAPIError, NoConnectionFree, _StillUnderWay) as err:
            raise self._explained(err, unsure) from err
        log.info("The model registry at %s answers again after %.0f s.", self.url, time.monotonic() - begun)
        return done

    def _explained(self, err: Exception, unsure: Sequence[object]) -> Exception:
        """Trouble with the database in our words; a constraint that was violated stays what it is."""
        if unsure:
            return OutcomeUnknown(self.url, self._reason(err))
        if isinstance(err, NoConnectionFree):
            return RegistryUnavailable(
                self.url, "other threads of this process use all its connections to it"
            )
        if state(err) in _PREPARED_ELSEWHERE:
            return InvalidConfiguration(
                _SETTING, f"{self.url} lost a prepared statement ({self._reason(err)})", _POOLER
            )
        no_database = type(err) is DatabaseError
        if isinstance(err, DBAPIError) and (
            isinstance(err, InterfaceError | InternalError | OperationalError)
            or is_of_rights_or_tables(err)
            or no_database
            or is_transient(err)
        ):
            return RegistryUnavailable(self.url, self._reason(err), advice(err))
        if is_transient(err):
            return RegistryUnavailable(self.url, self._reason(err))
        if isinstance(err, ProgrammingError) and err.statement is None:  # the driver refuses the address
            return InvalidConfiguration(_SETTING, f"{self.url} cannot be used ({self._reason(err)})")
        return err

    def _reason(self, err: Any) -> str:
        reason = " ".join(str(getattr(err, "orig", err)).split()) or type(err).__name__
        return without_secrets(self.address, reason)


def _number_of_transaction(connection: Connection) -> int | None:
    """PostgreSQL's number of a transaction; None while it has written nothing."""
    number: int | None = connection.info.get(TRANSACTION)
    return run(connection, "SELECT txid_current_if_assigned()", {}).scalar() if number is None else number


def note_transaction(connection: Connection, number: int | None) -> None:
    """Remember what ``{transaction}`` gave, so that it is not asked once more before COMMIT."""
    connection.info[TRANSACTION] = number


_OUTCOME = "SELECT txid_status(CAST(:transaction AS bigint))"


def insertion(connection: Connection, table: Table) -> Any:
    """Return an INSERT that knows ON CONFLICT, in the words of the connected database; imports no other."""
    if connection.dialect.name == "sqlite":
        from sqlalchemy.dialects.sqlite import insert as sqlite_insert

        return sqlite_insert(table)
    from sqlalchemy.dialects.postgresql import insert as postgresql_insert

    return postgresql_insert(table)


def run(connection: Connection, words: str, values: Mapping[str, Any]) -> CursorResult[Any]:
    """
    Execute a statement that every task executes: the driver's own text, which costs no compilation.

    :param words: SQL with ``:name`` for values, ``{now}`` for the database's clock, ``{after column}`` for that
        clock but later than a column, ``{share}`` for a lock of the row called ``v`` that only promotions and
        deletions wait for, ``{hold}`` for one that waits for its like, ``{lock}`` for one that everybody waits
        for, and ``{transaction}`` for what :func:`note_transaction` takes. What comes back has the driver's types.
    """
    (said,) = _driver_words(connection.dialect.name, words)
    return connection.exec_driver_sql(said, dict(values))


def together(
    connection: Connection, *statements: Statement, synced: bool = True, last: bool = False
) -> list[list[Any]]:
    """
    Execute statements of which none waits for another's answer: in one round trip, each seeing what those before did.

    Their words are those of :func:`run`, and ``<statement> {as name} <statement> ... {name else SELECT ...}``: one
    statement that goes on with what another returned; SQLite, which can't, selects what that has left.

    :param synced: whether their transaction waits for the disk; see :meth:`Database.note`.
    :param last: whether nothing else is to come, so that COMMIT goes with them: :meth:`Database.write` must be able to
        recall what was done then, and :func:`note_transaction` must have been called.
    :return: the rows of each, as plain tuples.
    """
    dialect = connection.dialect.name
    said = [(_driver_words(dialect, words), dict(values)) for words, values in statements]
    answers: list[list[Any]] = []
    shown = "; ".join("; ".join(parts) for parts, _ in said)
    asked = Together(said, answers, synced, last)
    connection.exec_driver_sql(shown, execution_options={TOGETHER: asked})
    return answers


@functools.cache
def _driver_words(dialect: str, words: str) -> tuple[str, ...]:
    words = " ".join(words.split())  # psycopg remembers how it reads a text only below 4,096 characters
    sqlite = dialect == "sqlite"
    for pattern, meaning in _SQLITE_WORDS if sqlite else _POSTGRESQL_WORDS:
        words = re.sub(pattern, meaning, words)
    *first, last = re.split(r" \{as (\w+)\} ", words)
    if sqlite:
        return *first[::2], last
    named = ", ".join(f"{name} AS ({part})" for part, name in zip(first[::2], first[1::2], strict=True))
    return (re.sub(r":(\w+)", r"%(\1)s", f"WITH {named} {last}" if named else last),)


_SQLITE_WORDS = (
    (r"\{transaction\}", "NULL"),
    (r"\{now\}", "mr_now()"),
    (r"\{after (\w+)\}", r"mr_now(\1)"),
    (r"\{(share|hold|lock)\}", ""),
    (r"\{\w+ else ([^{}]+)\}", r"(\1)"),
)
#: A plan is kept for as long as a connection, or until rows are counted again. One that was made while a table was
#: small would read it whole, also when it has grown; without sequential scans everything would seem worth compiling.
_BY_INDEX = "set_config('enable_seqscan', 'off', true), set_config('jit', 'off', true)"
_POSTGRESQL_WORDS = (
    (r"\{transaction\}", f"CASE WHEN concat({LET_GO}, {_BY_INDEX}) > '' THEN txid_current() END"),
    (r"\{now\}", "clock_timestamp()"),
    (r"\{after (\w+)\}", r"greatest(clock_timestamp(), \1 + interval '1 microsecond')"),
    (r"\{share\}", "FOR SHARE OF v"),
    (r"\{(\w+) else [^{}]+\}", r"\1"),
    (r"\{hold\}", "FOR NO KEY UPDATE OF v"),
    (r"\{lock\}", "FOR UPDATE OF v"),
)


class _StillUnderWay(Exception):
    """The server has not yet noticed that the connection over which COMMIT was sent is gone."""

    def __str__(self) -> str:
        return "the transaction is still neither committed nor rolled back"


def is_transient(err: BaseException) -> bool:
    """Whether the same work may succeed in a moment."""
    if not isinstance(err, DBAPIError):
        return isinstance(err, _StillUnderWay)
    if err.connection_invalidated:
        return True
    code = getattr(err.orig, "sqlite_errorname", None)
    if code is not None:
        return str(code).startswith(("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_PROTOCOL"))
    code, message = state(err), str(err.orig)
    if code is not None:
        return code in _TRANSIENT_STATES or code.startswith("08")
    if not isinstance(err, OperationalError):
        return False
    return any(word in message for word in _STARTING) or not any(word in message for word in _HOPELESS)


def _leaves_open(err: DBAPIError) -> bool:
    """
    Whether what was to be committed may be done in spite of an error.

    PostgreSQL's refusal is certain, but not what a proxy says in its place (class 08), nor what the server says
    while it shuts down. SQLite commits with a last write and a flush to the disk; where the flush fails, a
    crash would find the transaction complete.
    """
    code = getattr(err.orig, "sqlite_errorname", None)
    if code is not None:
        return str(code).startswith("SQLITE_IOERR") and not str(code).endswith(("_READ", "_WRITE"))
    return err.connection_invalidated or (state(err) or "08").startswith(("08", "57P"))


#: Connections of a forked process's parent: neither spoken over nor closed.
_inherited: list[object] = []
_opened: weakref.WeakSet[Database] = weakref.WeakSet()


def _forget_connections() -> None:
    for database in list(_opened):
        _inherited.append(database.engine.pool)
        database.engine.dispose(close=False)


os.register_at_fork(after_in_child=_forget_connections)
