"""What is known of a task before it runs, by whoever runs it: Airflow's operator or a local run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from airflow_model_provider.model import Model
    from airflow_model_provider.pipelines.mapping import MappedOver
    from airflow_model_provider.pipelines.outputs import Output


class Task(NamedTuple):
    """
    What a task is, apart from its arguments.

    :param function: its code.
    :param outputs: what it declares to return.
    :param model: what it belongs to.
    :param producers: the tasks that a new version of the model waits for, and whether each declares outputs; asked
        only when one is made.
    :param again: the tasks of its run that are to run, or running; asked only if the run may have been cleared.
    :param running: those of them that Airflow calls running.
    :param passed_over: the tasks of its run that Airflow has not run because of others; asked only of a cleared run.
    :param settled: the tasks that are over when this one runs.
    :param stopped: the tasks that can no longer run once this one was ``skipped``, or has ``failed``.
    :param removed: of mapped instances, those that Airflow removes; asked only in a cleared run.
    :param succeeded: of tasks and instances that have failed, those that a person has marked since.
    :param mapped_over: how other tasks are mapped over its only output, if they are.
    """

    function: Callable[..., Any]
    outputs: tuple[Output, ...]
    model: Model | None = None
    producers: Callable[[], Mapping[str, bool]] = dict
    again: Callable[[], Collection[str]] = tuple
    running: Callable[[], Collection[str]] = tuple
    passed_over: Callable[[], Collection[str]] = tuple
    settled: Callable[[], Collection[str]] = tuple
    stopped: Callable[[str], Collection[str]] = lambda _: ()
    removed: Callable[[Collection[str], Collection[str]], Collection[str]] = lambda *_: ()
    succeeded: Callable[[Collection[str]], Collection[str]] = lambda _: ()
    mapped_over: MappedOver | None = None
