"""The statements of every promotion: constant text, which costs no compilation in a new process."""

from __future__ import annotations

from airflow_model_provider.registry.tables import stage_event

#: Whoever holds this row is the only one to change the model's stages until commit.
MODEL = """
SELECT v.id, {transaction} FROM mr_model v WHERE v.name = :model AND v.deleted_at IS NULL {hold}
"""
CANDIDATE = """
SELECT v.id, v.number, v.state, (SELECT last_sequence FROM mr_registry), {now} FROM mr_version v
WHERE v.model_id = (SELECT id FROM mr_model WHERE name = :model) AND v.number = :number {lock}
"""
LAST = """
SELECT e.sequence, e.version_id, e.behind, v.number
FROM mr_stage_event e LEFT JOIN mr_version v ON v.id = e.version_id
WHERE e.model_id = (SELECT id FROM mr_model WHERE name = :model) AND e.stage = :stage
ORDER BY e.sequence DESC LIMIT 1
"""
HELD = "SELECT stage FROM mr_stage WHERE model_id = :model_id AND version_id = :id ORDER BY sequence"
_GIVEN = [column.name for column in stage_event.columns if column.name not in ("sequence", "at")]
#: Gets in line first: whoever has updated that row is the only one to write events until commit.
EVENT = f"""
UPDATE mr_registry SET last_sequence = last_sequence + 1, last_event_at = {{after last_event_at}}
RETURNING last_sequence, last_event_at
{{as line}}
INSERT INTO mr_stage_event (sequence, at, {", ".join(_GIVEN)})
SELECT last_sequence, last_event_at, {", ".join(f":{name}" for name in _GIVEN)}
FROM {{line else SELECT last_sequence, last_event_at FROM mr_registry}} l RETURNING sequence, at
"""  # noqa: S608 - names of columns

# --- what gates ask; nobody asks it where there are none ---------------------------------------------------

MOVED = """
SELECT e.sequence FROM mr_stage_event e WHERE e.sequence > :sequence AND e.model_id = :model_id
ORDER BY e.sequence DESC LIMIT 1
"""
HOLDER = """
SELECT v.id, v.number FROM mr_stage s JOIN mr_version v ON v.id = s.version_id
WHERE s.model_id = :model_id AND s.stage = :stage
"""
LOGGED = "SELECT value FROM mr_metadata WHERE version_id = :id AND key = :key"
HOLDS = "SELECT name FROM mr_link WHERE version_id = :id AND name = :name LIMIT 1"
#: The tasks whose outputs of a name are a collection in a version, what is there of it, and the parts they have made.
ELEMENTS = """
SELECT l.map_index FROM mr_link l WHERE l.version_id = :id AND l.name = :name AND l.map_index >= 0
ORDER BY l.map_index
"""
PARTS = """
SELECT p.task_id, p.state FROM mr_producer p
WHERE p.version_id = :id AND p.state IN ('pending', 'failed') AND EXISTS (
  SELECT 1 FROM mr_link l JOIN mr_artifact_version a ON a.id = l.artifact_version_id
  WHERE l.version_id = p.version_id AND l.name = :name AND l.map_index >= 0
  AND (p.task_id = a.task_id OR substr(p.task_id, 1, length(a.task_id) + 1) = a.task_id || '['))
ORDER BY p.task_id
"""
MADE = "SELECT created_at FROM mr_version WHERE id = :id"
