"""The watcher of a stage: it turns promotions into asset events, one poll for all stages of a registry (R32)."""

from __future__ import annotations

import asyncio
import functools
import logging
import random
from collections import Counter, deque
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent
from airflow.triggers.shared_stream import SharedStreamProducer

from airflow_model_provider import settings
from airflow_model_provider.triggers.lookout import lookout, rarer
from airflow_model_provider.triggers.wakeups import Wakeup, Wakeups

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Hashable, Sequence

    from airflow.triggers.shared_stream import AdvanceItem

    from airflow_model_provider.registry.claims import StageKey
    from airflow_model_provider.registry.registry import Registry

log = logging.getLogger(__name__)


class ModelStageTrigger(BaseEventTrigger):
    """
    Fires at each promotion to a stage, and again for Dags that have not claimed what there is.

    :param conn_id: the connection of the registry; None means the default one.
    :param model: the model's name; it may not be there yet.
    :param stage: the stage.
    """

    def __init__(self, *, conn_id: str | None, model: str, stage: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.conn_id, self.model, self.stage = conn_id, model, stage

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what the triggerer makes it of."""
        arguments = {"conn_id": self.conn_id, "model": self.model, "stage": self.stage}
        return f"{type(self).__module__}.{type(self).__qualname__}", arguments

    def shared_stream_key(self) -> Hashable:
        """All stages of a registry share one poll."""
        return ("model_registry", self.conn_id)

    @classmethod
    def create_shared_stream_producer(cls, kwargs: dict[str, Any]) -> SharedStreamProducer:
        """Return what looks at the registry; Airflow tells it which events it has written."""
        return _Promotions(kwargs["conn_id"])

    async def filter_shared_stream(self, shared_stream: AsyncIterator[Any]) -> AsyncIterator[TriggerEvent]:
        """Fire for this stage."""
        from airflow_model_provider.registry.claims import StageKey

        shared, key = _shared(self.conn_id), StageKey(self.model, self.stage)
        shared.interest[key] += 1
        try:
            async for wakeup in shared_stream:
                if wakeup.key == key:
                    shared.taken.add(wakeup)
                    yield TriggerEvent(wakeup.payload())  # type: ignore[no-untyped-call]
        finally:
            shared.interest[key] -= 1

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Fire likewise where there is nobody to share with."""
        stream = _Promotions(self.conn_id).open_stream()
        async for event in self.filter_shared_stream(wakeup async for wakeup, _ in stream):
            yield event


class _Shared:
    """What the triggers of one registry tell its poll: who is there, and what they have taken."""

    def __init__(self) -> None:
        self.interest: Counter[StageKey] = Counter()
        self.taken: set[Wakeup] = set()


@functools.cache
def _shared(conn_id: str | None) -> _Shared:
    return _Shared()


class _Promotions(SharedStreamProducer):
    """
    The poll of one registry.

    None of its methods raises: that would end all its triggers, and with them tasks that wait.
    """

    def __init__(self, conn_id: str | None) -> None:
        self._shared, self._lookout = _shared(conn_id), lookout(conn_id, stored=True)
        self._wakeups, self._written = Wakeups(), deque[Wakeup]()

    async def open_stream(self) -> AsyncIterator[tuple[Any, Any]]:
        """Look, as long as there are triggers; trouble with the registry makes the looks rarer, and is said."""
        pause = interval = settings.poll_interval()
        while True:
            found: list[Wakeup] = []
            try:
                found, pause = await self._lookout.ask(self._look), interval
            except Exception as err:
                pause = rarer(pause, interval)
                self._say(err, f"Looking again in {pause:.0f} s.")
            for wakeup in found:
                yield wakeup, wakeup
            await asyncio.sleep(pause * random.uniform(0.75, 1.0))  # noqa: S311 - no secret

    async def advance(self, batch: Sequence[AdvanceItem]) -> None:
        """Note what Airflow has written; what it has not, or what no trigger has taken, comes again."""
        for wakeup, outcome in batch:
            if outcome.is_clean and wakeup in self._shared.taken:
                self._written.append(wakeup)
            else:
                self._wakeups.lost(wakeup)
            self._shared.taken.discard(wakeup)
        try:
            await self._lookout.ask(self._note_written)
        except Exception as err:
            self._say(err, "It is noted with the next look.")

    def _look(self, registry: Registry) -> list[Wakeup]:
        self._note_written(registry)
        keys = {key for key, count in self._shared.interest.items() if count > 0}
        return self._wakeups.look(registry, keys)

    def _note_written(self, registry: Registry) -> None:
        while self._written:
            wakeup = self._written[0]
            registry.deliver(settings.deployment(), wakeup.key, wakeup.event.sequence)
            self._written.popleft()

    def _say(self, err: Exception, what: str) -> None:
        log.warning("%s: %s %s", type(err).__name__, err, what)
