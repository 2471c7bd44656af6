"""What a Dag run claims of the promotions that its Dag is scheduled on (R32)."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_model_provider import settings
from airflow_model_provider.resolver import Claimed
from airflow_model_provider.stage_uri import StageAddress, read_stage_uri

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from airflow_model_provider.registry.entities import Attempt, StageEvent
    from airflow_model_provider.workspace import Workspace


def claim(
    context: Mapping[str, Any], attempt: Attempt, workspace: Callable[[str | None], Workspace]
) -> Claimed:
    """
    Claim for the run of a task what no other run of its Dag has claimed; only runs that assets have started do.

    :param workspace: the registry of a connection.
    """
    stages = list(_stages(context["dag"]))
    if not stages:
        return Claimed()
    first = {(conn_id, model): stage for conn_id, model, stage in reversed(stages)}
    if getattr(context.get("dag_run"), "run_type", None) != "asset_triggered":
        return Claimed((), first)
    promotions: list[tuple[str | None, StageEvent]] = []
    for conn_id in dict.fromkeys(stage.conn_id for stage in stages):
        promotions += _claimed_in(conn_id, stages, context, attempt, workspace(conn_id))
    return Claimed(promotions, first)


def is_idle(context: Mapping[str, Any], claimed: Claimed) -> bool:
    """Return whether a run has nothing to do: it was only woken again, and others have claimed what there was."""
    woken = [wakeup for wakeups in _wakeups(context).values() for wakeup in wakeups]
    return bool(woken) and not claimed.promotions and all(wakeup.repeats_for for wakeup in woken)


def forget_deleted(context: Mapping[str, Any], workspace: Callable[[str | None], Workspace]) -> None:
    """Have Dags woken no more that were deleted in Airflow; only a task can ask it."""
    from airflow.sdk.exceptions import AirflowRuntimeError

    for stage, wakeups in _wakeups(context).items():
        for dag_id in {dag_id for wakeup in wakeups for dag_id in wakeup.repeats_for}:
            try:
                context["ti"].get_dag(dag_id)
            except AirflowRuntimeError as err:
                detail = getattr(err.error, "detail", None) or {}
                if detail.get("status_code") == HTTPStatus.NOT_FOUND:
                    workspace(stage.conn_id).registry.forget_consumer(settings.deployment(), dag_id)


class _Wakeup(NamedTuple):
    """What an asset event says; one that nobody of us has made has no ``new_from``."""

    new_from: int | None
    repeats_for: tuple[str, ...] = ()


def _claimed_in(
    conn_id: str | None,
    stages: list[StageAddress],
    context: Mapping[str, Any],
    attempt: Attempt,
    workspace: Workspace,
) -> Iterator[tuple[str | None, StageEvent]]:
    from airflow_model_provider.registry.claims import Claiming, StageKey

    since = {
        StageKey(stage.model, stage.stage): min(numbers)
        for stage, wakeups in _wakeups(context).items()
        if stage.conn_id == conn_id
        and (numbers := [wakeup.new_from for wakeup in wakeups if wakeup.new_from is not None])
    }
    mine = [StageKey(stage.model, stage.stage) for stage in stages if stage.conn_id == conn_id]
    asked = Claiming(mine, since, repeats=not _waits_for_all(context["dag"]))
    for event in workspace.registry.claim(attempt.run, asked):
        yield conn_id, event


def _condition(dag: Any) -> Any:
    return getattr(dag.timetable, "asset_condition", None)


def _stages(dag: Any) -> Iterator[StageAddress]:
    """The stages that a Dag is scheduled on, in the order in which they stand there."""

    def within(condition: Any) -> Iterator[StageAddress]:
        for part in getattr(condition, "objects", ()):
            yield from within(part)
        if (stage := read_stage_uri(getattr(condition, "uri", ""))) is not None:
            yield stage

    return within(_condition(dag))


def _waits_for_all(dag: Any) -> bool:
    """Whether a promotion alone may not start the Dag: its wake-up is kept by Airflow until the others come."""
    from airflow.sdk import AssetAll

    def within(condition: Any) -> bool:
        parts = getattr(condition, "objects", ())
        return (isinstance(condition, AssetAll) and len(parts) > 1) or any(map(within, parts))

    return within(_condition(dag))


def _wakeups(context: Mapping[str, Any]) -> dict[StageAddress, list[_Wakeup]]:
    """What has started the run, by stage."""
    found: dict[StageAddress, list[_Wakeup]] = {}
    events = context.get("triggering_asset_events") or {}
    for asset in events:
        stage = read_stage_uri(getattr(asset, "uri", ""))
        if stage is not None:
            found[stage] = [_read(event) for event in events[asset]]
    return found


def _read(event: Any) -> _Wakeup:
    extra = event.extra or {}
    payload = extra.get("payload") if extra.get("from_trigger") else None
    if not isinstance(payload, dict) or not isinstance(payload.get("new_from"), int):
        return _Wakeup(None)
    return _Wakeup(payload["new_from"], tuple(payload.get("repeats_for") or ()))
