"""What a Dag run claims of the promotions that its Dag is scheduled on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_model_provider.exceptions import WrongRegistry
from airflow_model_provider.resolver import Claimed
from airflow_model_provider.stage_uri import read_stage_uri, stages_in

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from airflow_model_provider.registry.entities import Attempt, StageEvent
    from airflow_model_provider.workspace import Workspace


def claim(
    context: Mapping[str, Any], attempt: Attempt, workspace: Callable[[str | None], Workspace]
) -> Claimed:
    """
    Claim for the run of a task what no other run of its Dag has claimed; only runs that assets have started do.

    :param workspace: the registry of a connection.
    :raises WrongRegistry: if a promotion of another registry has started the run.
    """
    stages = list(stages_in(getattr(context["dag"].timetable, "asset_condition", None)))
    if not stages:
        return Claimed()
    from airflow_model_provider.registry.claims import StageKey

    first = {(conn_id, model): stage for conn_id, model, stage in reversed(stages)}
    if getattr(context.get("dag_run"), "run_type", None) != "asset_triggered":
        return Claimed((), first)
    wanted: dict[str, tuple[str | None, set[StageKey]]] = {}  # several connections may lead to one registry
    for stage in stages:
        registry_id = workspace(stage.conn_id).registry.id
        _, keys = wanted.setdefault(registry_id, (stage.conn_id, set()))
        keys.add(StageKey(stage.model, stage.stage))
    _check_registries(context, wanted)
    promotions: list[tuple[str | None, StageEvent]] = []
    for conn_id, keys in wanted.values():
        events = workspace(conn_id).registry.claim(attempt.run, keys)
        promotions += [(conn_id, event) for event in events]
    return Claimed(promotions, first)


def _check_registries(context: Mapping[str, Any], registries: Collection[str]) -> None:
    """What watches may be connected to another registry than what works."""
    for asset, event in _promotions(context):
        payload = event.extra.get("payload")
        registry = payload.get("registry") if isinstance(payload, Mapping) else None
        if registry is not None and registry not in registries:
            raise WrongRegistry(f"A promotion to {asset.uri}", str(registry), ", ".join(registries))


def is_idle(context: Mapping[str, Any], claimed: Claimed) -> bool:
    """Return whether a run has nothing to do: only promotions have started it, and others have claimed them."""
    if claimed.promotions or not claimed.stages:
        return False
    events = context.get("triggering_asset_events") or {}
    started_by = sum(len(events[asset]) for asset in events)
    return started_by > 0 and len(list(_promotions(context))) == started_by


def _promotions(context: Mapping[str, Any]) -> Iterator[tuple[Any, Any]]:
    """Yield the events that have started a run and that the watcher of a stage has written, each with its asset."""
    events = context.get("triggering_asset_events") or {}
    for asset in events:
        for event in events[asset]:
            by_watcher = (event.extra or {}).get("from_trigger")
            if by_watcher and read_stage_uri(getattr(asset, "uri", "")) is not None:
                yield asset, event
