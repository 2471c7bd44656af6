"""Containers that a step hands on: the references and handles in them, and the data beside these."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_model_provider.handles import Artifact, ModelVersion
from airflow_model_provider.materializers.json import is_small_json
from airflow_model_provider.pipelines.passing import is_plain
from airflow_model_provider.pipelines.values import WALK, transform
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

    def holds_one(part: Any) -> bool:
        items = part.values() if isinstance(part, dict) else part if isinstance(part, list | tuple) else ()
        return is_reference(part) or any(map(holds_one, items))

    large: dict[int, Any] = {}

    def collect(part: Any) -> Any:
        if holds_one(part):
            return part if is_reference(part) else WALK
        if not is_small_json(part):
            large[id(part)] = part
        return part

    transform(value, collect)
    if not large:
        return value
    saved = dict(zip(large, save(list(large.values())), strict=True))
    return transform(value, lambda part: part if is_reference(part) else saved.get(id(part), WALK))


def with_handles_loaded(value: Any) -> Any:
    """Return a container with the values of the handles in it; one that also holds references stays as it is."""
    others: list[Any] = []

    def load(part: Any) -> Any:
        if isinstance(part, JsonValue | OutputReference | ModelVersion):
            others.append(part)
            return part
        return part.load() if isinstance(part, Artifact) else WALK

    transform(value, lambda part: part if isinstance(part, Artifact) else load(part))
    return value if others else transform(value, load)
