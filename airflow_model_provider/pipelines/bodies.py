"""The body of a pipeline, in both worlds: it calls steps, all that it prepares, and only what is defined above it."""

from __future__ import annotations

import builtins
import dis
import inspect
import warnings
from contextlib import contextmanager
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING, Any, ClassVar, Final, NoReturn, Self

from airflow_model_provider import host
from airflow_model_provider.context import (
    PipelineContext,
    building_pipeline,
    current_pipeline,
    current_step,
)
from airflow_model_provider.exceptions import InvalidDefinition

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_model_provider.pipelines.definition import PipelineDefinition

_COMPREHENSIONS: Final = frozenset({"<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>"})
_ABOVE: Final = "Define it above the pipeline: Airflow runs the body when it reads @pipeline."


@contextmanager
def body_of(pipeline: PipelineDefinition, context: PipelineContext) -> Iterator[None]:
    """
    Make this the pipeline whose body runs.

    :raises InvalidDefinition: if the body uses what is defined below it, or does not call a step that it prepared.
    """
    _refuse_defined_below(pipeline)
    is_outermost = current_pipeline() is None
    try:
        with building_pipeline(context):
            yield
    except NameError as err:
        if err.name in undefined_names(pipeline.function):
            raise _defined_below(pipeline, err.name) from err
        raise
    if is_outermost:
        for found, method in context._uncalled.values():
            raise _not_called(found, method, f"the body of pipeline {pipeline.name!r}")


def refuse_empty(pipeline: PipelineDefinition, tasks: int) -> None:
    """
    Refuse a pipeline whose body has called nothing: its runs would succeed and do nothing.

    :param tasks: how many tasks the body has added.
    :raises InvalidDefinition: if the body has added no task.
    """
    if not tasks:
        raise InvalidDefinition(
            f"pipeline {pipeline.name!r}",
            "its body calls no step, so a run would do nothing",
            "Call a step in its body: train(...), or train.expand(...).",
        )


def undefined_names(function: Callable[..., Any]) -> frozenset[str]:
    """
    Return the names that a function of a file uses and that are not defined yet.

    Airflow runs the body of a pipeline at once. What a lambda in it uses is looked up later.
    """
    function = inspect.unwrap(function)
    code = getattr(function, "__code__", None)
    if code is None or not Path(code.co_filename).is_file():  # a notebook's cells are read in any order
        return frozenset()
    known = function.__globals__.keys() | vars(builtins).keys()
    cells = dict(zip(code.co_freevars, function.__closure__ or (), strict=True))
    empty = {name for name, cell in cells.items() if _is_empty(cell)}
    used = set(_names_in(code))
    return frozenset(
        name
        for name, is_global in used
        if (name not in known if is_global else name in empty) and name != function.__name__
    )


def _names_in(code: CodeType) -> Iterator[tuple[str, bool]]:
    """Yield the names that code looks up outside of itself, and whether among globals."""
    for found in dis.get_instructions(code):
        if found.opname == "LOAD_GLOBAL":
            yield found.argval, True
        elif found.opname == "LOAD_DEREF":
            yield found.argval, False
    for part in code.co_consts:
        if isinstance(part, CodeType) and part.co_name in _COMPREHENSIONS:
            yield from _names_in(part)


def _is_empty(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018 - the only way to ask
    except ValueError:
        return True
    return False


def _refuse_defined_below(pipeline: PipelineDefinition) -> None:
    """Refuse what a program can run and Airflow can't read."""
    if pipeline.undefined and (names := pipeline.undefined - undefined_names(pipeline.function)):
        raise _defined_below(pipeline, min(names))


def _defined_below(pipeline: PipelineDefinition, name: str) -> InvalidDefinition:
    problem = f"its body uses {name!r}, which is not defined above it"
    return InvalidDefinition(f"pipeline {pipeline.name!r}", problem, _ABOVE)


def _not_called(found: Prepared, method: str, where: str) -> InvalidDefinition:
    name = getattr(found, "__name__", "it")
    call = ".expand(...)" if method == "partial" else "(...)"
    advice = f"Call it: {name}.{method}(...){call}."
    return InvalidDefinition(
        found._subject, f"{where} prepares it with {method}(), but does not call it", advice
    )


class Prepared:
    """A step or a pipeline in a body: nothing happens until it is called."""

    not_an_argument: ClassVar[str]
    _kind: ClassVar[str]
    _uncalled: str | None = None
    definition: Any

    @property
    def _subject(self) -> str:
        return f"{self._kind} {self.definition.name!r}"

    def _prepared(self, made: Self, method: str) -> Self:
        """Note that a body has got something by a method, and is to call it."""
        self._note_call()
        pipeline = current_pipeline()
        if current_step() is not None:
            return made
        if pipeline is not None:
            pipeline._uncalled[id(made)] = (made, method)
        elif host.dag_being_built() is not None:
            made._uncalled = method
        return made

    def _note_call(self) -> None:
        self._uncalled = None
        if (pipeline := current_pipeline()) is not None:
            pipeline._uncalled.pop(id(self), None)

    def __del__(self) -> None:
        """Warn where nobody knows the end of the body: in a ``@dag``. Airflow does so of its own operators."""
        if self._uncalled is not None:
            warnings.warn(str(_not_called(self, self._uncalled, "a DAG")), stacklevel=2)

    def refuse_order(self, *_: Any, **__: Any) -> NoReturn:
        """
        Refuse to run before or after something.

        :raises InvalidDefinition: always.
        """
        raise InvalidDefinition(
            self._subject,
            "it was not called, so nothing can run before or after it",
            "Call it first.",
        )

    __rshift__ = __lshift__ = __rrshift__ = __rlshift__ = refuse_order
    set_upstream = set_downstream = update_relative = roots = leaves = refuse_order
