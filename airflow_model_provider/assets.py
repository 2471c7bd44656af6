"""A stage of a model as an Airflow asset: a promotion from anywhere starts the Dags that are scheduled on it (R32)."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from airflow.sdk import Asset, AssetWatcher

from airflow_model_provider.stage_uri import read_stage_uri, stage_uri
from airflow_model_provider.triggers.model_stage import ModelStageTrigger

if TYPE_CHECKING:
    from urllib.parse import SplitResult

#: The group that Airflow's UI shows these assets in.
GROUP = "model_registry"


def stage_asset(conn_id: str | None, model: str, stage: str) -> Asset:
    """
    Return the asset of a stage; no I/O.

    It always has its watcher, and that always the same arguments: Airflow compares the watchers of an asset for
    each Dag file, and would drop one that is not in all of them.
    """
    uri = stage_uri(conn_id, model, stage)
    trigger = ModelStageTrigger(conn_id=conn_id, model=model, stage=stage)
    return Asset(name=uri, uri=uri, group=GROUP, watchers=[AssetWatcher(name="promotions", trigger=trigger)])


def normalized(parts: SplitResult) -> SplitResult:
    """
    Check a ``model://`` URI that somebody wrote by hand.

    :raises ValueError: if it means no stage.
    """
    address = read_stage_uri(parts.geturl())
    if address is None:
        raise ValueError("A stage's URI is model://<connection or default>/<model>/<stage>.")
    return urlsplit(stage_uri(*address))
