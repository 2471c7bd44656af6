"""
Models for Airflow: lazy, stage-pinned references to versions, resolved when the task runs.

The root is lazy: a name is imported when it is first used, and none of them imports Airflow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from airflow_model_provider.client import Client
    from airflow_model_provider.context import get_pipeline_context, get_step_context
    from airflow_model_provider.decorators.pipeline import pipeline
    from airflow_model_provider.decorators.step import step
    from airflow_model_provider.functions import (
        link_artifact_to_model,
        load_artifact,
        log_metadata,
        save_artifact,
    )
    from airflow_model_provider.gates import Gates
    from airflow_model_provider.handles import Artifact, ModelVersion
    from airflow_model_provider.model import Model
    from airflow_model_provider.pipelines.outputs import ArtifactConfig
    from airflow_model_provider.selectors import ArtifactType, ModelStages

_WHERE = {
    "Artifact": "handles",
    "ArtifactConfig": "pipelines.outputs",
    "ArtifactType": "selectors",
    "Client": "client",
    "Gates": "gates",
    "Model": "model",
    "ModelStages": "selectors",
    "ModelVersion": "handles",
    "get_pipeline_context": "context",
    "get_step_context": "context",
    "link_artifact_to_model": "functions",
    "load_artifact": "functions",
    "log_metadata": "functions",
    "pipeline": "decorators.pipeline",
    "save_artifact": "functions",
    "step": "decorators.step",
}

__all__ = [
    "Artifact",
    "ArtifactConfig",
    "ArtifactType",
    "Client",
    "Gates",
    "Model",
    "ModelStages",
    "ModelVersion",
    "__version__",
    "get_pipeline_context",
    "get_step_context",
    "link_artifact_to_model",
    "load_artifact",
    "log_metadata",
    "pipeline",
    "save_artifact",
    "step",
]


def __getattr__(name: str) -> Any:
    import importlib

    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
