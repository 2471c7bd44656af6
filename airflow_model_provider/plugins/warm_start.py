"""
A listener that loads the registry's code into the scheduler, from which LocalExecutor forks its tasks.

Without it every task would load that code anew, which costs more than all else that a step adds to a task.
"""

from __future__ import annotations

import importlib
from typing import Any

from airflow.listeners import hookimpl

from airflow_model_provider import host

#: What a step needs that neither a DAG file nor the scheduler has imported. No data library: R1.
NEEDED = (
    "airflow_model_provider.execution",
    "airflow_model_provider.resolver",
    "airflow_model_provider.pinned",
    "airflow_model_provider.rendering",
    "airflow_model_provider.registry.registry",
    "airflow_model_provider.artifacts.store",
    "airflow_model_provider.materializers.codec",
    "airflow_model_provider.materializers.pickles",
)


@hookimpl
def on_starting(component: Any) -> None:
    """Airflow says this when one of its processes starts, the scheduler before its executor makes workers."""
    if host.inside_scheduler() and "LocalExecutor" in (host.airflow_option("core", "executor") or ""):
        for name in NEEDED:
            importlib.import_module(name)
