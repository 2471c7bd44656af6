"""
Do ``verify`` and ``gc`` take time in proportion to what they read, and memory that does not grow with it?

A store of small files, and one of ten times as many; of those that ``gc`` meets every second belongs to a deleted
version. Times are per file. Memory is the most that Python held at once beyond the beginning.
"""

from __future__ import annotations

import hashlib
import itertools
import sys
import tempfile
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from sqlalchemy import insert, select, update

from airflow_model_provider.addresses import Address
from airflow_model_provider.registry import tables
from airflow_model_provider.upkeep import collect, verify
from airflow_model_provider.workspace import Saving, Workspace, connect
from benchmarks.harness import Row, in_turn, seconds
from benchmarks.sides import databases

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = 3
FEW, MANY = 1_000, 10_000
#: One file in so many belongs to a deleted version, where ``gc`` is measured.
SPARE = 2
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


def measure() -> list[Row]:
    """SQLite and PostgreSQL, with a store in a folder."""
    rows = []
    for what in (_verified, _collected):
        with tempfile.TemporaryDirectory() as name, databases(Path(name)) as kinds:
            for database, new in kinds.items():
                rows += _rows(f"{database}, {what.__doc__}", what, new, Path(name))
    return rows


def _verified(workspace: Workspace, count: int) -> None:
    """verify"""
    told = itertools.count()
    assert not list(verify(workspace, lambda _blob: next(told)))
    assert next(told) == count


def _collected(workspace: Workspace, count: int) -> None:
    """gc"""
    assert collect(workspace).blobs == count // SPARE


def _rows(
    case: str, what: Callable[[Workspace, int], None], new: Callable[[], str], folder: Path
) -> list[Row]:
    def measured(count: int, take: Callable[[Callable[[], None]], float]) -> float:
        with tempfile.TemporaryDirectory(dir=folder) as store:
            workspace = connect(Address(new(), store, "benchmark"))
            try:
                _fill(workspace, count, spare=what is _collected)
                return take(lambda: what(workspace, count))
            finally:
                workspace.close()

    def each(count: int) -> Callable[[], float]:
        return lambda: measured(count, seconds) * 1000 / count

    pairs = in_turn(each(MANY), each(FEW), rounds=ROUNDS, warm=0)
    many, few = (median(values) for values in zip(*pairs, strict=True))
    peaks = [measured(count, _peak) for count in (MANY, FEW)]
    said = f"{case}: {{}} with {MANY:,} files / with {FEW:,}"
    return [
        Row("upkeep", said.format("time per file"), many, few, "ms", 1.2, rounds=ROUNDS),
        Row("upkeep", said.format("peak memory"), *peaks, "kB", 1.2),
    ]


def _peak(call: Callable[[], None]) -> float:
    # Python's table of interned texts, in which pathlib puts every name, grows now rather than in between.
    names = [sys.intern(f"name {number}") for number in range(200_000)]
    del names
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1] / 1000
    finally:
        tracemalloc.stop()


def _fill(workspace: Workspace, count: int, *, spare: bool) -> None:
    """Store files and their rows in bulk; with ``spare`` some belong to deleted versions."""
    record = workspace.save(b"0", Saving("artifact", what="the first"))
    digests = []
    for number in range(1, count):
        content = b"%064d" % number
        digests.append(hashlib.sha256(content).hexdigest())
        path = Path(workspace.store.uri(digests[-1]))
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(content)
    made = tables.artifact_version
    with workspace.registry._database.engine.begin() as connection:
        first = dict(connection.execute(select(made)).mappings().one())
        blobs = [
            {"digest": digest, "size": 64, "state": "stored", "touched_at": LONG_AGO, "life": 1}
            for digest in digests
        ]
        connection.execute(insert(tables.blob), blobs)
        del first["id"]
        rows = [{**first, "number": number, "digest": digest} for number, digest in enumerate(digests, 2)]
        connection.execute(insert(made), rows)
        if spare:
            connection.execute(update(made).where(made.c.number % SPARE == 0).values(deleted_at=LONG_AGO))
    assert record.number == 1
