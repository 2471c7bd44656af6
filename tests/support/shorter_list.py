"""A mapped step whose list becomes shorter when a part of its run is cleared; run by ``run_shapes.py``."""

from __future__ import annotations

from typing import Annotated, Any

from airflow_model_provider import Client, Model, pipeline, step

NAME = "shorter_list"
REGIONS = ["north", "south", "west"]


@step
def regions() -> list[str]:
    """Return what the next step is mapped over."""
    return list(REGIONS)


@step
def train(region: str) -> Annotated[str, "trained_model"]:
    """Train one of several."""
    return region


@pipeline(name=NAME, model=Model(NAME))
def shorter_list() -> None:
    """Train one for each region."""
    train.expand(region=regions())


def wrong(dag: Any, go_on: Any) -> str | None:
    """Run it, then with fewer regions, the closing task not among those that are cleared; say what is wrong."""
    run = dag.test()
    REGIONS.pop()
    go_on(dag, run.run_id, ["regions", "train"])
    (version,) = Client().list_model_versions(NAME)
    trained = [item.load() for item in version.list_artifacts() if item.name == "trained_model"]
    found = (str(version.state), sorted(trained))
    return None if found == ("ready", ["north", "south"]) else f"{run.state}: {found}"
