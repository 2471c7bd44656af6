"""Waiting for a version, without a worker."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Self

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_model_provider import settings
from airflow_model_provider.references import Reference
from airflow_model_provider.selectors import Selector, SelectorKind
from airflow_model_provider.triggers.shared_look import shared_look

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow_model_provider.addresses import Address

_FIELDS: Final = (
    *("model", "selector", "kind", "newer_than", "newer_than_selector", "newer_than_kind", "conn_id"),
    *("since", "until", "poll_interval", "stored"),
)


class ModelVersionTrigger(BaseTrigger):
    """
    Fires when a selector names a version, or when the time is over. It is a wake-up: the task looks again.

    All triggers of a registry in one triggerer share one statement per poll.

    :param model: the model's name.
    :param selector: a stage, ``latest``, a number, or a version name.
    :param conn_id: the connection of the registry; None means the default one.
    :param since: when the waiting began, as ISO text.
    :param until: when it ends, likewise.
    :param poll_interval: seconds between two looks.
    :param stored: whether Airflow keeps the connection. If not, it is not asked for it: the first such question
        to a new triggerer takes it many seconds.
    :param newer_than: only a version of a higher number counts; None means any.
    :param newer_than_selector: what is selected now counts in its place, at each look.
    :param newer_than_kind: of that selector, as ``kind``.
    :param kind: what the task took the selector for: its stages count, which the triggerer need not know. None means
        that the selector says it.
    """

    def __init__(
        self,
        *,
        model: str,
        selector: str,
        since: str,
        until: str,
        conn_id: str | None = None,
        poll_interval: float = 1.0,
        stored: bool = True,
        newer_than: int | None = None,
        newer_than_selector: str | None = None,
        newer_than_kind: str | None = None,
        kind: str | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kind = kind
        self.newer_than_selector, self.newer_than_kind = newer_than_selector, newer_than_kind
        self.model, self.selector, self.conn_id, self.newer_than = model, selector, conn_id, newer_than
        self.since, self.until, self.poll_interval, self.stored = since, until, poll_interval, stored

    @classmethod
    def for_reference(
        cls,
        reference: Reference,
        address: Address,
        *,
        since: datetime,
        seconds: float | None = None,
        **newer_than: Any,
    ) -> Self:
        """
        Return the trigger that waits for the version that a reference selects in the registry at an address.

        :param seconds: for how long, from ``since``; None means ``[model_registry] wait_timeout``.
        :param newer_than: ``newer_than``, or ``newer_than_selector`` and ``newer_than_kind``.
        """
        until = since + timedelta(seconds=settings.wait_timeout() if seconds is None else seconds)
        return cls(
            model=reference.model,
            selector=str(reference.selector),
            kind=reference.selector.kind.value,
            conn_id=reference.conn_id,
            since=since.isoformat(),
            until=until.isoformat(),
            poll_interval=settings.poll_interval(),
            stored=address.is_stored,
            **newer_than,
        )

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what the triggerer makes it of."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {
            name: getattr(self, name) for name in _FIELDS
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look until there is a version; trouble with the registry makes the looks rarer, and is said."""
        try:
            async with asyncio.timeout(self._seconds_left()):
                await self._wait()
            state = "there"
        except TimeoutError:
            state = "timeout"
        yield TriggerEvent({"state": state, "since": self.since})  # type: ignore[no-untyped-call]

    async def _wait(self) -> None:
        look = shared_look(self.conn_id, stored=self.stored, interval=self.poll_interval)
        asked = [Reference(self.model, _read(self.selector, self.kind))]
        if self.newer_than_selector is not None:
            asked.append(Reference(self.model, _read(self.newer_than_selector, self.newer_than_kind)))
        while True:
            seen, *base = await asyncio.gather(*map(look.number, asked))
            least = base[0].number if base else self.newer_than
            if seen.number is not None and (least is None or seen.number > least):
                return
            if seen.trouble is not None:
                err = seen.trouble
                self.log.warning("%s: %s Looking again in %.0f s.", type(err).__name__, err, seen.pause)

    def _seconds_left(self) -> float:
        return (datetime.fromisoformat(self.until) - datetime.now(UTC)).total_seconds()


def _read(selector: str, kind: str | None) -> Selector:
    if kind is None:
        return Selector.parse(selector, settings.declared_stages())
    known = SelectorKind(kind)
    return Selector(known, int(selector) if known is SelectorKind.NUMBER else selector)
