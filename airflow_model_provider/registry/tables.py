"""The registry's tables. Rules live elsewhere; what the database itself can enforce stands here."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    String,
    Table,
    UniqueConstraint,
    false,
)

from airflow_model_provider.registry.columns import FreeText, Id, Json, UtcTime

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _run(*, nullable: bool) -> list[Column[Any]]:
    """A Dag run; ``deployment`` tells apart two Airflows that share a registry (R9)."""
    return [Column(name, FreeText, nullable=nullable) for name in ("deployment", "dag_id", "run_id")]


def _version(name: str = "version_id", *, nullable: bool = False, key: bool = False) -> Column[Any]:
    return Column(name, Id, ForeignKey("mr_version.id"), nullable=nullable, primary_key=key)


def _model(*, key: bool = False) -> Column[Any]:
    return Column("model_id", Id, ForeignKey("mr_model.id"), nullable=False, primary_key=key)


#: One row: who this registry is, which code may use it, and the end of the history of stages.
registry = Table(
    "mr_registry",
    metadata,
    Column("one", SmallInteger, primary_key=True, autoincrement=False),
    Column("id", String(36), nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("oldest_code", String(32), nullable=False),
    Column("last_sequence", Id, nullable=False),
    Column("last_event_at", UtcTime, nullable=False),
    CheckConstraint("one = 1", name="one_row"),
)

#: ``last_number`` only grows and the row stays when the model is deleted: no number is ever used twice (R22).
model = Table(
    "mr_model",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", String(100), nullable=False, unique=True),
    Column("card", Json, nullable=False),
    Column("tags", Json, nullable=False),
    Column("last_number", Id, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("deleted_at", UtcTime),
)

version = Table(
    "mr_version",
    metadata,
    Column("id", Id, primary_key=True),
    _model(),
    Column("number", Id, nullable=False),
    Column("name", String(100)),
    Column("state", String(16), nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("sealed_at", UtcTime),
    Column("deleted_at", UtcTime),
    *_run(nullable=True),
    Column("description", FreeText),
    Column("tags", Json, nullable=False),
    Column("environment", Json, nullable=False),
    UniqueConstraint("model_id", "number"),
    CheckConstraint("number > 0", name="number"),
    CheckConstraint("state IN ('producing', 'ready', 'failed', 'deleted')", name="state"),
)
_named = version.c.name.is_not(None)
Index(
    "uq_mr_version_name",
    version.c.model_id,
    version.c.name,
    unique=True,
    sqlite_where=_named,
    postgresql_where=_named,
)
_ready = version.c.state == "ready"
Index(
    "ix_mr_version_ready", version.c.model_id, version.c.number, sqlite_where=_ready, postgresql_where=_ready
)

#: What a version waits for. A mapped task has a row of its own name and one per index, ``task[3]``. ``declares`` is
#: whether the task declares outputs; ``attempt_id`` is that of a task which makes a version by itself.
producer = Table(
    "mr_producer",
    metadata,
    _version(key=True),
    Column("task_id", FreeText, primary_key=True),
    Column("state", String(16), nullable=False),
    Column("declares", Boolean, nullable=False),
    Column("attempt_id", FreeText),
    Column("at", UtcTime, nullable=False),
    CheckConstraint("state IN ('pending', 'committed', 'failed', 'skipped')", name="state"),
)

#: The version that a Dag run makes of a model; a cleared run whose version is sealed has a further generation
#: (R24).
run_version = Table(
    "mr_run_version",
    metadata,
    _version(key=True),
    *_run(nullable=False),
    _model(),
    Column("generation", Integer, nullable=False),
    Column("run_mark", FreeText),
    UniqueConstraint(
        "deployment", "dag_id", "run_id", "model_id", "generation", name="uq_mr_run_version_run"
    ),
)

#: Who holds a stage now; no row means nobody. Looks for a version's stages give the model as well: an index on
#: ``version_id`` would leave a dead row behind every promotion.
stage = Table(
    "mr_stage",
    metadata,
    _model(key=True),
    Column("stage", String(100), primary_key=True),
    _version(),
    Column("sequence", Id, nullable=False),
)

#: Append-only. Order of ``sequence`` is the order in which the changes were committed (R27, R29). ``behind`` is the
#: event to which a rollback goes back from here; ``restores`` the one that a rollback went back to; a ``quiet`` one
#: starts no Dags.
stage_event = Table(
    "mr_stage_event",
    metadata,
    Column("sequence", Id, primary_key=True, autoincrement=False),
    _model(),
    Column("stage", String(100), nullable=False),
    _version(nullable=True),
    _version("previous_version_id", nullable=True),
    *[Column(name, Id, ForeignKey("mr_stage_event.sequence")) for name in ("behind", "restores")],
    Column("at", UtcTime, nullable=False),
    Column("who", FreeText),
    Column("reason", FreeText),
    Column("quiet", Boolean, nullable=False, server_default=false()),
    *_run(nullable=True),
    Column("task_id", FreeText),
    Index(None, "model_id", "stage", "sequence"),
    Index(None, "model_id", "stage", "at"),
    Index(None, "version_id"),
)

blob = Table(
    "mr_blob",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("size", Id, nullable=False),
    Column("state", String(16), nullable=False),
    Column("touched_at", UtcTime, nullable=False),
    Column("life", Id, nullable=False),
    CheckConstraint("state IN ('intended', 'stored', 'condemned', 'removed')", name="state"),
    CheckConstraint("size >= 0", name="size"),
)

artifact = Table(
    "mr_artifact",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", String(100), nullable=False, unique=True),
    Column("last_number", Id, nullable=False),
)

#: ``part_of`` is the output of which it is an element: it is saved by itself for a task that is mapped over the output.
artifact_version = Table(
    "mr_artifact_version",
    metadata,
    Column("id", Id, primary_key=True),
    Column("artifact_id", Id, ForeignKey("mr_artifact.id"), nullable=False),
    Column("number", Id, nullable=False),
    Column("digest", String(64), ForeignKey("mr_blob.digest"), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("materializer", String(100), nullable=False),
    Column("format_version", Integer, nullable=False),
    Column("type_names", Json, nullable=False),
    Column("attributes", Json, nullable=False),
    Column("signed", Json),
    Column("signature", Json, nullable=False),
    Column("environment", Json, nullable=False),
    Column("metadata", Json, nullable=False),
    *_run(nullable=True),
    Column("task_id", FreeText),
    Column("map_index", Integer, nullable=False),
    Column("try_number", Integer),
    Column("attempt_id", FreeText),
    Column("output", FreeText),
    Column("part_of", Id, ForeignKey("mr_artifact_version.id")),
    Column("created_at", UtcTime, nullable=False),
    Column("deleted_at", UtcTime),
    UniqueConstraint("artifact_id", "number"),
    CheckConstraint("kind IN ('model', 'data', 'deployment')", name="kind"),
    Index(None, "digest"),
    Index("ix_mr_artifact_version_run", "deployment", "dag_id", "run_id", "task_id"),
)
_output = artifact_version.c.attempt_id.is_not(None) & artifact_version.c.output.is_not(None)
Index(
    "uq_mr_artifact_version_output",
    artifact_version.c.attempt_id,
    artifact_version.c.output,
    artifact_version.c.map_index,
    unique=True,
    sqlite_where=_output,
    postgresql_where=_output,
)

_part = artifact_version.c.part_of.is_not(None)
Index(
    "ix_mr_artifact_version_part_of",
    artifact_version.c.part_of,
    sqlite_where=_part,
    postgresql_where=_part,
)

#: ``own`` is false for outputs of tasks that merely used the version: they never hide what is its own.
link = Table(
    "mr_link",
    metadata,
    _version(key=True),
    Column("artifact_version_id", Id, ForeignKey("mr_artifact_version.id"), primary_key=True),
    Column("relation", String(16), nullable=False),
    Column("own", Boolean, nullable=False),
    Column("name", String(100), nullable=False),
    Column("map_index", Integer, nullable=False),
    Column("sealed", Boolean, nullable=False, server_default=false()),
    # The part of the version's run that has linked what another task, or another run, has made.
    Column("linked_by", FreeText),
    CheckConstraint("relation IN ('output', 'derived', 'linked')", name="relation"),
    Index("ix_mr_link_newest", "version_id", "name", "sealed", "own", "artifact_version_id"),
    Index(
        "ix_mr_link_newest_mapped", "version_id", "name", "map_index", "sealed", "own", "artifact_version_id"
    ),
    Index(None, "artifact_version_id"),
)

version_metadata = Table(
    "mr_metadata",
    metadata,
    _version(key=True),
    Column("key", String(250), primary_key=True),
    Column("value", Json, nullable=False),
    Column("sealed", Boolean, nullable=False, server_default=false()),
    *_run(nullable=True),
    Column("task_id", FreeText),
    Column("map_index", Integer),
    Column("at", UtcTime, nullable=False),
)

#: Which task got what, one row per reference and try (R11). An artifact that came through XCom names no
#: model. ``sequence`` is the end of the history of stages that the try saw when it first read (R8).
resolution = Table(
    "mr_resolution",
    metadata,
    Column("id", Id, primary_key=True),
    Column("attempt_id", FreeText, nullable=False),
    Column("reference_key", String(32), nullable=False),
    *_run(nullable=False),
    Column("task_id", FreeText, nullable=False),
    Column("map_index", Integer, nullable=False),
    Column("try_number", Integer, nullable=False),
    Column("model", String(100)),
    Column("selector", String(200)),
    Column("wanted", FreeText, nullable=False),
    _version(nullable=True),
    Column("artifact_version_id", Id, ForeignKey("mr_artifact_version.id")),
    Column("digest", String(64)),
    Column("resolved", Boolean, nullable=False),
    Column("belongs", Boolean, nullable=False),
    Column("sequence", Id, nullable=False),
    Column("at", UtcTime, nullable=False),
    UniqueConstraint("attempt_id", "reference_key"),
    Index(None, "version_id", "id"),
    Index(None, "artifact_version_id"),
    Index(None, "model", "id"),
    Index("ix_mr_resolution_run", "deployment", "dag_id", "run_id", "id"),
)

#: What all tasks of a Dag run get for a selector (R9). ``run_mark`` tells apart two runs of the same name.
run_pin = Table(
    "mr_run_pin",
    metadata,
    *[Column(name, FreeText, primary_key=True) for name in ("deployment", "dag_id", "run_id")],
    _model(key=True),
    Column("selector", String(200), primary_key=True),
    _version(nullable=True),
    Column("run_mark", FreeText),
    Column("at", UtcTime, nullable=False),
    Index(None, "version_id"),
)

#: A Dag that waits for a stage: up to which event Airflow has written wake-ups of it, and its runs have claimed
#: promotions. The model may not be there yet.
consumer = Table(
    "mr_consumer",
    metadata,
    *[Column(name, FreeText, primary_key=True) for name in ("deployment", "dag_id")],
    Column("model", String(100), primary_key=True),
    Column("stage", String(100), primary_key=True),
    Column("delivered", Id, nullable=False),
    Column("claimed", Id, nullable=False),
)

#: Runs that have claimed what there was, if it was nothing too: a cleared task gets the same.
claim_run = Table(
    "mr_claim_run",
    metadata,
    *[Column(name, FreeText, primary_key=True) for name in ("deployment", "dag_id", "run_id")],
    Column("at", UtcTime, nullable=False),
)

#: Which run of a Dag has claimed a promotion: one, whatever runs at once.
claim = Table(
    "mr_claim",
    metadata,
    *[Column(name, FreeText, primary_key=True) for name in ("deployment", "dag_id")],
    Column("sequence", Id, ForeignKey("mr_stage_event.sequence"), primary_key=True, autoincrement=False),
    Column("run_id", FreeText, nullable=False),
    Index("ix_mr_claim_run", "deployment", "dag_id", "run_id"),
    Index(None, "sequence"),
)
