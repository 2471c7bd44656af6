"""Column types and the registry's clock: the same values come back from SQLite and from PostgreSQL."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, ColumnElement, Connection, DateTime, Integer, Text, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect

#: 64 bits everywhere; SQLite's own 64-bit row id is spelled INTEGER.
Id = BigInteger().with_variant(Integer(), "sqlite")

#: What a time is written as in SQLite, in UTC; sorts as text.
SQLITE_TIME = "%Y-%m-%d %H:%M:%S.%f"


class UtcTime(TypeDecorator[datetime]):
    """An aware UTC datetime, to the microsecond."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """SQLite keeps no zone, so what is written there is UTC."""
        if value is None:
            return None
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """PostgreSQL answers in the session's zone, SQLite without one."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Json(TypeDecorator[Any]):
    """
    A JSON value kept as text: key order, floats, NaN, infinities and NUL characters come back as they were.

    PostgreSQL's JSONB would reorder keys, turn 1e308 into an integer and refuse NaN and NUL.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """None is the JSON null; a column without a value is left out of the INSERT."""
        return json.dumps(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        """Read it back."""
        return None if value is None else json.loads(value)


class FreeText(TypeDecorator[str]):
    """Text that people write. What UTF-8 or PostgreSQL can't hold becomes a replacement character."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Clean it on the way in, so that both databases hold the same."""
        return None if value is None else clean_text(value)


def clean_text(value: str) -> str:
    """Replace NUL and lone surrogates."""
    return value.encode("utf-8", "replace").decode().replace("\x00", "\ufffd")


class now(FunctionElement[datetime]):  # noqa: N801 - reads as the SQL function it is
    """
    The time of the database, not of a worker; never before ``after`` plus one microsecond, if that is given.

    >>> insert(model).values(created_at=now())  # doctest: +SKIP
    """

    type = UtcTime()
    inherit_cache = True

    def __init__(self, after: ColumnElement[datetime] | None = None) -> None:
        super().__init__(*([] if after is None else [after]))


@compiles(now, "sqlite")
def _sqlite_now(element: now, compiler: Any, **kwargs: Any) -> str:
    return f"mr_now({compiler.process(element.clauses, **kwargs)})"


@compiles(now, "postgresql")
def _postgresql_now(element: now, compiler: Any, **kwargs: Any) -> str:
    after = compiler.process(element.clauses, **kwargs)
    return (
        f"greatest(clock_timestamp(), {after} + interval '1 microsecond')" if after else "clock_timestamp()"
    )


_CLOCK = select(now())


def ago(connection: Connection, past: timedelta) -> datetime:
    """Return the time that was so long ago, by the database's clock."""
    clock: datetime = connection.execute(_CLOCK).scalar_one()
    return clock - past


def as_time(value: datetime | str) -> datetime:
    """Read a time that came without its column's type: SQLite's text in UTC, PostgreSQL's datetime or text."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def sqlite_now(after: str | None = None) -> str:
    """Answer ``mr_now()`` inside SQLite, whose own clock has milliseconds only."""
    time = datetime.now(UTC).replace(tzinfo=None)
    if after is not None:
        time = max(time, datetime.fromisoformat(after) + timedelta(microseconds=1))
    return time.strftime(SQLITE_TIME)
