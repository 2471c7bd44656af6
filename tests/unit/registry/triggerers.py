"""A triggerer that decides when Dags are woken, with a clock of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_model_provider.registry.claims import Consumer, StageKey
from airflow_model_provider.registry.entities import RunKey
from airflow_model_provider.triggers.wakeups import (
    Delivery,
    Runs,
    Wakeup,
    Wakeups,
)

if TYPE_CHECKING:
    from airflow_model_provider.registry.registry import Registry

SCORING, REPORT = Consumer("scoring", "iris", "production"), Consumer("report", "iris", "production")
BOTH = {SCORING: Delivery.UNTIL_CLAIMED, REPORT: Delivery.UNTIL_CLAIMED}
ONE = {SCORING: Delivery.UNTIL_CLAIMED}
DAY = 24 * 3600


class Triggerer:
    """One that decides for some consumers; Airflow writes at once what it says, and time passes when a test says so."""

    def __init__(self, registry: Registry) -> None:
        self.registry, self.now = registry, 1000.0
        self.runs: dict[str, Runs] = {}
        self.claiming: dict[str, list[str]] = {}
        self.start()

    def start(self) -> None:
        """Another process, which knows only what the registry does."""
        self.wakeups = Wakeups(self.ask, lambda: self.now)

    def ask(self, dag_id: str, claiming: list[str]) -> Runs | None:
        """What Airflow answers; which runs it is told of."""
        self.claiming[dag_id] = claiming
        return self.runs.get(dag_id)

    def look(self, consumers: dict[Consumer, Delivery] = ONE) -> list[Wakeup]:
        """The wake-ups that are due now."""
        found = self.wakeups.look(self.registry, consumers)
        self.registry.deliver("default", {item.consumer: item.event.sequence for item in found})
        return found

    def woken(self, consumers: dict[Consumer, Delivery] = ONE) -> list[str]:
        """Whom they wake."""
        return [item.consumer.dag_id for item in self.look(consumers)]

    def within(
        self, seconds: float, consumers: dict[Consumer, Delivery] = ONE, step: float = 1
    ) -> list[tuple[str, float]]:
        """All wake-ups of some time, each with its moment."""
        begun, found = self.now, []
        while self.now < begun + seconds:
            found += [(dag_id, self.now - begun) for dag_id in self.woken(consumers)]
            self.now += step
        return found

    def moments(self, seconds: float, consumers: dict[Consumer, Delivery] = ONE) -> list[float]:
        """When there are wake-ups."""
        return [moment for _, moment in self.within(seconds, consumers)]


def promote(registry: Registry, times: int = 1) -> None:
    """Promote new versions."""
    for _ in range(times):
        number = registry.create_version("iris").number
        registry.set_stage("iris", number, "production", force=True, who="alice", reason="better")


def claim(registry: Registry, run: str, dag_id: str = "scoring") -> list[int]:
    """Claim for a run, and return the version numbers."""
    events = registry.claim(RunKey("default", dag_id, run), [StageKey("iris", "production")])
    return [item.version or 0 for item in events]
