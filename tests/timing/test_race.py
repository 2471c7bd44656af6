"""Promotions every 50 ms from another process, while mapped tasks run."""

from __future__ import annotations

import multiprocessing
import time
from bisect import bisect
from contextlib import contextmanager
from datetime import UTC
from statistics import median
from typing import TYPE_CHECKING, Any

import pytest

from airflow_model_provider.registry.registry import Registry
from tests.timing.conftest import RACE_SIZE as SIZE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_model_provider import Client
    from airflow_model_provider.registry.entities import ResolutionRecord
    from tests.support.timed_airflow import Airflow
    from tests.timing.conftest import Make

SPAWN = multiprocessing.get_context("spawn")
MODELS = ("race_task", "race_run")
VERSIONS, PAUSE = 8, 0.05


def promote(url: str, stop: Any, told: Any) -> None:
    """Promote the next version of both models every 50 ms; tell how often, and what went wrong."""
    rounds, errors, due = 1, [], time.monotonic()
    with Registry.open(url) as registry:
        while not stop.wait(max(0.0, due - time.monotonic())):
            due = max(due + PAUSE, time.monotonic())
            try:
                for model in MODELS:
                    registry.set_stage(model, rounds % VERSIONS + 1, "production", force=True)
            except Exception as err:
                errors.append(repr(err))
            rounds += 1
    told.put(errors)


@contextmanager
def promotions(url: str) -> Iterator[list[str]]:
    """Inside the block another process promotes; what went wrong there is in the list after the block."""
    stop, told, errors = SPAWN.Event(), SPAWN.Queue(), []
    process = SPAWN.Process(target=promote, args=(url, stop, told))
    process.start()
    try:
        yield errors
    finally:
        stop.set()
        errors += told.get(timeout=60)
        process.join()


class Race:
    """One race, and what was seen of it."""

    def __init__(self, airflow: Airflow, registry: Client) -> None:
        with promotions(airflow.registry_url) as self.errors:
            self.run_id = airflow.trigger("race")
            airflow.succeed("race", self.run_id, timeout=60 + SIZE)
        self.instances = airflow.instances("race", self.run_id, "take")
        self.taken = airflow.returned("race", self.run_id, "take")
        self.stock = airflow.returned("race", self.run_id, "stock")
        self.records = registry.list_resolutions(dag_id="race", run_id=self.run_id, limit=None)
        self.events = sorted(event.at for event in registry.get_model("race_task").history())

    def recorded(self, task_id: str, wanted: str) -> dict[int, ResolutionRecord]:
        """Return what instances of a task have recorded for a reference, by map index."""
        return {
            item.attempt.map_index: item
            for item in self.records
            if (item.attempt.task_id, item.wanted) == (task_id, wanted)
        }

    def result(self) -> dict[str, Any]:
        """Say how hard the race was."""
        begun = min(item.start for item in self.instances.values())
        ended = max(item.end for item in self.instances.values())
        times = [event.astimezone(UTC) for event in self.events]
        during = [bisect(times, item.end) - bisect(times, item.start) for item in self.instances.values()]
        return {
            "instances": len(self.taken),
            "seconds": round((ended - begun).total_seconds()),
            "promotions of each model": bisect(times, ended) - bisect(times, begun),
            "promotions while one instance ran, median": median(during),
            "versions that tasks got with pin=task": len({taken[0] for taken in self.taken.values()}),
            "versions that tasks got with pin=run": len({taken[2] for taken in self.taken.values()}),
            "instances whose artifact and number differ": sum(a != b for a, b, _ in self.taken.values()),
            "instances tried again": sum(item.try_number > 1 for item in self.instances.values()),
            "errors while promoting": len(self.errors),
        }


@pytest.fixture(scope="module")
def race(airflow: Airflow, registry: Client, make: Make) -> Race:
    """All questions are about one race."""
    for model in MODELS:
        make(model, VERSIONS)
        registry.get_model_version(model, 1).set_stage("production")
    return Race(airflow, registry)


def test_the_race_was_a_race(race: Race, record_property: Callable[[str, object], None]) -> None:
    """Stages moved all the time while tasks ran, without a single error on either side."""
    result = race.result()
    for name, value in result.items():
        record_property(name, value)

    assert race.errors == []
    assert len(race.taken) == SIZE
    assert {(item.state, item.try_number) for item in race.instances.values()} == {("success", 1)}
    assert result["versions that tasks got with pin=task"] == VERSIONS
    assert result["promotions while one instance ran, median"] >= 1


def test_what_a_task_asks_of_one_version_is_of_one_version(race: Race) -> None:
    """An artifact and a number of the same stage never come from two versions."""
    torn = {index: taken for index, taken in race.taken.items() if taken[0] != taken[1]}

    assert torn == {}


def test_the_record_names_what_was_loaded(race: Race) -> None:
    """For every instance and every reference, the registry names the version whose bytes the task had."""
    artifacts = race.recorded("take", "race_task[production]/marker")
    numbers = race.recorded("take", "race_task[production].number")
    of_run = race.recorded("take", "race_run[production]/marker")

    assert len(race.records) == 3 * SIZE + 3
    assert {
        index: [artifacts[index].number, numbers[index].number, of_run[index].number] for index in artifacts
    } == race.taken


def test_all_tasks_of_a_run_share_its_pin(race: Race) -> None:
    """Steps and stock tasks alike: one version for the whole run, which is also what the records say."""
    (pinned,) = {taken[2] for taken in race.taken.values()}

    assert race.stock == dict.fromkeys(range(3), pinned)
    assert {item.number for item in race.records if item.model == "race_run"} == {pinned}
