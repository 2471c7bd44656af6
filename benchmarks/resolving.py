"""What does resolving and recording a task's references cost beside bare SQL on the same driver?"""

from __future__ import annotations

import hashlib
import sqlite3
import tempfile
import time
import uuid
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from airflow_model_provider.references import Reference, Wanted
from airflow_model_provider.registry.entities import Attempt, Link, Payload, Relation, RunKey
from airflow_model_provider.registry.registry import Registry
from airflow_model_provider.selectors import ArtifactType, Selector
from benchmarks.harness import Row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROUNDS = 400
SMALL, LARGE = 10, 100_000
DIGEST = hashlib.sha256(b"model").hexdigest()
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
  model, selector, wanted, version_id, artifact_version_id, digest, resolved, at)
VALUES ({p}, 'key', 'default', 'dag', 'run', 'task', -1, 1, 'iris', 'production', 'iris[production]', {p}, {p}, {p},
  {true}, {now}),
  ({p}, 'other', 'default', 'dag', 'run', 'task', -1, 1, 'iris', 'production', 'iris[production]', {p}, null, null,
  {true}, {now})
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
    figures = {}
    for count in (SMALL, LARGE):
        with Registry.open(new()) as registry:
            _fill(registry, count)
            figures[count] = _race(registry)
    rows = [
        Row(
            "resolve and record",
            f"{database}, {count:,} versions / bare SQL",
            *_ms(*figures[count]),
            "ms",
            3.0,
            rounds=ROUNDS,
        )
        for count in (SMALL, LARGE)
    ]
    few, many = figures[SMALL][0], figures[LARGE][0]
    case = f"{database}, {LARGE:,} versions / {SMALL}"
    return [*rows, Row("resolve and record", case, *_ms(many, few), "ms", 1.2, rounds=ROUNDS)]


def _ms(ours: float, bare: float) -> tuple[float, float]:
    return ours * 1000, bare * 1000


def _fill(registry: Registry, count: int) -> None:
    """The first version and the last are made by the registry; those between are copied in bulk."""
    first = _version(registry)
    registry.set_stage("iris", first, "production")
    with registry._database.engine.begin() as connection:
        for sql in _copies(count - 1, sqlite=registry._database.is_sqlite):
            connection.exec_driver_sql(sql)
    registry.set_stage("iris", _version(registry), "production", force=True)
    with registry._database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("ANALYZE")


def _version(registry: Registry) -> int:
    version = registry.create_version("iris")
    payload = Payload(DIGEST, 5, "sklearn.pickle", 1, ("sklearn.svm.SVC",), {"protocol": 5})
    links = [Link(version.id, Relation.OUTPUT)]
    registry.register_artifact("trained_model", payload, kind=ArtifactType.MODEL, links=links)
    registry.log_version_metadata(version.id, {"accuracy": 0.9})
    return version.number


def _copies(count: int, *, sqlite: bool) -> list[str]:
    series = (
        f"(WITH RECURSIVE s(n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM s WHERE n < {count}) SELECT n FROM s) AS s"
        if sqlite
        else f"generate_series(2, {count}) AS s(n)"
    )

    def copy(table: str, columns: str, values: str) -> str:
        return f"INSERT INTO {table} ({columns}) SELECT {values} FROM {table} t, {series} WHERE "

    kept = "kind, materializer, format_version, type_names, attributes, signature, environment, metadata, map_index"
    resolved = "deployment, dag_id, run_id, task_id, map_index, try_number, model, selector, wanted"
    run = "'default', 'dag', 'run', 'task', -1, 1, 'iris', 'production', 'iris[production]'"
    number = "(SELECT max(number) FROM mr_version)"
    version = "state, archived, created_at, tags, environment"
    fields = ", ".join(f"t.{name}" for name in kept.split(", "))
    true = "1" if sqlite else "true"
    statements = [
        copy("mr_version", f"model_id, number, {version}", f"t.model_id, s.n, {version}") + "t.number = 1",
        copy(
            "mr_artifact_version",
            f"artifact_id, number, digest, {kept}, created_at",
            f"t.artifact_id, s.n, t.digest, {fields}, t.created_at",
        )
        + "t.number = 1",
        "INSERT INTO mr_link (version_id, artifact_version_id, relation, own, name, map_index, sealed) "
        "SELECT v.id, a.id, t.relation, t.own, t.name, t.map_index, t.sealed "
        "FROM mr_link t, mr_version v JOIN mr_artifact_version a ON a.number = v.number WHERE v.number > 1",
        "INSERT INTO mr_metadata (version_id, key, value, sealed, at) "
        "SELECT v.id, t.key, t.value, t.sealed, t.at FROM mr_metadata t, mr_version v WHERE v.number > 1",
        f"INSERT INTO mr_resolution (attempt_id, reference_key, {resolved}, version_id, resolved, at) "
        f"SELECT 'old ' || v.id, 'key', {run}, v.id, {true}, v.created_at FROM mr_version v",
        f"UPDATE mr_model SET last_number = {number}",
        f"UPDATE mr_artifact SET last_number = {number}",
    ]
    if not sqlite:
        for name in ("mr_version", "mr_artifact_version", "mr_resolution"):
            sequence = f"pg_get_serial_sequence('{name}', 'id')"
            statements.append(f"SELECT setval({sequence}, (SELECT max(id) FROM {name}))")
    return statements


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
