"""One look at a registry for all that wait there: one statement per poll, however many tasks wait."""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING, NamedTuple

from airflow_model_provider.triggers.lookout import lookout, rarer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_model_provider.references import Reference
    from airflow_model_provider.triggers.lookout import Lookout


class Seen(NamedTuple):
    """
    What a look has shown.

    :param number: of the version; None where there is none.
    :param trouble: the error in place of an answer.
    :param pause: seconds until the next look.
    """

    number: int | None
    trouble: Exception | None
    pause: float


class SharedLook:
    """
    Looks at a registry while somebody waits for something there, and tells each what it asked for.

    Whoever asks before a look begins shares it; looks are an interval apart, more where the registry is in trouble.

    :param registry: where to look.
    :param interval: seconds between two looks.
    """

    def __init__(self, registry: Lookout, interval: float) -> None:
        self._registry, self._interval = registry, interval
        self._waiting: dict[Reference, list[asyncio.Future[Seen]]] = {}
        self._looking: asyncio.Task[None] | None = None
        self._next, self._pause = 0.0, interval

    async def number(self, reference: Reference) -> Seen:
        """Return which version a reference selects at the next look."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Seen] = loop.create_future()
        self._waiting.setdefault(reference, []).append(future)
        if self._looking is None or self._looking.done():
            self._looking = loop.create_task(self._look())
        return await future

    async def _look(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            await asyncio.sleep(max(0.0, self._next - loop.time()))
            waiting, self._waiting = self._waiting, {}
            asked = [item for item, futures in waiting.items() if not all(one.done() for one in futures)]
            seen = await self._seen(asked) if asked else []
            self._next = loop.time() + self._pause
            for reference, what in zip(asked, seen, strict=True):
                for future in waiting[reference]:
                    if not future.done():  # who does not wait any more
                        future.set_result(what)

    async def _seen(self, asked: Sequence[Reference]) -> list[Seen]:
        try:
            numbers = await self._registry.ask(lambda registry: registry.numbers(asked))
        except Exception as err:
            self._pause = rarer(self._pause, self._interval)
            return [Seen(None, err, self._pause)] * len(asked)
        self._pause = self._interval
        return [Seen(number, None, self._pause) for number in numbers]


@functools.cache
def shared_look(conn_id: str | None, *, stored: bool, interval: float) -> SharedLook:
    """Return the process's looks at a registry, so many seconds apart."""
    return SharedLook(lookout(conn_id, stored=stored), interval)
