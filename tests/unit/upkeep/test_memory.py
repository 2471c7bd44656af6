"""Upkeep of a large store needs no more memory than that of a small one, and no more time for each file (R17)."""

from __future__ import annotations

import hashlib
import sys
import tracemalloc
from pathlib import Path

from airflow_model_provider.addresses import Address
from airflow_model_provider.registry.registry import Registry
from airflow_model_provider.upkeep import collect
from airflow_model_provider.workspace import connect
from tests.support.databases import PostgresServer
from tests.support.processes import FORK
from tests.support.reading import read_by
from tests.support.soak import TIMES

FEW, MANY = 1_000, 4_000 * min(TIMES, 10)


def peak(folder: Path, count: int) -> int:
    """Bytes that Python held at once while it looked for garbage among so many files."""
    workspace = connect(Address(f"sqlite:///{folder}/{count}.db", f"{folder}/{count}", "test"))
    for number in range(count):
        content = b"%d" % number
        path = Path(workspace.store.uri(hashlib.sha256(content).hexdigest()))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    tracemalloc.start()
    try:
        found = collect(workspace, older_than=0, dry_run=True)
        held = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        workspace.close()
    assert found.blobs == count
    return held


def peaks(folder: Path) -> tuple[int, int]:
    """The peaks of many files and of few, in a process that does nothing else."""
    # Python's table of interned texts, in which pathlib puts every name, grows now rather than in between.
    names = [sys.intern(f"name {number}") for number in range(200_000)]
    del names
    peak(folder / "first", 1)
    return peak(folder, MANY), peak(folder, FEW)


def test_garbage_is_found_in_constant_memory(tmp_path: Path) -> None:
    """Four times as many files take as much as one page of them does."""
    with FORK.Pool(1) as pool:
        many, few = pool.apply(peaks, (tmp_path,))

    assert many < 1.2 * few


def test_a_page_of_needed_bytes_is_found_without_reading_the_others(postgres: PostgresServer) -> None:
    """Also before PostgreSQL has counted the rows: verifying a store takes time in proportion to it."""
    few, many = (rows_per_blob(postgres.new_database(), count) for count in (1_000, 6_000))

    assert 0 < many < 1.2 * few


def rows_per_blob(url: str, count: int) -> float:
    """How many rows are read for each of so many blobs."""
    blobs = f"SELECT lpad(n::text, 64, '0'), 5, 'stored', now(), 1 FROM generate_series(1, {count}) AS s(n)"
    words = (
        f"INSERT INTO mr_blob (digest, size, state, touched_at, life) {blobs}",
        "INSERT INTO mr_artifact (name, last_number) VALUES ('model', 1)",
        "INSERT INTO mr_artifact_version (artifact_id, number, digest, kind, materializer, format_version, type_names, "
        "attributes, signature, environment, metadata, map_index, created_at) "
        "SELECT 1, life + row_number() OVER (), digest, 'data', 'python.bytes', 1, '[]', '{}', 'null', '{}', '{}', -1, "
        "touched_at FROM mr_blob",
    )

    def look() -> None:
        assert sum(1 for _ in registry.needed_blobs()) == count

    with Registry.open(url) as registry:
        with registry._database.engine.connect() as connection:
            for said in words:
                connection.exec_driver_sql(said)
        return read_by(registry._database, look).rows / count
