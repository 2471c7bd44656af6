"""Registries with many rows, made in bulk."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from airflow_model_provider.registry import tables
from airflow_model_provider.registry.artifacts import NewArtifact
from airflow_model_provider.registry.entities import Link, Payload, Relation
from airflow_model_provider.selectors import ArtifactType

if TYPE_CHECKING:
    from airflow_model_provider.registry.registry import Registry

DIGEST = hashlib.sha256(b"model").hexdigest()
#: Left out while rows are copied, and made afterwards: that is faster.
RESOLUTION_INDEXES = {
    str(index.name): ", ".join(column.name for column in index.columns) for index in tables.resolution.indexes
}


def fill(registry: Registry, versions: int, resolutions: int) -> None:
    """
    Give a registry many versions and many recorded resolutions.

    The first version and the last are made by the registry; those between are copied in bulk.
    """
    first = _version(registry)
    registry.set_stage("iris", first, "production")
    with registry._database.engine.begin() as connection:
        for sql in _copies(versions - 1, resolutions, sqlite=registry._database.is_sqlite):
            connection.exec_driver_sql(sql)
    registry.set_stage("iris", _version(registry), "production", force=True)
    with registry._database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("ANALYZE")


def _version(registry: Registry) -> int:
    version = registry.create_version("iris")
    payload = Payload(DIGEST, 5, "sklearn.pickle", 1, ("sklearn.svm.SVC",), {"protocol": 5})
    links = [Link(version.id, Relation.OUTPUT)]
    life = registry.intend_blob(payload.digest, payload.size).life
    registry.register_artifact(NewArtifact("trained_model", payload, ArtifactType.MODEL, life, links=links))
    registry.log_version_metadata(version.id, {"accuracy": 0.9})
    return version.number


def _series(first: int, last: int, *, sqlite: bool) -> str:
    if not sqlite:
        return f"generate_series({first}, {last}) AS s(n)"
    more = f"SELECT n + 1 FROM s WHERE n < {last}"
    return f"(WITH RECURSIVE s(n) AS (SELECT {first} UNION ALL {more}) SELECT n FROM s) AS s"


def _copies(count: int, resolutions: int, *, sqlite: bool) -> list[str]:
    series = _series(2, count, sqlite=sqlite)

    def copy(table: str, columns: str, values: str) -> str:
        return f"INSERT INTO {table} ({columns}) SELECT {values} FROM {table} t, {series} WHERE "

    kept = "kind, materializer, format_version, type_names, attributes, signature, environment, metadata, map_index"
    resolved = "deployment, dag_id, run_id, task_id, map_index, try_number, model, selector, wanted"
    run = "'default', 'dag', 'run', 'task', -1, 1, 'iris', 'production', 'iris[production]'"
    number = "(SELECT max(number) FROM mr_version)"
    version = "state, created_at, tags, environment"
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
        "SELECT v.id, a.id, t.relation, t.own, t.name, t.map_index, FALSE "
        "FROM mr_link t, mr_version v JOIN mr_artifact_version a ON a.number = v.number WHERE v.number > 1",
        "INSERT INTO mr_metadata (version_id, key, value, sealed, at) "
        "SELECT v.id, t.key, t.value, FALSE, t.at FROM mr_metadata t, mr_version v WHERE v.number > 1",
        *(f"DROP INDEX {name}" for name in RESOLUTION_INDEXES),
        f"INSERT INTO mr_resolution (attempt_id, reference_key, {resolved}, "
        "version_id, resolved, belongs, sequence, at) "
        f"SELECT 'old ' || (1000000000 + s.n), 'key', {run}, v.id, {true}, NOT {true}, 1, v.created_at "
        f"FROM {_series(1, resolutions, sqlite=sqlite)} JOIN mr_version v "
        f"ON v.model_id = (SELECT id FROM mr_model) AND v.number = 1 + s.n - (s.n / {count}) * {count}",
        *(
            f"CREATE INDEX {name} ON mr_resolution ({columns})"
            for name, columns in RESOLUTION_INDEXES.items()
        ),
        f"UPDATE mr_model SET last_number = {number}",
        f"UPDATE mr_artifact SET last_number = {number}",
    ]
    if not sqlite:
        for name in ("mr_version", "mr_artifact_version", "mr_resolution"):
            sequence = f"pg_get_serial_sequence('{name}', 'id')"
            statements.append(f"SELECT setval({sequence}, (SELECT max(id) FROM {name}))")
    return statements
