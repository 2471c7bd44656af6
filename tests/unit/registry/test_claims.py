"""Which run of which Dag claims which promotion."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from airflow_model_provider.registry.claims import Consumer, StageKey, Standing
from airflow_model_provider.registry.entities import Attempt, RunKey

if TYPE_CHECKING:
    from airflow_model_provider.registry.registry import Registry

PRODUCTION, STAGING = StageKey("iris", "production"), StageKey("iris", "staging")


def key(run: object, dag: str = "scoring") -> RunKey:
    """A run of a DAG."""
    return RunKey("default", dag, str(run))


def numbers(registry: Registry, run: RunKey, *stages: StageKey) -> list[int]:
    """Claim for a run, and return the sequence numbers of what it claimed."""
    return [event.sequence for event in registry.claim(run, stages or [PRODUCTION])]


def wait_for(
    registry: Registry, *stages: StageKey, dag: str = "scoring", deployment: str = "default"
) -> None:
    """Have a DAG wait for stages."""
    registry.enroll(deployment, [Consumer(dag, *stage) for stage in stages or [PRODUCTION]])


def promote(registry: Registry, *numbers: int) -> None:
    """Promote versions to production, one after the other."""
    for number in numbers:
        registry.set_stage("iris", number, "production", force=True)


@pytest.fixture
def promoted(registry: Registry) -> Registry:
    """DAG ``scoring`` waits; then versions 1, 2 and 3 were promoted to production: events 1, 2 and 3."""
    wait_for(registry)
    for _ in range(3):
        registry.create_version("iris")
    promote(registry, 1, 2, 3)
    return registry


def test_a_promotion_is_claimed_once(promoted: Registry) -> None:
    """All that is new by the run that is first; the next one gets what came since; a repetition the same."""
    assert numbers(promoted, key("a")) == [1, 2, 3]
    assert numbers(promoted, key("b")) == []
    promoted.rollback("iris", "production")
    assert numbers(promoted, key("c")) == [4]
    assert numbers(promoted, key("b")) == []
    assert numbers(promoted, key("a")) == [1, 2, 3]
    assert [event.version for event in promoted.claim(key("c"), [])] == [2]


def test_each_dag_claims_for_itself(promoted: Registry) -> None:
    """In each deployment."""
    wait_for(promoted, dag="report")
    wait_for(promoted, deployment="other")
    promote(promoted, 1)

    assert numbers(promoted, key("a")) == [1, 2, 3, 4]
    assert 4 in numbers(promoted, key("a", "report"))
    assert 4 in numbers(promoted, RunKey("other", "scoring", "a"))


def test_a_dag_that_waits_for_nothing_claims_nothing(promoted: Registry) -> None:
    """Its watcher has not noted it: it begins when that has."""
    assert numbers(promoted, key("a", "new")) == []
    wait_for(promoted, dag="new")
    promote(promoted, 1)

    assert numbers(promoted, key("a", "new")) == []
    assert numbers(promoted, key("b", "new"))[-1] == 4


def test_what_starts_no_dags_is_not_claimed(promoted: Registry) -> None:
    """A promotion in a backfill, a quiet one, and an empty stage; what is asked for is."""
    backfill = Attempt(RunKey("default", "training", "backfill__2026"), "train", "try 1")
    promoted.set_stage("iris", 1, "production", force=True, attempt=backfill)
    promoted.set_stage("iris", 2, "production", force=True, quiet=True)
    promoted.set_stage("iris", 2, "archived")
    promoted.set_stage("iris", 3, "production", attempt=backfill, quiet=False)

    assert [event.quiet for event in promoted.history("iris", limit=4)] == [False, False, True, True]
    assert numbers(promoted, key("a")) == [1, 2, 3, 7]


def test_stages_are_claimed_together_in_the_order_of_their_promotions(promoted: Registry) -> None:
    """A DAG that waits for either of two."""
    wait_for(promoted, STAGING)
    promoted.set_stage("iris", 1, "staging")
    promote(promoted, 1)

    assert numbers(promoted, key("a"), PRODUCTION, STAGING) == [1, 2, 3, 4, 5]


def test_runs_that_claim_at_once_share_nothing(promoted: Registry) -> None:
    """Eight runs of one DAG, each by two of its tasks, while promotions go on."""
    numbers(promoted, key("first"))

    def claimed(task: int) -> tuple[int, list[int]]:
        return task // 2, numbers(promoted, key(task // 2))

    with ThreadPoolExecutor(6) as pool:
        promotions = pool.map(lambda turn: promote(promoted, 1 + turn % 3), range(20))
        tasks = list(pool.map(claimed, range(16)))
        list(promotions)
    by_run = dict(tasks)
    rest = numbers(promoted, key("last"))
    made = [event.sequence for event in promoted.history("iris") if event.sequence > 3]

    assert all(by_run[run] == found for run, found in tasks)
    assert sorted([number for found in by_run.values() for number in found] + rest) == sorted(made)


def test_how_far_a_dag_is(promoted: Registry) -> None:
    """A new one begins a little before now, an old one where it was; a model that isn't there yet is waited for."""
    mine, rose = Consumer("scoring", *PRODUCTION), Consumer("scoring", "rose", "production")
    numbers(promoted, key("a"))
    promote(promoted, 1)
    promoted.deliver("default", {mine: 4})
    promoted.deliver("default", {mine: 2})
    promoted.enroll("default", [mine, rose])
    assert promoted.standings("default") == [Standing(mine, 4, 3, 4), Standing(rose, 0, 0, 0)]
    promoted.create_version("rose")
    promoted.set_stage("rose", 1, "production")

    assert promoted.standings("default")[1] == Standing(rose, 0, 0, 5)
    assert promoted.standings("other") == []
    assert promoted.last_sequence() == 5


def test_a_new_dag_does_not_begin_with_history(promoted: Registry) -> None:
    """But with what was promoted just before."""
    with promoted._database.engine.begin() as connection:
        connection.execute(
            text("DROP TRIGGER mr_event_stays_update")
            if promoted._database.is_sqlite
            else text("ALTER TABLE mr_stage_event DISABLE TRIGGER mr_event_stays")
        )
        connection.execute(
            text("UPDATE mr_stage_event SET at = '2026-01-01 00:00:00.000000' WHERE sequence < 3")
        )
    wait_for(promoted, dag="new")

    assert Standing(Consumer("new", *PRODUCTION), 2, 2, 3) in promoted.standings("default")
    assert numbers(promoted, key("a", "new")) == [3]
