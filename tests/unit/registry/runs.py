"""A training run of three tasks, and what these do to the version that it makes."""

from __future__ import annotations

from airflow_model_provider.registry.artifacts import NewArtifact
from airflow_model_provider.registry.entities import ArtifactRecord, Attempt, Link, Payload, Relation, RunKey
from airflow_model_provider.registry.registry import Registry
from airflow_model_provider.selectors import ArtifactType, Selector

RUN = RunKey("default", "training", "manual__1")
PARTS = {"train": True, "evaluate": True, "notify": False}
PROMOTE = Attempt(RUN, "promote", "try 1")


def begin(registry: Registry, producer: str = "train", run: RunKey = RUN, **more: object) -> int:
    """The id of the version that a run makes."""
    return registry.version_for_run("iris", run, producer=producer, producers=PARTS, **more).id  # type: ignore[arg-type]


def save(
    registry: Registry, version_id: int, attempt: Attempt, name: str = "model", output: str | None = None
) -> ArtifactRecord:
    """Register an artifact of a version that a task has made; the output of that name, or one that its code saves."""
    payload = Payload("0" * 64, 3, "json", 1, ("builtins.dict",))
    life = registry.intend_blob(payload.digest, payload.size).life
    links = [Link(version_id, Relation.OUTPUT)]
    return registry.register_artifact(
        NewArtifact(name, payload, ArtifactType.DATA, life, output=output, attempt=attempt, links=links)
    )


def state(registry: Registry, number: int = 1) -> str:
    """The state of a version."""
    return registry.get_version("iris", Selector.parse(number)).state.value
