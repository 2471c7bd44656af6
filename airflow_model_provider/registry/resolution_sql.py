"""The statements that resolve and record: constant text, so that they are prepared once whatever a task asks for."""

from __future__ import annotations

import functools
import json
import math
import re
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

from airflow_model_provider.registry import tables
from airflow_model_provider.registry.columns import Json, UtcTime, as_time
from airflow_model_provider.registry.database import run
from airflow_model_provider.registry.rows import ARTIFACT_FIELDS, VERSION_FIELDS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy import Connection

#: One request of a task, as the statement receives it.
ASKED: Final = {
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
    "pin_key": "text",
    "pin": "text",
    "as_of": "timestamptz",
    "waits": "boolean",
}
RECORDED: Final = {
    "key": "text",
    "model": "text",
    "selector": "text",
    "wanted": "text",
    "version_id": "bigint",
    "artifact_id": "bigint",
    "digest": "text",
    "resolved": "boolean",
    "belongs": "boolean",
    "sequence": "bigint",
}

#: What a reference stands for: one JSON array per row, because every further column costs the client time.
_FOUND: Final = {
    "model_id": "chosen.model_id",
    "run_version_id": "chosen.run_version_id",
    "by_run": "chosen.by_run",
    "run_mark": "chosen.run_mark",
    "task_version_id": "chosen.task_version_id",
    "sequence": "coalesce(tried.sequence, tried.newest)",
    "is_first": "tried.sequence IS NULL",
    "earlier": "NULL",
    "metadata_value": "md.value",
    "has_metadata": "md.version_id IS NOT NULL",
    "v_model": "chosen.model_name",
    "a_size": "b.size",
    "a_name": "f.name",
    **{f"v_{name}": f"v.{name}" for name in VERSION_FIELDS},
    **{f"a_{name}": f"a.{name}" for name in ARTIFACT_FIELDS},
    # In a version that a mapped task has made by itself, it is no element of a collection.
    "a_map_index": """coalesce((
  SELECT l.map_index FROM mr_link l WHERE l.version_id = chosen.version_id AND l.artifact_version_id = a.id
), a.map_index)""",
    "v_stages": """(
  SELECT {aggregate}(CAST(s.sequence AS TEXT) || ':' || s.stage, ',') FROM mr_stage s
  WHERE s.model_id = v.model_id AND s.version_id = v.id
)""",
}
#: The version that the first task of the run got for the same, where that is another.
_EARLIER: Final = """(
  SELECT CASE WHEN r.version_id <> v.id THEN o.number END
  FROM mr_resolution r JOIN mr_version o ON o.id = r.version_id
  WHERE r.deployment = :deployment AND r.dag_id = :dag_id AND r.run_id = :run_id
    AND r.model = chosen.model AND r.selector = chosen.pin_key
  ORDER BY r.id LIMIT 1
)"""
_STAGES_THEN: Final = """
CASE WHEN tried.sequence < tried.newest THEN (
  SELECT {aggregate}(CAST(e.sequence AS TEXT) || ':' || e.stage, ',') FROM mr_stage_event e
  WHERE e.version_id = v.id AND e.sequence <= tried.sequence AND NOT EXISTS (
    SELECT 1 FROM mr_stage_event o WHERE o.model_id = e.model_id AND o.stage = e.stage
      AND o.sequence > e.sequence AND o.sequence <= tried.sequence
  )
) ELSE {stages_now} END"""
_SEALED_THEN: Final = """
CASE WHEN tried.sequence >= tried.newest OR EXISTS (
  SELECT 1 FROM mr_stage_event e WHERE e.version_id = v.id AND e.sequence <= tried.sequence
) THEN v.sealed_at END"""

_READ: Final = """
WITH asked AS MATERIALIZED (SELECT {{columns}} FROM {{source}}),
tried AS MATERIALIZED (
  SELECT
    (SELECT min(r.sequence) FROM mr_resolution r WHERE r.attempt_id = :attempt) AS sequence,
    (SELECT g.last_sequence FROM mr_registry g) AS newest
),
pinned AS MATERIALIZED (
  SELECT asked.*, m.id AS model_id, m.name AS model_name, {run_pin} {task_pin}
  FROM asked LEFT JOIN mr_model m ON m.name = asked.model AND m.deleted_at IS NULL
  {join_run_pin}
),
picked AS MATERIALIZED (
  SELECT pinned.*, CASE
    WHEN pinned.by_run THEN pinned.run_version_id
    {selectors}
    END AS version_id
  FROM pinned CROSS JOIN tried
),
chosen AS MATERIALIZED (SELECT picked.*, {artifact} AS artifact_version_id FROM picked)
SELECT {{as_array}}({found})
FROM chosen
CROSS JOIN tried
LEFT JOIN mr_version v ON v.id = chosen.version_id AND v.state <> 'deleted'
{join_artifact}
{join_metadata}
ORDER BY chosen.i
"""

_NO_RUN_PIN: Final = (
    "(1 = 0) AS by_run, CAST(NULL AS bigint) AS run_version_id, CAST(NULL AS text) AS run_mark,"
)
_RUN_PIN: Final = "p.selector IS NOT NULL AS by_run, p.version_id AS run_version_id, p.run_mark,"
_NO_TASK_PIN: Final = "CAST(NULL AS bigint) AS task_version_id"
_TASK_PIN: Final = """
EXISTS (
  SELECT 1 FROM mr_resolution r
  WHERE r.attempt_id = :attempt AND r.model = asked.model AND r.selector = asked.pin_key
) AS by_task, (
  SELECT r.version_id FROM mr_resolution r
  WHERE r.attempt_id = :attempt AND r.model = asked.model AND r.selector = asked.pin_key
  ORDER BY r.id LIMIT 1
) AS task_version_id"""
_BY_TASK: Final = "WHEN pinned.by_task THEN pinned.task_version_id"
_AS_OF: Final = """
WHEN pinned.as_of IS NOT NULL THEN (
  SELECT e.version_id FROM mr_stage_event e
  WHERE e.model_id = pinned.model_id AND e.stage = pinned.selector AND e.at <= pinned.as_of
    AND e.sequence <= coalesce(tried.sequence, tried.newest)
  ORDER BY e.at DESC LIMIT 1
)"""
_HOLDER: Final = """(
  SELECT s.version_id FROM mr_stage s WHERE s.model_id = pinned.model_id AND s.stage = pinned.selector
)"""
#: What a stage meant when the try first read the registry.
_THEN: Final = f"""
WHEN pinned.kind = 'stage' AND tried.sequence < tried.newest THEN coalesce((
  SELECT e.version_id FROM mr_stage_event e
  WHERE e.model_id = pinned.model_id AND e.stage = pinned.selector AND e.sequence <= tried.sequence
  ORDER BY e.sequence DESC LIMIT 1
), CASE WHEN pinned.waits THEN {_HOLDER} END)"""  # noqa: S608 - constants
_SELECTORS: Final = {
    "stage": f"""
WHEN pinned.kind = 'stage' THEN {_HOLDER}""",
    "latest": """
WHEN pinned.kind = 'latest' THEN (
  SELECT v.id FROM mr_version v WHERE v.model_id = pinned.model_id AND v.state = 'ready'
  ORDER BY v.number DESC LIMIT 1
)""",
    "number": """
WHEN pinned.kind = 'number' THEN (
  SELECT v.id FROM mr_version v WHERE v.model_id = pinned.model_id AND v.number = pinned.number
)""",
    "name": """
WHEN pinned.kind = 'name' THEN (
  SELECT v.id FROM mr_version v WHERE v.model_id = pinned.model_id AND v.name = pinned.selector
)""",
}
_ARTIFACT: Final = """
CASE WHEN picked.artifact_id IS NOT NULL THEN picked.artifact_id
{named}WHEN picked.wanted = 'artifact' THEN coalesce({recorded}, (
  SELECT l.artifact_version_id
  FROM mr_link l JOIN mr_artifact_version a ON a.id = l.artifact_version_id
  WHERE l.version_id = picked.version_id AND l.name = picked.name
    AND (picked.artifact_kind IS NULL OR a.kind = picked.artifact_kind)
    AND (picked.artifact_number IS NULL OR a.number = picked.artifact_number)
    AND (picked.map_index IS NULL OR l.map_index = picked.map_index)
  ORDER BY l.sealed DESC, l.own DESC, l.artifact_version_id DESC LIMIT 1
))
END"""
#: By its own name, whatever version holds it.
_NAMED: Final = """WHEN picked.wanted = 'named' THEN coalesce({recorded}, (
  SELECT a.id FROM mr_artifact f JOIN mr_artifact_version a ON a.artifact_id = f.id
  WHERE f.name = picked.name AND a.deleted_at IS NULL
    AND (picked.artifact_number IS NULL OR a.number = picked.artifact_number)
    AND (picked.map_index IS NULL OR a.map_index = picked.map_index)
  ORDER BY a.number DESC LIMIT 1
))
"""
_RECORDED: Final = """(
  SELECT r.artifact_version_id FROM mr_resolution r
  WHERE r.attempt_id = :attempt AND r.reference_key = picked.key
)"""
_JOIN_RUN_PIN: Final = """
LEFT JOIN mr_run_pin p ON asked.pin = 'run' AND p.deployment = :deployment AND p.dag_id = :dag_id
  AND p.run_id = :run_id AND p.model_id = m.id AND p.selector = asked.pin_key"""
_JOIN_ARTIFACT: Final = """
LEFT JOIN mr_artifact_version a ON a.id = chosen.artifact_version_id AND a.deleted_at IS NULL
LEFT JOIN mr_artifact f ON f.id = a.artifact_id
LEFT JOIN mr_blob b ON b.digest = a.digest"""
_JOIN_METADATA: Final = """
LEFT JOIN mr_metadata md ON md.version_id = v.id AND md.key = chosen.name AND chosen.wanted = 'metadata'"""


def _parts(asked: Sequence[Mapping[str, Any]]) -> frozenset[str]:
    """Which parts of the statement so many references need: PostgreSQL plans each of them in every new process."""
    parts = {str(item[key]) for item in asked for key in ("kind", "wanted") if item.get(key)}
    parts |= {"run" for item in asked if item.get("pin") == "run"}
    parts |= {"as_of" for item in asked if item.get("as_of")}
    return frozenset(parts)


def _words(parts: frozenset[str]) -> str:
    again, run = "again" in parts, "run" in parts
    artifact, metadata = not parts.isdisjoint({"artifact", "named", "output"}), "metadata" in parts
    recorded = _RECORDED if again else "NULL"
    found = dict(_FOUND)
    for names, there in (("a_", artifact), (("metadata_", "has_metadata"), metadata)):
        found |= {name: "NULL" for name in _FOUND if name.startswith(names) and not there}
    if not parts.isdisjoint({"stage", "latest"}):
        found["earlier"] = _EARLIER
    if again:
        found["v_stages"] = _STAGES_THEN.replace("{stages_now}", _FOUND["v_stages"])
        found["v_sealed_at"] = _SEALED_THEN
    selectors = [words for kind, words in _SELECTORS.items() if kind in parts]
    return _READ.format(
        run_pin=_RUN_PIN if run else _NO_RUN_PIN,
        join_run_pin=_JOIN_RUN_PIN if run else "",
        task_pin=_TASK_PIN if again else _NO_TASK_PIN,
        selectors=" ".join([_BY_TASK] * again + [_AS_OF] * ("as_of" in parts) + [_THEN] * again + selectors),
        artifact=_ARTIFACT.format(
            recorded=recorded, named=_NAMED.format(recorded=recorded) if "named" in parts else ""
        )
        if artifact
        else "CAST(NULL AS bigint)",
        found=", ".join(found.values()),
        join_artifact=_JOIN_ARTIFACT if artifact else "",
        join_metadata=_JOIN_METADATA if metadata else "",
    )


_WRITE = """
INSERT INTO mr_resolution (
  attempt_id, reference_key, deployment, dag_id, run_id, task_id, map_index, try_number,
  model, selector, wanted, version_id, artifact_version_id, digest, resolved, belongs, sequence, at
)
SELECT {first}, got.key, {rest}, got.model, got.selector, got.wanted, got.version_id, got.artifact_id,
  got.digest, got.resolved, got.belongs, got.sequence, {{now}}
FROM (SELECT {columns} FROM {source}) AS got
WHERE true
ON CONFLICT (attempt_id, reference_key) DO NOTHING
"""


def _sqlite_columns(fields: dict[str, str]) -> str:
    return ", ".join(f"json_extract(value, '$.{name}') AS {name}" for name in fields)


def _postgresql_source(parameter: str, fields: dict[str, str]) -> str:
    columns = ", ".join(f"{name} {kind}" for name, kind in fields.items())
    return f"json_to_recordset(CAST(:{parameter} AS json)) AS j({columns})"


def _readers() -> dict[str, Callable[[Any], Any]]:
    """How columns are read whose values come as the driver has them."""
    found: dict[str, Callable[[Any], Any]] = {"metadata_value": json.loads}
    for prefix, table, names in (
        ("v", tables.version, VERSION_FIELDS),
        ("a", tables.artifact_version, ARTIFACT_FIELDS),
    ):
        for name in names:
            if isinstance(kind := table.c[name].type, Json | UtcTime):
                found[f"{prefix}_{name}"] = json.loads if isinstance(kind, Json) else as_time
    return found


_READERS: Final = _readers()


def read(connection: Connection, asked: Sequence[Mapping[str, Any]], values: Mapping[str, Any]) -> list[Any]:
    """
    Return what the references that a task asks for stand for, in order.

    It is one statement where the try asks for the first time, as it does once as a rule; a try that has records
    already is found out by that statement, and a second, longer one looks at them.
    """
    parts = _parts(asked)
    found = _read(connection, parts, asked, values)
    return (
        found if all(row.is_first for row in found) else _read(connection, parts | {"again"}, asked, values)
    )


def _read(
    connection: Connection,
    parts: frozenset[str],
    asked: Sequence[Mapping[str, Any]],
    values: Mapping[str, Any],
) -> list[Any]:
    sqlite = connection.dialect.name == "sqlite"
    words = _sqlite_read(parts) if sqlite else _postgresql_read(parts, _limit(len(asked)))
    found = run(connection, words, {"asked": json.dumps(asked), **values}).scalars()
    return [_row(item if isinstance(item, list) else json.loads(item)) for item in found]


def _row(values: Sequence[Any]) -> SimpleNamespace:
    row = dict(zip(_FOUND, values, strict=True))
    for name, reader in _READERS.items():
        if row[name] is not None:
            row[name] = reader(row[name])
    return SimpleNamespace(**row)


def write(connection: Connection, got: Sequence[Mapping[str, Any]], values: Mapping[str, Any]) -> None:
    """Record what a task got."""
    words = _SQLITE_WRITE if connection.dialect.name == "sqlite" else _POSTGRESQL_WRITE
    run(connection, words, {"got": json.dumps(got), **values})


_PARAMETERS = (
    "CAST(:deployment AS text), CAST(:dag_id AS text), CAST(:run_id AS text), CAST(:task_id AS text), "
    "CAST(:task_index AS integer), CAST(:try_number AS integer)"
)


@functools.cache
def _sqlite_read(parts: frozenset[str]) -> str:
    columns = _sqlite_columns(ASKED)
    return _words(parts).format(
        columns=columns, source="json_each(:asked)", aggregate="group_concat", as_array="json_array"
    )


@functools.cache
def _postgresql_read(parts: frozenset[str], limit: int) -> str:
    """PostgreSQL takes JSON for a hundred rows and plans for that; a limit tells it how few there are."""
    words = re.sub(r":(attempt|deployment|dag_id|run_id)\b", r"CAST(:\1 AS text)", _words(parts))
    source = f"{_postgresql_source('asked', ASKED)} LIMIT {limit}"
    return words.format(columns="j.*", source=source, aggregate="string_agg", as_array="json_build_array")


def _limit(count: int) -> int:
    """A power of eight, so that the statements are few."""
    return int(8 ** max(1, math.ceil(math.log(count, 8))))


_SQLITE_WRITE: Final = _WRITE.format(
    first=":attempt", rest=_PARAMETERS, columns=_sqlite_columns(RECORDED), source="json_each(:got)"
)
_POSTGRESQL_WRITE: Final = _WRITE.format(
    first="CAST(:attempt AS text)",
    rest=_PARAMETERS,
    columns="j.*",
    source=_postgresql_source("got", RECORDED),
)
