"""
Rows of stored bytes: what a writer notes before and after it stores, and how a collector takes what is unneeded.

A row is ``intended`` before its bytes are stored, ``stored`` once an artifact version points to it. A collector
marks a row ``condemned``, removes the bytes, and then the row, or leaves it ``removed`` where tombstones point to it.
A writer that meets the mark takes the row back, into another ``life``, and stores the bytes again: whoever stored
them in the life before can't register them any more, although the row says again that they are intended.

Where a look at the store is cheap, a writer intends nothing at first. It writes the row as ``stored`` when it
registers the bytes, and looks then whether they are there: from the row on until commit no collector can take them,
and what one has taken before is missed. It begins again then, with an intent.
"""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from sqlalchemy import ColumnElement, Connection, Integer, Select, and_, bindparam, or_, select, update

from airflow_model_provider.registry import tables
from airflow_model_provider.registry.columns import UtcTime, ago, now
from airflow_model_provider.registry.database import Database, insertion, run
from airflow_model_provider.registry.retention import is_spent, spared_runs

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from airflow_model_provider.registry.entities import RunKey

T = TypeVar("T")
_blob, _made = tables.blob, tables.artifact_version
#: Rows in one statement, at most.
PAGE = 500


class Blob(NamedTuple):
    """Stored bytes: their SHA-256 and their number."""

    digest: str
    size: int


class Intent(NamedTuple):
    """
    A writer's note that it is about to store bytes.

    :param life: registering them needs it; another one begins when they are intended after a collector came.
    :param stored: whether they are stored already; if not, store them before registering.
    """

    life: int
    stored: bool


class BlobGone(Exception):
    """Not an error: a collector took the bytes between their storing and their registering; store them again."""


def until_it_stays(store_and_register: Callable[[bool], T]) -> T:
    """
    Store and register; all of it again where a collector has taken bytes in between.

    :param store_and_register: is told whether to note before that bytes will be stored.
    """
    intend = False
    while True:
        try:
            return store_and_register(intend)
        except BlobGone:
            intend = True


def intend_blob(database: Database, digest: str, size: int) -> Intent:
    """
    Note that bytes are about to be stored, so that nobody collects them as garbage meanwhile.

    A database that crashes may forget the note: whoever registers the bytes is then told that they are gone.
    """
    values = {"digest": digest, "size": size, "life": 1 + secrets.randbelow(2**62)}
    state, life, *_ = database.note((_INTEND, values))
    return Intent(life, state == "stored")


def unneeded(
    database: Database, older_than: float, outputs: float | None = None, alive: Collection[RunKey] = ()
) -> Iterator[Blob]:
    """
    Yield bytes that no artifact version points to, in the order of their digests.

    :param older_than: seconds since a writer has last touched them, at least.
    :param outputs: days after which outputs that no version holds don't count; None means never.
    :param alive: runs whose outputs count all the same.
    """
    if outputs is None:
        return _paged(database, _UNNEEDED, lambda connection: _since(connection, older_than))

    def times(connection: Connection) -> dict[str, Any]:
        return {**_since(connection, older_than), "made_before": ago(connection, timedelta(outputs))}

    spent = is_spent(bindparam("made_before", type_=UtcTime), spared_runs(database, outputs, alive))
    return _paged(database, _page.where(_is_unneeded_by(_user.where(~spent))), times)


def needed(database: Database) -> Iterator[Blob]:
    """Yield bytes that artifact versions point to, in the order of their digests."""
    return _paged(database, _NEEDED, lambda _connection: {})


def strays(database: Database, found: Sequence[Blob], *, note: bool) -> list[Blob]:
    """
    Return those of some bytes in the store of which no row tells, or only one that they are removed.

    :param note: also make a row of each, condemned: a writer who is about to register them notices it.
    """

    def work(connection: Connection) -> list[Blob]:
        known = set(connection.execute(_THERE, {"digests": _digests(found)}).scalars())
        unknown = [blob for blob in found if blob.digest not in known]
        if note and unknown:
            marked = {"state": "condemned", "touched_at": now()}
            insert = insertion(connection, _blob).values(
                [{**it._asdict(), **marked, "life": 0} for it in unknown]
            )
            removed = _blob.c.state == "removed"
            connection.execute(
                insert.on_conflict_do_update(index_elements=["digest"], set_=marked, where=removed)
            )
        return unknown

    return database.write(work) if note else database.read(work)


def condemn(database: Database, blobs: Sequence[Blob], older_than: float) -> list[Blob]:
    """Mark those of some bytes that are still unneeded; return them."""

    def work(connection: Connection) -> list[Blob]:
        chosen = {"digests": _digests(blobs)}
        # First the locks, then a look at who points to them: a writer may have been about to.
        connection.execute(_KNOWN.with_for_update(), chosen).all()
        found = set(connection.execute(_CONDEMN, chosen | _since(connection, older_than)).scalars())
        return [blob for blob in blobs if blob.digest in found]

    return database.write(work)


def bury(database: Database, blob: Blob, remove: Callable[[], None]) -> bool:
    """
    Remove condemned bytes and their row, unless a writer has taken them back.

    :param remove: removes the bytes, while nobody else can take them back.
    :return: whether they were removed.
    """
    mine = {"digest": blob.digest}

    def work(connection: Connection) -> bool:
        if run(connection, _STATE, mine).scalar() != "condemned":
            return False
        remove()
        for words in _REMOVED:
            run(connection, words, mine)
        return True

    return database.write(work)


def _paged(
    database: Database, query: Select[Any], values: Callable[[Connection], dict[str, Any]]
) -> Iterator[Blob]:
    after = ""

    def work(connection: Connection) -> list[Blob]:
        return [
            Blob(*row)
            for row in connection.execute(query, {"after": after, "page": PAGE, **values(connection)})
        ]

    while page := database.read(work):
        yield from page
        after = page[-1].digest


def _since(connection: Connection, older_than: float) -> dict[str, Any]:
    return {"since": ago(connection, timedelta(seconds=older_than))}


def _digests(blobs: Sequence[Blob]) -> list[str]:
    return [blob.digest for blob in blobs]


# --- statements that meet many blobs are made once, and hold none: of new ones memory fills with their digests ----

# Not EXISTS: of that PostgreSQL makes a join, which reads all artifact versions for every page until they are counted.
_user = select(_made.c.id).where(_made.c.digest == _blob.c.digest, _made.c.deleted_at.is_(None)).limit(1)
_is_used = _user.scalar_subquery().is_not(None)
_untouched = _blob.c.touched_at <= bindparam("since", type_=UtcTime)


def _is_unneeded_by(users: Select[Any]) -> ColumnElement[bool]:
    is_used = users.scalar_subquery().is_not(None)
    return or_(_blob.c.state == "condemned", and_(_blob.c.state != "removed", _untouched, ~is_used))


_is_unneeded = _is_unneeded_by(_user)
_page = (
    select(_blob.c.digest, _blob.c.size)
    .where(_blob.c.digest > bindparam("after"))
    .order_by(_blob.c.digest)
    .limit(bindparam("page", type_=Integer))
)
_NEEDED, _UNNEEDED = _page.where(_is_used), _page.where(_is_unneeded)
_chosen = _blob.c.digest.in_(bindparam("digests", expanding=True))
_KNOWN = select(_blob.c.digest).where(_chosen)
_THERE = _KNOWN.where(_blob.c.state != "removed")
_CONDEMN = update(_blob).where(_chosen, _is_unneeded).values(state="condemned").returning(_blob.c.digest)

_STATE = "SELECT v.state FROM mr_blob v WHERE v.digest = :digest {lock}"
_REMEMBERED = "EXISTS (SELECT 1 FROM mr_artifact_version a WHERE a.digest = :digest)"
_REMOVED = (
    f"UPDATE mr_blob SET state = 'removed' WHERE digest = :digest AND {_REMEMBERED}",  # noqa: S608 - constants
    f"DELETE FROM mr_blob WHERE digest = :digest AND NOT {_REMEMBERED}",  # noqa: S608 - constants
)
_INTEND = """
INSERT INTO mr_blob (digest, size, state, touched_at, life) VALUES (:digest, :size, 'intended', {now}, :life)
ON CONFLICT (digest) DO UPDATE SET touched_at = {now},
  state = CASE WHEN mr_blob.state = 'stored' THEN 'stored' ELSE 'intended' END,
  life = CASE WHEN mr_blob.state IN ('stored', 'intended') THEN mr_blob.life ELSE :life END
RETURNING state, life
"""
#: Notes that bytes are stored which were not intended; nothing if a collector is about to take them.
PRESENT = """
INSERT INTO mr_blob (digest, size, state, touched_at, life) VALUES (:digest, :size, 'stored', {now}, :life)
ON CONFLICT (digest) DO UPDATE SET state = 'stored', touched_at = {now}
WHERE mr_blob.state IN ('intended', 'stored') RETURNING digest
"""
#: Notes that bytes are stored, in the transaction that makes an artifact version of them; nothing if they are gone.
STORED = """
UPDATE mr_blob SET state = 'stored', touched_at = {now}
WHERE digest = :digest AND life = :life AND state IN ('intended', 'stored') RETURNING digest
"""
