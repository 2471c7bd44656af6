"""The version that a stage pointed to then, from a history whose times never run backwards (R10)."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import text

from airflow_model_provider.addresses import Address
from airflow_model_provider.exceptions import (
    InvalidSelector,
    ModelNotFound,
    NoRunDate,
    StageNotAssigned,
    VersionDeleted,
)
from airflow_model_provider.model import Model
from airflow_model_provider.references import Reference, Wanted
from airflow_model_provider.registry import columns
from airflow_model_provider.registry.entities import Attempt, RunKey, StageEvent
from airflow_model_provider.registry.registry import Registry
from airflow_model_provider.resolver import Moment, Resolver
from airflow_model_provider.selectors import Selector
from airflow_model_provider.workspace import Workspace

RUN = RunKey("default", "backfill", "scheduled__2026-03-01")
ATTEMPT = Attempt(RUN, "predict", "ti-1")
MICROSECOND = timedelta(microseconds=1)


def then(time: datetime, stage: str = "production", model: str = "iris", **more: Any) -> Reference:
    """A reference to what a stage pointed to at a time."""
    return Reference(model, Selector.parse(stage), as_of=(time.isoformat(),), **more)


def number(registry: Registry, reference: Reference, attempt: Attempt | None = None) -> int:
    """The number of the version that a reference stands for."""
    (found,) = registry.resolve([reference], attempt)
    assert found.version is not None
    return found.version.number


def promote(registry: Registry, number: int, stage: str = "production", model: str = "iris") -> StageEvent:
    """Make a version the holder of a stage, whoever holds it, and return the event."""
    event = registry.set_stage(model, number, stage, force=True)
    assert event is not None
    return event


@pytest.fixture
def events(registry: Registry) -> list[StageEvent]:
    """Production of iris: 1, then 2, 3 and 1 again; meanwhile, staging of iris and production of rose move."""
    for model in ("iris", "rose"):
        for index in (1, 2, 3):
            version = registry.create_version(model)
            registry.log_version_metadata(version.id, {"accuracy": index / 10})
    moved = []
    for index in (1, 2, 3, 1):
        moved.append(promote(registry, index))
        moved.append(promote(registry, 4 - index, "staging"))
        moved.append(promote(registry, index, model="rose"))
    return moved


def of(events: Sequence[StageEvent], stage: str, model: str) -> list[StageEvent]:
    """The events of one stage of one model."""
    return [event for event in events if (event.stage, event.model) == (stage, model)]


@pytest.mark.parametrize(
    ("stage", "model"), [("production", "iris"), ("staging", "iris"), ("production", "rose")]
)
def test_the_holder_of_that_time_is_found(
    registry: Registry, events: list[StageEvent], stage: str, model: str
) -> None:
    """Exactly at a promotion the new holder, a moment before it the old one, after the last one the present one."""
    own = of(events, stage, model)
    for before, after in pairwise(own):
        between = before.at + (after.at - before.at) / 2
        asked = [before.at, between, after.at - MICROSECOND, after.at]
        found = [number(registry, then(time, stage, model)) for time in asked]

        assert found == [before.version, before.version, before.version, after.version]
    assert number(registry, then(own[-1].at + timedelta(days=1000), stage, model)) == own[-1].version


def test_a_time_counts_in_any_zone(registry: Registry, events: list[StageEvent]) -> None:
    """The same moment, written with another offset."""
    time = of(events, "production", "iris")[1].at
    zones = [timezone(timedelta(hours=hours)) for hours in (-11, 5.5, 14)]

    assert [number(registry, then(time.astimezone(zone))) for zone in zones] == [2, 2, 2]
    assert [number(registry, then((time - MICROSECOND).astimezone(zone))) for zone in zones] == [1, 1, 1]


def test_values_and_versions_are_of_one_time(registry: Registry, events: list[StageEvent]) -> None:
    """Several times in one read, each with the metadata of its version."""
    asked = [
        part
        for event in of(events, "production", "iris")
        for part in (then(event.at), then(event.at, wanted=Wanted.METADATA, name="accuracy"))
    ]
    found = registry.resolve(asked)

    assert [item.version.number for item in found[::2] if item.version] == [1, 2, 3, 1]
    assert [item.value for item in found[1::2]] == [0.1, 0.2, 0.3, 0.1]


@pytest.mark.parametrize("early", [MICROSECOND, timedelta(days=365), None])
def test_before_the_first_promotion_the_error_names_its_date(
    registry: Registry, events: list[StageEvent], early: timedelta | None
) -> None:
    """A microsecond, a year, or a thousand years too early."""
    first = of(events, "staging", "iris")[0].at
    time = datetime(999, 12, 31, tzinfo=UTC) if early is None else first - early
    with pytest.raises(StageNotAssigned, match=f"'staging' as of .*{first.date().isoformat()}"):
        registry.resolve([then(time, "staging")])


def test_after_its_last_holder_left_the_error_says_when(registry: Registry, events: list[StageEvent]) -> None:
    """Not when the first one came."""
    left = registry.set_stage("iris", 3, "archived")
    assert left is not None
    with pytest.raises(
        StageNotAssigned, match="its last version left it at " + re.escape(left.at.isoformat())
    ):
        registry.resolve([then(left.at, left.stage)])


def test_the_date_that_the_error_names_can_be_asked_for(registry: Registry, events: list[StageEvent]) -> None:
    """Whoever follows the advice gets the first version."""
    with pytest.raises(StageNotAssigned) as caught:
        registry.resolve([then(events[0].at - MICROSECOND)])

    assert number(registry, then(datetime.fromisoformat(str(caught.value.first)))) == 1


def test_what_never_was_in_use_says_so(registry: Registry, events: list[StageEvent]) -> None:
    """A stage that nobody ever held; a model that does not exist; a default is used instead of the error."""
    time = events[-1].at
    with pytest.raises(
        StageNotAssigned, match=r"'rose' was in stage 'staging'.*has never had a version.*1 \(production\)"
    ):
        registry.resolve([then(time, "staging", "rose")])
    with pytest.raises(ModelNotFound, match="iris, rose"):
        registry.resolve([then(time, model="tulip")])

    assert registry.resolve([then(time, "staging", "rose", default=0)])[0].value == 0


def test_a_stage_that_was_vacant_then_is_an_error(registry: Registry, events: list[StageEvent]) -> None:
    """From archiving to the next promotion nobody held it; before and after, somebody did."""
    out = registry.set_stage("iris", 1, "archived")
    assert out is not None
    back = promote(registry, 2)
    for time in (out.at, back.at - MICROSECOND):
        with pytest.raises(StageNotAssigned, match="was in stage 'production' as of"):
            registry.resolve([then(time)])

    assert [number(registry, then(time)) for time in (out.at - MICROSECOND, back.at)] == [1, 2]


def test_a_version_deleted_since_is_named(registry: Registry, events: list[StageEvent]) -> None:
    """Its holder then is a tombstone now: neither the next nor the last one is given instead."""
    with registry._database.engine.begin() as connection:
        connection.execute(text("UPDATE mr_version SET state = 'deleted' WHERE number = 2"))
    time = of(events, "production", "iris")[1].at
    with pytest.raises(VersionDeleted, match=r"iris@2 was in stage 'production' as of .* deleted since"):
        registry.resolve([then(time)])

    assert number(registry, then(time - MICROSECOND)) == 1


@pytest.fixture
def clock(registry: Registry, events: list[StageEvent], monkeypatch: pytest.MonkeyPatch) -> datetime:
    """The registry's clock stands an hour behind the time of the last promotion; that time."""
    if not registry._database.is_sqlite:
        ahead = "last_event_at = clock_timestamp() + interval '1 hour' RETURNING last_event_at"
        with registry._database.engine.begin() as connection:
            found: datetime = connection.execute(text(f"UPDATE mr_registry SET {ahead}")).scalar_one()
        return found
    last = events[-1].at

    class Slow(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return (last - timedelta(hours=1)).astimezone(tz)

    monkeypatch.setattr(columns, "datetime", Slow)
    return last


def test_times_never_run_backwards(registry: Registry, events: list[StageEvent], clock: datetime) -> None:
    """The clock stands still in the past: promotions follow each other by a microsecond, and can be told apart."""
    later = [promote(registry, index) for index in (2, 3, 1, 2)]

    assert [event.at - clock for event in later] == [MICROSECOND * step for step in (1, 2, 3, 4)]
    assert [number(registry, then(event.at)) for event in later] == [2, 3, 1, 2]
    assert number(registry, then(clock)) == 1
    history = [event.at for event in registry.history("iris")]
    assert history == sorted(history, reverse=True)


def test_pins_are_kept_per_time(registry: Registry, events: list[StageEvent]) -> None:
    """Of a run and of a try: one for each time and one for now, whatever is promoted afterwards."""
    times = [*(event.at for event in of(events, "production", "iris")), datetime.now(UTC) + timedelta(days=1)]
    asked = [Reference("iris", Selector.parse("production")), *map(then, times)]
    for_the_run, retry = [item.but(pin="run") for item in asked], ATTEMPT._replace(attempt_id="ti-2")
    registry.record(registry.resolve(asked, ATTEMPT), ATTEMPT)
    registry.resolve(for_the_run, Attempt(RUN, "report", "ti-3"))
    promote(registry, 3)
    again = [(asked, ATTEMPT), (for_the_run, ATTEMPT), (for_the_run, retry), (asked, retry)]
    found = [[str(item.version) for item in registry.resolve(*one)] for one in again]

    kept = ["iris@1", "iris@1", "iris@2", "iris@3", "iris@1", "iris@1"]
    assert found == [kept, kept, kept, ["iris@3", *kept[1:-1], "iris@3"]]
    assert registry.drop_run_pins(RUN) == 6


def resolver(registry: Registry, dates: dict[str, datetime | None], rendered: str = "") -> Resolver:
    """A task of a run that has these dates, in which templates give this text."""
    workspace: Any = Workspace(Address(registry.url, "", "argument"), registry, store=Any)
    return Resolver(
        ATTEMPT, lambda _: workspace, logging.getLogger(), Moment(lambda _: rendered, lambda: dates)
    )


def test_the_first_date_that_the_run_has_counts(registry: Registry, events: list[StageEvent]) -> None:
    """A run without any of them is told which it has."""
    one, two, three, _ = (event.at for event in of(events, "production", "iris"))
    dates = {"logical_date": None, "data_interval_end": two, "run_after": three}
    named = (
        ("logical_date", "run_after"),
        ("data_interval_end", "run_after"),
        ("logical_date", one),
        "run_after",
    )
    task = resolver(registry, dates)
    found = task.resolve([Model("iris", version="production", as_of=item).reference for item in named])

    assert [item.version.number for item in found if item.version] == [3, 2, 1, 3]
    with pytest.raises(
        NoRunDate, match=r"iris\[production as of logical_date\].*data_interval_end, run_after\."
    ):
        task.resolve([Model("iris", version="production", as_of="logical_date").reference])


def test_a_template_with_a_time_must_give_a_stage(registry: Registry, events: list[StageEvent]) -> None:
    """What it gives is known when the task runs."""
    time = of(events, "staging", "iris")[1].at
    asked = Model("iris", version="{{ params.version }}", as_of=time).reference

    assert number(registry, resolver(registry, {}, " staging ").resolve([asked])[0].reference) == 2
    for given in ("3", "latest", "v1"):
        with pytest.raises(InvalidSelector, match="as_of needs a stage"):
            resolver(registry, {}, given).resolve([asked])
