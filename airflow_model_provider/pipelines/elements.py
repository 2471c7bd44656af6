"""Elements in a local run: what instances get of what they are mapped over, made when it is taken, as in Airflow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import chain, zip_longest
from typing import Any, Final

from airflow_model_provider.pipelines.passing import read_result, sent

#: Returns what an entry of a step's output stands for.
Load = Callable[[Any], Any]
#: Takes an element, with references to what is not loaded yet or loaded: ``element(load, loaded)``.
Element = Callable[[Load, bool], Any]

#: No ``fillvalue`` was given to ``zip()``.
UNFILLED: Final = object()


def entries(items: Iterable[Any]) -> list[Element]:
    """Return the elements of a step's output, of which each travels as its entry."""
    return [partial(_entry, item) for item in items]


def mapped(function: Callable[[Any], Any], elements: Sequence[Element]) -> list[Element]:
    """Return what a function makes of elements, which it is given themselves."""
    return [partial(_applied, function, element) for element in elements]


def zipped(fillvalue: Any, *parts: Sequence[Element]) -> list[Element]:
    """Return tuples of elements."""
    if fillvalue is UNFILLED:
        return [partial(_tuple, elements) for elements in zip(*parts, strict=False)]
    fill = partial(_as_it_is, fillvalue)
    return [partial(_tuple, elements) for elements in zip_longest(*parts, fillvalue=fill)]


def concatenated(*parts: Sequence[Element]) -> list[Element]:
    """Return elements one after the other."""
    return list(chain(*parts))


def _entry(item: Any, load: Load, loaded: bool) -> Any:
    own = sent(item)  # as each instance, and each function of map(), gets it from XCom
    return load(own) if loaded else read_result(own)


def _applied(function: Callable[[Any], Any], element: Element, load: Load, _loaded: bool) -> Any:
    return function(element(load, True))


def _tuple(elements: Sequence[Element], load: Load, loaded: bool) -> Any:
    return tuple(element(load, loaded) for element in elements)


def _as_it_is(value: Any, _load: Load, _loaded: bool) -> Any:
    return value
