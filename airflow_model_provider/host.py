"""
What this process runs in, found without importing Airflow.

The only file that knows private names of Airflow (``_internal.contextmanager``, the scheduler's module, what calls
callbacks): no public name tells a DAG file that is being parsed from a program (auto-registration is on only while
Airflow itself parses), the scheduler from other components, or which task a callback belongs to; and asking must not
import Airflow where there is none.
"""

from __future__ import annotations

import importlib
import inspect
import os
import re
import sys
import uuid
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import FrameType

_CONTEXT = "airflow.sdk.definitions._internal.contextmanager"
#: Its ``SUPERVISOR_COMMS`` is how a task, a callback in the DAG processor or a trigger asks its Airflow.
_TASK_RUNNER = "airflow.sdk.execution_time.task_runner"
_PROCESSOR = "airflow.dag_processing.processor"
#: What calls callbacks, when Airflow no longer has a current context: of a task in its own process or, when it was
#: killed, in the Dag processor; of a Dag there, and in ``dag.test()``.
_CALLERS = {
    (_TASK_RUNNER, "_run_task_state_change_callbacks"),
    (_PROCESSOR, "_execute_task_callbacks"),
    (_PROCESSOR, "_execute_dag_callbacks"),
    ("airflow.models.dagrun", "execute_dag_callbacks"),
}
#: The Dag's callback that was seen last, and the context made for it.
_dag_callback: list[tuple[Any, dict[str, Any]]] = []
#: Executors whose workers share this machine's disk, where a file is a registry for all of them.
_LOCAL_EXECUTORS = frozenset({"LocalExecutor", "SequentialExecutor"})
_entered = False
_DECORATOR = "airflow.sdk.bases.decorator"
_task_decorators: set[type] = set()


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


def knows_dag(dag: Any) -> bool:
    """Return whether Airflow takes a DAG for one of the file that it is reading, if it does."""
    context = _dag_context()
    if context is None or not airflow_is_parsing() or not dag.auto_register:
        return True
    return any(known is dag for known, _ in context.autoregistered_dags)


def dag_being_built() -> Any | None:
    """Return the Airflow DAG whose body runs right now, or None."""
    context = _dag_context()
    return None if context is None else context.get_current_dag()


def running_task_context() -> dict[str, Any] | None:
    """Return Airflow's context of the task that runs in this process, or whose callback does; None outside of one."""
    module = sys.modules.get(_CONTEXT)
    if module is None:
        return None
    if module._CURRENT_CONTEXT:
        context: dict[str, Any] = module._CURRENT_CONTEXT[-1]
        return context
    return _callback_context() if _TASK_RUNNER in sys.modules or _PROCESSOR in sys.modules else None


def _callback_context() -> dict[str, Any] | None:
    """Return the context that a callback was given which runs in some thread of this process."""
    for frame in _frames():
        caller = frame.f_globals.get("__name__"), frame.f_code.co_name
        if caller in _CALLERS and (context := frame.f_locals.get("context")) is not None:
            return _of_dag(context) if caller[1].endswith("execute_dag_callbacks") else context
    return None


def _frames() -> Iterator[FrameType]:
    for top in sys._current_frames().values():
        frame: FrameType | None = top
        while frame is not None:
            yield frame
            frame = frame.f_back


def _of_dag(context: Mapping[str, Any]) -> dict[str, Any]:
    """Give a Dag's callback a task instance of its own: it is no part of the task that came last."""
    if not _dag_callback or _dag_callback[0][0] is not context:
        run_id = context["run_id"] if "run_id" in context else context["ti"].run_id
        own = SimpleNamespace(
            id=str(uuid.uuid4()), dag_id=context["dag"].dag_id, run_id=run_id,
            task_id="dag_callback", map_index=-1, try_number=0,
        )  # fmt: skip
        run = context.get("dag_run")
        _dag_callback[:] = [(context, {"dag": context["dag"], "dag_run": run, "run_id": run_id, "ti": own})]
    return _dag_callback[0][1]


def airflow_takes(owner: str, argument: str) -> bool:
    """
    Return whether the Airflow that this process has imported knows an argument, which a newer one may.

    :param owner: the class in ``airflow.sdk`` that takes it.
    """
    if not airflow_is_imported():
        return False
    found: Any = getattr(importlib.import_module("airflow.sdk"), owner)
    return argument in inspect.signature(found.__init__).parameters and argument not in ("self", "kwargs")


def know_as_task_decorator(kind: type) -> None:
    """Make instances of a class count as Airflow's task decorators, where Airflow's own decorators look for one."""
    module = sys.modules.get(_DECORATOR)
    if module is not None and kind not in _task_decorators:
        module._TaskDecorator.register(kind)
        _task_decorators.add(kind)


def inside_template() -> bool:
    """Return whether the caller is called by a template that Jinja fills in."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if str(frame.f_globals.get("__name__")).startswith("jinja2."):
            return True
        frame = frame.f_back
    return False


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


def is_skip(error: BaseException) -> bool:
    """Return whether an error is Airflow's, with which a task skips itself."""
    module = sys.modules.get("airflow.sdk.exceptions")
    return module is not None and isinstance(error, module.AirflowSkipException)


def is_final(error: BaseException) -> bool:
    """Return whether an error is Airflow's, after which a task is not tried again."""
    module = sys.modules.get("airflow.sdk.exceptions")
    return module is not None and isinstance(error, module.AirflowFailException)


def inside_scheduler() -> bool:
    """Return whether this process is Airflow's scheduler, or was forked from it."""
    return "airflow.jobs.scheduler_job_runner" in sys.modules


def remote_executor(otherwise: Callable[[], str | None] = lambda: None) -> str | None:
    """
    Return the executor whose workers may not share this machine's disk; None if all do.

    :param otherwise: asked outside of Airflow for the executors if the environment names none.

    A pod of the official Helm chart says LocalExecutor for itself.
    """
    if os.environ.get("AIRFLOW_IS_K8S_EXECUTOR_POD", "").strip().lower() in ("true", "1", "t", "yes"):
        return "KubernetesExecutor"
    said = os.environ.get("AIRFLOW__CORE__EXECUTOR")
    if said is None:
        said = airflow_option("core", "executor") if inside_airflow() else otherwise()
    # One for all, several, those of teams, and with aliases: LocalExecutor,fast:CeleryExecutor;team=my.Executor
    names = [re.split("[:=]", item)[-1].strip() for item in re.split("[,;]", said or "")]
    return next((name for name in names if name and name.rpartition(".")[2] not in _LOCAL_EXECUTORS), None)


def airflow_option(section: str, option: str) -> str | None:
    """Return an option of Airflow's configuration, or None if it isn't set. Only called inside Airflow."""
    conf = importlib.import_module("airflow.sdk.configuration").conf
    value = conf.get(section, option, fallback=None)
    return None if value is None else str(value)
