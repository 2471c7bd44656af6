"""Each DAG that waits for promotions is woken for itself, whatever becomes of the others."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any

import pytest

from airflow_model_provider.triggers.wakeups import REPEAT
from tests.support.soak import TIMES

if TYPE_CHECKING:
    from airflow_model_provider import Client
    from tests.support.timed_airflow import Airflow

PROMOTIONS = 20 * TIMES
HEALTHY = ("healthy_pipeline", "healthy_dag")
PAUSED = ("rests_1", "rests_2", "rests_stock")
GOES = '''"""Airflow dag."""
from waiting_dags import PRODUCTION, claimed
from airflow_model_provider import pipeline
'''
DAG = """
@pipeline(name="{name}", schedule=PRODUCTION)
def {name}():
    claimed()
"""
#: The first task of a new DAG's first run kills its process, so that no step of that run ever starts.
NEW = '''"""Airflow dag."""
import os, signal
from pathlib import Path
from airflow.sdk import dag, task
from waiting_dags import PRODUCTION, claimed

@task
def prepare() -> None:
    try:
        Path(__file__).with_suffix(".mark").touch(exist_ok=False)
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)

@dag(schedule=PRODUCTION)
def {name}():
    prepare() >> claimed()

{name}()
'''


class Watch:
    """What the DAGs of a running Airflow have had so far."""

    def __init__(self, airflow: Airflow) -> None:
        self.airflow = airflow

    def claims(self, dag_id: str) -> list[int]:
        """All promotions that runs of a DAG have claimed."""
        rows = self.airflow.rows(
            "SELECT run_id FROM dag_run WHERE dag_id = ? AND state = 'success' ORDER BY id", dag_id
        )
        found: list[int] = []
        for (run_id,) in rows:
            found += self.airflow.returned(dag_id, run_id, "claimed").get(-1) or []
        return found

    def runs(self, dag_id: str) -> list[str]:
        """The states of all runs of a DAG."""
        return [state for (state,) in self.airflow.rows("SELECT state FROM dag_run WHERE dag_id = ?", dag_id)]

    def events(self, dag_id: str) -> int:
        """How many wake-ups Airflow has written for a DAG."""
        query = """SELECT count(*) FROM asset_event e JOIN asset a ON a.id = e.asset_id
            WHERE a.uri = 'model://default/runner/production?dag=' || ?"""
        ((number,),) = self.airflow.rows(query, dag_id)
        return int(number)

    def is_watched(self, dag_id: str) -> bool:
        """Whether Airflow has a trigger that wakes a DAG."""
        query = """SELECT count(*) FROM asset_watcher w JOIN asset a ON a.id = w.asset_id
            WHERE a.uri = 'model://default/runner/production?dag=' || ?"""
        return self.airflow.rows(query, dag_id) != [(0,)]


def promote(registry: Client) -> int:
    """Promote a new version, and return the number of the event."""
    registry.register_model_version("runner", stage="production", force=True)
    return int(registry.get_model("runner").history("production")[0].sequence)


@pytest.fixture(scope="module")
def watch(airflow: Airflow, registry: Client) -> Watch:
    """All have claimed a first promotion; then some were paused, removed or renamed, and two are new."""
    watch = Watch(airflow)
    removed = GOES + DAG.format(name="removed_1") + DAG.format(name="removed_2")
    (airflow.dags / "removed_ones.py").write_text(removed)
    (airflow.dags / "renamed_one.py").write_text(GOES + DAG.format(name="old_name"))
    everyone = (*HEALTHY, "stock_only", *PAUSED, "removed_1", "removed_2", "old_name")
    airflow.wait_for(lambda: all(watch.is_watched(dag_id) for dag_id in everyone), timeout=60)
    promote(registry)
    airflow.wait_for(lambda: all("success" in watch.runs(dag_id) for dag_id in everyone), timeout=90)

    (airflow.dags / "removed_ones.py").unlink()
    (airflow.dags / "renamed_one.py").write_text(GOES + DAG.format(name="new_name"))
    for name in ("new_1", "new_2"):
        (airflow.dags / f"{name}.py").write_text(NEW.format(name=name))
    for dag_id in PAUSED:
        airflow.pause(dag_id)
    new, gone = ("new_1", "new_2", "new_name", *HEALTHY), (*PAUSED, "removed_1", "removed_2")
    airflow.wait_for(lambda: all(watch.is_watched(dag_id) for dag_id in new), timeout=60)

    def forgotten() -> bool:
        airflow.reparse(*PAUSED)  # Airflow looks whose asset nobody waits for when it parses a file
        return not any(watch.is_watched(dag_id) for dag_id in gone)

    airflow.wait_for(forgotten, timeout=120)
    return watch


def test_each_dag_is_woken_for_itself(airflow: Airflow, registry: Client, watch: Watch) -> None:
    """Twenty promotions: healthy and new ones claim each once, standard tasks run once at most, others do nothing."""
    quiet = (*PAUSED, "removed_1", "removed_2")
    before: dict[str, Any] = {
        dag_id: (watch.runs(dag_id), watch.events(dag_id)) for dag_id in (*quiet, "old_name", "stock_only")
    }
    promoted, begun = [], time.monotonic()
    for _ in range(PROMOTIONS):
        promoted.append(promote(registry))
        time.sleep(random.choice([0, 0.1, 0.5, 1.5]))  # the moments are what is tried

    def settled() -> bool:
        return all(
            watch.claims(dag_id)[-1:] == promoted[-1:] and not {"running", "queued"} & set(watch.runs(dag_id))
            for dag_id in (*HEALTHY, "new_1", "new_2", "new_name")
        )

    airflow.wait_for(settled, timeout=120)
    for dag_id in HEALTHY:
        assert watch.claims(dag_id)[1:] == promoted
        assert watch.events(dag_id) == len(watch.runs(dag_id)) <= PROMOTIONS + 1
    for dag_id in ("new_1", "new_2"):
        assert watch.runs(dag_id)[0] == "failed"
        assert watch.claims(dag_id)[-PROMOTIONS:] == promoted
    assert watch.claims("new_name")[-PROMOTIONS:] == promoted
    assert 1 <= len(watch.runs("stock_only")) - len(before["stock_only"][0]) <= PROMOTIONS
    for dag_id in quiet:
        assert (watch.runs(dag_id), watch.events(dag_id)) == before[dag_id]
    # Airflow itself needs a minute to see that a file has lost a DAG, and runs it until then.
    assert watch.events("old_name") - before["old_name"][1] <= 2 + (time.monotonic() - begun) / REPEAT


def test_paused_ones_catch_up(airflow: Airflow, registry: Client, watch: Watch) -> None:
    """With what was promoted meanwhile, and no further promotion."""
    runs = {dag_id: len(watch.runs(dag_id)) for dag_id in (*HEALTHY, "stock_only")}
    for dag_id in PAUSED:
        airflow.unpause(dag_id, runs=False)
    airflow.reparse("rests_1")
    steps = ("rests_1", "rests_2")
    everything = sorted(event.sequence for event in registry.get_model("runner").history("production"))
    airflow.wait_for(
        lambda: (
            all(watch.claims(dag_id) == everything for dag_id in steps)
            and watch.runs("rests_stock") == ["success", "success"]
        ),
        timeout=90,
    )

    assert [len(watch.runs(dag_id)) for dag_id in steps] == [2, 2]
    assert {dag_id: len(watch.runs(dag_id)) for dag_id in runs} == runs
