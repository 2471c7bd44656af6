"""Tasks that are cleared after a promotion."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from airflow_model_provider.references import Reference
from airflow_model_provider.registry.entities import RunKey
from airflow_model_provider.registry.registry import Registry
from airflow_model_provider.selectors import Selector
from airflow_model_provider.task_context import attempt_of

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_model_provider import Client
    from tests.support.timed_airflow import Airflow
    from tests.timing.conftest import Make

MODELS = ("cleared_task", "cleared_run")


def clear(airflow: Airflow, run_id: str) -> list[int]:
    """Run the step again and return what it got."""
    airflow.clear("cleared", run_id, ["use"])
    airflow.succeed("cleared", run_id)
    return list(airflow.returned("cleared", run_id, "use")[-1])


def test_a_cleared_task_keeps_the_runs_pin_until_it_is_dropped(
    airflow: Airflow, registry: Client, make: Make
) -> None:
    """After a promotion a cleared task gets the new version with pin="task" only, and both once pins are gone."""
    for model in MODELS:
        make(model, 2)
        registry.get_model_version(model, 1).set_stage("production")
    run_id = airflow.trigger("cleared")
    airflow.succeed("cleared", run_id)
    got = [airflow.returned("cleared", run_id, "use")[-1]]
    for model in MODELS:
        registry.get_model_version(model, 2).set_stage("production", force=True)
    got.append(clear(airflow, run_id))
    dropped = registry.workspace.registry.drop_run_pins(RunKey("default", "cleared", run_id))
    got.append(clear(airflow, run_id))

    assert got == [[1, 1], [2, 1], [2, 2]]
    assert dropped == 1


def test_another_deployment_has_pins_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two Airflows with runs of the same name share a registry, and neither sees or drops the other's pins."""
    reference = Reference("iris", Selector.parse("production"), pin="run")

    def got(registry: Registry, deployment: str, try_number: int) -> int:
        monkeypatch.setenv("AIRFLOW__MODEL_REGISTRY__DEPLOYMENT", deployment)
        ti = SimpleNamespace(
            id=f"{deployment}-{try_number}",
            dag_id="scoring",
            run_id="monday",
            task_id="use",
            map_index=-1,
            try_number=try_number,
        )
        (found,) = registry.resolve([reference], attempt_of({"ti": ti}))
        assert found.version is not None
        return found.version.number

    with Registry.open(f"sqlite:///{tmp_path / 'registry.db'}") as registry:
        numbers = [registry.create_version("iris").number for _ in range(3)]
        registry.set_stage("iris", 1, "production")
        first = got(registry, "north", 1)
        registry.set_stage("iris", 2, "production", force=True)
        both = [got(registry, name, 2) for name in ("north", "south")]
        registry.set_stage("iris", 3, "production", force=True)
        dropped = registry.drop_run_pins(RunKey("north", "scoring", "monday"))
        after = [got(registry, name, 3) for name in ("north", "south")]

        assert numbers == [1, 2, 3]
        assert (first, both, dropped, after) == (1, [1, 2], 1, [3, 2])
