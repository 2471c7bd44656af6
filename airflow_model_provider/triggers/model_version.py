"""Waiting for a version, without a worker."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_model_provider import settings
from airflow_model_provider.exceptions import ModelNotFound, StageNotAssigned, VersionNotFound
from airflow_model_provider.selectors import Selector
from airflow_model_provider.triggers.lookout import lookout

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow_model_provider.addresses import Address
    from airflow_model_provider.references import Reference
    from airflow_model_provider.registry.registry import Registry

#: Seconds between two looks at a registry that is in trouble, at most.
_LONGEST_PAUSE = 30.0


class ModelVersionTrigger(BaseTrigger):
    """
    Fires when a selector names a version, or when the time is over.

    :param model: the model's name.
    :param selector: a stage, ``latest``, a number, or a version name.
    :param conn_id: the connection of the registry; None means the default one.
    :param since: when the waiting began, as ISO text.
    :param until: when it ends, likewise.
    :param poll_interval: seconds between two looks.
    :param stored: whether Airflow keeps the connection. If not, it is not asked for it: the first such question
        to a new triggerer takes it many seconds.
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
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.model, self.selector, self.conn_id = model, selector, conn_id
        self.since, self.until, self.poll_interval, self.stored = since, until, poll_interval, stored

    @classmethod
    def for_reference(cls, reference: Reference, address: Address, *, since: datetime) -> Self:
        """Return the trigger that waits for the version that a reference selects in the registry at an address."""
        until = since + timedelta(seconds=settings.wait_timeout())
        return cls(
            model=reference.model,
            selector=str(reference.selector),
            conn_id=reference.conn_id,
            since=since.isoformat(),
            until=until.isoformat(),
            poll_interval=settings.poll_interval(),
            stored=address.is_stored,
        )

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what the triggerer makes it of."""
        names = ("model", "selector", "conn_id", "since", "until", "poll_interval", "stored")
        return f"{type(self).__module__}.{type(self).__qualname__}", {
            name: getattr(self, name) for name in names
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look until there is a version; trouble with the registry makes the looks rarer, and is said."""
        registry = lookout(self.conn_id, stored=self.stored)
        until, pause = datetime.fromisoformat(self.until), self.poll_interval
        while True:
            try:
                there, pause = await registry.ask(self._is_there), self.poll_interval
            except Exception as err:
                there, pause = False, min(pause * 2, _LONGEST_PAUSE)
                self.log.warning("%s: %s Looking again in %.0f s.", type(err).__name__, err, pause)
            if there or datetime.now(UTC) >= until:
                event = {"state": "there" if there else "timeout", "since": self.since}
                yield TriggerEvent(event)  # type: ignore[no-untyped-call]
                return
            # Not all at once: many tasks may have begun to wait in the same moment.
            await asyncio.sleep(pause * random.uniform(0.75, 1.0))  # noqa: S311 - no secret

    def _is_there(self, registry: Registry) -> bool:
        try:
            registry.get_version(self.model, Selector.parse(self.selector, settings.declared_stages()))
        except (ModelNotFound, StageNotAssigned, VersionNotFound):
            return False
        return True
