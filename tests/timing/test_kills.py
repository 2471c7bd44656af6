"""Task processes that are killed, and what their second try finds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_model_provider.registry.entities import RunKey

if TYPE_CHECKING:
    from airflow_model_provider import Client
    from airflow_model_provider.registry.entities import ResolutionRecord
    from tests.support.timed_airflow import Airflow
    from tests.timing.conftest import Make

MOMENTS = ("before_load", "before_save", "in_save")


@pytest.fixture(scope="module")
def run_id(airflow: Airflow, registry: Client, make: Make) -> str:
    """A run in which every task is killed once, each after its references' stages moved from 1 to 2."""
    for name in (f"{moment}_{pin}" for moment in MOMENTS for pin in ("task", "run")):
        make(name, 2)
        registry.get_model_version(name, 1).set_stage("production")
    run_id = airflow.trigger("kills")
    airflow.succeed("kills", run_id)
    return run_id


@pytest.fixture(params=MOMENTS)
def moment(request: pytest.FixtureRequest) -> str:
    """When the first try was killed; also the task's id."""
    return str(request.param)


def test_the_second_try_gets_what_is_there_then_unless_the_run_has_pinned(
    airflow: Airflow, run_id: str, moment: str
) -> None:
    """A promotion after the first try had pinned: version 2 with pin="task", still 1 with pin="run"."""
    (instance,) = airflow.instances("kills", run_id, moment).values()

    assert (instance.state, instance.try_number) == ("success", 2)
    assert airflow.returned("kills", run_id, moment) == {-1: [2, 1]}
    assert "terminated by signal" in airflow.log("kills", run_id, moment, try_number=1)


def test_the_records_tell_of_both_tries(registry: Client, run_id: str, moment: str) -> None:
    """What the killed try had pinned stays on record, beside what the second one got."""
    records = registry.list_resolutions(dag_id="kills", run_id=run_id, limit=None)

    def told(item: ResolutionRecord) -> tuple[int, str | None, int | None]:
        return item.attempt.try_number, item.model, item.number

    assert sorted(told(item) for item in records if item.attempt.task_id == moment) == [
        (1, f"{moment}_run", 1),
        (1, f"{moment}_task", 1),
        (2, f"{moment}_run", 1),
        (2, f"{moment}_task", 2),
    ]


def test_the_output_is_there_once(registry: Client, run_id: str, moment: str) -> None:
    """Nothing of the killed try is visible; the second one's output is whole, and says which try made it."""
    made = registry.workspace.registry.made_in(RunKey("default", "kills", run_id))
    output = registry.get_artifact(f"killed_{moment}")

    assert [item.attempt.try_number for item in made if item.attempt.task_id == moment] == [2]
    assert (output.number, output.load()) == (1, [2, 1])
    assert sorted(map(str, output.used_versions())) == [f"{moment}_run@1", f"{moment}_task@2"]
