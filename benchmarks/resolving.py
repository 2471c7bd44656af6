"""What does resolving and recording a task's references cost beside bare SQL on the same driver?"""

from __future__ import annotations

import sqlite3
import tempfile
import time
import uuid
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from sqlalchemy import event

from airflow_model_provider.references import Reference, Wanted
from airflow_model_provider.registry.entities import Attempt, RunKey
from airflow_model_provider.registry.registry import Registry
from airflow_model_provider.selectors import Selector
from benchmarks.filling import fill
from benchmarks.harness import Row, paired

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROUNDS = 400
#: Versions, and rows of recorded resolutions.
SMALL, LARGE = (10, 10), (1_000_000, 10_000_000)
#: What one hand-written program would do: who holds the stage, its artifact, its metadata; then one record.
READ = """
SELECT v.id, v.number, a.id, a.number, a.digest, a.materializer, a.attributes, md.value
FROM mr_model m JOIN mr_stage s ON s.model_id = m.id AND s.stage = {p}
JOIN mr_version v ON v.id = s.version_id
JOIN mr_link l ON l.version_id = v.id AND l.name = {p}
JOIN mr_artifact_version a ON a.id = l.artifact_version_id
JOIN mr_metadata md ON md.version_id = v.id AND md.key = {p}
WHERE m.name = {p}
"""
WRITE = """
INSERT INTO mr_resolution (attempt_id, reference_key, deployment, dag_id, run_id, task_id, map_index, try_number,
  model, selector, wanted, version_id, artifact_version_id, digest, resolved, sequence, at)
VALUES ({p}, 'key', 'default', 'dag', 'run', 'task', -1, 1, 'iris', 'production', 'iris[production]', {p}, {p}, {p},
  {true}, 1, {now}),
  ({p}, 'other', 'default', 'dag', 'run', 'task', -1, 1, 'iris', 'production', 'iris[production]', {p}, null, null,
  {true}, 1, {now})
"""


def measure() -> list[Row]:
    """SQLite and PostgreSQL; two references of one task; few and many versions."""
    from tests.support.databases import PostgresServer

    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows += _rows("SQLite", lambda: f"sqlite:///{folder / uuid.uuid4().hex}.db")
        server = PostgresServer(folder / "pg")
        try:
            rows += _rows("PostgreSQL", server.new_database)
        finally:
            server.stop()
    return rows


def _rows(database: str, new: Callable[[], str]) -> list[Row]:
    figures: dict[tuple[int, int], tuple[float, float]] = {}
    rows: list[Row] = []
    for size in (SMALL, LARGE):
        with Registry.open(new()) as registry:
            fill(registry, *size)
            figures[size] = _race(registry)
            if size == SMALL:
                rows += [_many(database, registry, count) for count in (10, 100)]
    rows += [
        Row(
            "resolve and record",
            f"{database}, {_said(size)} / bare SQL",
            *_ms(*figures[size]),
            "ms",
            3.0,
            rounds=ROUNDS,
        )
        for size in (SMALL, LARGE)
    ]
    few, much = figures[SMALL][0], figures[LARGE][0]
    case = f"{database}, {_said(LARGE)} / {_said(SMALL)}"
    return [*rows, Row("resolve and record", case, *_ms(much, few), "ms", 1.2, rounds=ROUNDS)]


def _said(size: tuple[int, int]) -> str:
    return f"{size[0]:,} versions and {size[1]:,} resolutions"


def _many(database: str, registry: Registry, count: int) -> Row:
    """So many references of one task beside one; both take one statement to read and one to record."""
    stage = Selector.parse("production")
    references = [
        Reference("iris", stage, Wanted.METADATA, "accuracy", default=number) for number in range(count)
    ]

    def once(asked: list[Reference]) -> float:
        attempt, statements = Attempt(RunKey("default", "dag", "run"), "task", uuid.uuid4().hex), []

        def note(*details: Any) -> None:
            statements.append(details[2])

        engine = registry._database.engine
        event.listen(engine, "before_cursor_execute", note)
        begun = time.perf_counter()
        registry.record(registry.resolve(asked, attempt), attempt)
        taken = time.perf_counter() - begun
        event.remove(engine, "before_cursor_execute", note)
        if len(statements) != 2:
            raise RuntimeError(f"{len(asked)} references took {len(statements)} statements")
        return taken

    pair = paired(lambda: once(references), lambda: once(references[:1]), rounds=ROUNDS // 4)
    return Row(
        "resolve and record", f"{database}, {count} references / 1, two statements each", *_ms(*pair), "ms"
    )


def _ms(ours: float, bare: float) -> tuple[float, float]:
    return ours * 1000, bare * 1000


def _race(registry: Registry) -> tuple[float, float]:
    """Medians of both in turns, each on its own open connection."""
    stage = Selector.parse("production")
    references = [
        Reference("iris", stage, Wanted.ARTIFACT, "trained_model"),
        Reference("iris", stage, Wanted.METADATA, "accuracy"),
    ]
    run = RunKey("default", "dag", "run")
    measured: tuple[list[float], list[float]] = ([], [])
    with _bare(registry) as bare:
        for number in range(-20, ROUNDS):
            attempt = Attempt(run, "task", uuid.uuid4().hex)
            begun = time.perf_counter()
            registry.record(registry.resolve(references, attempt), attempt)
            between = time.perf_counter()
            bare(uuid.uuid4().hex)
            ended = time.perf_counter()
            if number >= 0:
                measured[0].append(between - begun)
                measured[1].append(ended - between)
    return median(measured[0]), median(measured[1])


@contextmanager
def _bare(registry: Registry) -> Iterator[Callable[[str], None]]:
    sqlite = registry._database.is_sqlite
    mark = "?" if sqlite else "%s"
    now = "strftime('%Y-%m-%d %H:%M:%f', 'now')" if sqlite else "clock_timestamp()"
    read = READ.format(p=mark)
    write = WRITE.format(p=mark, true="1" if sqlite else "true", now=now)
    if sqlite:
        connection: Any = sqlite3.connect(registry._database.engine.url.database)
        for pragma in ("journal_mode", "synchronous", "busy_timeout", "foreign_keys"):
            with registry._database.engine.connect() as ours:
                value = ours.exec_driver_sql(f"PRAGMA {pragma}").scalar()
            connection.execute(f"PRAGMA {pragma} = {value}")
    else:
        import psycopg

        connection = psycopg.connect(
            registry._database.engine.url.set(drivername="postgresql").render_as_string(False)
        )

    def work(attempt: str) -> None:
        row = connection.execute(read, ("production", "trained_model", "accuracy", "iris")).fetchone()
        connection.execute(write, (attempt, row[0], row[2], row[4], attempt, row[0]))
        connection.commit()

    yield work
    connection.close()
