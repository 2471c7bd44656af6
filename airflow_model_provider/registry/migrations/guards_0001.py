"""What the database itself refuses, whatever a program asks of it: the triggers of revision 0001."""

from __future__ import annotations

from typing import NamedTuple

from alembic import op


class _Guard(NamedTuple):
    """
    Refuses a statement on a row, naming the rule, where a condition holds.

    :param condition: of the row alone: where it does not hold, PostgreSQL calls no function.
    :param query: what must hold of other rows as well.
    """

    name: str
    table: str
    events: tuple[str, ...]
    condition: str
    rule: str
    query: str = "TRUE"


_LAST = "(SELECT max(l.sequence) FROM mr_stage_event l WHERE l.model_id = {row}.model_id AND l.stage = {row}.stage)"
#: Of a new table the database knows nothing: the sign leaves it no index but that of the sequence.
_SAID_BY_EVENT = """EXISTS (
  SELECT 1 FROM mr_stage_event e WHERE e.sequence = NEW.sequence AND +e.version_id = NEW.version_id
)"""
_ALIVE = "EXISTS (SELECT 1 FROM mr_version v WHERE v.id = OLD.version_id AND v.state <> 'deleted')"

_GUARDS = (
    _Guard(
        "event_stays",
        "mr_stage_event",
        ("UPDATE", "DELETE"),
        "TRUE",
        "the history of stages is never edited",
    ),
    _Guard(
        "event_in_line",
        "mr_stage_event",
        ("INSERT",),
        "TRUE",
        "an event takes the next sequence number, and a version of its own model that is not deleted",
        "NEW.sequence <> (SELECT r.last_sequence FROM mr_registry r)"
        " OR EXISTS (SELECT 1 FROM mr_version v WHERE v.id = NEW.version_id"
        " AND (v.model_id <> NEW.model_id OR v.state = 'deleted'))",
    ),
    _Guard(
        "line_grows",
        "mr_registry",
        ("UPDATE",),
        "NEW.last_sequence < OLD.last_sequence OR NEW.last_event_at < OLD.last_event_at",
        "the history of stages only grows",
    ),
    _Guard(
        "stage_is_last_event",
        "mr_stage",
        ("INSERT", "UPDATE"),
        "TRUE",
        "a stage points to what its last event says",
        f"NEW.sequence <> coalesce({_LAST.format(row='NEW')}, 0) OR NOT {_SAID_BY_EVENT}",
    ),
    _Guard(
        "stage_is_left_by_event",
        "mr_stage",
        ("DELETE",),
        "TRUE",
        "a stage is left by an event only",
        f"OLD.sequence >= coalesce({_LAST.format(row='OLD')}, 0)",
    ),
    _Guard(
        "number_stays",
        "mr_version",
        ("UPDATE",),
        "NEW.number <> OLD.number OR NEW.model_id <> OLD.model_id OR (OLD.state = 'deleted' AND NEW.state <> 'deleted')"
        " OR (OLD.sealed_at IS NOT NULL AND (NEW.sealed_at IS NULL OR NEW.sealed_at <> OLD.sealed_at))"
        " OR (OLD.sealed_at IS NOT NULL AND OLD.name IS NOT NULL AND (NEW.name IS NULL OR NEW.name <> OLD.name))",
        "a version keeps its number, its seal and the name under it, and a deleted one stays deleted",
    ),
    _Guard(
        "used_version_stays",
        "mr_version",
        ("UPDATE",),
        "NEW.state = 'deleted' AND OLD.state <> 'deleted'",
        "a version that is in a stage or pinned by a run is not deleted",
        "EXISTS (SELECT 1 FROM mr_stage s WHERE s.model_id = OLD.model_id AND s.version_id = OLD.id)"
        " OR EXISTS (SELECT 1 FROM mr_run_pin p WHERE p.version_id = OLD.id)",
    ),
    _Guard("tombstone_stays", "mr_version", ("DELETE",), "TRUE", "of a version a tombstone stays"),
    _Guard(
        "numbers_grow",
        "mr_model",
        ("UPDATE",),
        "NEW.last_number < OLD.last_number",
        "no version number is used twice",
    ),
    _Guard("model_stays", "mr_model", ("DELETE",), "TRUE", "of a model its numbers stay"),
    _Guard(
        "sealed_link_stays",
        "mr_link",
        ("UPDATE", "DELETE"),
        "OLD.sealed",
        "what a version held when it was first promoted stays",
        _ALIVE,
    ),
    _Guard(
        "sealed_metadata_stay",
        "mr_metadata",
        ("UPDATE", "DELETE"),
        "OLD.sealed",
        "what was known of a version when it was first promoted stays",
        _ALIVE,
    ),
    _Guard(
        "artifact_has_bytes",
        "mr_artifact_version",
        ("INSERT",),
        "TRUE",
        "an artifact version points to stored bytes",
        "NOT EXISTS (SELECT 1 FROM mr_blob b WHERE b.digest = NEW.digest AND b.state = 'stored')",
    ),
    _Guard(
        "artifact_stays",
        "mr_artifact_version",
        ("UPDATE",),
        "NEW.digest <> OLD.digest OR NEW.number <> OLD.number OR NEW.artifact_id <> OLD.artifact_id"
        " OR NEW.materializer <> OLD.materializer OR NEW.format_version <> OLD.format_version"
        " OR NEW.attributes <> OLD.attributes"
        " OR (OLD.deleted_at IS NOT NULL AND NEW.deleted_at IS NULL)",
        "what an artifact version holds never changes",
    ),
    _Guard(
        "used_bytes_stay",
        "mr_blob",
        ("UPDATE",),
        "NEW.state <> 'stored'",
        "bytes that an artifact version points to stay",
        "EXISTS (SELECT 1 FROM mr_artifact_version a WHERE a.digest = OLD.digest AND a.deleted_at IS NULL)",
    ),
)

#: What an event means is made of it, in one statement: neither can be there without the other. The stage points to
#: the version; what that holds when it is first promoted is sealed.
_FOLLOW_SQLITE = """
CREATE TRIGGER mr_stage_follows AFTER INSERT ON mr_stage_event BEGIN
  DELETE FROM mr_stage WHERE model_id = NEW.model_id AND stage = NEW.stage;
  INSERT INTO mr_stage (model_id, stage, version_id, sequence)
    SELECT NEW.model_id, NEW.stage, NEW.version_id, NEW.sequence WHERE NEW.version_id IS NOT NULL;
  UPDATE mr_link SET sealed = TRUE WHERE version_id = NEW.version_id
    AND EXISTS (SELECT 1 FROM mr_version v WHERE v.id = NEW.version_id AND v.sealed_at IS NULL);
  UPDATE mr_metadata SET sealed = TRUE WHERE version_id = NEW.version_id
    AND EXISTS (SELECT 1 FROM mr_version v WHERE v.id = NEW.version_id AND v.sealed_at IS NULL);
  UPDATE mr_version SET sealed_at = NEW.at WHERE id = NEW.version_id AND sealed_at IS NULL;
END
"""
_FOLLOW_POSTGRESQL = """
CREATE FUNCTION mr_stage_follows() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF NEW.version_id IS NULL THEN
    DELETE FROM mr_stage WHERE model_id = NEW.model_id AND stage = NEW.stage;
  ELSE
    INSERT INTO mr_stage (model_id, stage, version_id, sequence)
      VALUES (NEW.model_id, NEW.stage, NEW.version_id, NEW.sequence)
      ON CONFLICT (model_id, stage) DO UPDATE SET version_id = NEW.version_id, sequence = NEW.sequence;
    UPDATE mr_version SET sealed_at = NEW.at WHERE id = NEW.version_id AND sealed_at IS NULL;
    IF FOUND THEN
      UPDATE mr_link SET sealed = TRUE WHERE version_id = NEW.version_id;
      UPDATE mr_metadata SET sealed = TRUE WHERE version_id = NEW.version_id;
    END IF;
  END IF;
  RETURN NULL;
END $$
"""
_FOLLOWS_POSTGRESQL = """
CREATE TRIGGER mr_stage_follows AFTER INSERT ON mr_stage_event
  FOR EACH ROW EXECUTE FUNCTION mr_stage_follows()
"""


def make() -> None:
    """Make the triggers; they go with their tables."""
    sqlite = op.get_bind().dialect.name == "sqlite"
    for statement in [_FOLLOW_SQLITE] if sqlite else [_FOLLOW_POSTGRESQL, _FOLLOWS_POSTGRESQL]:
        op.execute(statement)
    for guard in _GUARDS:
        for statement in _sqlite(guard) if sqlite else _postgresql(guard):
            op.execute(statement)


def drop_functions() -> None:
    """Remove what PostgreSQL keeps when the tables are gone."""
    if op.get_bind().dialect.name != "sqlite":
        names = ["mr_stage_follows", *(f"mr_{guard.name}" for guard in _GUARDS)]
        for name in names:
            op.execute(f"DROP FUNCTION {name}()")


def _sqlite(guard: _Guard) -> list[str]:
    return [
        f"CREATE TRIGGER mr_{guard.name}_{event.lower()} BEFORE {event} ON {guard.table} "
        f"WHEN ({guard.condition}) AND ({guard.query}) BEGIN SELECT RAISE(ABORT, '{guard.rule}'); END"
        for event in guard.events
    ]


def _postgresql(guard: _Guard) -> list[str]:
    function = f"""
CREATE FUNCTION mr_{guard.name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF {guard.query} THEN
    RAISE EXCEPTION '{guard.rule}' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
  RETURN NEW;
END $$
"""
    trigger = f"""
CREATE TRIGGER mr_{guard.name} BEFORE {" OR ".join(guard.events)} ON {guard.table}
  FOR EACH ROW WHEN ({guard.condition}) EXECUTE FUNCTION mr_{guard.name}()
"""
    return [function, trigger]
