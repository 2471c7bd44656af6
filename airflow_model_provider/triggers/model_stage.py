"""The watcher of one Dag's promotions: they become events of its own asset, with one poll for all of a registry."""

from __future__ import annotations

import asyncio
import functools
import logging
import random
import threading
from collections import Counter, deque
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow.triggers.base import BaseEventTrigger, TriggerEvent
from airflow.triggers.shared_stream import SharedStreamProducer

from airflow_model_provider import settings
from airflow_model_provider.triggers.lookout import lookout, rarer
from airflow_model_provider.triggers.wakeups import Delivery, Runs, Wakeup, Wakeups

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Hashable, Mapping, Sequence

    from airflow.triggers.shared_stream import AdvanceItem

    from airflow_model_provider.registry.claims import Consumer
    from airflow_model_provider.registry.registry import Registry

log = logging.getLogger(__name__)


class ModelStageTrigger(BaseEventTrigger):
    """
    Fires for one Dag at promotions to a stage, and again while it has not claimed them.

    :param conn_id: the connection of the registry; None means the default one.
    :param model: the model's name; it may not be there yet.
    :param stage: the stage.
    :param dag_id: the Dag.
    :param delivery: how it is woken.
    """

    def __init__(
        self,
        *,
        conn_id: str | None,
        model: str,
        stage: str,
        dag_id: str,
        delivery: str = Delivery.UNTIL_CLAIMED,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.conn_id, self.model, self.stage, self.dag_id = conn_id, model, stage, dag_id
        self.delivery = Delivery(delivery)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what the triggerer makes it of."""
        names = ("conn_id", "model", "stage", "dag_id")
        arguments = {name: getattr(self, name) for name in names} | {"delivery": self.delivery.value}
        return f"{type(self).__module__}.{type(self).__qualname__}", arguments

    def shared_stream_key(self) -> Hashable:
        """All consumers of a registry share one poll."""
        return ("model_registry", self.conn_id)

    @classmethod
    def create_shared_stream_producer(cls, kwargs: dict[str, Any]) -> SharedStreamProducer:
        """Return what looks at the registry; Airflow tells it which events it has written."""
        return _Promotions(kwargs["conn_id"])

    async def filter_shared_stream(self, shared_stream: AsyncIterator[Any]) -> AsyncIterator[TriggerEvent]:
        """Fire for this Dag."""
        from airflow_model_provider.registry.claims import Consumer

        shared, me = (
            _shared(self.conn_id),
            _Here(Consumer(self.dag_id, self.model, self.stage), self.delivery),
        )
        shared.here[me] += 1
        try:
            async for wakeups in shared_stream:
                if (wakeup := wakeups.get(me)) is not None:
                    shared.taken.add(wakeup)
                    yield TriggerEvent(wakeup.payload())  # type: ignore[no-untyped-call]
        finally:
            shared.here[me] -= 1

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Fire likewise where there is nobody to share with."""
        stream = _Promotions(self.conn_id).open_stream()
        async for event in self.filter_shared_stream(wakeups async for wakeups, _ in stream):
            yield event


class _Here(NamedTuple):
    """A trigger of this process: while a Dag changes, its old one and its new one may both be here."""

    consumer: Consumer
    delivery: Delivery


class _Shared:
    """What the triggers of one registry tell its poll: who is there, and what they have taken."""

    def __init__(self) -> None:
        self.here: Counter[_Here] = Counter()
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
        self._wakeups = Wakeups(_runs)
        self._written, self._lost = deque[Wakeup](), deque[Wakeup]()
        self._one = threading.Lock()  # a look and a note may come at once, in two threads

    async def open_stream(self) -> AsyncIterator[tuple[Any, Any]]:
        """Look, as long as there are triggers; trouble with the registry makes the looks rarer, and is said."""
        pause = interval = settings.poll_interval()
        while True:
            found: list[Wakeup] = []
            try:
                here = {me.consumer: me.delivery for me, count in self._shared.here.items() if count > 0}
                found, pause = await self._lookout.ask(functools.partial(self._look, here)), interval
            except Exception as err:
                pause = rarer(pause, interval)
                self._say(err, f"Looking again in {pause:.0f} s.")
            if found:  # as one event: with one for each, many consumers would fill each other's queues
                wakeups = {_Here(wakeup.consumer, wakeup.delivery): wakeup for wakeup in found}
                yield wakeups, wakeups
            await asyncio.sleep(pause * random.uniform(0.75, 1.0))  # noqa: S311 - no secret

    async def advance(self, batch: Sequence[AdvanceItem]) -> None:
        """Note what Airflow has written; what it has not, or what no trigger has taken, comes again."""
        for item in batch:
            wakeups: Mapping[_Here, Wakeup] = item.broker_payload
            for wakeup in wakeups.values():
                if item.outcome.is_clean and wakeup in self._shared.taken:
                    self._written.append(wakeup)
                else:
                    self._lost.append(wakeup)
                self._shared.taken.discard(wakeup)
        try:
            await self._lookout.ask(self._note_written)
        except Exception as err:
            self._say(err, "It is noted with the next look.")

    def _look(self, here: Mapping[Consumer, Delivery], registry: Registry) -> list[Wakeup]:
        self._note_written(registry)
        with self._one:
            while self._lost:
                self._wakeups.lost(self._lost.popleft())
            return self._wakeups.look(registry, here)

    def _note_written(self, registry: Registry) -> None:
        with self._one:
            written = list(self._written)
            latest = {wakeup.consumer: wakeup.event.sequence for wakeup in written}
            registry.deliver(settings.deployment(), latest)
            for _ in written:
                self._written.popleft()

    def _say(self, err: Exception, what: str) -> None:
        log.warning("%s: %s %s", type(err).__name__, err, what)


def _runs(dag_id: str, claiming: list[str]) -> Runs | None:
    """
    Ask Airflow about the runs of a Dag; a Dag that it knows nothing of has none.

    :param claiming: runs that have claimed; whether these end in success says nothing of a promotion.
    """
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    count = functools.partial(RuntimeTaskInstance.get_dr_count, dag_id)

    def others(states: list[str] | None = None) -> int:
        return count(states=states) - (count(states=states, run_ids=claiming) if claiming else 0)

    try:
        return Runs(alive=count(states=["queued", "running"]), made=others(), succeeded=others(["success"]))
    except Exception as err:
        log.warning("Airflow did not say how many runs %s has: %s: %s", dag_id, type(err).__name__, err)
        return None
