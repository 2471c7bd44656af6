"""
What this process runs in, found without importing Airflow.

The only file that knows private names of Airflow (``_internal.contextmanager``, the scheduler's module): no
public name tells a DAG file that is being parsed from a program (auto-registration is on only while Airflow
itself parses), or the scheduler from other components, and asking must not import Airflow where there is none.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from typing import Any

_CONTEXT = "airflow.sdk.definitions._internal.contextmanager"
#: Its ``SUPERVISOR_COMMS`` is how a task, a callback in the DAG processor or a trigger asks its Airflow.
_TASK_RUNNER = "airflow.sdk.execution_time.task_runner"
#: Executors whose workers share this machine's disk, where a file is a registry for all of them.
_LOCAL_EXECUTORS = frozenset({"LocalExecutor", "SequentialExecutor"})
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
        or getattr(sys.modules.get(_TASK_RUNNER), "SUPERVISOR_COMMS", None) is not None
    )


def inside_scheduler() -> bool:
    """Return whether this process is Airflow's scheduler, or was forked from it."""
    return "airflow.jobs.scheduler_job_runner" in sys.modules


def remote_executor() -> str | None:
    """
    Return the executor whose workers may not share this machine's disk; None if all do.

    Outside Airflow only the environment is read. A pod of the official Helm chart says LocalExecutor for itself.
    """
    if os.environ.get("AIRFLOW_IS_K8S_EXECUTOR_POD", "").strip().lower() in ("true", "1", "t", "yes"):
        return "KubernetesExecutor"
    said = os.environ.get("AIRFLOW__CORE__EXECUTOR")
    if said is None and inside_airflow():
        said = airflow_option("core", "executor")
    # One for all, several, those of teams, and with aliases: LocalExecutor,fast:CeleryExecutor;team=my.Executor
    names = [re.split("[:=]", item)[-1].strip() for item in re.split("[,;]", said or "")]
    return next((name for name in names if name and name.rpartition(".")[2] not in _LOCAL_EXECUTORS), None)


def airflow_option(section: str, option: str) -> str | None:
    """Return an option of Airflow's configuration, or None if it isn't set. Only called inside Airflow."""
    conf = importlib.import_module("airflow.sdk.configuration").conf
    value = conf.get(section, option, fallback=None)
    return None if value is None else str(value)
