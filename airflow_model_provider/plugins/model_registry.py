"""The plugin that Airflow loads in each of its processes: tiny, because all of them pay for it."""

from __future__ import annotations

from typing import Any

from airflow.sdk.plugins_manager import AirflowPlugin

from airflow_model_provider.plugins import warm_start


def version(model: str, version: Any, **options: Any) -> Any:
    """Return a version for a template. See :func:`airflow_model_provider.rendering.version`."""
    from airflow_model_provider import rendering

    return rendering.version(model, version, **options)


def artifact(name: str, version: int | None = None, **options: Any) -> Any:
    """Return an artifact by its own name for a template. See :func:`airflow_model_provider.rendering.artifact`."""
    from airflow_model_provider import rendering

    return rendering.artifact(name, version, **options)


class ModelRegistryPlugin(AirflowPlugin):
    """Listeners and macros of the provider."""

    name = "model_registry"
    listeners: list[Any] = [warm_start]  # noqa: RUF012 - as Airflow declares it
    macros: list[Any] = [version, artifact]  # noqa: RUF012 - as Airflow declares it
