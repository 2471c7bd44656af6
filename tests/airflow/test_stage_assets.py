"""Stages as Airflow's assets: built without I/O, combined, one of its own for each DAG, and what a run claims."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import Asset
from airflow.serialization.serialized_objects import DagSerialization

from airflow_model_provider import Client, Model
from airflow_model_provider.assets import normalized, stage_asset
from airflow_model_provider.registry.claims import Consumer
from airflow_model_provider.triggers.model_stage import ModelStageTrigger
from airflow_model_provider.triggers.wakeups import Delivery

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

PRODUCTION = Model("iris classifier", version="production").asset
OWN = "model://default/iris%20classifier/production?dag="
#: DAGs by what they are scheduled on, each made in another way.
DAGS = '''"""Airflow dag."""
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Asset, AssetOrTimeSchedule, CronTriggerTimetable, dag
from airflow.timetables.assets import AssetOrTimeSchedule as CoreAssetOrTimeSchedule
from airflow.timetables.trigger import CronTriggerTimetable as CoreCronTriggerTimetable

from airflow_model_provider import Model, pipeline, step
from airflow_model_provider.operators.step import StepOperator

PRODUCTION, STAGING = (Model("iris classifier", version=stage).asset for stage in ("production", "staging"))
DATA = Asset("s3://bucket/data")
DAILY = AssetOrTimeSchedule(timetable=CronTriggerTimetable("@daily", timezone="UTC"), assets=PRODUCTION)


def plain(number: int = 1) -> int:
    return number


score = step(name="score")(plain)


@pipeline(schedule=PRODUCTION)
def alone():
    score()


@dag(schedule=[PRODUCTION, DATA])
def listed():
    score()


listed()

with DAG("either", schedule=DATA | STAGING | PRODUCTION):
    StepOperator(task_id="score", python_callable=plain)

with DAG("all", schedule=PRODUCTION & DATA | STAGING):
    StepOperator.partial(task_id="score", python_callable=plain).expand(op_args=[[1], [2]])

with DAG("time_too", schedule=DAILY):
    StepOperator(task_id="score", python_callable=plain)

with DAG("stock", schedule=DAILY):
    EmptyOperator(task_id="nothing", inlets=[PRODUCTION], outlets=[PRODUCTION])

with DAG("core", schedule=CoreAssetOrTimeSchedule(
    timetable=CoreCronTriggerTimetable("@daily", timezone="UTC"), assets=PRODUCTION | DATA
)):
    StepOperator(task_id="score", python_callable=plain)

with DAG("by_hand", schedule=Asset("model://default/iris classifier/production")):
    StepOperator(task_id="score", python_callable=plain)

with DAG("referred", schedule=Asset.ref(uri="model://default/iris%20classifier/production")):
    StepOperator(task_id="score", python_callable=plain)

with DAG("team", schedule=Model("iris classifier", version="production", conn_id="team").asset):
    EmptyOperator(task_id="nothing")

with DAG("other", schedule=DATA):
    EmptyOperator(task_id="nothing", outlets=[PRODUCTION])
'''


@pytest.fixture(scope="module")
def parsed(tmp_path_factory: pytest.TempPathFactory) -> DagBag:
    """What the DAG processor makes of a file."""
    file = tmp_path_factory.mktemp("dags") / "consumers.py"
    file.write_text(DAGS)
    bag = DagBag(file)
    assert bag.import_errors == {}
    return bag


def stored(bag: DagBag, dag_id: str) -> Any:
    """A DAG as it comes back from Airflow's database."""
    return DagSerialization.from_dict(DagSerialization.to_dict(bag.dags[dag_id]))


def wakes(dag: Any) -> dict[str, dict[str, Any]]:
    """The arguments of the triggers that wake a DAG, by the URIs of their assets."""
    assets = [asset for _, asset in dag.timetable.asset_condition.iter_assets()]
    return {asset.uri: watcher.trigger["kwargs"] for asset in assets for watcher in asset.watchers}


def test_an_asset_is_one_value_in_every_file() -> None:
    """Airflow compares assets and their watchers: name, URI and group are always the same, and it has no watcher."""
    again = Model("iris classifier", version="production", pin="run").asset

    assert isinstance(PRODUCTION, Asset)
    assert PRODUCTION.name == PRODUCTION.uri == "model://default/iris%20classifier/production"
    assert again == PRODUCTION
    assert PRODUCTION.watchers == []


def test_two_registries_have_two_assets() -> None:
    """Of models of one name."""
    assert Model("iris", version="production", conn_id="team").asset.uri == "model://team/iris/production"
    assert Model("iris", version="production").asset.uri == "model://default/iris/production"


@pytest.mark.parametrize(
    ("dag_id", "delivery"),
    [
        ("alone", "until_claimed"),
        ("listed", "at_least_once"),
        ("either", "until_claimed"),
        ("all", "at_least_once"),
        ("time_too", "until_claimed"),
        ("stock", "at_most_once"),
        ("core", "until_claimed"),
        ("by_hand", "until_claimed"),
        ("referred", "until_claimed"),
    ],
)
def test_each_dag_is_woken_by_an_asset_of_its_own(parsed: DagBag, dag_id: str, delivery: str) -> None:
    """However it is made and whatever its schedule holds beside; it says how it is woken, and survives the database."""
    found = wakes(stored(parsed, dag_id))

    assert found[OWN + dag_id] == {
        "conn_id": None,
        "model": "iris classifier",
        "stage": "production",
        "dag_id": dag_id,
        "delivery": delivery,
    }
    assert PRODUCTION.uri not in [uri for _, uri in all_assets(stored(parsed, dag_id))]


def all_assets(dag: Any) -> list[tuple[str, str]]:
    """Name and URI of all assets that a DAG is scheduled on."""
    return [(asset.name, asset.uri) for _, asset in dag.timetable.asset_condition.iter_assets()]


def test_what_else_a_schedule_holds_stays(parsed: DagBag) -> None:
    """Other assets, how they are combined, times, and what several DAGs share."""
    either, both = (stored(parsed, dag_id).timetable.asset_condition for dag_id in ("either", "all"))
    timed = stored(parsed, "time_too").timetable

    assert [asset.uri for _, asset in either.iter_assets()] == [
        "s3://bucket/data",
        "model://default/iris%20classifier/staging?dag=either",
        f"{OWN}either",
    ]
    assert [type(part).__name__ for part in both.objects] == ["SerializedAssetAll", "SerializedAsset"]
    assert wakes(stored(parsed, "all"))["model://default/iris%20classifier/staging?dag=all"]["delivery"] == (
        Delivery.UNTIL_CLAIMED
    )
    assert timed.can_be_scheduled
    assert list(wakes(stored(parsed, "stock"))) == [f"{OWN}stock"]
    assert wakes(stored(parsed, "team"))["model://team/iris%20classifier/production?dag=team"]["conn_id"] == (
        "team"
    )


@pytest.mark.parametrize("mapped", [False, True])
def test_what_starts_runs_is_a_promotion_that_the_dag_waits_for(tmp_path: Path, mapped: bool) -> None:
    """A mistyped model would be scored in its production version, and nobody told."""
    number = 'Model("irsi", version="triggering").number'
    call = f"score.expand(number=[{number}])" if mapped else f"score({number})"
    (tmp_path / "typo.py").write_text(
        f"""# Airflow dag
from airflow.sdk import dag
from airflow_model_provider import Model, step

@step
def score(number: int) -> int:
    return number

@dag(schedule=Model("iris", version="production").asset)
def typo():
    {call}

typo()
"""
    )
    (error,) = DagBag(tmp_path).import_errors.values()

    assert "task 'score': irsi[triggering].number is asked for" in error
    assert "Schedule it on a stage of 'irsi' too" in error


def test_inlets_and_outlets_wake_nobody(parsed: DagBag) -> None:
    """The asset of the stage itself: no DAG is scheduled on it."""
    (task,) = parsed.dags["other"].tasks
    (asset,) = task.outlets

    assert asset == PRODUCTION
    assert wakes(stored(parsed, "other")) == {}


def test_a_uri_by_hand_is_normalized_and_checked() -> None:
    """A mistyped one is an error where the DAG is parsed."""
    own = OWN + quote("größe", safe="")
    assert Asset("model://default/iris classifier/production/").uri == PRODUCTION.uri
    assert Asset(own).uri == own
    for wrong in ("model://default/iris", "model://default/iris/production?x=1"):
        with pytest.raises(ValueError, match="model://<connection or default>/<model>/<stage>"):
            Asset(wrong)
    assert normalized.__module__ == "airflow_model_provider.assets"


def test_a_trigger_fires_for_its_stage_alone(model_registry: Client) -> None:
    """Without a stream to share too; of two stages of one registry each has its own."""
    model_registry.register_model_version("iris", stage="staging")
    model_registry.register_model_version("iris", stage="production")

    async def first(stage: str) -> Any:
        trigger = ModelStageTrigger(conn_id=None, model="iris", stage=stage, dag_id="scoring")
        events: AsyncIterator[Any] = trigger.run()
        async for event in events:
            await events.aclose()  # type: ignore[attr-defined]
            return event.payload
        raise AssertionError("it ended")

    payload = asyncio.run(asyncio.wait_for(first("production"), 20))

    assert (payload["stage"], payload["version"], payload["sequence"], payload["new_from"]) == (
        "production",
        2,
        2,
        1,
    )
    assert stage_asset(None, "iris", "staging").uri == "model://default/iris/staging"
    assert [item.consumer for item in model_registry.workspace.registry.standings("default")] == [
        Consumer("scoring", "iris", "production")
    ]
