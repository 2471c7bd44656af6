"""The plugin that Airflow loads in each of its processes: tiny, because all of them pay for it."""

from __future__ import annotations

from typing import Any

from airflow.sdk.plugins_manager import AirflowPlugin

from airflow_model_provider.plugins import warm_start


class ModelRegistryPlugin(AirflowPlugin):
    """Listeners of the provider."""

    name = "model_registry"
    listeners: list[Any] = [warm_start]  # noqa: RUF012 - as Airflow declares it
