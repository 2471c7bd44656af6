"""Rows → records: which columns a record is made of, and how."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import ColumnElement, Connection, Row, Select, String, Table, and_, cast, func, select

from airflow_model_provider.registry import tables
from airflow_model_provider.registry.entities import (
    ArtifactRecord,
    Attempt,
    ModelRecord,
    Payload,
    RunKey,
    StageEvent,
    VersionRecord,
    VersionState,
)
from airflow_model_provider.selectors import ArtifactType

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

#: Columns of a version, selected as ``v_<name>`` beside ``v_model`` and ``v_stages``.
VERSION_FIELDS: Final = (
    *("id", "number", "name", "state", "created_at", "sealed_at"),
    *("deployment", "dag_id", "run_id", "description", "tags", "environment"),
)
#: Columns of an artifact version, selected as ``a_<name>`` beside ``a_name`` and ``a_size``.
ARTIFACT_FIELDS: Final = (
    *("id", "number", "digest", "kind", "materializer", "format_version", "type_names", "attributes"),
    *("signature", "environment", "metadata", "map_index", "created_at", "signed"),
)


def select_versions(*more: Any) -> Select[Any]:
    """Select versions with their model's name and stages."""
    stage, version = tables.stage.c, tables.version.c
    held = cast(stage.sequence, String).concat(":").concat(stage.stage)
    its = (stage.model_id == version.model_id) & (stage.version_id == version.id)
    stages = select(func.aggregate_strings(held, ",")).where(its).scalar_subquery()
    columns = [version[name].label(f"v_{name}") for name in VERSION_FIELDS]
    return select(*columns, tables.model.c.name.label("v_model"), stages.label("v_stages"), *more).join_from(
        tables.version, tables.model
    )


def select_artifacts(*more: Any, map_index: Any = None) -> Select[Any]:
    """
    Select artifact versions with their artifact's name and blob's size.

    :param map_index: the column of the map index: the link's in a version; None for that of the task that made it.
    """
    own = tables.artifact_version.c
    columns = [own[name].label(f"a_{name}") for name in ARTIFACT_FIELDS if name != "map_index"]
    columns.append((own.map_index if map_index is None else map_index).label("a_map_index"))
    named = (tables.artifact.c.name.label("a_name"), tables.blob.c.size.label("a_size"))
    return (
        select(*columns, *named, *more)
        .join_from(tables.artifact_version, tables.artifact)
        .join(tables.blob, tables.blob.c.digest == tables.artifact_version.c.digest)
    )


def model_record(row: Row[Any]) -> ModelRecord:
    """Make a model's record of a row of ``mr_model``."""
    return ModelRecord(row.id, row.name, row.created_at, row.card, tuple(row.tags), row.last_number)


def version_record(row: Row[Any]) -> VersionRecord:
    """Make a version's record of a row with ``v_`` columns."""
    return VersionRecord(
        id=row.v_id,
        model=row.v_model,
        number=row.v_number,
        version_name=row.v_name,
        state=VersionState(row.v_state),
        stages=_stages(row.v_stages),
        created_at=row.v_created_at,
        sealed_at=row.v_sealed_at,
        run=run_key(row.v_deployment, row.v_dag_id, row.v_run_id),
        description=row.v_description,
        tags=tuple(row.v_tags),
        environment=row.v_environment,
    )


def artifact_record(row: Row[Any]) -> ArtifactRecord:
    """Make an artifact version's record of a row with ``a_`` columns."""
    payload = Payload(
        digest=row.a_digest,
        size=row.a_size,
        materializer=row.a_materializer,
        format_version=row.a_format_version,
        type_names=tuple(row.a_type_names),
        attributes={**row.a_attributes, **(row.a_signed or {}).get("attributes", {})},
        signature=row.a_signature,
        environment=row.a_environment,
    )
    return ArtifactRecord(
        id=row.a_id,
        name=row.a_name,
        number=row.a_number,
        kind=ArtifactType(row.a_kind),
        payload=payload,
        created_at=row.a_created_at,
        metadata=row.a_metadata,
        map_index=row.a_map_index,
    )


def event_record(row: Row[Any]) -> StageEvent:
    """Make an event's record of a row with names and numbers instead of ids."""
    return StageEvent(
        sequence=row.sequence,
        model=row.model,
        stage=row.stage,
        version=row.number,
        previous=row.previous,
        at=row.at,
        who=row.who,
        reason=row.reason,
        run=run_key(row.deployment, row.dag_id, row.run_id),
        task_id=row.task_id,
        restores=row.restores,
        quiet=bool(row.quiet),
    )


def attempt_record(row: Row[Any]) -> Attempt:
    """Make an attempt of a row that has one."""
    run = RunKey._make((row.deployment, row.dag_id, row.run_id))  # whatever is there is read
    return Attempt._make((run, row.task_id, row.attempt_id, row.map_index, row.try_number, None))


def run_columns(run: RunKey | None) -> dict[str, str]:
    """Return the values of a run's columns; nothing where there is no run."""
    return {"deployment": run.deployment, "dag_id": run.dag_id, "run_id": run.run_id} if run else {}


def runs_among(
    connection: Connection, table: Table, where: Sequence[ColumnElement[bool]], runs: Collection[RunKey]
) -> list[RunKey]:
    """Return those of some runs, such as all that are not over, of which rows are that are meant; often few."""
    if not runs:
        return []
    there = connection.execute(select(*[table.c[name] for name in RunKey._fields]).distinct().where(*where))
    return sorted({RunKey(*row) for row in there} & {*runs})


def of_none(table: Table, runs: Collection[RunKey]) -> list[ColumnElement[bool]]:
    """Return the conditions that a row is of none of some runs."""
    return [~and_(*(table.c[name] == value for name, value in run_columns(run).items())) for run in runs]


def run_key(deployment: str | None, dag_id: str | None, run_id: str | None) -> RunKey | None:
    """Return the run of a row; None where there is none."""
    if deployment is None or dag_id is None or run_id is None:
        return None
    return RunKey._make((deployment, dag_id, run_id))


def _stages(text: str | None) -> tuple[str, ...]:
    """``"7:production,3:staging"`` → in the order in which they were assigned; names hold no comma."""
    held = [item.partition(":") for item in (text or "").split(",") if item]
    return tuple(name for _, _, name in sorted(held, key=lambda item: int(item[0])))
