"""
What this process runs in, found without importing Airflow.

The only file that knows private names of Airflow (``_internal.contextmanager``, the scheduler's module): no
public name tells a DAG file that is being parsed from a program (auto-registration is on only while Airflow
itself parses), or the scheduler from other components, and asking must not import Airflow where there is none.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from typing import Any

_CONTEXT = "airflow.sdk.definitions._internal.contextmanager"
_entered = False


def _dag_context() -> Any:
    module = sys.modules.get(_CONTEXT)
    return None if module is None else module.DagContext


def airflow_is_parsing() -> bool:
    """Return whether Airflow (DAG processor, task runner, CLI, ``dag.test()``) is reading a DAG file."""
    context = _dag_context()
    return context is not None and context.current_autoregister_module_name is not None


def airflow_is_imported() -> bool:
    """Return whether this process has imported Airflow's SDK, so that a pipeline's body may hold its tasks."""
    return _dag_context() is not None


def dag_being_built() -> Any | None:
    """Return the Airflow DAG whose body runs right now, or None."""
    context = _dag_context()
    return None if context is None else context.get_current_dag()


def running_task_context() -> dict[str, Any] | None:
    """Return Airflow's context of the task that runs in this process, or None."""
    module = sys.modules.get(_CONTEXT)
    if module is None or not module._CURRENT_CONTEXT:
        return None
    context: dict[str, Any] = module._CURRENT_CONTEXT[-1]
    return context


def airflow_takes(owner: str, argument: str) -> bool:
    """
    Return whether the Airflow that this process has imported knows an argument, which a newer one may.

    :param owner: the class in ``airflow.sdk`` that takes it.
    """
    if not airflow_is_imported():
        return False
    found: Any = getattr(importlib.import_module("airflow.sdk"), owner)
    return argument in inspect.signature(found.__init__).parameters and argument not in ("self", "kwargs")


def enter_airflow() -> None:
    """Say that this process belongs to Airflow (a task, its CLI): its configuration and connections count."""
    global _entered
    _entered = True


def inside_airflow() -> bool:
    """Return whether Airflow's configuration and connections count here."""
    return (
        _entered
        or airflow_is_parsing()
        or dag_being_built() is not None
        or running_task_context() is not None
    )


def inside_scheduler() -> bool:
    """Return whether this process is Airflow's scheduler, or was forked from it."""
    return "airflow.jobs.scheduler_job_runner" in sys.modules


def airflow_option(section: str, option: str) -> str | None:
    """Return an option of Airflow's configuration, or None if it isn't set. Only called inside Airflow."""
    conf = importlib.import_module("airflow.sdk.configuration").conf
    value = conf.get(section, option, fallback=None)
    return None if value is None else str(value)
