"""What several commands show in the same columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_model_provider.registry.entities import StageEvent


def time_text(time: datetime) -> str:
    """Return a time as columns show it."""
    return time.isoformat(timespec="seconds")


def event_row(event: StageEvent) -> dict[str, Any]:
    """Return a change of a stage."""
    return {
        "sequence": event.sequence,
        "at": time_text(event.at),
        "stage": event.stage,
        "version": event.number,
        "previous": event.previous,
        "rollback": event.restores is not None,
        "who": event.who,
        "dag_id": event.run.dag_id if event.run else None,
        "run_id": event.run.run_id if event.run else None,
        "task_id": event.task_id,
        "reason": event.reason,
    }


def no_event_row(stage: str, number: int) -> dict[str, Any]:
    """Return what stands in the place of a change where a version holds a stage already."""
    known = {"stage": stage, "version": number, "rollback": False}
    columns = ("sequence", "at", "stage", "version", "previous", "rollback", "who")
    return {name: known.get(name) for name in (*columns, "dag_id", "run_id", "task_id", "reason")}
