"""Which Dags need a wake-up now: for what was promoted since their last, and because they have not claimed it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from airflow_model_provider import settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_model_provider.registry.claims import Consumer, Standing
    from airflow_model_provider.registry.entities import StageEvent
    from airflow_model_provider.registry.registry import Registry

#: Seconds until a Dag is woken that has not claimed when its watcher starts: its run may be about to start.
FIRST_REPEAT: Final = 10.0
#: Seconds after a wake-up until a Dag that has not claimed is woken again; each time twice as many.
REPEAT: Final = 20.0
#: Seconds between two such wake-ups, at most: the runs of the Dag fail before they claim, or it is paused.
RAREST: Final = 3600.0
#: Seconds after a wake-up for which a run that is queued or running is waited for.
PATIENT: Final = 600.0
#: Seconds between two wake-ups of a Dag whose runs claim nothing: Airflow makes one run of two events at once.
SPACING: Final = 5.0
#: How many runs that have claimed are told apart from others: an old one may be cleared, and ends once more.
LOOKED_AT: Final = 100
#: Seconds until the next look while a promotion waits for a Dag to claim the one before.
HELD: Final = 5.0


class Delivery(StrEnum):
    """How a Dag is woken for a promotion."""

    UNTIL_CLAIMED = "until_claimed"
    """A step of its runs claims: it is woken until one has."""
    AT_LEAST_ONCE = "at_least_once"
    """It waits for other assets too, so Airflow keeps the wake-up. It comes again only if it may be lost."""
    AT_MOST_ONCE = "at_most_once"
    """Nothing in it claims: a second wake-up would be a second run."""


class Wakeup(NamedTuple):
    """
    One event of a consumer's asset.

    :param consumer: whom it wakes.
    :param delivery: how.
    :param event: the last promotion.
    :param new_from: the sequence number from which on promotions are new to the consumer.
    :param registry: the registry's id.
    """

    consumer: Consumer
    delivery: Delivery
    event: StageEvent
    new_from: int
    registry: str

    def payload(self) -> dict[str, Any]:
        """Return what the asset event says: documented in docs/promotion.md, and stable."""
        return {
            "registry": self.registry,
            "model": self.consumer.model,
            "stage": self.consumer.stage,
            "version": self.event.version,
            "previous": self.event.previous,
            "sequence": self.event.sequence,
            "who": self.event.who,
            "why": self.event.reason,
            "new_from": self.new_from,
        }


class Runs(NamedTuple):
    """
    What Airflow knows of the runs of a Dag.

    :param alive: how many are queued or running.
    :param made: how many there are that have not asked what there is to claim.
    :param succeeded: how many of these have ended in success.
    """

    alive: int
    made: int
    succeeded: int

    def all_succeeded_since(self, earlier: Runs) -> bool:
        """Return whether runs were made since an earlier moment at which none was alive, and all ended in success."""
        made, succeeded = self.made - earlier.made, self.succeeded - earlier.succeeded
        return not earlier.alive and not self.alive and made == succeeded > 0


@dataclass
class _State:
    """
    What is known of a consumer in this process.

    :param delivery: how it is woken.
    :param due: when it is woken though it has not claimed the last wake-up; else when it may be woken.
    :param asked_at: when it was last woken, or Airflow last asked about it.
    :param woken_at: when it was last woken.
    :param woken: the last promotion that it was woken for.
    :param begun: the last promotion with which ``pause`` has begun anew.
    :param pause: seconds from ``due`` to the next time.
    :param runs: what Airflow knew of its runs when it was last woken; None if it was not asked.
    """

    delivery: Delivery
    due: float
    asked_at: float
    woken_at: float
    woken: int = 0
    begun: int = 0
    pause: float = REPEAT
    runs: Runs | None = None


class Wakeups:
    """
    Decides; keeps nothing that must survive its process.

    :param runs: what Airflow knows of the runs of a Dag, given the last ones that have claimed; None if it does not
        answer. It is asked rarely.
    :param clock: seconds.
    """

    def __init__(
        self,
        runs: Callable[[str, list[str]], Runs | None] = lambda *_: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._runs, self._clock = runs, clock
        self._states: dict[Consumer, _State] = {}
        self._seen, self._next = -1, 0.0

    def look(self, registry: Registry, consumers: Mapping[Consumer, Delivery]) -> list[Wakeup]:
        """
        Return the wake-ups that are due for some consumers.

        Where nothing has changed it is one read of one row, whatever their number.
        """
        last = registry.last_sequence()
        if not self._has_changed(consumers) and last == self._seen and self._clock() < self._next:
            return []
        self._note(registry, consumers)
        standings = [item for item in registry.standings(settings.deployment()) if item.consumer in consumers]
        due = [item for item in standings if self._is_due(registry, item)]
        found = self._wakeups(registry, due)
        for item in due:
            self._woke(item, self._states[item.consumer])
        # Whoever is in the registry no more, because an older state of it was restored, is noted anew.
        self._states = {item.consumer: self._states[item.consumer] for item in standings}
        self._seen = last
        self._next = min((self._next_look(item) for item in standings), default=float("inf"))
        return found

    def lost(self, wakeup: Wakeup) -> None:
        """Make a wake-up again that Airflow has not written, unless it may have."""
        if (state := self._states.get(wakeup.consumer)) is not None:
            state.woken = 0
        self._seen = -1

    def _has_changed(self, consumers: Mapping[Consumer, Delivery]) -> bool:
        return {consumer: state.delivery for consumer, state in self._states.items()} != consumers

    def _note(self, registry: Registry, consumers: Mapping[Consumer, Delivery]) -> None:
        new = {
            consumer: delivery
            for consumer, delivery in consumers.items()
            if consumer not in self._states or self._states[consumer].delivery != delivery
        }
        registry.enroll(settings.deployment(), new)
        now = self._clock()
        soon = now + FIRST_REPEAT
        fresh = {
            consumer: _State(delivery, soon if delivery is Delivery.UNTIL_CLAIMED else now, now, now)
            for consumer, delivery in new.items()
        }
        self._states = {consumer: fresh.get(consumer) or self._states[consumer] for consumer in consumers}

    def _is_due(self, registry: Registry, item: Standing) -> bool:
        state = self._states[item.consumer]
        is_new = item.head > max(item.delivered, state.woken)
        if state.delivery is not Delivery.UNTIL_CLAIMED:
            return is_new and self._clock() >= state.due
        if item.head <= item.claimed:
            return False
        if is_new and state.begun < item.head:
            state.begun, state.pause, state.runs = item.head, REPEAT, None
            state.due = min(state.due, state.asked_at + REPEAT)
        if is_new and state.woken <= item.claimed:  # what it was woken for before it has claimed
            return True
        return self._clock() >= state.due and self._repeats(registry, item)

    def _repeats(self, registry: Registry, item: Standing) -> bool:
        """Return whether to wake a Dag again that has not claimed; if not, it is asked again later, or never."""
        state, dag_id = self._states[item.consumer], item.consumer.dag_id
        runs = self._runs(dag_id, registry.claiming_runs(settings.deployment(), dag_id, LOOKED_AT))
        if runs is not None and runs.alive and self._clock() < state.woken_at + PATIENT:
            self._postpone(state)
            return False
        if runs and state.runs and item.head <= state.woken and runs.all_succeeded_since(state.runs):
            state.due = float("inf")  # it has decided before its first step that there is nothing to do
            return False
        state.runs = runs
        return True

    def _wakeups(self, registry: Registry, due: list[Standing]) -> list[Wakeup]:
        events = {head: registry.event(head) for head in {item.head for item in due}}
        once = {
            item.consumer: item.head
            for item in due
            if self._states[item.consumer].delivery is Delivery.AT_MOST_ONCE
        }
        # Before Airflow has it: never twice, not by another triggerer either.
        mine = registry.deliver(settings.deployment(), once, settles=True)
        return [
            Wakeup(
                item.consumer,
                self._states[item.consumer].delivery,
                events[item.head],
                item.delivered + 1,
                registry.id,
            )
            for item in due
            if item.consumer not in once or item.consumer in mine
        ]

    def _woke(self, item: Standing, state: _State) -> None:
        state.woken, state.woken_at = item.head, self._clock()
        if state.delivery is Delivery.UNTIL_CLAIMED:
            self._postpone(state)
        else:
            state.due = self._clock() + SPACING

    def _postpone(self, state: _State) -> None:
        state.asked_at = self._clock()
        state.due = state.asked_at + state.pause
        state.pause = min(state.pause * 2, RAREST)

    def _next_look(self, item: Standing) -> float:
        state = self._states[item.consumer]
        if state.delivery is not Delivery.UNTIL_CLAIMED:
            return state.due if item.head > max(item.delivered, state.woken) else float("inf")
        if item.head <= item.claimed:
            return float("inf")
        return min(state.due, self._clock() + HELD) if item.head > state.woken > 0 else state.due
