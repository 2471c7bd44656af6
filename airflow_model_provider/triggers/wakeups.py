"""Which stages need a wake-up now: what was promoted since the last, and Dags that have not claimed all there is."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from airflow_model_provider import settings

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from airflow_model_provider.registry.claims import StageKey, Watched
    from airflow_model_provider.registry.entities import StageEvent
    from airflow_model_provider.registry.registry import Registry

#: Seconds until a Dag that lags when the triggerer starts is woken: its run may be about to start.
FIRST_REPEAT: Final = 10.0
#: Seconds after a wake-up until a Dag that still lags is woken again; each time twice as many.
REPEAT: Final = 20.0
#: Seconds between two such wake-ups, at most: the Dag is paused, or its runs fail before they claim.
RAREST: Final = 3600.0


class Wakeup(NamedTuple):
    """
    One event of a stage's asset.

    :param key: model and stage.
    :param event: the last promotion.
    :param new_from: the sequence number from which on promotions are new to Airflow.
    :param repeats_for: Dags that are woken again; empty where promotions are new.
    :param registry: the registry's id.
    """

    key: StageKey
    event: StageEvent
    new_from: int
    repeats_for: tuple[str, ...]
    registry: str

    def payload(self) -> dict[str, Any]:
        """Return what the asset event says: documented in docs/promotion.md, and stable."""
        return {
            "registry": self.registry,
            "model": self.key.model,
            "stage": self.key.stage,
            "number": self.event.version,
            "previous": self.event.previous,
            "sequence": self.event.sequence,
            "who": self.event.who,
            "why": self.event.reason,
            "new_from": self.new_from,
            "repeats_for": list(self.repeats_for),
        }


@dataclass
class _Stage:
    """
    What is known of a stage in this process.

    :param woken: the last event that a wake-up was made of.
    :param due: when Dags that lag are woken again.
    :param pause: seconds from then to the next time.
    """

    woken: int = 0
    due: float = 0.0
    pause: float = REPEAT


class Wakeups:
    """
    Decides; keeps nothing that must survive its process.

    :param clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._stages = clock, dict[Any, _Stage]()
        self._seen, self._next = -1, 0.0

    def look(self, registry: Registry, keys: Collection[StageKey]) -> list[Wakeup]:
        """
        Return the wake-ups that are due for some stages.

        Where nothing has changed it is one read of one row, whatever the number of stages.
        """
        new = set(keys) - set(self._stages)
        last = registry.last_sequence()
        if not new and last == self._seen and self._clock() < self._next:
            return []
        if new:
            registry.watch(settings.deployment(), new)
            due = self._clock() + FIRST_REPEAT
            self._stages |= {key: _Stage(due=due) for key in new}
        for key in set(self._stages) - set(keys):
            del self._stages[key]
        watched = [item for item in registry.watched(settings.deployment()) if item.key in self._stages]
        found = [wakeup for item in watched if (wakeup := self._wakeup(registry, item)) is not None]
        self._seen = last
        self._next = min(
            (self._stages[item.key].due for item in watched if item.lagging), default=float("inf")
        )
        return found

    def lost(self, wakeup: Wakeup) -> None:
        """Make a wake-up again that Airflow has not written."""
        if wakeup.key in self._stages:
            self._stages[wakeup.key].woken = 0
        self._seen = -1

    def _wakeup(self, registry: Registry, item: Watched) -> Wakeup | None:
        stage = self._stages[item.key]
        repeats_for: tuple[str, ...] = ()
        if item.head > max(item.delivered, stage.woken):
            stage.due, stage.pause = self._clock() + REPEAT, REPEAT * 2
        elif not item.lagging or self._clock() < stage.due or item.head > item.delivered:
            return None
        else:
            repeats_for = item.lagging
            stage.due, stage.pause = self._clock() + stage.pause, min(stage.pause * 2, RAREST)
        stage.woken = item.head
        return Wakeup(item.key, registry.event(item.head), item.delivered + 1, repeats_for, registry.id)
