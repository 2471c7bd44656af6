"""Processes that race for a stage: the best is its holder in the end (R27, R28)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_model_provider.exceptions import StageConflict, StageNotAssigned
from airflow_model_provider.registry.registry import Registry
from airflow_model_provider.selectors import Selector
from tests.support.processes import FORK
from tests.support.soak import TIMES

if TYPE_CHECKING:
    from collections.abc import Callable

PRODUCTION = Selector.parse("production")
#: Rounds per number of processes: 10,000 in all in the long form.
ROUNDS = 12 if TIMES == 1 else 3334


def race(url: str, rounds: int, mine: int, barrier: Any) -> int:
    """Promote a version in each round if it is better than the holder; return how often another was faster."""
    refused = 0
    with Registry.open(url) as registry:
        for number in range(rounds):
            score = 100 * number + (7 * mine + 3 * number) % 100
            version = registry.create_version("iris")
            registry.log_version_metadata(version.id, {"score": score})
            barrier.wait(120)
            while True:
                try:
                    holder = registry.get_version("iris", PRODUCTION)
                except StageNotAssigned:
                    held, best = None, -1
                else:
                    held, best = holder.number, registry.get_metadata(holder.id)["score"]
                if best >= score:
                    break
                try:
                    registry.set_stage("iris", version.number, "production", expected=held)
                    break
                except StageConflict:
                    refused += 1
            barrier.wait(120)
            holder = registry.get_version("iris", PRODUCTION)
            champion = max(100 * number + (7 * other + 3 * number) % 100 for other in range(barrier.parties))
            assert registry.get_metadata(holder.id)["score"] == champion
            barrier.wait(120)
    return refused


@pytest.mark.parametrize("processes", [2, 4, 8])
def test_the_best_wins_every_round(
    url: str, processes: int, record_property: Callable[[str, object], None]
) -> None:
    """No error but refused compare-and-sets; the history is one line, and its last event is the pointer."""
    with Registry.open(url) as registry:
        registry.create_model("iris")
    with FORK.Manager() as manager, FORK.Pool(processes) as pool:
        barrier = manager.Barrier(processes)
        running = [pool.apply_async(race, (url, ROUNDS, index, barrier)) for index in range(processes)]
        refused = [job.get(60 + ROUNDS * 5) for job in running]
    with Registry.open(url) as registry:
        events = registry.history("iris", "production")[::-1]
        assert [event.sequence for event in events] == list(range(1, len(events) + 1))
        assert [event.previous for event in events] == [None, *(event.version for event in events[:-1])]
        assert registry.get_version("iris", PRODUCTION).number == events[-1].version
        assert len(registry.list_versions("iris")) == ROUNDS * processes
    record_property("rounds", ROUNDS)
    record_property("promotions", len(events))
    record_property("refused compare-and-sets", sum(refused))
