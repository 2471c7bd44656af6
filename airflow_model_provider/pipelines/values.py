"""Walking through the values that may hold references: lists, tuples, dicts, sets and dataclasses, at any depth."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Final

from airflow_model_provider.references import JsonValue, Reference

#: Returned by a visitor that leaves a value to be walked into.
WALK: Final = object()


def transform(value: Any, visit: Callable[[Any], Any]) -> Any:
    """
    Return ``value`` with every part replaced for which ``visit`` returns something else than ``WALK``.

    Containers without a replaced part are returned as they are, so that nothing is copied for nothing.
    """
    visited = visit(value)
    if visited is not WALK:
        return visited
    if type(value) in (str, int, float, bool, bytes, type(None)) or isinstance(value, JsonValue):
        return value
    if isinstance(value, Mapping) and type(value) is dict:
        items = {key: transform(item, visit) for key, item in value.items()}
        return items if any(items[key] is not value[key] for key in value) else value
    if isinstance(value, list | tuple | set | frozenset):
        return _sequence(value, [transform(item, visit) for item in value])
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _dataclass(value, visit)
    return value


def _sequence(value: Any, items: list[Any]) -> Any:
    if all(new is old for new, old in zip(items, value, strict=True)):
        return value
    if hasattr(value, "_make"):  # a named tuple
        return value._make(items)
    return type(value)(items)


def _dataclass(value: Any, visit: Callable[[Any], Any]) -> Any:
    changed = {}
    for item in dataclasses.fields(value):
        old = getattr(value, item.name)
        new = transform(old, visit)
        if new is not old:
            changed[item.name] = new
    if not changed:
        return value
    clone = copy.copy(value)
    for name, new in changed.items():
        object.__setattr__(clone, name, new)  # frozen ones too
    return clone


def references_in(value: Any) -> list[Any]:
    """Return the references that a value holds, at any depth; a ``Model`` that names a version counts as one."""
    found: list[Any] = []

    def visit(part: Any) -> Any:
        reference = getattr(part, "reference", None) if not getattr(part, "makes_version", True) else part
        if not isinstance(reference, Reference):
            return WALK
        found.append(reference)
        return part

    transform(value, visit)
    return found
