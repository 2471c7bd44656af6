"""A local run and a run under the scheduler: same versions, outputs, records and errors."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from airflow_model_provider import Client

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_model_provider.pipelines.results import PipelineResult
    from tests.support.airflow_runtime import AirflowRuntime

FILE = Path(__file__).parent / "dags" / "both_ways.py"
RUNS: list[tuple[str, dict[str, Any]]] = [
    ("both_no_artifact", {}),
    ("both_training", {"c": 1.0}),
    ("both_scoring", {}),
    ("both_training", {"c": 0.01}),
    ("both_scoring", {}),
    ("both_empty_stage", {}),
    ("both_no_artifact", {}),
    ("both_no_key", {}),
    ("both_unserializable", {}),
    ("both_failing", {"c": 0.25}),
    ("both_training", {}),
    ("both_mapping", {"count": 3}),
]
ARTIFACTS = [
    "both_features",
    "both_labels",
    "both_model",
    "both_fold",
    "both_summary",
    "both_shards",
    "both_gathered",
    "both_predictions",
    "both_used",
    "both_lock",
]


class World(Protocol):
    """Where a pipeline can run."""

    registry: Client

    def run(self, pipeline: str, params: dict[str, Any]) -> tuple[str, dict[str, str], dict[str, str]]:
        """Run it; return the run's id, the states of its tasks, and the errors of those that failed."""


class Local:
    """The file as a program."""

    def __init__(self, registry: Client) -> None:
        self.registry = registry
        spec = importlib.util.spec_from_file_location("both_ways", FILE)
        assert spec is not None
        assert spec.loader is not None
        self.module = sys.modules["both_ways"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.module)

    def run(self, pipeline: str, params: dict[str, Any]) -> tuple[str, dict[str, str], dict[str, str]]:
        """Here and now."""
        result: PipelineResult = getattr(self.module, pipeline).run(
            registry=self.registry, raise_on_failure=False, **params
        )
        errors = {name: step.error for name, step in result.steps.items() if step.error is not None}
        return (
            result.run_id,
            {name: step.state for name, step in result.steps.items()},
            # The registry is one of a URL here, and of the default connection there.
            {
                name: f"{type(error).__name__}: {error}".replace(" --conn-id CONNECTION", "")
                for name, error in errors.items()
            },
        )


class Scheduled:
    """The file as DAGs of a running Airflow."""

    def __init__(self, airflow: AirflowRuntime) -> None:
        self.registry = Client(airflow.registry_url, store=str(airflow.store))
        self._airflow = airflow

    def run(self, pipeline: str, params: dict[str, Any]) -> tuple[str, dict[str, str], dict[str, str]]:
        """As a Dag run."""
        run_id = self._airflow.trigger(pipeline, conf=params)
        self._airflow.wait_run(pipeline, run_id)
        states: dict[str, str] = {}
        errors: dict[str, str] = {}
        for name, (task, *_) in self._airflow.task_instances(pipeline, run_id).items():
            if name.startswith("close_"):
                continue  # the teardown that says that mapped tasks are through; a local run knows
            states[name] = task["state"]
            if task["state"] == "failed":
                assert task["try_number"] == 1, f"{name} burnt retries"
                errors[name] = self._airflow.error(pipeline, run_id, name)
        return run_id, states, errors


def told(world: World) -> Iterator[dict[str, Any]]:
    """Run everything, and tell after each run what can be seen."""
    registry = world.registry
    for pipeline, params in RUNS:
        run_id, states, errors = world.run(pipeline, params)
        yield {
            "pipeline": pipeline,
            "states": states,
            "errors": errors,
            "versions": versions(registry),
            "records": sorted(
                map(record, registry.list_resolutions(dag_id=pipeline, run_id=run_id)), key=str
            ),
            "artifacts": [known for name in ARTIFACTS if (known := newest(registry, name))],
        }


class Stories:
    """What a world tells; each run is made when its story is first asked for, so that no test waits for all of them."""

    def __init__(self, world: World) -> None:
        self._told, self._known = told(world), list[dict[str, Any]]()

    def of(self, number: int) -> dict[str, Any]:
        """What was told after a run."""
        while len(self._known) <= number:
            self._known.append(next(self._told))
        return self._known[number]


def versions(registry: Client) -> list[tuple[Any, ...]]:
    """Every version of the model, newest first."""
    try:
        found = registry.list_model_versions("both_ways")
    except LookupError:
        return []
    return [(item.number, str(item.state), item.record.stages, dict(item.run_metadata)) for item in found]


def record(found: Any) -> tuple[Any, ...]:
    """What a resolution says, without run and time."""
    at = (found.attempt.task_id, found.attempt.map_index, found.attempt.try_number)
    asked = (found.model, found.selector, found.wanted)
    return (*at, *asked, found.number, found.artifact, found.artifact_number, found.digest, found.resolved)


def newest(registry: Client, name: str) -> tuple[Any, ...] | None:
    """The newest artifact of a name."""
    try:
        found = registry.get_artifact(name)
    except LookupError:
        return None
    made_by = found.record.map_index
    return name, found.number, str(found.kind), found.digest, dict(found.metadata), made_by, str(found.load())


@pytest.fixture(scope="module")
def both(airflow: AirflowRuntime, tmp_path_factory: pytest.TempPathFactory) -> tuple[Stories, Stories]:
    """What is told of the same runs, here and under the scheduler."""
    folder = tmp_path_factory.mktemp("local")
    local = Local(Client(f"sqlite:///{folder / 'registry.db'}", store=str(folder / "store")))
    return Stories(local), Stories(Scheduled(airflow))


@pytest.mark.parametrize(
    "number", range(len(RUNS)), ids=[f"{number}-{run[0]}" for number, run in enumerate(RUNS)]
)
def test_both_ways_tell_the_same(both: tuple[Stories, Stories], number: int) -> None:
    """States, errors, versions, records and artifacts after each of the runs."""
    local, scheduled = both[0].of(number), both[1].of(number)

    assert local == scheduled


def test_what_both_ways_tell_is_right(both: tuple[Stories, Stories]) -> None:
    """They agree on the truth."""
    stories = [both[0].of(number) for number in range(len(RUNS))]
    numbers = [[version[0] for version in story["versions"]] for story in stories]
    assert numbers == [
        [],
        [1],
        [1],
        [2, 1],
        [2, 1],
        [2, 1],
        [2, 1],
        [2, 1],
        [2, 1],
        [3, 2, 1],
        *[[4, 3, 2, 1]] * 2,
    ]
    states = {version[0]: version[1:3] for version in stories[-1]["versions"]}
    assert states == {4: ("ready", ("production",)), 3: ("failed", ()), 2: ("ready", ()), 1: ("ready", ())}
    used = [[row[6] for row in story["records"] if row[7] == "both_model"] for story in stories]
    assert [used[2], used[4]] == [[1], [2]]
    assert [story["states"] for story in stories if story["errors"]] == [
        {"use": "failed"},
        {"summarize": "failed", "promote": "upstream_failed"},
        {"use": "failed"},
        {"use": "failed"},
        {"lock": "failed", "use": "upstream_failed"},
        {"fail": "failed", "use": "upstream_failed"},
    ]
    said = [error for story in stories for error in story["errors"].values()]
    starts = ["ModelNotFound", "StageNotAssigned", "ArtifactNotFound", "MetadataNotFound", "NotSerializable"]
    assert [error.split(":")[0] for error in said] == [*starts, "ValueError"]
    assert "both_model" in said[2]
    (gathered,) = [known[-1] for known in stories[-1]["artifacts"] if known[0] == "both_gathered"]
    assert gathered == "['tuple', 'up to 0: 500 of 0', 'up to 1: 500 of 1', 'up to 2: 500 of 2']"
    assert not any(known[0] in ("both_used", "both_lock") for known in stories[-1]["artifacts"])


def test_a_retried_training_task_makes_no_extra_version(airflow: AirflowRuntime) -> None:
    """The first try fails after it wrote into the version; the second goes on with the same one."""
    registry = Client(airflow.registry_url, store=str(airflow.store))
    run_id = airflow.trigger("retried")

    assert airflow.wait_run("retried", run_id) == "success", airflow.failures("retried", run_id)
    (version,) = registry.list_model_versions("retried")
    assert (version.number, str(version.state)) == (1, "ready")
    assert version.get_model_artifact("retried_model").load() == [2]
    assert version.run_metadata["try"] == 2
