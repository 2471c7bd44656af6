"""How much PostgreSQL reads, which no clock says."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import text

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_model_provider.registry.database import Database

_ROWS = """
SELECT (SELECT sum(seq_tup_read) + sum(idx_tup_fetch) FROM pg_stat_user_tables)
  + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes)
"""
_PAGES = (
    "SELECT sum(heap_blks_hit + heap_blks_read + idx_blks_hit + idx_blks_read) FROM pg_statio_user_tables"
)


class Read(NamedTuple):
    """What a database has read."""

    rows: int
    pages: int


def read_by(database: Database, work: Callable[[], object]) -> Read:
    """Do some work, and return what was read for it over the database's connection."""
    before = _so_far(database)
    work()
    return Read(*(now - then for now, then in zip(_so_far(database), before, strict=True)))


def _so_far(database: Database) -> Read:
    with database.engine.connect() as connection:
        connection.execute(text("SELECT pg_stat_force_next_flush()"))
        return Read(*(int(connection.execute(text(words)).scalar_one()) for words in (_ROWS, _PAGES)))
