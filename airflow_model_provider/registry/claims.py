"""
Promotions and the Dags that wait for them (R32): what Airflow was told, and which run of which Dag claimed what.

The history of stages is what has to be delivered. Airflow may merge wake-ups, hold them back or lose them; so a run
claims what there is, in one transaction, and a Dag that has not claimed everything is woken again.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import Connection, exists, func, insert, select, update

from airflow_model_provider.registry import tables
from airflow_model_provider.registry.columns import ago, now
from airflow_model_provider.registry.database import Database, insertion, run
from airflow_model_provider.registry.events import select_events
from airflow_model_provider.registry.rows import event_record

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from airflow_model_provider.registry.entities import RunKey, StageEvent

_watch, _consumer, _event = tables.watch, tables.consumer, tables.stage_event
_claim, _claim_run = tables.claim, tables.claim_run
#: Seconds that Airflow may take from a Dag's first parsing to its trigger: a promotion meanwhile starts the Dag.
GRACE: Final = 90.0


class StageKey(NamedTuple):
    """A stage of a model, by names: the model may not be there yet."""

    model: str
    stage: str


class Watched(NamedTuple):
    """
    A stage that Dags wait for.

    :param delivered: the last event of which Airflow has written a wake-up.
    :param head: the last event that starts Dags; 0 if there was none.
    :param lagging: Dags that have not claimed up to there, and are to be woken again.
    """

    key: StageKey
    delivered: int
    head: int
    lagging: tuple[str, ...] = ()


class Claiming(NamedTuple):
    """
    What a run claims.

    :param stages: what its Dag waits for.
    :param since: by stage, the first event that was new to the wake-up that started the run: where a Dag that
        claims for the first time begins.
    :param repeats: whether the Dag is to be woken again while it lags.
    """

    stages: Sequence[StageKey]
    since: Mapping[StageKey, int]
    repeats: bool = True


def last_sequence(database: Database) -> int:
    """Return the sequence number of the registry's last change of a stage; 0 if there was none."""
    return database.read(lambda connection: int(run(connection, _LAST, {}).scalar_one()))


def watch(database: Database, deployment: str, keys: Collection[StageKey]) -> None:
    """Begin to watch stages; those that are watched already go on from where they are."""

    def work(connection: Connection) -> None:
        begun = ago(connection, timedelta(seconds=GRACE))
        past = select(func.coalesce(func.max(_event.c.sequence), 0)).where(_event.c.at < begun)
        delivered = connection.execute(past).scalar_one()
        rows = [{"deployment": deployment, **key._asdict(), "delivered": delivered} for key in sorted(keys)]
        connection.execute(insertion(connection, _watch).values(rows).on_conflict_do_nothing())

    if keys:
        database.write(work)


def watched(database: Database, deployment: str) -> list[Watched]:
    """Return all that is watched, in one read."""

    def work(connection: Connection) -> list[Watched]:
        found: dict[StageKey, Watched] = {}
        for row in run(connection, _WATCHED, {"deployment": deployment}):
            key, head = StageKey(row.model, row.stage), row.head or 0
            lagging = (row.dag_id,) if row.dag_id is not None and row.claimed < head else ()
            item = found.get(key, Watched(key, row.delivered, head))
            found[key] = item._replace(lagging=item.lagging + lagging)
        return list(found.values())

    return database.read(work)


def deliver(database: Database, deployment: str, key: StageKey, sequence: int) -> None:
    """Note that Airflow has written a wake-up for an event, and with it for all before; harmless to repeat."""
    mine = (_watch.c.deployment == deployment) & (_watch.c.model == key.model) & (_watch.c.stage == key.stage)
    moved = update(_watch).where(mine, _watch.c.delivered < sequence).values(delivered=sequence)
    database.repeat(lambda connection: connection.execute(moved))


def event(database: Database, sequence: int) -> StageEvent:
    """Return a change of a stage by its sequence number."""
    query = select_events().where(_event.c.sequence == sequence)
    return database.read(lambda connection: event_record(connection.execute(query).one()))


def claim(database: Database, of: RunKey, asked: Claiming) -> list[StageEvent]:
    """
    Claim for a run all promotions that no other run of its Dag has claimed, in their order.

    The first task of the run that asks decides; all others, retries and cleared ones too, get the same.
    """

    def work(connection: Connection) -> list[StageEvent]:
        new = insertion(connection, _claim_run).values(**of._asdict(), at=now()).on_conflict_do_nothing()
        if connection.execute(new.returning(_claim_run.c.at)).first() is not None:
            for key in sorted(asked.stages):
                _claim_stage(connection, of, key, asked)
        return _claimed(connection, of)

    before = database.read(lambda connection: _claimed_before(connection, of))
    return database.write(work) if before is None else before


def forget_consumer(database: Database, deployment: str, dag_id: str) -> None:
    """Wake a Dag no more that is not there any more; where it comes back, it begins anew."""
    words = "DELETE FROM mr_consumer WHERE deployment = :deployment AND dag_id = :dag_id"
    database.repeat(lambda connection: run(connection, words, {"deployment": deployment, "dag_id": dag_id}))


def _claim_stage(connection: Connection, of: RunKey, key: StageKey, asked: Claiming) -> None:
    mine = {"deployment": of.deployment, "dag_id": of.dag_id, **key._asdict()}
    if key in asked.since:
        first = {**mine, "claimed": asked.since[key] - 1, "repeats": asked.repeats}
        connection.execute(insertion(connection, _consumer).values(first).on_conflict_do_nothing())
    where = [_consumer.c[name] == value for name, value in mine.items()]
    # What other runs of the Dag have claimed is seen once they have let go of this row.
    locked = connection.execute(select(_consumer.c.claimed).where(*where).with_for_update()).scalar()
    if locked is None:
        return  # it was never woken for this stage
    # A run that was woken before the Dag's first claim may come after it.
    begin = min(locked + 1, asked.since.get(key, locked + 1))
    others = (_claim.c.deployment == of.deployment) & (_claim.c.dag_id == of.dag_id)
    numbers = (
        select(_event.c.sequence)
        .join(tables.model, tables.model.c.id == _event.c.model_id)
        .where(tables.model.c.name == key.model, _event.c.stage == key.stage)
        .where(_event.c.sequence >= begin, _event.c.version_id.is_not(None), ~_event.c.quiet)
        .where(~exists().where(others, _claim.c.sequence == _event.c.sequence))
        .order_by(_event.c.sequence)
    )
    found = list(connection.execute(numbers).scalars())
    if found:
        rows = [{**of._asdict(), "sequence": sequence} for sequence in found]
        connection.execute(insert(_claim), rows)
        changed = {"claimed": max(locked, found[-1]), "repeats": asked.repeats}
        connection.execute(update(_consumer).where(*where).values(changed))


def _claimed_before(connection: Connection, of: RunKey) -> list[StageEvent] | None:
    there = select(_claim_run.c.at).where(*_of_run(_claim_run, of))
    return _claimed(connection, of) if connection.execute(there).first() else None


def _claimed(connection: Connection, of: RunKey) -> list[StageEvent]:
    query = (
        select_events()
        .join(_claim, _claim.c.sequence == _event.c.sequence)
        .where(*_of_run(_claim, of))
        .order_by(_event.c.sequence)
    )
    return [event_record(row) for row in connection.execute(query)]


def _of_run(table: Any, of: RunKey) -> list[Any]:
    return [table.c[name] == value for name, value in of._asdict().items()]


_LAST = "SELECT last_sequence FROM mr_registry"
_WATCHED = """
SELECT w.model, w.stage, w.delivered, c.dag_id, c.claimed, (
  SELECT max(e.sequence) FROM mr_stage_event e JOIN mr_model m ON m.id = e.model_id
  WHERE m.name = w.model AND e.stage = w.stage AND e.version_id IS NOT NULL AND NOT e.quiet
) AS head
FROM mr_watch w LEFT JOIN mr_consumer c
  ON c.deployment = w.deployment AND c.model = w.model AND c.stage = w.stage AND c.repeats
WHERE w.deployment = :deployment ORDER BY w.model, w.stage, c.dag_id
"""
