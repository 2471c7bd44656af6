"""References → what they stand for now: one statement reads all of a task's, one records them (R7, R8, R11)."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection, Integer, Row, TextClause, text

from airflow_model_provider.references import OutputReference, Reference, Wanted, check_name
from airflow_model_provider.registry import tables
from airflow_model_provider.registry.columns import Json, UtcTime, clean_text
from airflow_model_provider.registry.entities import Attempt, Resolution
from airflow_model_provider.registry.missing import Missing, explain
from airflow_model_provider.registry.rows import (
    ARTIFACT_FIELDS,
    VERSION_FIELDS,
    artifact_record,
    version_record,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_model_provider.registry.database import Database

#: One request of a task, as the statement receives it.
_ASKED: Final = {
    "i": "integer",
    "key": "text",
    "model": "text",
    "kind": "text",
    "selector": "text",
    "number": "bigint",
    "wanted": "text",
    "name": "text",
    "artifact_kind": "text",
    "artifact_number": "bigint",
    "map_index": "integer",
    "artifact_id": "bigint",
}
_RECORDED: Final = {
    "key": "text",
    "model": "text",
    "selector": "text",
    "wanted": "text",
    "version_id": "bigint",
    "artifact_id": "bigint",
    "digest": "text",
    "resolved": "boolean",
}
_LARGEST = 2**63 - 1


def resolve(
    database: Database,
    references: Sequence[Reference | OutputReference],
    attempt: Attempt | None,
    stages: Sequence[str],
) -> list[Resolution]:
    """
    Return what references stand for, all in one state of the registry.

    What this try of a task has recorded already wins over what the stages say now (R14).

    :param stages: the declared stages, in order.
    :raises ModelRegistryError: the error that says what is missing, for the first reference without a
        default.
    """
    if not references:
        return []
    asked = [_asked(index, reference) for index, reference in enumerate(references)]
    statement = _SQLITE_READ if database.is_sqlite else _POSTGRESQL_READ
    values = {"asked": json.dumps(asked), "attempt": attempt.attempt_id if attempt else None}

    def work(connection: Connection) -> list[Resolution]:
        rows = connection.execute(statement, values).all()
        return [
            _resolution(connection, reference, row, stages)
            for reference, row in zip(references, rows, strict=True)
        ]

    return database.read(work)


def record(database: Database, resolutions: Sequence[Resolution], attempt: Attempt) -> None:
    """Record what a try of a task got; harmless to repeat, and the first record stays."""
    if not resolutions:
        return
    statement = _SQLITE_WRITE if database.is_sqlite else _POSTGRESQL_WRITE
    values = {
        "got": json.dumps([_recorded(resolution) for resolution in resolutions]),
        "attempt": attempt.attempt_id,
        "deployment": attempt.run.deployment,
        "dag_id": attempt.run.dag_id,
        "run_id": attempt.run.run_id,
        "task_id": attempt.task_id,
        "task_index": attempt.map_index,
        "try_number": attempt.try_number,
    }
    database.read(lambda connection: connection.execute(statement, values) and None)


def _asked(index: int, reference: Reference | OutputReference) -> dict[str, Any]:
    if isinstance(reference, OutputReference):
        return {"i": index, "key": _key(reference), "wanted": "output", "artifact_id": reference.id}
    check_name("model", reference.model)
    value = reference.selector.value
    return {
        "i": index,
        "key": _key(reference),
        "model": reference.model,
        "kind": reference.selector.kind.value,
        "selector": clean_text(str(value)),
        "number": min(value, _LARGEST) if isinstance(value, int) else None,
        "wanted": reference.wanted.value,
        "name": None if reference.name is None else clean_text(reference.name),
        "artifact_kind": reference.kind.value if reference.kind else None,
        "artifact_number": reference.artifact_version,
        "map_index": reference.map_index,
    }


def _key(reference: Reference | OutputReference) -> str:
    """Tell references of one task apart, in 32 characters."""
    facts = json.dumps(reference.to_json(), sort_keys=True)
    return hashlib.sha256(facts.encode()).hexdigest()[:32]


def _recorded(resolution: Resolution) -> dict[str, Any]:
    reference, version, artifact = resolution.reference, resolution.version, resolution.artifact
    named = isinstance(reference, Reference)
    return {
        "key": _key(reference),
        "model": reference.model if isinstance(reference, Reference) else None,
        "selector": clean_text(str(reference.selector)) if isinstance(reference, Reference) else None,
        "wanted": clean_text(repr(reference)) if named else f"artifact {reference!r}",
        "version_id": version.id if version else None,
        "artifact_id": artifact.id if artifact else None,
        "digest": artifact.payload.digest if artifact else None,
        "resolved": resolution.missing is None,
    }


def _resolution(
    connection: Connection, reference: Reference | OutputReference, row: Row[Any], stages: Sequence[str]
) -> Resolution:
    version = version_record(row) if row.v_id is not None else None
    artifact = artifact_record(row) if row.a_id is not None else None
    missing = Missing(reference, row.model_id, version, artifact)
    if isinstance(reference, OutputReference):
        if artifact is None:
            raise explain(connection, missing)
        return Resolution(reference, None, artifact)
    if missing.what(metadata_found=bool(row.has_metadata)) is None:
        return Resolution(reference, version, artifact, _value(reference, row, stages))
    if not reference.has_default:
        raise explain(connection, missing)
    return Resolution(reference, version, None, reference.default, explain(connection, missing))


def _value(reference: Reference, row: Row[Any], stages: Sequence[str]) -> Any:
    """Return the plain value that a reference asks for; None where it asks for a whole, or for the store's URI."""
    attribute = reference.attribute
    if reference.wanted is Wanted.METADATA:
        return row.metadata_value
    if attribute is None or attribute == "uri":
        return None
    if reference.wanted is Wanted.VERSION:
        version = version_record(row)
        plain = {"number": version.number, "id": version.id, "name": version.name or str(version.number)}
        return version.stage(stages) if attribute == "stage" else plain[attribute]
    if attribute.startswith("metadata:"):
        return row.a_metadata[attribute.removeprefix("metadata:")]
    return {"number": row.a_number, "digest": row.a_digest}[attribute]


# --- the statements: constant text, so that they are prepared once whatever a task asks for ----------------

_COLUMNS = (
    "asked.i, picked.model_id, picked.version_id, md.value AS metadata_value, "
    "md.version_id IS NOT NULL AS has_metadata, m.name AS v_model, b.size AS a_size, f.name AS a_name, "
    + ", ".join(f"v.{name} AS v_{name}" for name in VERSION_FIELDS)
    + ", "
    + ", ".join(f"a.{name} AS a_{name}" for name in ARTIFACT_FIELDS)
)

_READ = f"""
WITH asked AS MATERIALIZED (SELECT {{columns}} FROM {{source}}),
picked AS MATERIALIZED (
  SELECT asked.i, m.id AS model_id, CASE
    WHEN EXISTS (
      SELECT 1 FROM mr_resolution r
      WHERE r.attempt_id = :attempt AND r.model = asked.model AND r.selector = asked.selector
    ) THEN (
      SELECT r.version_id FROM mr_resolution r
      WHERE r.attempt_id = :attempt AND r.model = asked.model AND r.selector = asked.selector
      ORDER BY r.id LIMIT 1
    )
    WHEN asked.kind = 'stage' THEN (
      SELECT s.version_id FROM mr_stage s WHERE s.model_id = m.id AND s.stage = asked.selector
    )
    WHEN asked.kind = 'latest' THEN (
      SELECT v.id FROM mr_version v WHERE v.model_id = m.id AND v.state = 'ready'
      ORDER BY v.number DESC LIMIT 1
    )
    WHEN asked.kind = 'number' THEN (
      SELECT v.id FROM mr_version v WHERE v.model_id = m.id AND v.number = asked.number
    )
    ELSE (SELECT v.id FROM mr_version v WHERE v.model_id = m.id AND v.name = asked.selector)
    END AS version_id
  FROM asked LEFT JOIN mr_model m ON m.name = asked.model AND m.deleted_at IS NULL
),
chosen AS MATERIALIZED (
  SELECT asked.i, CASE
    WHEN asked.artifact_id IS NOT NULL THEN asked.artifact_id
    WHEN asked.wanted = 'artifact' THEN coalesce((
      SELECT r.artifact_version_id FROM mr_resolution r
      WHERE r.attempt_id = :attempt AND r.reference_key = asked.key
    ), (
      SELECT l.artifact_version_id
      FROM mr_link l JOIN mr_artifact_version a ON a.id = l.artifact_version_id
      WHERE l.version_id = picked.version_id AND l.name = asked.name
        AND (asked.artifact_kind IS NULL OR a.kind = asked.artifact_kind)
        AND (asked.artifact_number IS NULL OR a.number = asked.artifact_number)
        AND (asked.map_index IS NULL OR l.map_index = asked.map_index)
      ORDER BY l.sealed DESC, l.own DESC, l.artifact_version_id DESC LIMIT 1
    ))
    END AS artifact_version_id
  FROM asked JOIN picked ON picked.i = asked.i
)
SELECT {_COLUMNS}, (
  SELECT {{aggregate}}(CAST(s.sequence AS TEXT) || ':' || s.stage, ',') FROM mr_stage s
  WHERE s.version_id = v.id
) AS v_stages
FROM asked
JOIN picked ON picked.i = asked.i
JOIN chosen ON chosen.i = asked.i
LEFT JOIN mr_model m ON m.id = picked.model_id
LEFT JOIN mr_version v ON v.id = picked.version_id AND v.state <> 'deleted'
LEFT JOIN mr_artifact_version a ON a.id = chosen.artifact_version_id
LEFT JOIN mr_artifact f ON f.id = a.artifact_id
LEFT JOIN mr_blob b ON b.digest = a.digest
LEFT JOIN mr_metadata md ON md.version_id = v.id AND md.key = asked.name AND asked.wanted = 'metadata'
ORDER BY asked.i
"""  # noqa: S608 - constants

_WRITE = """
INSERT INTO mr_resolution (
  attempt_id, reference_key, deployment, dag_id, run_id, task_id, map_index, try_number,
  model, selector, wanted, version_id, artifact_version_id, digest, resolved, at
)
SELECT {first}, got.key, {rest}, got.model, got.selector, got.wanted, got.version_id, got.artifact_id,
  got.digest, got.resolved, {now}
FROM (SELECT {columns} FROM {source}) AS got
WHERE true
ON CONFLICT (attempt_id, reference_key) DO NOTHING
"""


def _sqlite_columns(fields: dict[str, str]) -> str:
    return ", ".join(f"json_extract(value, '$.{name}') AS {name}" for name in fields)


def _postgresql_source(parameter: str, fields: dict[str, str]) -> str:
    columns = ", ".join(f"{name} {kind}" for name, kind in fields.items())
    return f"json_to_recordset(CAST(:{parameter} AS json)) AS j({columns})"


def _typed(statement: str) -> TextClause:
    """Give the columns that need it the types they have in the tables."""
    special = {"metadata_value": Json(), "v_id": Integer()}
    for prefix, table, names in (
        ("v", tables.version, VERSION_FIELDS),
        ("a", tables.artifact_version, ARTIFACT_FIELDS),
    ):
        special |= {f"{prefix}_{name}": table.c[name].type for name in names}
    wanted = {name: kind for name, kind in special.items() if isinstance(kind, Json | UtcTime)}
    return text(statement).columns(**wanted)  # type: ignore[return-value]


_PARAMETERS = (
    "CAST(:deployment AS text), CAST(:dag_id AS text), CAST(:run_id AS text), CAST(:task_id AS text), "
    "CAST(:task_index AS integer), CAST(:try_number AS integer)"
)

_SQLITE_READ = _typed(
    _READ.format(columns=_sqlite_columns(_ASKED), source="json_each(:asked)", aggregate="group_concat")
)
_POSTGRESQL_READ = _typed(
    _READ.replace(":attempt", "CAST(:attempt AS text)").format(
        columns="j.*", source=_postgresql_source("asked", _ASKED), aggregate="string_agg"
    )
)
_SQLITE_WRITE = text(
    _WRITE.format(
        first=":attempt",
        rest=_PARAMETERS,
        columns=_sqlite_columns(_RECORDED),
        source="json_each(:got)",
        now="mr_now()",
    )
)
_POSTGRESQL_WRITE = text(
    _WRITE.format(
        first="CAST(:attempt AS text)",
        rest=_PARAMETERS,
        columns="j.*",
        source=_postgresql_source("got", _RECORDED),
        now="clock_timestamp()",
    )
)
