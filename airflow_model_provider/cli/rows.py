"""What several commands show in the same columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from airflow_model_provider.registry.entities import StageEvent


def time_text(time: datetime) -> str:
    """Return a time as columns show it."""
    return time.isoformat(timespec="seconds")


_EVENT: Final[dict[str, Callable[[StageEvent], Any]]] = {
    "sequence": lambda event: event.sequence,
    "at": lambda event: time_text(event.at),
    "stage": lambda event: event.stage,
    "version": lambda event: event.version,
    "previous": lambda event: event.previous,
    "rollback": lambda event: event.restores is not None,
    "who": lambda event: event.who,
    "dag_id": lambda event: event.run.dag_id if event.run else None,
    "run_id": lambda event: event.run.run_id if event.run else None,
    "task_id": lambda event: event.task_id,
    "reason": lambda event: event.reason,
}


def event_row(event: StageEvent) -> dict[str, Any]:
    """Return a change of a stage."""
    return {name: of(event) for name, of in _EVENT.items()}


def no_event_row(stage: str, number: int) -> dict[str, Any]:
    """Return what stands in the place of a change where a version holds a stage already."""
    return {**dict.fromkeys(_EVENT), "stage": stage, "version": number, "rollback": False}
