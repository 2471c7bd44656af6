"""The history of stages, as it is read: events, and which of them a task has made already (R29)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Self

from sqlalchemy import Connection, Select, select

from airflow_model_provider.registry import promotion_sql as words
from airflow_model_provider.registry import tables
from airflow_model_provider.registry.entities import Attempt, RunKey, StageEvent
from airflow_model_provider.registry.rows import event_record, run_columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_model_provider.registry.database import Database, Statement

_version, _event = tables.version, tables.stage_event


def select_events() -> Select[Any]:
    """Select events with the numbers of versions and their model's name."""
    before = _version.alias("before")
    columns = [
        _event.c[name]
        for name in (
            "sequence",
            "stage",
            "restores",
            "at",
            "who",
            "reason",
            "quiet",
            "task_id",
            *RunKey._fields,
        )
    ]
    numbers = (
        _version.c.number.label("number"),
        before.c.number.label("previous"),
        tables.model.c.name.label("model"),
    )
    return (
        select(*columns, *numbers)
        .join_from(_event, tables.model, tables.model.c.id == _event.c.model_id)
        .outerjoin(_version, _version.c.id == _event.c.version_id)
        .outerjoin(before, before.c.id == _event.c.previous_version_id)
    )


class LastEvent(NamedTuple):
    """The last event of a stage, with the number of who holds it since."""

    sequence: int
    version_id: int | None
    behind: int | None
    number: int | None

    @classmethod
    def of(cls, rows: Sequence[Any]) -> Self | None:
        """Return what was found, if anything."""
        return cls(*rows[0]) if rows else None


def last_event(model: str, stage: str) -> Statement:
    """Ask for the last event of a stage, with the number of who holds it since."""
    return words.LAST, {"model": model, "stage": stage}


class Line:
    """The place in a stage's history of an event that is about to be written, so that it can be found there later."""

    def __init__(self, model: str, stage: str) -> None:
        self.model, self.stage = model, stage
        self._sequence = 0

    def after(self, rows: Sequence[Any]) -> LastEvent | None:
        """Return the last event until then, from the rows of :func:`last_event`."""
        last = LastEvent.of(rows)
        self._sequence = last.sequence if last is not None else 0
        return last

    def recall(self, connection: Connection) -> StageEvent:
        """Return the event, which was written: nobody else has changed the stage between the two."""
        query = select_events().where(
            tables.model.c.name == self.model,
            _event.c.stage == self.stage,
            _event.c.sequence > self._sequence,
        )
        return event_record(connection.execute(query.order_by(_event.c.sequence).limit(1)).one())


def last_by_task(connection: Connection, model: str, stage: str, attempt: Attempt) -> StageEvent | None:
    """Return the last change of a stage that a task of this Dag run has made, in whatever try; None if it made none."""
    query = select_events().where(
        tables.model.c.name == model,
        _event.c.stage == stage,
        _event.c.task_id == attempt.task_id,
        *[_event.c[key] == value for key, value in run_columns(attempt.run).items()],
    )
    row = connection.execute(query.order_by(_event.c.sequence.desc()).limit(1)).one_or_none()
    return None if row is None else event_record(row)


def last_of(database: Database, model: str, stage: str) -> StageEvent | None:
    """Return the last change of a stage; None if there was none."""
    query = select_events().where(tables.model.c.name == model, _event.c.stage == stage)
    query = query.order_by(_event.c.sequence.desc()).limit(1)
    row = database.read(lambda connection: connection.execute(query).one_or_none())
    return None if row is None else event_record(row)
