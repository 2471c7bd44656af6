"""
Dags that wait for promotions: what Airflow was told for each, and which of their runs claimed what.

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
    from collections.abc import Collection, Mapping

    from airflow_model_provider.registry.entities import RunKey, StageEvent

_consumer, _event = tables.consumer, tables.stage_event
_claim, _claim_run = tables.claim, tables.claim_run
#: Seconds that Airflow may take from a Dag's first parsing to its trigger: a promotion meanwhile starts the Dag.
GRACE: Final = 90.0


class StageKey(NamedTuple):
    """A stage of a model, by names: the model may not be there yet."""

    model: str
    stage: str


class Consumer(NamedTuple):
    """A Dag that waits for a stage."""

    dag_id: str
    model: str
    stage: str


class Standing(NamedTuple):
    """
    How far a consumer is, in sequence numbers of the registry's history.

    :param delivered: the last promotion of which Airflow has written a wake-up.
    :param claimed: the last promotion that a run has claimed.
    :param head: the last promotion that starts Dags; 0 if there was none.
    """

    consumer: Consumer
    delivered: int
    claimed: int
    head: int


def last_sequence(database: Database) -> int:
    """Return the sequence number of the registry's last change of a stage; 0 if there was none."""
    return database.read(lambda connection: int(run(connection, _LAST, {}).scalar_one()))


def enroll(database: Database, deployment: str, consumers: Collection[Consumer]) -> None:
    """Note consumers, which begin with promotions of now; known ones go on from where they are."""

    def work(connection: Connection) -> None:
        begun = ago(connection, timedelta(seconds=GRACE))
        past = select(func.coalesce(func.max(_event.c.sequence), 0)).where(_event.c.at < begun)
        start = connection.execute(past).scalar_one()
        rows = [
            {"deployment": deployment, **consumer._asdict(), "delivered": start, "claimed": start}
            for consumer in sorted(consumers)
        ]
        connection.execute(insertion(connection, _consumer).values(rows).on_conflict_do_nothing())

    if consumers:
        database.write(work)


def standings(database: Database, deployment: str) -> list[Standing]:
    """Return how far all consumers of a deployment are, in one read."""

    def work(connection: Connection) -> list[Standing]:
        return [
            Standing(Consumer(row.dag_id, row.model, row.stage), row.delivered, row.claimed, row.head or 0)
            for row in run(connection, _STANDINGS, {"deployment": deployment})
        ]

    return database.read(work)


def deliver(
    database: Database, deployment: str, written: Mapping[Consumer, int], *, settles: bool = False
) -> set[Consumer]:
    """
    Note that Airflow has written wake-ups, or is about to; harmless to repeat.

    :param written: by consumer the last promotion that its wake-up is about.
    :param settles: whether no step of the Dags claims: a step that one of them gets later begins with what is new then.
    :return: the consumers of which nobody had noted it before.
    """

    def work(connection: Connection) -> set[Consumer]:
        new = set()
        for consumer, sequence in sorted(written.items()):
            mine = _where({"deployment": deployment, **consumer._asdict()})
            moved = update(_consumer).where(*mine, _consumer.c.delivered < sequence)
            if connection.execute(moved.values(delivered=sequence)).rowcount:
                new.add(consumer)
            if settles:
                behind = update(_consumer).where(*mine, _consumer.c.claimed < sequence)
                connection.execute(behind.values(claimed=sequence))
        return new

    return database.repeat(work) if written else set()


def claiming_runs(database: Database, deployment: str, dag_id: str, limit: int) -> list[str]:
    """Return the last runs of a Dag that have claimed, or found that nothing was left to claim."""
    mine = (_claim_run.c.deployment == deployment) & (_claim_run.c.dag_id == dag_id)
    query = select(_claim_run.c.run_id).where(mine).order_by(_claim_run.c.at.desc()).limit(limit)
    return database.read(lambda connection: list(connection.execute(query).scalars()))


def event(database: Database, sequence: int) -> StageEvent:
    """Return a change of a stage by its sequence number."""
    query = select_events().where(_event.c.sequence == sequence)
    return database.read(lambda connection: event_record(connection.execute(query).one()))


def claim(database: Database, of: RunKey, stages: Collection[StageKey]) -> list[StageEvent]:
    """
    Claim for a run all promotions that no other run of its Dag has claimed, in their order.

    The first task of the run that asks decides; all others, retries and cleared ones too, get the same.
    """

    def work(connection: Connection) -> list[StageEvent]:
        new = insertion(connection, _claim_run).values(**of._asdict(), at=now()).on_conflict_do_nothing()
        if connection.execute(new.returning(_claim_run.c.at)).first() is not None:
            for key in sorted(stages):
                _claim_stage(connection, of, key)
        return _claimed(connection, of)

    before = database.read(lambda connection: _claimed_before(connection, of))
    return database.write(work) if before is None else before


def _claim_stage(connection: Connection, of: RunKey, key: StageKey) -> None:
    mine = _where({"deployment": of.deployment, "dag_id": of.dag_id, **key._asdict()})
    # What other runs of the Dag have claimed is seen once they have let go of this row.
    claimed = connection.execute(select(_consumer.c.claimed).where(*mine).with_for_update()).scalar()
    if claimed is None:
        return  # no watcher has noted it yet: its first wake-up is still to come
    others = (_claim.c.deployment == of.deployment) & (_claim.c.dag_id == of.dag_id)
    numbers = (
        select(_event.c.sequence)
        .join(tables.model, tables.model.c.id == _event.c.model_id)
        .where(tables.model.c.name == key.model, _event.c.stage == key.stage)
        .where(_event.c.sequence > claimed, _event.c.version_id.is_not(None), ~_event.c.quiet)
        .where(~exists().where(others, _claim.c.sequence == _event.c.sequence))
        .order_by(_event.c.sequence)
    )
    found = list(connection.execute(numbers).scalars())
    if found:
        rows = [{**of._asdict(), "sequence": sequence} for sequence in found]
        connection.execute(insert(_claim), rows)
        connection.execute(update(_consumer).where(*mine).values(claimed=found[-1]))


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


def _where(values: Mapping[str, str]) -> list[Any]:
    return [_consumer.c[name] == value for name, value in values.items()]


_LAST = "SELECT last_sequence FROM mr_registry"
_STANDINGS = """
SELECT c.dag_id, c.model, c.stage, c.delivered, c.claimed, h.head
FROM mr_consumer c JOIN (
  SELECT s.model, s.stage, (
    SELECT max(e.sequence) FROM mr_stage_event e JOIN mr_model m ON m.id = e.model_id
    WHERE m.name = s.model AND e.stage = s.stage AND e.version_id IS NOT NULL AND NOT e.quiet
  ) AS head
  FROM (SELECT DISTINCT model, stage FROM mr_consumer WHERE deployment = :deployment) s
) h ON h.model = c.model AND h.stage = c.stage
WHERE c.deployment = :deployment ORDER BY c.dag_id, c.model, c.stage
"""
