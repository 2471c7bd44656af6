"""Which versions may go, and what is left of them: a tombstone (R22, R24)."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, case, delete, select, update

from airflow_model_provider.exceptions import VersionInUse
from airflow_model_provider.exceptions.registry import ARCHIVE, FORCE, PURGE, RELEASE
from airflow_model_provider.registry import tables
from airflow_model_provider.registry.columns import now
from airflow_model_provider.registry.entities import VersionState

_version = tables.version
#: Ids in one statement, at most.
_BATCH = 500


def delete_versions(
    connection: Connection,
    model: str,
    condition: ColumnElement[bool],
    *,
    purge: bool = False,
    force: bool = False,
) -> int:
    """
    Turn versions of a model into tombstones, and the artifacts that only they held; all or none.

    What was made with them, such as predictions, stays.

    :param condition: which ones.
    :param purge: also those that once held a stage.
    :param force: also those that are still being produced.
    :return: how many were there.
    :raises VersionInUse: if one of them holds a stage, ever held one, is pinned by a run, or is still being produced.
    """
    alive = condition & (_version.c.state != VersionState.DELETED.value)
    query = select(_version.c.id).where(alive).with_for_update()
    chosen = list(connection.execute(query).scalars())
    _refuse_if_used(connection, model, alive, purge=purge)
    if not force:
        _refuse_if_produced(connection, model, alive)
    for batch in _batches(chosen):
        _bury(connection, batch)
    return len(chosen)


def _batches(ids: list[int]) -> list[list[int]]:
    return [ids[start : start + _BATCH] for start in range(0, len(ids), _BATCH)]


def _bury(connection: Connection, versions: list[int]) -> None:
    link, made = tables.link, tables.artifact_version
    nothing: dict[str, Any] = {"description": None, "tags": [], "environment": {}}
    # The name of a version that was promoted never means another one.
    nothing["name"] = case((_version.c.sealed_at.is_(None), None), else_=_version.c.name)
    connection.execute(
        update(_version)
        .where(_version.c.id.in_(versions))
        .values(state=VersionState.DELETED.value, deleted_at=now(), **nothing)
    )
    held = list(
        connection.execute(
            select(link.c.artifact_version_id).where(link.c.version_id.in_(versions), link.c.own).distinct()
        ).scalars()
    )
    for table in (link, tables.version_metadata, tables.producer):
        connection.execute(delete(table).where(table.c.version_id.in_(versions)))
    elsewhere = select(link.c.version_id).where(link.c.artifact_version_id == made.c.id).exists()
    for batch in _batches(held):
        mine = made.c.id.in_(batch)
        # First the locks, then a look at who links to them.
        connection.execute(select(made.c.id).where(mine).with_for_update()).all()
        connection.execute(update(made).where(mine, ~elsewhere).values(deleted_at=now(), metadata={}))
        bury_parts(connection, batch)


def bury_parts(connection: Connection, ids: list[int]) -> None:
    """Delete the elements of outputs, of which some ids are given and some of those are deleted."""
    made = tables.artifact_version
    whole = made.alias()
    deleted = select(whole.c.id).where(whole.c.id.in_(ids), whole.c.deleted_at.is_not(None))
    mine = made.c.part_of.in_(deleted) & made.c.deleted_at.is_(None)
    connection.execute(update(made).where(mine).values(deleted_at=now(), metadata={}))


def _refuse_if_used(
    connection: Connection, model: str, condition: ColumnElement[bool], *, purge: bool
) -> None:
    stage, event, pin = tables.stage, tables.stage_event, tables.run_pin
    uses: list[tuple[Table, list[str], str, str]] = [
        (stage, ["stage"], "it is in stage {!r}", f"Promote another version, or archive it: {ARCHIVE}."),
        (
            *(pin, ["dag_id", "run_id", "deployment"], "DAG {!r} has pinned it for its run {!r}"),
            "If the run is over, release its pins: Client().drop_run_pins({!r}, {!r}, deployment={!r}). "
            f"For all runs that are over: {RELEASE}.",
        ),
    ]
    if not purge:
        uses.append((event, ["stage"], "it has been in stage {!r}", f"Pass {PURGE} to delete it anyway."))
    for table, names, use, advice in uses:
        columns = [_version.c.number, *(table.c[name] for name in names)]
        its = table.c.version_id == _version.c.id
        if table is stage:  # of which the model is the key
            its &= stage.c.model_id == _version.c.model_id
        query = select(*columns).join(table, its).where(condition)
        found = connection.execute(query.order_by(*columns).limit(1)).first()
        if found is not None:
            raise VersionInUse(f"{model}@{found[0]}", use.format(*found[1:]), advice.format(*found[1:]))


def _refuse_if_produced(connection: Connection, model: str, condition: ColumnElement[bool]) -> None:
    columns = [_version.c[name] for name in ("number", "run_id", "dag_id")]
    produced = _version.c.state == VersionState.PRODUCING.value
    query = select(*columns).where(condition, produced).order_by(_version.c.number).limit(1)
    found = connection.execute(query).first()
    if found is None:
        return
    number, run_id, dag_id = found
    by = f" by run {run_id!r} of Dag {dag_id!r}" if run_id is not None else ""
    advice = f"Delete it when it is ready or failed, or pass {FORCE}. Nothing was changed."
    raise VersionInUse(f"{model}@{number}", f"it is still being produced{by}", advice)
