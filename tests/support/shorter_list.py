"""A mapped step whose list becomes shorter, and empty, when a part of its run is cleared; run by ``run_shapes.py``."""

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
    """Run it, then with fewer regions, and with none, the closing task not cleared; say what is wrong."""
    run = dag.test()
    for left in (["north", "south"], []):
        REGIONS[:] = left
        go_on(dag, run.run_id, ["regions", "train"])
        (version,) = Client().list_model_versions(NAME)
        trained = [item.load() for item in version.list_artifacts() if item.name == "trained_model"]
        found = (str(version.state), sorted(trained))
        if found != ("ready", left):
            return f"{run.state}: {found} with {left}"
    return None
