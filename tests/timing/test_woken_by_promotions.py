"""A promotion from anywhere starts each DAG that waits for it, once."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.support.soak import TIMES

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_model_provider import Client
    from tests.support.timed_airflow import Airflow

CONSUMERS = ("first_consumer", "second_consumer")
#: Promotions and restarts under kills: 40 and two, in the long form 500 and twenty.
PROMOTIONS, RESTARTS = (40, 2) if TIMES == 1 else (500, 20)
PROGRAM = """
import sys
from airflow_model_provider import Client
Client(sys.argv[1], store=sys.argv[2]).register_model_version("racer", stage="production", force=True)
"""


class Run(NamedTuple):
    """What a run of a consumer has told."""

    state: str
    number: int | None
    claimed: list[int]


def runs(airflow: Airflow, dag_id: str) -> dict[str, Run]:
    """All runs of a consumer, in the order in which they were made."""
    states = airflow.rows("SELECT run_id, state FROM dag_run WHERE dag_id = ? ORDER BY id", dag_id)
    told: dict[str, Run] = {}
    for run_id, state in states:
        said: Any = airflow.returned(dag_id, run_id, "claimed").get(-1) or {}
        claimed = [number for first, last in said.get("claimed", []) for number in range(first, last + 1)]
        told[run_id] = Run(state, said.get("number"), claimed)
    return told


def claimed(airflow: Airflow, dag_id: str) -> list[int]:
    """The sequence numbers that runs of a consumer have claimed, in the order of the runs."""
    return [sequence for run in runs(airflow, dag_id).values() for sequence in run.claimed]


def promoted(registry: Client) -> list[int]:
    """The sequence numbers of all promotions, oldest first."""
    return sorted(event.sequence for event in registry.get_model("racer").history("production"))


def settled(airflow: Airflow, registry: Client) -> bool:
    """Whether each of the DAGs has claimed everything, and all their runs have ended."""
    wanted = promoted(registry)
    return all(
        sorted(claimed(airflow, dag_id)) == wanted
        and all(run.state in ("success", "failed") for run in runs(airflow, dag_id).values())
        for dag_id in CONSUMERS
    )


def started_by(airflow: Airflow, registry: Client, promote: Callable[[], object]) -> tuple[int, int]:
    """Promote while nothing else happens; return the new version's number, and how many runs each DAG had for it."""
    before = {dag_id: set(runs(airflow, dag_id)) for dag_id in CONSUMERS}
    promote()
    airflow.wait_for(lambda: settled(airflow, registry), timeout=90)
    new = [
        [run for run_id, run in runs(airflow, dag_id).items() if run_id not in before[dag_id]]
        for dag_id in CONSUMERS
    ]
    assert {run.state for found in new for run in found} == {"success"}, airflow.failures(CONSUMERS[0], "")
    numbers = {run.number for found in new for run in found}
    assert len(numbers) == 1
    assert len(new[0]) == len(new[1])
    return int(numbers.pop() or 0), len(new[0])


def holder(registry: Client) -> int:
    """The number of the version in production."""
    return int(registry.get_model_version("racer", "production").number)


def test_another_process_promotes(airflow: Airflow, registry: Client) -> None:
    """One that only has the library; the model wasn't there when the DAGs were parsed."""
    arguments = [sys.executable, "-c", PROGRAM, airflow.registry_url, str(airflow.store)]

    assert started_by(airflow, registry, lambda: subprocess.run(arguments, check=True)) == (
        holder(registry),
        1,
    )


def test_the_command_line_promotes(airflow: Airflow, registry: Client) -> None:
    """With a reason, which the event carries."""
    registry.register_model_version("racer")
    command = ("model-registry", "promote", "racer", "2", "production", "--force", "--reason", "by hand")

    assert started_by(airflow, registry, lambda: airflow.airflow(*command)) == (2, 1)
    (row,) = airflow.rows("SELECT extra FROM asset_event ORDER BY id DESC LIMIT 1")
    assert '"why": "by hand"' in row[0]


def test_a_rollback_starts_them_with_the_restored_version(airflow: Airflow, registry: Client) -> None:
    """One command."""
    earlier = registry.get_model("racer").history("production")[0].previous
    command = ("model-registry", "rollback", "racer", "production", "--reason", "worse in the field")

    assert started_by(airflow, registry, lambda: airflow.airflow(*command)) == (earlier, 1)


def test_a_task_promotes_and_fails(airflow: Airflow, registry: Client) -> None:
    """The promotion stands and is delivered; the history names the run and the task."""
    run_id = airflow.trigger("promotes_and_fails")
    found = started_by(airflow, registry, lambda: airflow.wait_run("promotes_and_fails", run_id))
    (event, *_) = registry.get_model("racer").history("production")

    assert airflow.run_state("promotes_and_fails", run_id) == "failed"
    assert found == (holder(registry), 1)
    assert (event.run and event.run.run_id, event.task_id, event.reason) == (
        run_id,
        "promote_and_fail",
        "before the end",
    )


def test_what_a_run_has_claimed_stays(airflow: Airflow, registry: Client) -> None:
    """Its other tasks, and its cleared ones, see the version that started it, whatever was promoted since."""
    first = next(iter(runs(airflow, "first_consumer")))
    airflow.clear("first_consumer", first, ["claimed", "again"])
    airflow.wait_run("first_consumer", first)

    assert runs(airflow, "first_consumer")[first] == Run("success", 1, promoted(registry)[:1])
    assert airflow.xcom("first_consumer", first, "again") == 1
    assert settled(airflow, registry)


def test_promotions_beside_kills_are_claimed_once(
    airflow: Airflow,
    registry: Client,
    alone: None,
    record_property: Callable[[str, object], None],
) -> None:
    """At random moments, in bursts too, some while everything is down: each by one run of each, the last one soon."""
    victims = ["scheduler", "triggerer"]
    before, down = len(promoted(registry)), PROMOTIONS // RESTARTS // 2
    for number in range(RESTARTS):
        if number % 2 == 0:  # kill what runs, then what has not come up yet
            airflow.wait_for(lambda: settled(airflow, registry), timeout=120)
        for _ in range(PROMOTIONS // RESTARTS - down):
            registry.register_model_version("racer", stage="production", force=True)
            time.sleep(random.choice([0, 0, 0.02, 0.1, 1.5]))  # the moments are what is tried
        airflow.kill(*victims)
        for _ in range(down):
            registry.register_model_version("racer", stage="production", force=True)
        airflow.start_again(*victims)
        restarted = time.monotonic()
    airflow.wait_for(lambda: settled(airflow, registry), timeout=120)
    taken = time.monotonic() - restarted

    record_property("promotions", PROMOTIONS)
    record_property("restarts", RESTARTS)
    record_property("seconds from the last restart until all were claimed", round(taken))
    assert len(promoted(registry)) - before == PROMOTIONS
    for dag_id in CONSUMERS:
        assert sorted(claimed(airflow, dag_id)) == promoted(registry)
    assert taken < 60
