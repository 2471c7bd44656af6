"""Stages as Airflow's assets: built without I/O, combined, serialized, and what a run claims of them (R32)."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG, Asset, AssetOrTimeSchedule, CronTriggerTimetable
from airflow.serialization.serialized_objects import DagSerialization

from airflow_model_provider import Client, Model
from airflow_model_provider.assets import normalized, stage_asset
from airflow_model_provider.registry.claims import StageKey
from airflow_model_provider.triggers.model_stage import ModelStageTrigger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PRODUCTION = Model("iris classifier", version="production").asset


def test_an_asset_is_one_value_in_every_file() -> None:
    """Airflow compares assets and their watchers: name, URI, group and the trigger's arguments are always the same."""
    again = Model("iris classifier", version="production", pin="run").asset

    assert isinstance(PRODUCTION, Asset)
    assert PRODUCTION.name == PRODUCTION.uri == "model://default/iris%20classifier/production"
    assert again == PRODUCTION
    (watcher,) = PRODUCTION.watchers
    assert watcher.trigger.serialize() == (
        "airflow_model_provider.triggers.model_stage.ModelStageTrigger",
        {"conn_id": None, "model": "iris classifier", "stage": "production"},
    )


def test_two_registries_have_two_assets() -> None:
    """Of models of one name."""
    assert Model("iris", version="production", conn_id="team").asset.uri == "model://team/iris/production"
    assert Model("iris", version="production").asset.uri == "model://default/iris/production"


@pytest.mark.parametrize(
    "schedule",
    [
        PRODUCTION,
        [PRODUCTION, Asset("s3://bucket/data")],
        PRODUCTION | Asset("s3://bucket/data"),
        PRODUCTION & Asset("s3://bucket/data"),
        AssetOrTimeSchedule(timetable=CronTriggerTimetable("@daily", timezone="UTC"), assets=PRODUCTION),
    ],
    ids=["alone", "list", "or", "and", "or a time"],
)
def test_a_dag_is_scheduled_on_it(schedule: Any) -> None:
    """It survives Airflow's serialization with its watcher; in inlets and outlets too."""
    from airflow.providers.standard.operators.empty import EmptyOperator

    with DAG("scores", schedule=schedule, start_date=datetime(2026, 1, 1)) as dag:
        EmptyOperator(task_id="nothing", inlets=[PRODUCTION], outlets=[PRODUCTION])
    data = DagSerialization.to_dict(dag)
    back = DagSerialization.from_dict(data)
    assets = [asset for _, asset in back.timetable.asset_condition.iter_assets()]

    assert PRODUCTION.uri in [asset.uri for asset in assets]
    assert "ModelStageTrigger" in str(data)


def test_a_uri_by_hand_is_normalized_and_checked() -> None:
    """A mistyped one is an error where the DAG is parsed."""
    assert Asset("model://default/iris classifier/production/").uri == PRODUCTION.uri
    with pytest.raises(ValueError, match="model://<connection or default>/<model>/<stage>"):
        Asset("model://default/iris")
    assert normalized.__module__ == "airflow_model_provider.assets"


def test_a_trigger_fires_for_its_stage_alone(model_registry: Client) -> None:
    """Without a stream to share too; of two stages of one registry each has its own."""
    model_registry.register_model_version("iris", stage="staging")
    model_registry.register_model_version("iris", stage="production")

    async def first(stage: str) -> Any:
        events: AsyncIterator[Any] = ModelStageTrigger(conn_id=None, model="iris", stage=stage).run()
        async for event in events:
            await events.aclose()  # type: ignore[attr-defined]
            return event.payload
        raise AssertionError("it ended")

    payload = asyncio.run(asyncio.wait_for(first("production"), 20))

    assert (payload["stage"], payload["number"], payload["sequence"], payload["new_from"]) == (
        "production",
        2,
        2,
        1,
    )
    assert stage_asset(None, "iris", "staging").uri == "model://default/iris/staging"
    assert StageKey("iris", "production") in {
        item.key for item in model_registry.workspace.registry.watched("default")
    }
