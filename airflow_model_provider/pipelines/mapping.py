"""
What is mapped over: an output's entries, one for each instance of the tasks that are mapped over it.

An entry is the element itself where it is small JSON, and otherwise a reference to the element, which is saved by
itself: each instance loads its own element and no other.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, Self

from airflow_model_provider.exceptions import InvalidDefinition, NotMappable
from airflow_model_provider.exceptions.base import an, quoted
from airflow_model_provider.limits import is_json
from airflow_model_provider.pipelines.passing import is_plain
from airflow_model_provider.references import JsonValue

#: How the artifact is called that holds the elements of an output.
_SUFFIX = ".elements"
#: In the names of outputs that are parts of what a step returned, saved by themselves.
PART_OF_OUTPUT: Final = "[]"
#: Stands for the elements of an output among names of arguments.
ELEMENT: Final = ""


def ignore(_length: int) -> None:
    """Refuse no number of elements."""


class MappedOver(NamedTuple):
    """
    How the output of a step is mapped over.

    :param tasks: the tasks that are.
    :param limit: is called with the number of elements and may refuse it.
    :param kwargs: whether an element is the arguments of an instance (``expand_kwargs``).
    :param composed: whether ``.map()``, ``.zip()`` or ``.concat()`` of it is mapped over.
    :param arguments: whether the output itself is the arguments of an instance (``expand_kwargs([output])``).
    :param handles: the arguments that get handles of artifacts, ``ELEMENT`` for elements: these are saved by
        themselves however small they are.
    """

    tasks: tuple[str, ...]
    limit: Callable[[int], None] = ignore
    kwargs: bool = False
    composed: bool = False
    arguments: bool = False
    handles: frozenset[str] = frozenset()

    @classmethod
    def by(
        cls,
        uses: Mapping[str, Collection[str]],
        limit: Callable[[int], None] = ignore,
        handles: Iterable[str] = (),
    ) -> Self:
        """
        Return how an output is mapped over.

        :param uses: by task, as what the output stands in what it is mapped over: ``elements``, ``kwargs``,
            ``arguments``, ``composed``.
        """
        all_uses = {use for found in uses.values() for use in found}
        kwargs, composed, arguments = (use in all_uses for use in ("kwargs", "composed", "arguments"))
        return cls(tuple(sorted(uses)), limit, kwargs, composed, arguments, frozenset(handles))

    def travels(self, name: str | None) -> bool:
        """Return whether what is small stands in the entries itself: an element, or an argument of that name."""
        return (ELEMENT if name is None else name) not in self.handles

    def is_nothing(self, entries: Any) -> bool:
        """Return whether entries give the tasks no instance; of what is composed of them that is not known."""
        return entries is not None and not entries and not self.composed

    def check(self, value: Any, what: str) -> None:
        """
        Refuse what can't be mapped over.

        :param what: how errors call it: ``output 'rows' of step 'load'``.
        :raises NotMappable: if it is no list, tuple or dict, or holds no arguments where these are asked for.
        """
        problem = self._problem(value)
        if problem is not None:
            raise NotMappable(f"{what[:1].upper()}{what[1:]}", self.tasks, *problem)
        self.limit(len(value))

    def _problem(self, value: Any) -> tuple[str, str] | None:
        if isinstance(value, JsonValue):
            return f"its value is the reference {value!r}", "Return a list, a tuple or a dict."
        if not is_mappable(value):
            return f"its value is {_described(value)}", "Return a list, a tuple or a dict."
        if self.arguments and not isinstance(value, Mapping):
            return (
                f"expand_kwargs() takes a dict here, and its value is {_described(value)}",
                "Return a dict.",
            )
        if self.kwargs and (problem := _no_arguments(value)) is not None:
            return problem, "Return a list of dicts whose keys are names of arguments."
        if isinstance(value, Mapping) and self.composed:
            return "map(), zip() and concat() need an order, and its value is a dict", "Return a list."
        if isinstance(value, Mapping) and (problem := _wrong_key(value)) is not None:
            return problem, "Use other texts as keys, or return a list of pairs."
        return None


def is_mappable(value: Any) -> bool:
    """Return whether Airflow maps over a value: what has an order and elements, and is no text."""
    return isinstance(value, Sequence | dict) and not isinstance(value, str | bytes | bytearray)


def _no_arguments(value: Any) -> str | None:
    if isinstance(value, Mapping):
        return "expand_kwargs() takes a list of dicts, and its value is a dict"
    for index, item in enumerate(value):
        if not isinstance(item, Mapping):
            return f"expand_kwargs() takes a list of dicts, and its element {index} is {_described(item)}"
        if (problem := _wrong_key(item)) is not None:
            return f"{problem} in its element {index}"
    return None


def _wrong_key(value: Mapping[Any, Any]) -> str | None:
    """XCom is JSON, which would make texts of all keys, and some say what an object is."""
    for key in value:
        if not isinstance(key, str):
            return f"the key {quoted(key)} is {_described(key)}"
        if not is_plain({key: None}):
            return f"the key {key!r} is reserved"
    return None


def _described(value: Any) -> str:
    return "None" if value is None else an(type(value).__qualname__)


def check_mapping_function(function: object) -> None:
    """
    Refuse what ``map()`` can't apply to elements.

    :raises InvalidDefinition: if it is a step, a task, or no function at all.
    """
    advice = "Pass a plain function, such as: rows.map(lambda row: row['id'])."
    if hasattr(function, "definition") or getattr(function, "_airflow_is_task_decorator", False):
        problem = f"{function!r} is a step or a task, and map() would not run it as one"
        raise InvalidDefinition("map()", problem, advice)
    if not callable(function):
        raise InvalidDefinition("map()", f"{quoted(function)} is not a function", advice)
    try:
        inspect.getfile(inspect.unwrap(function))
    except TypeError as err:
        problem = f"{quoted(function)} has no source, which Airflow keeps with the DAG"
        raise InvalidDefinition("map()", problem, advice) from err


def check_fillvalue(value: object) -> None:
    """
    Refuse a ``fillvalue`` of ``zip()`` that Airflow can't keep with the DAG.

    :raises InvalidDefinition: if it is no JSON.
    """
    if not is_json(value):
        problem = f"fillvalue={quoted(value)} is no JSON, as which Airflow keeps it with the DAG"
        advice = "Pass None, text or a number, and let the step put something else in its place."
        raise InvalidDefinition("zip()", problem, advice)


class Part(NamedTuple):
    """An element, or one argument of it, that is saved by itself; its reference is put where the entries want it."""

    value: Any
    place: int
    key: str | None
    put: Callable[[Any], None]


def split(value: Any, over: MappedOver, travels: Callable[[Any], bool]) -> tuple[Any, list[Part]]:
    """
    Return the entries of a value that is mapped over, and what of them has to be saved before they are complete.

    :param travels: whether a part can stand in an entry as it is.

    >>> split((1, object()), MappedOver(("use",)), lambda part: isinstance(part, int))  # doctest: +SKIP
    ([1, None], [Part(value=<object>, place=1, key=None, put=...)])
    """
    parts: list[Part] = []

    def entry(container: Any, place: Any, part: Any, index: int, key: str | None = None) -> None:
        container[place] = part
        if not (over.travels(key) and not (over.arguments and not over.travels(place)) and travels(part)):
            container[place] = None
            parts.append(Part(part, index, key, functools.partial(container.__setitem__, place)))

    if isinstance(value, Mapping):
        named: dict[str, Any] = {}
        for index, (key, item) in enumerate(value.items()):
            entry(named, key, item, index)
        return named, parts
    entries: list[Any] = [None] * len(value)
    for index, item in enumerate(value):
        if over.kwargs:
            entries[index] = {}
            for key, argument in item.items():
                entry(entries[index], key, argument, index, key)
        else:
            entry(entries, index, item, index)
    return entries, parts


def arguments_for_handles(function: Callable[..., Any]) -> set[str]:
    """Return the parameters of a function that are annotated ``Artifact[...]``, alone or inside a container."""
    from airflow_model_provider.pipelines.inputs import asks_for_handle  # opens the registry's code
    from airflow_model_provider.pipelines.outputs import read_annotation

    names = inspect.signature(function).parameters
    return {name for name in names if asks_for_handle(read_annotation(function, name))}


def name_of_elements(artifact: str) -> str:
    """Return the name of the artifact whose versions are the elements of another one's, saved by themselves."""
    return f"{artifact[: 100 - len(_SUFFIX)]}{_SUFFIX}"
