"""Which steps a thread acts for: those that run in the thread whose steps have started it."""

from __future__ import annotations

import functools
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from airflow_model_provider import host

if TYPE_CHECKING:
    from collections.abc import Iterator

_CREW: Final = "_model_crew"


class _Crew:
    """The thread that steps run in, and those that were started meanwhile, by it or by one of them."""

    def __init__(self, thread: threading.Thread) -> None:
        self.thread = thread
        self.runs = 0
        #: The steps that run within each other, the innermost last.
        self.steps: list[Any] = []


#: Those of the tasks that this process of Airflow runs: usually one.
_of_this_process: list[_Crew] = []


@contextmanager
def own_threads() -> Iterator[list[Any]]:
    """
    Take the threads that start from here on for those of the steps that run in this thread, now and later.

    In a process of Airflow's task runner a thread that nobody is known to have started is the task's too.
    """
    me = threading.current_thread()
    inherited = _crew_of(me)
    crew = inherited if inherited is not None and inherited.thread is me else _Crew(me)
    setattr(me, _CREW, crew)
    crew.runs += 1
    in_airflow = crew.runs == 1 and host.running_task_context() is not None
    if in_airflow:
        _of_this_process.append(crew)
    _note_who_starts_threads()
    try:
        yield crew.steps
    finally:
        crew.runs -= 1
        if in_airflow:
            _of_this_process.remove(crew)
        if inherited is not None:
            setattr(me, _CREW, inherited)


def step_of_this_thread() -> Any | None:
    """Return the innermost step that this thread acts for, or None."""
    crew = _crew_of(threading.current_thread())
    if crew is None and len(_of_this_process) == 1:
        crew = _of_this_process[0]
    return crew.steps[-1] if crew is not None and crew.steps else None


def _crew_of(thread: threading.Thread) -> _Crew | None:
    return getattr(thread, _CREW, None)


@functools.cache
def _note_who_starts_threads() -> None:
    """From the first run on, a thread keeps whose it is: Python's threads don't inherit a context."""
    start = threading.Thread.start

    @functools.wraps(start)
    def noting(self: threading.Thread) -> None:
        crew = _crew_of(threading.current_thread())
        if crew is not None and crew.runs:
            setattr(self, _CREW, crew)
        start(self)

    threading.Thread.start = noting  # type: ignore[method-assign]
