"""A stage of a model as an Airflow asset: a promotion from anywhere starts the Dags that are scheduled on it."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow.sdk import Asset, AssetWatcher
from airflow.sdk.definitions.asset import BaseAsset

from airflow_model_provider.exceptions import InvalidDefinition
from airflow_model_provider.exceptions.base import listing
from airflow_model_provider.pipelines.values import references_in
from airflow_model_provider.selectors import SelectorKind
from airflow_model_provider.stage_uri import StageAddress, consumer_uri, read_stage_uri, stage_uri, stages_in
from airflow_model_provider.triggers.model_stage import ModelStageTrigger
from airflow_model_provider.triggers.wakeups import Delivery

if TYPE_CHECKING:
    from urllib.parse import SplitResult

#: The group that Airflow's UI shows these assets in.
GROUP = "model_registry"


def stage_asset(conn_id: str | None, model: str, stage: str) -> Asset:
    """Return the asset of a stage; no I/O. What a Dag is woken by is its own one: see :func:`wake_by_own_assets`."""
    uri = stage_uri(conn_id, model, stage)
    return Asset(name=uri, uri=uri, group=GROUP)


def consumer_asset(address: StageAddress, dag_id: str, delivery: Delivery) -> Asset:
    """Return the asset that wakes one Dag at promotions to a stage."""
    uri = consumer_uri(*address, dag_id)
    trigger = ModelStageTrigger(**address._asdict(), dag_id=dag_id, delivery=delivery)
    return Asset(name=uri, uri=uri, group=GROUP, watchers=[AssetWatcher(name="promotions", trigger=trigger)])


def wake_by_own_assets(dag: Any) -> None:
    """
    Have a Dag that is scheduled on stages woken by assets of its own.

    Airflow keeps the trigger of an asset while a Dag is scheduled on it that is there and not paused: so the triggerer
    knows who waits, and wakes none for another.

    :raises InvalidDefinition: for a task that asks for the promoted version of a model that the Dag does not wait for.
    """
    condition = dag.timetable.asset_condition
    _check_triggering(dag, condition)
    has_steps = any(getattr(_operator_class(task), "claims_promotions", False) for task in dag.tasks)

    def own(part: Any) -> Any:
        if (parts := getattr(part, "objects", None)) is not None:
            changed = copy.copy(part)
            changed.objects = type(parts)(map(own, parts))
            return changed
        if (address := next(stages_in(part), None)) is None:
            return part
        asset = consumer_asset(address, dag.dag_id, _delivery(condition, address, has_steps=has_steps))
        return asset if isinstance(part, BaseAsset) else _serialized(asset)

    timetable = copy.copy(dag.timetable)  # several Dags may share it
    timetable.asset_condition = own(condition)
    dag.timetable = timetable


def normalized(parts: SplitResult) -> SplitResult:
    """
    Check a ``model://`` URI that somebody wrote by hand.

    :raises ValueError: if it means no stage.
    """
    address = read_stage_uri(parts.geturl())
    if address is None or (parts.query and not parts.query.startswith("dag=")):
        raise ValueError("A stage's URI is model://<connection or default>/<model>/<stage>.")
    return urlsplit(stage_uri(*address))._replace(query=parts.query)


def _check_triggering(dag: Any, condition: Any) -> None:
    """Refuse references to what triggers the runs of a Dag where it waits for no stage of that model."""
    models = {address.model for address in stages_in(condition)}
    for task in dag.tasks:
        mapped = task._get_specified_expand_input().value if task.is_mapped else None
        for item in references_in([dict(vars(task)), mapped]):
            if item.selector.kind is SelectorKind.TRIGGERING and item.model not in models:
                known = listing(sorted(models))
                problem = f"{item!r} is asked for, and Dag {dag.dag_id!r} is scheduled on stages of {known}"
                advice = f"Schedule it on a stage of {item.model!r} too, or name the version or its stage."
                raise InvalidDefinition(f"task {task.task_id!r}", problem, advice)


def _delivery(condition: Any, address: StageAddress, *, has_steps: bool) -> Delivery:
    if not has_steps:
        return Delivery.AT_MOST_ONCE
    return Delivery.UNTIL_CLAIMED if _is_met(condition, address) else Delivery.AT_LEAST_ONCE


def _is_met(condition: Any, address: StageAddress) -> bool:
    """Return whether a promotion to one stage starts a Dag, with nothing else."""
    if (parts := getattr(condition, "objects", None)) is not None:
        met = [_is_met(part, address) for part in parts]
        return all(met) if type(condition).__name__.endswith("All") else any(met)
    return next(stages_in(condition), None) == address


def _operator_class(task: Any) -> Any:
    return getattr(task, "operator_class", type(task))


def _serialized(asset: Asset) -> Any:
    """What Airflow's core timetables hold in place of assets."""
    from airflow.serialization.encoders import ensure_serialized_asset

    return ensure_serialized_asset(asset)
