"""When a stage's asset gets an event (R32)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import event

from airflow_model_provider.registry.claims import Claiming, StageKey
from airflow_model_provider.registry.entities import RunKey
from airflow_model_provider.triggers.wakeups import FIRST_REPEAT, RAREST, REPEAT, Wakeup, Wakeups

if TYPE_CHECKING:
    from airflow_model_provider.registry.registry import Registry

KEY = StageKey("iris", "production")


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock."""
    return Clock()


@pytest.fixture
def wakeups(clock: Clock) -> Wakeups:
    """Of a triggerer that has just started."""
    return Wakeups(clock)


def promote(registry: Registry, times: int = 1) -> None:
    """Promote new versions."""
    for _ in range(times):
        number = registry.create_version("iris").number
        registry.set_stage("iris", number, "production", force=True, who="alice", reason="better")


def written(registry: Registry, wakeup: Wakeup) -> None:
    """Airflow has written an event."""
    registry.deliver("default", wakeup.key, wakeup.event.sequence)


def test_a_promotion_gives_one_event(registry: Registry, wakeups: Wakeups) -> None:
    """Also of a model that comes later; several at once are one; what it says is all that a reader needs."""
    assert wakeups.look(registry, {KEY}) == []
    promote(registry, 3)
    (wakeup,) = wakeups.look(registry, {KEY})
    assert wakeup.payload() == {
        "registry": registry.id,
        "model": "iris",
        "stage": "production",
        "number": 3,
        "previous": 2,
        "sequence": 3,
        "who": "alice",
        "why": "better",
        "new_from": 1,
        "repeats_for": [],
    }
    assert wakeups.look(registry, {KEY}) == []
    written(registry, wakeup)
    promote(registry)
    (wakeup,) = wakeups.look(registry, {KEY})

    assert (wakeup.new_from, wakeup.event.sequence) == (4, 4)


def test_what_airflow_has_not_written_comes_again(registry: Registry, wakeups: Wakeups, clock: Clock) -> None:
    """Because it said so, or because the triggerer was killed; once it is written it does not."""
    wakeups.look(registry, {KEY})
    promote(registry)
    (wakeup,) = wakeups.look(registry, {KEY})
    wakeups.lost(wakeup)
    assert wakeups.look(registry, {KEY}) == [wakeup]
    (again,) = Wakeups(clock).look(registry, {KEY})
    assert again == wakeup
    written(registry, again)

    assert Wakeups(clock).look(registry, {KEY}) == []


def test_a_dag_that_lags_is_woken_again_and_again_less_often(
    registry: Registry, wakeups: Wakeups, clock: Clock
) -> None:
    """It says for whom, so that others have nothing to do; there is nothing new in it."""
    wakeups.look(registry, {KEY})
    promote(registry)
    written(registry, *wakeups.look(registry, {KEY}))
    registry.claim(RunKey("default", "scoring", "1"), Claiming([KEY], {KEY: 1}))
    promote(registry)
    written(registry, *wakeups.look(registry, {KEY}))
    moments, begun = [], clock.now
    for _ in range(2 * int(RAREST)):
        for wakeup in wakeups.look(registry, {KEY}):
            moments.append(clock.now - begun)
            assert (wakeup.repeats_for, wakeup.new_from) == (("scoring",), 3)
        clock.now += 1
    spaces = [later - earlier for earlier, later in zip([0.0, *moments], moments, strict=False)]
    assert spaces == [REPEAT * 2**turn for turn in range(8)]
    assert max(spaces) < RAREST
    registry.claim(RunKey("default", "scoring", "2"), Claiming([KEY], {}))
    clock.now += RAREST

    assert wakeups.look(registry, {KEY}) == []


def test_a_dag_that_lags_when_the_triggerer_starts_is_woken_soon(registry: Registry, clock: Clock) -> None:
    """It was paused, or its run was lost; not at once, because it may be about to start."""
    registry.watch("default", [KEY])
    promote(registry)
    registry.claim(RunKey("default", "scoring", "1"), Claiming([KEY], {KEY: 1}))
    promote(registry)
    registry.deliver("default", KEY, 2)
    wakeups = Wakeups(clock)
    assert wakeups.look(registry, {KEY}) == []
    clock.now += FIRST_REPEAT

    assert [wakeup.repeats_for for wakeup in wakeups.look(registry, {KEY})] == [("scoring",)]


def test_a_look_at_nothing_new_is_one_small_read(registry: Registry, wakeups: Wakeups) -> None:
    """Whatever the number of stages."""
    keys = {StageKey(f"model {number}", "production") for number in range(50)}
    promote(registry)
    wakeups.look(registry, keys)
    sent: list[str] = []
    engine = registry._database.engine
    event.listen(engine, "before_cursor_execute", lambda *given: sent.append(given[2]))
    for _ in range(3):
        wakeups.look(registry, keys)

    assert sent == ["SELECT last_sequence FROM mr_registry"] * 3


def test_stages_that_nobody_watches_any_more_give_none(registry: Registry, wakeups: Wakeups) -> None:
    """All DAGs were paused; when they come back, they get what came meanwhile."""
    wakeups.look(registry, {KEY})
    wakeups.look(registry, set())
    promote(registry)
    assert wakeups.look(registry, set()) == []

    assert [wakeup.new_from for wakeup in wakeups.look(registry, {KEY})] == [1]
