"""Which run of which DAG claims which promotion (R32)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from airflow_model_provider.registry.claims import Claiming, StageKey, Watched
from airflow_model_provider.registry.entities import Attempt, RunKey

if TYPE_CHECKING:
    from airflow_model_provider.registry.registry import Registry

PRODUCTION, STAGING = StageKey("iris", "production"), StageKey("iris", "staging")


def key(run: object, dag: str = "scoring") -> RunKey:
    """A run of a DAG."""
    return RunKey("default", dag, str(run))


def numbers(registry: Registry, run: RunKey, since: int | None = None, *stages: StageKey) -> list[int]:
    """Claim for a run, and return the sequence numbers of what it claimed."""
    asked = stages or (PRODUCTION,)
    new = {} if since is None else dict.fromkeys(asked, since)
    return [event.sequence for event in registry.claim(run, Claiming(asked, new))]


@pytest.fixture
def promoted(registry: Registry) -> Registry:
    """Versions 1, 2 and 3 were promoted to production, one after the other: events 1, 2 and 3."""
    for number in (1, 2, 3):
        registry.create_version("iris")
        registry.set_stage("iris", number, "production", force=True)
    return registry


def test_a_promotion_is_claimed_once(promoted: Registry) -> None:
    """All that is new by the run that was started first; the next one gets what came since; a repetition the same."""
    assert numbers(promoted, key("a"), since=2) == [2, 3]
    assert numbers(promoted, key("b"), since=3) == []
    promoted.rollback("iris", "production")
    assert numbers(promoted, key("c")) == [4]
    assert numbers(promoted, key("b")) == []
    assert numbers(promoted, key("a")) == [2, 3]
    assert [event.version for event in promoted.claim(key("c"), Claiming([], {}))] == [2]


def test_each_dag_claims_for_itself(promoted: Registry) -> None:
    """And begins with the promotion that woke it, not with history."""
    assert numbers(promoted, key("a"), since=3) == [3]
    assert numbers(promoted, key("a", "report"), since=1) == [1, 2, 3]
    assert numbers(promoted, RunKey("other", "scoring", "a"), since=2) == [2, 3]


def test_a_run_that_nobody_woke_claims_nothing_for_a_new_dag(promoted: Registry) -> None:
    """Somebody started it by hand; the DAG begins with its first wake-up."""
    assert numbers(promoted, key("manual")) == []
    assert numbers(promoted, key("woken"), since=3) == [3]


def test_a_run_that_was_woken_first_may_claim_last(promoted: Registry) -> None:
    """What came before the DAG's first claim is not lost, and what was claimed is not claimed again."""
    assert numbers(promoted, key("second"), since=3) == [3]
    assert numbers(promoted, key("first"), since=2) == [2]
    assert numbers(promoted, key("third"), since=1) == [1]
    promoted.rollback("iris", "production")
    assert numbers(promoted, key("fourth"), since=3) == [4]


def test_what_starts_no_dags_is_not_claimed(promoted: Registry) -> None:
    """A promotion in a backfill, a quiet one, and an empty stage; what is asked for is."""
    backfill = Attempt(RunKey("default", "training", "backfill__2026"), "train", "try 1")
    promoted.set_stage("iris", 1, "production", force=True, attempt=backfill)
    promoted.set_stage("iris", 2, "production", force=True, quiet=True)
    promoted.set_stage("iris", 2, "archived")
    promoted.set_stage("iris", 3, "production", attempt=backfill, quiet=False)

    assert [event.quiet for event in promoted.history("iris", limit=4)] == [False, False, True, True]
    assert numbers(promoted, key("a"), since=4) == [7]


def test_stages_are_claimed_together_in_the_order_of_their_promotions(promoted: Registry) -> None:
    """A DAG that waits for either of two."""
    promoted.set_stage("iris", 1, "staging")
    promoted.set_stage("iris", 1, "production", force=True)

    assert numbers(promoted, key("a"), 2, PRODUCTION, STAGING) == [2, 3, 4, 5]


def test_runs_that_claim_at_once_share_nothing(promoted: Registry) -> None:
    """Eight runs of one DAG, each by two of its tasks, while promotions go on."""
    numbers(promoted, key("first"), since=3)

    def promote(turn: int) -> None:
        promoted.set_stage("iris", 1 + turn % 3, "production", force=True)

    def claimed(task: int) -> tuple[int, list[int]]:
        return task // 2, numbers(promoted, key(task // 2), since=4)

    with ThreadPoolExecutor(6) as pool:
        promotions = pool.map(promote, range(20))
        tasks = list(pool.map(claimed, range(16)))
        list(promotions)
    by_run = dict(tasks)
    rest = numbers(promoted, key("last"))
    made = [event.sequence for event in promoted.history("iris") if event.sequence > 3]

    assert all(by_run[run] == found for run, found in tasks)
    assert sorted([number for found in by_run.values() for number in found] + rest) == sorted(made)


def test_what_is_watched(promoted: Registry) -> None:
    """A new watch begins a little before now, an old one where it was; a model that isn't there yet is waited for."""
    rose = StageKey("rose", "production")
    promoted.watch("default", [PRODUCTION, rose])
    assert promoted.watched("default") == [Watched(PRODUCTION, 0, 3), Watched(rose, 0, 0)]
    promoted.deliver("default", PRODUCTION, 3)
    promoted.deliver("default", PRODUCTION, 2)
    promoted.watch("default", [PRODUCTION])
    promoted.create_version("rose")
    promoted.set_stage("rose", 1, "production")

    assert promoted.watched("default") == [Watched(PRODUCTION, 3, 3), Watched(rose, 0, 4)]
    assert promoted.watched("other") == []
    assert promoted.last_sequence() == 4


def test_what_was_promoted_long_ago_is_not_delivered(promoted: Registry) -> None:
    """A new consumer starts from now on."""
    with promoted._database.engine.begin() as connection:
        connection.execute(
            text("DROP TRIGGER mr_event_stays_update")
            if promoted._database.is_sqlite
            else text("ALTER TABLE mr_stage_event DISABLE TRIGGER mr_event_stays")
        )
        connection.execute(
            text("UPDATE mr_stage_event SET at = '2026-01-01 00:00:00.000000' WHERE sequence < 3")
        )
    promoted.watch("default", [PRODUCTION])

    assert promoted.watched("default") == [Watched(PRODUCTION, 2, 3)]


def test_dags_that_lag_are_named(promoted: Registry) -> None:
    """Not those that wait for other assets too, nor those that have claimed all."""
    promoted.watch("default", [PRODUCTION])
    for dag, since, repeats in (("early", 1, True), ("late", 3, True), ("both", 3, False)):
        promoted.claim(key("a", dag), Claiming([PRODUCTION], {PRODUCTION: since}, repeats))
    assert promoted.watched("default")[0].lagging == ()
    promoted.rollback("iris", "production")
    numbers(promoted, key("b", "early"))

    assert promoted.watched("default")[0].lagging == ("late",)
    promoted.forget_consumer("default", "late")
    assert promoted.watched("default")[0].lagging == ()
