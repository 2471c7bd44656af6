"""The statements of every promotion: constant text, which costs no compilation in a new process."""

from __future__ import annotations

from airflow_model_provider.registry.tables import stage_event

#: Gets in line. Whoever updates this row is the only one to change stages until commit.
NEXT = """
UPDATE mr_registry SET last_sequence = last_sequence + 1, last_event_at = {after last_event_at}
RETURNING last_sequence, last_event_at, (
  SELECT m.id FROM mr_model m WHERE m.name = :model AND m.deleted_at IS NULL
)
"""
CANDIDATE = """
SELECT v.id, v.number, v.state FROM mr_version v WHERE v.model_id = :model_id AND v.number = :number {lock}
"""
LAST = """
SELECT e.sequence, e.version_id, e.behind, v.number, v.state
FROM mr_stage_event e LEFT JOIN mr_version v ON v.id = e.version_id
WHERE e.model_id = :model_id AND e.stage = :stage ORDER BY e.sequence DESC LIMIT 1
"""
HELD = "SELECT stage FROM mr_stage WHERE version_id = :id ORDER BY sequence"
_WRITTEN = [column.name for column in stage_event.columns]
EVENT = f"""
INSERT INTO mr_stage_event ({", ".join(_WRITTEN)}) VALUES ({", ".join(f":{name}" for name in _WRITTEN)})
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
MADE = "SELECT created_at FROM mr_version WHERE id = :id"
