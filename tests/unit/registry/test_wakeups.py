"""Which Dags get a wake-up, and when."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import event, text

from airflow_model_provider.registry.claims import Consumer
from airflow_model_provider.triggers.wakeups import (
    FIRST_REPEAT,
    HELD,
    PATIENT,
    RAREST,
    REPEAT,
    SPACING,
    Delivery,
    Runs,
    Wakeups,
)
from tests.unit.registry.triggerers import BOTH, DAY, ONE, REPORT, SCORING, Triggerer, claim, promote

if TYPE_CHECKING:
    from airflow_model_provider.registry.registry import Registry


@pytest.fixture
def triggerer(registry: Registry) -> Triggerer:
    """One that has just started."""
    return Triggerer(registry)


def test_a_promotion_gives_one_wakeup(registry: Registry, triggerer: Triggerer) -> None:
    """Also of a model that comes later; several at once are one; what it says is all that a reader needs."""
    assert triggerer.look() == []
    promote(registry, 3)
    (wakeup,) = triggerer.look()
    assert wakeup.payload() == {
        "registry": registry.id,
        "model": "iris",
        "stage": "production",
        "version": 3,
        "previous": 2,
        "sequence": 3,
        "who": "alice",
        "why": "better",
        "new_from": 1,
    }
    assert triggerer.look() == []
    assert claim(registry, "1") == [1, 2, 3]
    promote(registry)
    (wakeup,) = triggerer.look()

    assert (wakeup.new_from, wakeup.event.sequence) == (4, 4)


def test_a_dag_that_claims_is_woken_once_for_each_promotion(registry: Registry, triggerer: Triggerer) -> None:
    """A day with 24 of them."""
    triggerer.look(BOTH)
    for hour in range(24):
        promote(registry)
        assert triggerer.woken(BOTH) == ["report", "scoring"]
        assert claim(registry, f"{hour}") == claim(registry, f"{hour}", "report") == [hour + 1]
        assert triggerer.within(3600, BOTH, step=60) == []


def test_who_does_not_claim_wakes_nobody_else(registry: Registry, triggerer: Triggerer) -> None:
    """A Dag that is paused or fails beside one that is healthy: a day after one promotion."""
    triggerer.look(BOTH)
    promote(registry)
    triggerer.look(BOTH)
    claim(registry, "1", "report")
    found = triggerer.within(DAY, BOTH, step=60)

    assert {dag_id for dag_id, _ in found} == {"scoring"}


def test_a_new_dag_whose_first_run_was_lost_is_woken_again(registry: Registry, triggerer: Triggerer) -> None:
    """Though no run of it has ever claimed; its next run claims all since it was there, not what was before."""
    promote(registry)
    age(registry)
    triggerer.look()
    promote(registry)
    assert triggerer.woken() == ["scoring"]
    assert triggerer.moments(REPEAT + 1) == [REPEAT]
    promote(registry)

    assert claim(registry, "2") == [2, 3]


def age(registry: Registry) -> None:
    """Have everything happened months ago."""
    database = registry._database
    with database.engine.begin() as connection:
        connection.execute(
            text("DROP TRIGGER mr_event_stays_update")
            if database.is_sqlite
            else text("ALTER TABLE mr_stage_event DISABLE TRIGGER mr_event_stays")
        )
        connection.execute(text("UPDATE mr_stage_event SET at = '2026-01-01 00:00:00.000000'"))


def test_wakeups_of_a_dag_whose_runs_fail_become_rarer(registry: Registry, triggerer: Triggerer) -> None:
    """Twice the time each, up to an hour; and begin anew with the next promotion after a claim."""
    triggerer.look()
    promote(registry)
    triggerer.look()
    begun, moments = triggerer.now, []
    while triggerer.now < begun + 4 * RAREST:
        moments += [triggerer.now - begun for _ in triggerer.look()]
        triggerer.runs["scoring"] = Runs(alive=0, made=len(moments) + 1, succeeded=0)
        triggerer.now += REPEAT
    spaces = [later - earlier for earlier, later in zip([0.0, *moments], moments, strict=False)]
    assert spaces == [*(REPEAT * 2**turn for turn in range(8)), RAREST, RAREST]
    claim(registry, "late")
    promote(registry)

    assert triggerer.moments(REPEAT * 4) == [0, REPEAT, REPEAT * 3]


def test_a_run_that_is_queued_or_running_is_waited_for(registry: Registry, triggerer: Triggerer) -> None:
    """It claims when its first step begins; one that hangs before it is not waited for without end."""
    triggerer.look()
    promote(registry)
    triggerer.look()
    triggerer.runs["scoring"] = Runs(alive=1, made=1, succeeded=0)

    assert triggerer.within(PATIENT, step=REPEAT) == []
    assert len(triggerer.within(PATIENT, step=REPEAT)) == 1


def test_a_dag_that_starts_no_runs_is_asked_ever_more_rarely(
    registry: Registry, triggerer: Triggerer
) -> None:
    """Paused, and Airflow leaves its trigger, because it parses the file rarely: unpaused, it is woken by itself."""
    triggerer.look()
    promote(registry)
    triggerer.look()
    triggerer.runs["scoring"] = Runs(alive=0, made=7, succeeded=7)
    found = [moment for _, moment in triggerer.within(DAY, step=REPEAT)]

    assert found[:4] == [REPEAT, 3 * REPEAT, 7 * REPEAT, 15 * REPEAT]
    assert [later - earlier for earlier, later in pairwise(found)][-20:] == [RAREST] * 20


def test_a_new_promotion_wakes_at_once_who_has_not_claimed_the_last(
    registry: Registry, triggerer: Triggerer
) -> None:
    """However rarely it was woken by then; a burst of them is one wake-up, and then it goes on as with the first."""
    triggerer.look(BOTH)
    promote(registry)
    triggerer.look(BOTH)
    claim(registry, "1", "report")
    triggerer.within(DAY, BOTH, step=60)
    promote(registry, 3)
    first = triggerer.within(REPEAT, BOTH)
    claim(registry, "2", "report")
    promote(registry)
    claim(registry, "3", "report")

    assert first == [("report", 0), ("scoring", 0)]
    assert triggerer.within(REPEAT * 7, BOTH) == [
        ("scoring", 0),
        ("scoring", REPEAT),
        ("scoring", REPEAT * 3),
    ]


def test_many_promotions_ask_airflow_rarely(
    registry: Registry, triggerer: Triggerer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One every five seconds while a run hangs before its claim: it is waited for, and not for ever."""
    asked: list[str] = []
    hangs = Runs(alive=1, made=1, succeeded=0)
    triggerer.wakeups = Wakeups(lambda dag_id, _: asked.append(dag_id) or hangs, lambda: triggerer.now)  # type: ignore[func-returns-value]
    triggerer.look()
    promote(registry)
    begun, woken = triggerer.now, []
    while triggerer.now <= begun + PATIENT + REPEAT:
        woken += [triggerer.now - begun for _ in triggerer.look()]
        promote(registry)
        triggerer.now += 5

    assert woken == [0, PATIENT]
    assert len(asked) <= (PATIENT + REPEAT) / REPEAT


def test_a_dag_that_decides_before_its_first_step_is_left_alone(
    registry: Registry, triggerer: Triggerer
) -> None:
    """Its run ended in success and claimed nothing: that is an answer. The next promotion wakes it once, at once."""
    triggerer.look()
    runs = 0

    def decides(seconds: float) -> list[float]:
        nonlocal runs
        begun: float = triggerer.now
        moments: list[float] = []
        while triggerer.now < begun + seconds:
            if triggerer.look():
                runs += 1
                moments.append(triggerer.now - begun)
            triggerer.runs["scoring"] = Runs(alive=0, made=runs, succeeded=runs)
            triggerer.now += REPEAT
        return moments

    promote(registry)
    assert decides(2 * RAREST) == [0, REPEAT]  # the first run is not known from any other
    promote(registry)
    assert decides(2 * RAREST) == [0]
    promote(registry)
    triggerer.look()
    assert claim(registry, "steps") == [1, 2, 3]


@pytest.mark.parametrize(
    "later",
    [
        Runs(alive=0, made=9, succeeded=8),
        Runs(alive=1, made=9, succeeded=8),
        Runs(alive=0, made=10, succeeded=9),
        Runs(alive=0, made=3, succeeded=3),
    ],
    ids=["failed", "alive", "one of two failed", "some were removed"],
)
def test_a_run_that_is_no_answer_does_not_end_the_wakeups(
    registry: Registry, triggerer: Triggerer, later: Runs
) -> None:
    """One that failed, or is not over; or what can't be told."""
    triggerer.look()
    promote(registry)
    triggerer.look()
    triggerer.runs["scoring"] = Runs(alive=0, made=8, succeeded=8)
    assert triggerer.moments(REPEAT + 1) == [REPEAT]
    triggerer.runs["scoring"] = later

    assert triggerer.within(RAREST, step=REPEAT)


def test_promotions_wait_for_the_claim_of_the_one_before(registry: Registry, triggerer: Triggerer) -> None:
    """The run that is about to start claims them all; what it has missed by a moment is woken for at once."""
    triggerer.look()
    promote(registry)
    assert triggerer.woken() == ["scoring"]
    promote(registry, 5)
    assert triggerer.moments(REPEAT - 1) == []
    triggerer.now -= REPEAT - 1
    registry.create_version("iris")
    claim(registry, "1")
    promote(registry)

    assert triggerer.moments(HELD + 1)[0] <= HELD


def test_a_paused_dag_catches_up(registry: Registry, triggerer: Triggerer) -> None:
    """Airflow takes its trigger away, and gives it back: one wake-up for all that was promoted meanwhile."""
    triggerer.look(BOTH)
    paused = {REPORT: BOTH[REPORT]}
    for number in range(5):
        promote(registry)
        assert triggerer.woken(paused) == ["report"]
        claim(registry, f"{number}", "report")
    assert triggerer.within(DAY, paused, step=60) == []
    (wakeup,) = triggerer.look(BOTH)

    assert (wakeup.consumer, wakeup.new_from, wakeup.event.version) == (SCORING, 1, 5)
    assert claim(registry, "later") == [1, 2, 3, 4, 5]


def test_a_dag_is_woken_soon_when_its_watcher_starts(registry: Registry, triggerer: Triggerer) -> None:
    """Its wake-up was lost while it was paused; not at once, because its run may be about to start."""
    triggerer.look()
    promote(registry)
    triggerer.look()
    triggerer.start()
    assert triggerer.moments(FIRST_REPEAT + 1) == [FIRST_REPEAT]
    triggerer.runs["scoring"] = Runs(alive=1, made=1, succeeded=0)
    triggerer.start()

    assert triggerer.moments(FIRST_REPEAT + REPEAT + 1) == []


def test_a_dag_of_standard_tasks_is_woken_once(registry: Registry, triggerer: Triggerer) -> None:
    """Never for what it was woken for, not by another triggerer either; and not so soon that Airflow holds it back."""
    stock = {SCORING: Delivery.AT_MOST_ONCE}
    triggerer.look(stock)
    promote(registry)
    (wakeup,) = triggerer.look(stock)
    triggerer.wakeups.lost(wakeup)
    assert triggerer.within(DAY, stock, step=60) == []
    triggerer.start()
    assert triggerer.within(DAY, stock, step=60) == []
    promote(registry)
    assert triggerer.woken(stock) == ["scoring"]
    promote(registry, 3)
    found = triggerer.within(60, stock)

    assert found == [("scoring", SPACING)]


def test_a_dag_of_standard_tasks_that_gets_a_step_begins_with_what_is_new(
    registry: Registry, triggerer: Triggerer
) -> None:
    """It was woken for all promotions before; its step claims none of them."""
    stock = {SCORING: Delivery.AT_MOST_ONCE}
    triggerer.look(stock)
    promote(registry, 2)
    assert triggerer.woken(stock) == ["scoring"]

    assert triggerer.within(DAY, ONE, step=60) == []
    promote(registry)
    assert triggerer.woken(ONE) == ["scoring"]
    assert claim(registry, "first") == [3]


def test_runs_that_have_claimed_are_told_apart(registry: Registry, triggerer: Triggerer) -> None:
    """An old one that is cleared ends in success once more, and is no answer to a new promotion."""
    triggerer.look()
    promote(registry)
    triggerer.look()
    claim(registry, "first")
    promote(registry)
    triggerer.look()
    triggerer.within(2 * REPEAT)

    assert triggerer.claiming == {"scoring": ["first"]}


def test_two_triggerers_wake_a_dag_of_standard_tasks_once(registry: Registry) -> None:
    """Both look at once: Airflow has given the triggers of one that is late to the other."""
    stock = {SCORING: Delivery.AT_MOST_ONCE}
    one, other = Triggerer(registry), Triggerer(registry)
    for triggerer in (one, other):
        assert triggerer.look(stock) == []
    promote(registry)
    before = registry.standings("default")
    found = one.look(stock)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(registry), "standings", lambda *_: before)
        found += other.look(stock)

    assert len(found) == 1


def test_a_wakeup_of_a_dag_of_standard_tasks_is_noted_before_airflow_has_it(
    registry: Registry, triggerer: Triggerer
) -> None:
    """A triggerer that is killed in between does not repeat it; that of a Dag with steps it does."""
    both = {SCORING: Delivery.AT_MOST_ONCE, REPORT: Delivery.AT_LEAST_ONCE}
    triggerer.look(both)
    promote(registry)
    found = triggerer.wakeups.look(registry, both)
    assert [item.consumer for item in found] == [REPORT, SCORING]
    triggerer.start()

    assert triggerer.woken(both) == ["report"]


def test_a_dag_that_waits_for_other_assets_too_is_not_woken_again(
    registry: Registry, triggerer: Triggerer
) -> None:
    """Airflow keeps its wake-up until the others come."""
    waits = {SCORING: Delivery.AT_LEAST_ONCE}
    triggerer.look(waits)
    promote(registry)
    assert triggerer.woken(waits) == ["scoring"]
    assert triggerer.within(DAY, waits, step=60) == []


def test_what_airflow_has_not_written_comes_again(registry: Registry, triggerer: Triggerer) -> None:
    """Because it said so, or because the triggerer was killed; once it is written it does not."""
    triggerer.look()
    promote(registry)
    (wakeup,) = triggerer.wakeups.look(registry, ONE)
    triggerer.wakeups.lost(wakeup)
    assert triggerer.wakeups.look(registry, ONE) == [wakeup]
    triggerer.start()
    assert triggerer.look() == [wakeup]
    triggerer.start()

    assert triggerer.look() == []


def test_trouble_in_a_look_loses_nothing(
    registry: Registry, triggerer: Triggerer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The registry went away in the middle of it."""
    triggerer.look()
    promote(registry)
    whole = type(registry).event

    def gone(self: Registry, sequence: int) -> None:
        raise ConnectionError

    monkeypatch.setattr(type(registry), "event", gone)
    with pytest.raises(ConnectionError):
        triggerer.look()
    monkeypatch.setattr(type(registry), "event", whole)

    assert triggerer.woken() == ["scoring"]


def test_an_older_state_of_the_registry_notes_its_dags_anew(registry: Registry, triggerer: Triggerer) -> None:
    """It was restored from a backup that is older than a Dag."""
    triggerer.look()
    with registry._database.engine.begin() as connection:
        connection.execute(text("DELETE FROM mr_consumer"))
    promote(registry)
    triggerer.look()

    assert triggerer.woken() == ["scoring"]


def test_a_look_at_nothing_new_is_one_small_read(registry: Registry, triggerer: Triggerer) -> None:
    """Whatever the number of Dags and stages."""
    many = {
        Consumer(f"dag {number}", f"model {number % 7}", "production"): Delivery.UNTIL_CLAIMED
        for number in range(50)
    }
    promote(registry)
    triggerer.look(many)
    sent: list[str] = []
    event.listen(registry._database.engine, "before_cursor_execute", lambda *given: sent.append(given[2]))
    for _ in range(3):
        triggerer.look(many)

    assert sent == ["SELECT last_sequence FROM mr_registry"] * 3


def test_deployments_wait_for_themselves(registry: Registry, triggerer: Triggerer) -> None:
    """Two that share a registry, with a Dag of the same name: what one has claimed the other has not."""
    triggerer.look()
    registry.enroll("other", ONE)
    promote(registry)
    triggerer.look()
    claim(registry, "1")
    (other,) = registry.standings("other")

    assert (other.claimed, other.delivered, other.head) == (0, 0, 1)
    assert triggerer.within(DAY, step=60) == []
