"""Which steps a thread belongs to: those of the run whose code has started it."""

from __future__ import annotations

import functools
import threading
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from airflow_model_provider import host

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The steps that run within each other, the innermost last.
Steps = list[Any]

_OF_A_RUN: Final = "_model_steps"
_steps: ContextVar[Steps | None] = ContextVar("model_steps", default=None)
#: Those of the tasks that this process of Airflow runs: usually one.
_of_this_process: list[Steps] = []


@contextmanager
def own_threads() -> Iterator[Steps]:
    """
    Take the threads that start from here on for those of the steps that run here.

    In a process of Airflow's task runner a thread that nobody is known to have started is the task's too.
    """
    steps = _steps.get()
    if steps is not None:
        yield steps
        return
    steps = []
    in_airflow = host.running_task_context() is not None
    token = _steps.set(steps)
    if in_airflow:
        _of_this_process.append(steps)
    _note_who_starts_threads()
    try:
        yield steps
    finally:
        _steps.reset(token)
        if in_airflow:
            _of_this_process[:] = [others for others in _of_this_process if others is not steps]


def step_of_this_thread() -> Any | None:
    """Return the innermost step that this thread belongs to, or None."""
    steps = _steps_of_this_thread()
    if steps is None and len(_of_this_process) == 1:
        steps = _of_this_process[0]
    return steps[-1] if steps else None


def _steps_of_this_thread() -> Steps | None:
    steps = _steps.get()
    return steps if steps is not None else getattr(threading.current_thread(), _OF_A_RUN, None)


@functools.cache
def _note_who_starts_threads() -> None:
    """From the first run on, a thread keeps whose it is: Python's threads don't inherit a context."""
    start = threading.Thread.start

    @functools.wraps(start)
    def noting(self: threading.Thread) -> None:
        steps = _steps_of_this_thread()
        if steps is not None:
            setattr(self, _OF_A_RUN, steps)
        start(self)

    threading.Thread.start = noting  # type: ignore[method-assign]
