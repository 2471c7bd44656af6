"""What a run of a DAG claims, of which registries."""

from __future__ import annotations

import logging
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_model_provider import Model
from airflow_model_provider.addresses import Address
from airflow_model_provider.claiming import claim
from airflow_model_provider.exceptions import InvalidSelector, WrongRegistry
from airflow_model_provider.registry.claims import Consumer
from airflow_model_provider.registry.entities import Attempt, RunKey
from airflow_model_provider.resolver import Moment, Resolver
from airflow_model_provider.workspace import open_workspace

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_model_provider.workspace import Workspace

RUN = RunKey("default", "scoring", "asset_triggered__1")
ATTEMPT = Attempt(RUN, "score", "try 1")


def asset(model: str, conn_id: str | None = None) -> Any:
    """The asset of a model's production stage."""
    return Model(model, version="production", conn_id=conn_id).asset


@pytest.fixture
def workspaces(tmp_path: Path) -> dict[str | None, Workspace]:
    """Two registries; the first one is reached through two connections."""
    addresses = [Address(f"sqlite:///{tmp_path / name}.db", str(tmp_path / name), "test") for name in "ab"]
    first, other = map(open_workspace, addresses)
    return {None: first, "team": open_workspace(addresses[0]), "elsewhere": other}


def resolver_of(workspaces: dict[str | None, Workspace], *assets: Any, of: str | None = None) -> Resolver:
    """
    What a task asks, of a DAG that is scheduled on assets, in a run that these have started.

    :param of: the registry whose promotion has started it; None if Airflow does not say.
    """
    event = SimpleNamespace(extra={"from_trigger": True, "payload": {"registry": of} if of else None})
    timetable = SimpleNamespace(asset_condition=SimpleNamespace(objects=assets))
    context = {
        "dag": SimpleNamespace(timetable=timetable),
        "dag_run": SimpleNamespace(run_type="asset_triggered"),
        "triggering_asset_events": {assets[0]: [event]},
    }
    claimed = partial(claim, context, ATTEMPT, workspaces.__getitem__)
    return Resolver(ATTEMPT, workspaces.__getitem__, logging.getLogger(__name__), Moment(claimed=claimed))


def promote(workspace: Workspace, model: str) -> None:
    """Promote a new version of a model that a DAG waits for."""
    workspace.registry.enroll("default", [Consumer("scoring", model, "production")])
    version = workspace.registry.create_version(model)
    workspace.registry.set_stage(model, version.number, "production", force=True)


def number_of(resolver: Resolver, model: str, conn_id: str | None = None) -> Any:
    """The version of a model that has started the run."""
    reference = Model(model, version="triggering", conn_id=conn_id).reference
    (found,) = resolver.resolve([reference])
    assert found.version is not None
    return found.version.number


def test_connections_to_one_registry_are_claimed_together(workspaces: dict[str | None, Workspace]) -> None:
    """A run claims once in each registry; what has started it is found through each connection."""
    for model in ("x", "y", "y"):
        promote(workspaces[None], model)
    promote(workspaces["elsewhere"], "z")
    resolver = resolver_of(workspaces, asset("x"), asset("y", "team"), asset("z", "elsewhere"))

    assert [(event.model, event.version) for event in resolver.promotions] == [
        ("x", 1),
        ("y", 1),
        ("y", 2),
        ("z", 1),
    ]
    assert number_of(resolver, "y") == number_of(resolver, "y", "team") == 2
    assert number_of(resolver, "z", "elsewhere") == 1


def test_a_stage_that_is_named_twice_is_claimed_once(workspaces: dict[str | None, Workspace]) -> None:
    """The default connection may be named, too."""
    promote(workspaces[None], "x")
    named = asset("x", "model_registry_default")

    assert named.uri == asset("x").uri
    assert len(resolver_of(workspaces, asset("x"), named, asset("x", "team")).promotions) == 1


def test_another_model_has_not_started_the_run(workspaces: dict[str | None, Workspace]) -> None:
    """Its production version is not what was asked for; nor is that of a model of this name elsewhere."""
    promote(workspaces[None], "x")
    promote(workspaces["elsewhere"], "x")
    resolver = resolver_of(workspaces, asset("x"))

    with pytest.raises(
        InvalidSelector, match=r"'triggering': the Dag is not scheduled .* but on x\[production\]"
    ):
        number_of(resolver, "other")
    with pytest.raises(InvalidSelector, match=r"x.*elsewhere"):
        number_of(resolver, "x", "elsewhere")


def test_a_promotion_of_another_registry_is_refused(workspaces: dict[str | None, Workspace]) -> None:
    """The triggerer and the worker are connected to two: neither is it claimed here, nor another one in its place."""
    promote(workspaces[None], "x")
    here, there = (workspaces[name].registry.id for name in (None, "elsewhere"))

    with pytest.raises(
        WrongRegistry, match=f"model://default/x/production belongs to registry {there}.*{here}"
    ):
        _ = resolver_of(workspaces, asset("x"), of=there).promotions
    assert len(resolver_of(workspaces, asset("x"), of=here).promotions) == 1
