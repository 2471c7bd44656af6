"""The first schema."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

from airflow_model_provider.registry.migrations import guards_0001

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TABLES = (
    "mr_registry",
    "mr_model",
    "mr_version",
    "mr_producer",
    "mr_run_version",
    "mr_stage",
    "mr_stage_event",
    "mr_blob",
    "mr_artifact",
    "mr_artifact_version",
    "mr_link",
    "mr_metadata",
    "mr_resolution",
    "mr_run_pin",
    "mr_consumer",
    "mr_claim_run",
    "mr_claim",
)


def upgrade() -> None:
    _registry()
    _models()
    _making_of_versions()
    _stages()
    _artifacts()
    _artifact_versions()
    _belongings()
    _resolutions()
    _consumers()
    guards_0001.make()


def downgrade() -> None:
    for table in reversed(_TABLES):
        op.drop_table(table)
    guards_0001.drop_functions()


def _registry() -> None:
    registry = op.create_table(
        "mr_registry",
        sa.Column("one", sa.SmallInteger, autoincrement=False, nullable=False),
        sa.Column("id", sa.String(36), nullable=False),
        _time("created_at"),
        sa.Column("oldest_code", sa.String(32), nullable=False),
        _id("last_sequence"),
        _time("last_event_at"),
        sa.PrimaryKeyConstraint("one", name="pk_mr_registry"),
        sa.CheckConstraint("one = 1", name=op.f("ck_mr_registry_one_row")),
    )
    now = datetime.now(UTC)
    row = {"one": 1, "id": str(uuid.uuid4()), "oldest_code": revision, "last_sequence": 0}
    before = datetime(1970, 1, 1, tzinfo=UTC)  # there was no event yet
    op.bulk_insert(registry, [row | {"created_at": now, "last_event_at": before}])


def _models() -> None:
    op.create_table(
        "mr_model",
        _id("id"),
        sa.Column("name", sa.String(100), nullable=False),
        _text("card", nullable=False),
        _text("tags", nullable=False),
        _id("last_number"),
        _time("created_at"),
        _time("deleted_at", nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_mr_model"),
        sa.UniqueConstraint("name", name="uq_mr_model_name"),
    )
    op.create_table(
        "mr_version",
        _id("id"),
        _id("model_id"),
        _id("number"),
        sa.Column("name", sa.String(100)),
        sa.Column("state", sa.String(16), nullable=False),
        _time("created_at"),
        _time("sealed_at", nullable=True),
        _time("deleted_at", nullable=True),
        *_run(nullable=True),
        _text("description"),
        _text("tags", nullable=False),
        _text("environment", nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_mr_version"),
        sa.UniqueConstraint("model_id", "number", name="uq_mr_version_model_id_number"),
        _foreign("mr_version", "model_id", "mr_model.id"),
        sa.CheckConstraint("number > 0", name=op.f("ck_mr_version_number")),
        _one_of("mr_version", "state", "producing", "ready", "failed", "deleted"),
    )
    _partial_index("uq_mr_version_name", "mr_version", ["model_id", "name"], "name IS NOT NULL", unique=True)
    _partial_index("ix_mr_version_ready", "mr_version", ["model_id", "number"], "state = 'ready'")


def _making_of_versions() -> None:
    op.create_table(
        "mr_producer",
        _id("version_id"),
        _text("task_id", nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("declares", sa.Boolean(), nullable=False),
        _text("attempt_id"),
        _time("at"),
        sa.PrimaryKeyConstraint("version_id", "task_id", name="pk_mr_producer"),
        _foreign("mr_producer", "version_id", "mr_version.id"),
        _one_of("mr_producer", "state", "pending", "committed", "failed", "skipped"),
    )
    run = ("deployment", "dag_id", "run_id", "model_id", "generation")
    op.create_table(
        "mr_run_version",
        _id("version_id"),
        *_run(nullable=False),
        _id("model_id"),
        sa.Column("generation", sa.Integer, nullable=False),
        _text("run_mark"),
        sa.PrimaryKeyConstraint("version_id", name="pk_mr_run_version"),
        sa.UniqueConstraint(*run, name="uq_mr_run_version_run"),
        _foreign("mr_run_version", "version_id", "mr_version.id"),
        _foreign("mr_run_version", "model_id", "mr_model.id"),
    )


def _stages() -> None:
    op.create_table(
        "mr_stage",
        _id("model_id"),
        sa.Column("stage", sa.String(100), nullable=False),
        _id("version_id"),
        _id("sequence"),
        sa.PrimaryKeyConstraint("model_id", "stage", name="pk_mr_stage"),
        _foreign("mr_stage", "model_id", "mr_model.id"),
        _foreign("mr_stage", "version_id", "mr_version.id"),
    )
    op.create_table(
        "mr_stage_event",
        sa.Column("sequence", _BIG, autoincrement=False, nullable=False),
        _id("model_id"),
        sa.Column("stage", sa.String(100), nullable=False),
        _id("version_id", nullable=True),
        _id("previous_version_id", nullable=True),
        _id("behind", nullable=True),
        _id("restores", nullable=True),
        _time("at"),
        _text("who"),
        _text("reason"),
        _flag("quiet"),
        *_run(nullable=True),
        _text("task_id"),
        sa.PrimaryKeyConstraint("sequence", name="pk_mr_stage_event"),
        _foreign("mr_stage_event", "model_id", "mr_model.id"),
        _foreign("mr_stage_event", "version_id", "mr_version.id"),
        _foreign("mr_stage_event", "previous_version_id", "mr_version.id"),
        _foreign("mr_stage_event", "behind", "mr_stage_event.sequence"),
        _foreign("mr_stage_event", "restores", "mr_stage_event.sequence"),
    )
    _index("mr_stage_event", "model_id", "stage", "sequence")
    _index("mr_stage_event", "model_id", "stage", "at")
    _index("mr_stage_event", "version_id")


def _artifacts() -> None:
    op.create_table(
        "mr_blob",
        sa.Column("digest", sa.String(64), nullable=False),
        _id("size"),
        sa.Column("state", sa.String(16), nullable=False),
        _time("touched_at"),
        _id("life"),
        sa.PrimaryKeyConstraint("digest", name="pk_mr_blob"),
        _one_of("mr_blob", "state", "intended", "stored", "condemned", "removed"),
        sa.CheckConstraint("size >= 0", name=op.f("ck_mr_blob_size")),
    )
    op.create_table(
        "mr_artifact",
        _id("id"),
        sa.Column("name", sa.String(100), nullable=False),
        _id("last_number"),
        sa.PrimaryKeyConstraint("id", name="pk_mr_artifact"),
        sa.UniqueConstraint("name", name="uq_mr_artifact_name"),
    )


def _artifact_versions() -> None:
    table = "mr_artifact_version"
    op.create_table(
        table,
        _id("id"),
        _id("artifact_id"),
        _id("number"),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("materializer", sa.String(100), nullable=False),
        sa.Column("format_version", sa.Integer, nullable=False),
        *[
            _text(name, nullable=False)
            for name in ("type_names", "attributes", "signature", "environment", "metadata")
        ],
        _text("signed"),
        *_run(nullable=True),
        _text("task_id"),
        sa.Column("map_index", sa.Integer, nullable=False),
        sa.Column("try_number", sa.Integer),
        _text("attempt_id"),
        _text("output"),
        _id("part_of", nullable=True),
        _time("created_at"),
        _time("deleted_at", nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_mr_artifact_version"),
        sa.UniqueConstraint("artifact_id", "number", name="uq_mr_artifact_version_artifact_id_number"),
        _foreign(table, "artifact_id", "mr_artifact.id"),
        _foreign(table, "digest", "mr_blob.digest"),
        _foreign(table, "part_of", "mr_artifact_version.id"),
        _one_of(table, "kind", "model", "data", "deployment"),
    )
    _index(table, "digest")
    op.create_index("ix_mr_artifact_version_run", table, ["deployment", "dag_id", "run_id", "task_id"])
    output = "attempt_id IS NOT NULL AND output IS NOT NULL"
    _partial_index(
        "uq_mr_artifact_version_output", table, ["attempt_id", "output", "map_index"], output, unique=True
    )
    _partial_index("ix_mr_artifact_version_part_of", table, ["part_of"], "part_of IS NOT NULL")


def _belongings() -> None:
    op.create_table(
        "mr_link",
        _id("version_id"),
        _id("artifact_version_id"),
        sa.Column("relation", sa.String(16), nullable=False),
        sa.Column("own", sa.Boolean, nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("map_index", sa.Integer, nullable=False),
        _flag("sealed"),
        _text("linked_by"),
        sa.PrimaryKeyConstraint("version_id", "artifact_version_id", name="pk_mr_link"),
        _foreign("mr_link", "version_id", "mr_version.id"),
        _foreign("mr_link", "artifact_version_id", "mr_artifact_version.id"),
        _one_of("mr_link", "relation", "output", "derived", "linked"),
    )
    newest = ["sealed", "own", "artifact_version_id"]
    op.create_index("ix_mr_link_newest", "mr_link", ["version_id", "name", *newest])
    op.create_index("ix_mr_link_newest_mapped", "mr_link", ["version_id", "name", "map_index", *newest])
    _index("mr_link", "artifact_version_id")
    op.create_table(
        "mr_metadata",
        _id("version_id"),
        sa.Column("key", sa.String(250), nullable=False),
        _text("value", nullable=False),
        _flag("sealed"),
        *_run(nullable=True),
        _text("task_id"),
        sa.Column("map_index", sa.Integer),
        _time("at"),
        sa.PrimaryKeyConstraint("version_id", "key", name="pk_mr_metadata"),
        _foreign("mr_metadata", "version_id", "mr_version.id"),
    )


def _resolutions() -> None:
    op.create_table(
        "mr_resolution",
        _id("id"),
        _text("attempt_id", nullable=False),
        sa.Column("reference_key", sa.String(32), nullable=False),
        *_run(nullable=False),
        _text("task_id", nullable=False),
        sa.Column("map_index", sa.Integer, nullable=False),
        sa.Column("try_number", sa.Integer, nullable=False),
        sa.Column("model", sa.String(100)),
        sa.Column("selector", sa.String(200)),
        _text("wanted", nullable=False),
        _id("version_id", nullable=True),
        _id("artifact_version_id", nullable=True),
        sa.Column("digest", sa.String(64)),
        sa.Column("resolved", sa.Boolean, nullable=False),
        sa.Column("belongs", sa.Boolean, nullable=False),
        _id("sequence"),
        _time("at"),
        sa.PrimaryKeyConstraint("id", name="pk_mr_resolution"),
        sa.UniqueConstraint("attempt_id", "reference_key", name="uq_mr_resolution_attempt_id_reference_key"),
        _foreign("mr_resolution", "version_id", "mr_version.id"),
        _foreign("mr_resolution", "artifact_version_id", "mr_artifact_version.id"),
    )
    _index("mr_resolution", "version_id", "id")
    _index("mr_resolution", "artifact_version_id")
    _index("mr_resolution", "model", "id")
    op.create_index("ix_mr_resolution_run", "mr_resolution", ["deployment", "dag_id", "run_id", "id"])
    op.create_table(
        "mr_run_pin",
        *_run(nullable=False),
        _id("model_id"),
        sa.Column("selector", sa.String(200), nullable=False),
        _id("version_id", nullable=True),
        _text("run_mark"),
        _time("at"),
        sa.PrimaryKeyConstraint(
            "deployment", "dag_id", "run_id", "model_id", "selector", name="pk_mr_run_pin"
        ),
        _foreign("mr_run_pin", "model_id", "mr_model.id"),
        _foreign("mr_run_pin", "version_id", "mr_version.id"),
    )
    _index("mr_run_pin", "version_id")


def _consumers() -> None:
    op.create_table(
        "mr_consumer",
        *_run(nullable=False)[:2],
        *[sa.Column(name, sa.String(100), nullable=False) for name in ("model", "stage")],
        _id("delivered"),
        _id("claimed"),
        sa.PrimaryKeyConstraint("deployment", "dag_id", "model", "stage", name="pk_mr_consumer"),
    )
    op.create_table(
        "mr_claim_run",
        *_run(nullable=False),
        _time("at"),
        sa.PrimaryKeyConstraint("deployment", "dag_id", "run_id", name="pk_mr_claim_run"),
    )
    op.create_table(
        "mr_claim",
        *_run(nullable=False)[:2],
        sa.Column("sequence", _BIG, autoincrement=False, nullable=False),
        _text("run_id", nullable=False),
        sa.PrimaryKeyConstraint("deployment", "dag_id", "sequence", name="pk_mr_claim"),
        _foreign("mr_claim", "sequence", "mr_stage_event.sequence"),
    )
    op.create_index("ix_mr_claim_run", "mr_claim", ["deployment", "dag_id", "run_id"])
    _index("mr_claim", "sequence")


# --- short forms, kept here so that this revision never changes with the code ------------------------------

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _id(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, _BIG, nullable=nullable)


def _text(name: str, *, nullable: bool = True) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=nullable)


def _time(name: str, *, nullable: bool = False) -> sa.Column[datetime]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _flag(name: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean, nullable=False, server_default=sa.false())


def _run(*, nullable: bool) -> list[sa.Column[str]]:
    return [_text(name, nullable=nullable) for name in ("deployment", "dag_id", "run_id")]


def _foreign(table: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [target], name=f"fk_{table}_{column}")


def _one_of(table: str, column: str, *values: str) -> sa.CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return sa.CheckConstraint(f"{column} IN ({listed})", name=op.f(f"ck_{table}_{column}"))


def _index(table: str, *columns: str) -> None:
    op.create_index(f"ix_{table}_{'_'.join(columns)}", table, list(columns))


def _partial_index(name: str, table: str, columns: list[str], where: str, *, unique: bool = False) -> None:
    condition = sa.text(where)
    op.create_index(name, table, columns, unique=unique, sqlite_where=condition, postgresql_where=condition)
