"""Containers that a step hands on: the references and handles in them, and the data beside these."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_model_provider.exceptions import NotSerializable
from airflow_model_provider.handles import Artifact, ModelVersion
from airflow_model_provider.materializers.json import is_small_json
from airflow_model_provider.materializers.lookup import type_names
from airflow_model_provider.pipelines.passing import is_plain
from airflow_model_provider.pipelines.values import WALK, held_in, transform
from airflow_model_provider.references import JsonValue, OutputReference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def travels(value: Any) -> bool:
    """Return whether a value goes through XCom as it is: a larger one, or one that looks like ours, does not."""
    return is_small_json(value) and is_plain(value)


def is_reference(part: Any) -> bool:
    """Return whether a part of a value is a reference or a handle."""
    return isinstance(part, Artifact | ModelVersion | JsonValue | OutputReference)


def with_parts_saved(value: Any, save: Callable[[list[Any]], Iterable[Any]]) -> Any:
    """
    Return a container of references with the data beside them that is too large to travel replaced by references.

    :param save: saves parts, and returns a reference to each.
    """
    large: dict[int, Any] = {}

    def collect(part: Any) -> Any:
        if is_reference(part):
            return part
        if held_in(part, is_reference):
            return WALK
        if not is_small_json(part):
            large[id(part)] = part
        return part

    transform(value, collect)
    if not large:
        return value
    saved = dict(zip(large, save(list(large.values())), strict=True))
    return transform(value, lambda part: part if is_reference(part) else saved.get(id(part), WALK))


def references_held(value: Any, what: str) -> list[Any]:
    """
    Return the references and handles in a value that a step returns.

    :param what: how errors call it.
    :raises NotSerializable: if it is nested too deep to be looked into, and so to be saved.
    """
    try:
        return held_in(value, is_reference)
    except RecursionError:
        raise NotSerializable(what, type_names(value)[0], "it is nested too deep") from None


def with_handles_loaded(value: Any, what: str) -> Any:
    """Return a container with the values of the handles in it; one that also holds references stays as it is."""
    held = references_held(value, what)
    if not held or not all(isinstance(part, Artifact) for part in held):
        return value
    return transform(value, lambda part: part.load() if isinstance(part, Artifact) else WALK)
