"""Calling a step's function: what can be one, and what runs the code of an ``async def``."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from airflow_model_provider import host
from airflow_model_provider.exceptions import InvalidDefinition, PromotionRefused
from airflow_model_provider.exceptions.base import quoted
from airflow_model_provider.pipelines.arguments import check_parameters

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_GENERATOR = "Return a list, or make it several outputs: tuple[Annotated[...], ...]."
#: What to do about a function that two decorators make a task of.
ONE_DECORATOR: Final = (
    "Leave one of the two decorators out: @step (in a @dag also @task.step) makes a task by itself."
)


def check_function(subject: str, function: object) -> None:
    """
    Refuse what can't be the code of a step.

    :raises InvalidDefinition: for something that can't be called, a generator, a method, or a task of Airflow.
    """
    if not callable(function):
        raise InvalidDefinition(
            "@step", f"{quoted(function)} is not a function", "Put @step above a function."
        )
    if hasattr(function, "expand_kwargs") or hasattr(function, "with_options"):  # Airflow's tasks, ours
        raise InvalidDefinition(subject, "it is a task already", ONE_DECORATOR)
    code = function if inspect.isroutine(function) else type(function).__call__
    for item in (function, code):
        if inspect.isgeneratorfunction(item) or inspect.isasyncgenfunction(item):
            raise InvalidDefinition(subject, "its function is a generator (it has a yield)", _GENERATOR)
    check_parameters(subject, _parameters(function))


def _parameters(function: Callable[..., Any]) -> Mapping[str, Any]:
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):  # a built-in may have none
        return {}


def call(
    subject: str,
    function: Callable[..., Any],
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
) -> Any:
    """
    Call a step's function and return its value; the code of an ``async def`` has run to its end then.

    :param subject: how errors call the step.
    :raises InvalidDefinition: if it returns a generator, whose code has not run.
    """
    result = function(*args, **(kwargs or {}))
    if isinstance(result, Coroutine):
        result = _finished(result)
    if inspect.isgenerator(result) or inspect.isasyncgen(result):
        raise InvalidDefinition(subject, "it returned a generator, whose code has not run", _GENERATOR)
    return result


def _finished(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine to its end; beside an event loop that runs already, as a notebook's does, in a thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(contextvars.copy_context().run, asyncio.run, coroutine).result()


def is_skip(error: BaseException) -> bool:
    """
    Return whether an error means that a task is skipped, not failed.

    So do Airflow's own exception, which code that knows Airflow raises in a local run too, and soft gates.
    """
    return host.is_skip(error) or (isinstance(error, PromotionRefused) and error.soft)
