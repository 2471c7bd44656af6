"""Threads that a step's code starts act as that step; threads of anybody else don't."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from airflow_model_provider import (
    Client,
    Model,
    get_step_context,
    log_metadata,
    pipeline,
    save_artifact,
    step,
)
from airflow_model_provider.context import current_step

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_model_provider import ModelVersion

IRIS = Model("iris", version="production")


@pytest.fixture
def second(model_registry: Client) -> ModelVersion:
    """Two versions, of which the first is in production; return the other."""
    model_registry.register_model_version("iris", {"w": [1]}, stage="production")
    return model_registry.register_model_version("iris", {"w": [2]})


def test_a_thread_of_a_step_sees_its_pins(second: ModelVersion) -> None:
    """What is promoted while the step runs is another version in none of its threads."""
    seen: list[Any] = []

    @step
    def use(w: list[int]) -> None:
        second.set_stage("production", force=True)
        with ThreadPoolExecutor(4) as pool:
            seen.extend([w, *pool.map(lambda _: IRIS.load_artifact("w"), range(8))])
            seen.append(pool.submit(lambda: Client().get_model_version("iris", "production")).result().number)

    @pipeline
    def using() -> None:
        use(IRIS.get_artifact("w"))

    using()

    assert seen == [[1]] * 9 + [1]


def test_what_a_thread_of_a_step_does_is_the_step_s(second: ModelVersion, model_registry: Client) -> None:
    """Its promotions, metadata and artifacts are recorded as those of the task."""

    def work() -> str:
        log_metadata({"k": 1}, infer_model=True)
        save_artifact([3], "from_thread")
        get_step_context().model.set_stage("staging")
        Client().get_model_version("iris", 2).set_stage("production", force=True)
        return str(get_step_context().model)

    @step
    def act() -> str:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(work).result()

    @pipeline(model=IRIS)
    def acting() -> None:
        act()

    result = acting()
    version = model_registry.get_model_version("iris", 1)
    saved = model_registry.get_artifact("from_thread")

    assert result.steps["act"].output.load() == "iris@1"
    assert version.run_metadata["k"] == 1
    assert saved.made_by is not None
    assert saved.made_by.task_id == "act"
    assert [str(used) for used in saved.used_versions()] == ["iris@1", "iris@2"]
    assert [(event.task_id, event.who) for event in model_registry.get_model("iris").history()][:2] == [
        ("act", None)
    ] * 2


def call_in(pool: ThreadPoolExecutor, function: Callable[[], Any]) -> Any:
    """Call a function in a thread that exists already."""
    return pool.submit(function).result()


def test_a_pool_works_for_who_hands_it_work(model_registry: Client) -> None:
    """One of the program's that was there before, and one of an earlier step; between runs they work for nobody."""
    found: list[Any] = []
    kept: list[ThreadPoolExecutor] = []

    @step
    def first() -> int:
        kept.append(ThreadPoolExecutor(1))
        return call_in(kept[0], threading.get_ident)

    @step
    def look(_: int) -> None:
        found.extend(call_in(pool, current_step) for pool in (foreign, kept[0]))

    @pipeline
    def looking() -> None:
        look(first())

    with ThreadPoolExecutor(1) as foreign:
        call_in(foreign, threading.get_ident)
        looking()
        between = [call_in(pool, current_step) for pool in (foreign, kept[0])]
        kept[0].shutdown()

    assert [one.step for one in found] == ["look", "look"]
    assert between == [None, None]


def test_a_thread_that_outlives_a_run_is_the_next_one_s(second: ModelVersion) -> None:
    """A pool of a module is filled once; so is one that the program starts between its runs."""
    found: list[Any] = []
    pools: dict[str, ThreadPoolExecutor] = {}

    @step
    def look() -> None:
        if "own" not in pools:
            pools["own"] = ThreadPoolExecutor(1)
        found.append([current_step() is call_in(pool, current_step) for pool in pools.values()])

    @pipeline
    def looking() -> None:
        look()

    looking()
    pools["program"] = ThreadPoolExecutor(1)
    call_in(pools["program"], threading.get_ident)
    looking()
    for pool in pools.values():
        pool.shutdown()

    assert found == [[True], [True, True]]


def test_of_two_runs_at_a_time_each_has_its_own_threads(model_registry: Client) -> None:
    """A thread belongs to the step that has started it, at any depth; the one of a pool may start once a step runs."""
    both, found = threading.Barrier(2, timeout=60), []

    def started() -> Any:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(current_step).result()

    @step
    def look() -> None:
        both.wait()
        with ThreadPoolExecutor(1) as pool:
            found.append((current_step(), pool.submit(current_step).result(), pool.submit(started).result()))
        both.wait()

    @pipeline
    def looking() -> None:
        look()

    with ThreadPoolExecutor(2) as pool:
        for run in [pool.submit(looking.run) for _ in range(2)]:
            run.result()

    assert len({id(own) for own, _, _ in found}) == 2
    assert all(own is child is grandchild for own, child, grandchild in found)
    assert current_step() is None


def test_a_thread_that_the_program_starts_beside_a_run_is_not_the_step_s(model_registry: Client) -> None:
    """It may run a pipeline of its own meanwhile, and what it does is nobody's."""
    runs, may_end = threading.Event(), threading.Event()

    @step
    def hold() -> None:
        runs.set()
        assert may_end.wait(60)

    @pipeline
    def holding() -> None:
        hold()

    @step
    def use() -> None:
        pass

    @pipeline
    def using() -> None:
        use()

    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(holding.run)
        assert runs.wait(60)
        try:
            with ThreadPoolExecutor(1) as other:
                found, state = other.submit(current_step).result(), other.submit(using.run).result().state
        finally:
            may_end.set()
        held.result()

    assert found is None
    assert state == "success"


def test_what_is_handed_to_a_pool_of_two_runs_is_of_who_has_handed_it_over(model_registry: Client) -> None:
    """Whichever of them has started its thread."""
    first_used_it, second_is_done = threading.Event(), threading.Event()

    @step
    def first() -> None:
        pool.submit(int).result()
        first_used_it.set()
        assert second_is_done.wait(60)
        pool.submit(log_metadata, {"by": "first"}, infer_model=True).result()

    @step
    def second() -> None:
        assert first_used_it.wait(60)
        pool.submit(log_metadata, {"by": "second"}, infer_model=True).result()
        second_is_done.set()

    def run(one: Any) -> Any:
        return pipeline(name=one.__name__, model=Model(one.__name__))(lambda: one())()

    with ThreadPoolExecutor(1) as pool:
        runs = [threading.Thread(target=run, args=[one]) for one in (first, second)]
        for thread in runs:
            thread.start()
        for thread in runs:
            thread.join()

    for name in ("first", "second"):
        assert model_registry.get_model_version(name, "latest").run_metadata["by"] == name
