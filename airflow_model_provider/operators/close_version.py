"""The closing task of a training pipeline whose producing tasks may be mapped or skipped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airflow_model_provider import settings
from airflow_model_provider.hooks.model_registry import ModelRegistryHook

if TYPE_CHECKING:
    from airflow_model_provider.model import Model


class CloseVersionOperator(BaseOperator):
    """
    Close the version that this Dag run made: ready, or failed where a task that makes a part of it failed.

    ``@pipeline`` adds it by itself where it is needed.

    :param step_model: the model of which the run made a version.
    """

    def __init__(self, *, step_model: Model, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.step_model = step_model

    def execute(self, context: Any) -> str | None:
        """Close it, and return its printed form; None if no task of the run made a part of it."""
        from airflow_model_provider.registry.entities import RunKey

        ti = context["ti"]
        registry = ModelRegistryHook(self.step_model.conn_id).get_conn().registry
        version = registry.close_run_version(
            self.step_model.name, RunKey(settings.deployment(), ti.dag_id, ti.run_id)
        )
        if version is None:
            return None
        self.log.info("%s is %s", version, version.state.value)
        return str(version)
