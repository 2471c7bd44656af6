"""Containers that a step hands on: the references and handles in them, and the data beside these."""

from __future__ import annotations

from types import FunctionType
from typing import TYPE_CHECKING, Any

from airflow_model_provider.exceptions import InvalidDefinition, NotSerializable
from airflow_model_provider.exceptions.base import quoted
from airflow_model_provider.handles import Artifact, ModelVersion, Origin, resolved_value
from airflow_model_provider.materializers.json import is_small_json
from airflow_model_provider.materializers.lookup import type_names
from airflow_model_provider.model import Model
from airflow_model_provider.named_artifacts import AnyReference, NamedArtifact
from airflow_model_provider.pipelines.passing import is_plain, read_result
from airflow_model_provider.pipelines.values import WALK, held_in, out_of_reach, transform
from airflow_model_provider.references import JsonValue, OutputReference, Reference, Wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from airflow_model_provider.resolver import Resolver


def travels(value: Any) -> bool:
    """Return whether a value goes through XCom as it is: a larger one, or one that looks like ours, does not."""
    return is_small_json(value) and is_plain(value)


def is_reference(part: Any) -> bool:
    """Return whether a part of a value is a reference or a handle."""
    return isinstance(part, Artifact | ModelVersion | JsonValue | OutputReference)


def meant_by(part: Any) -> AnyReference | None:
    """Return the reference behind a part of a value: the part itself, or that of a model; None for any other part."""
    reference = part.reference if isinstance(part, Model) else part
    return reference if isinstance(reference, AnyReference) else None


def part_of_version(part: Any) -> AnyReference | None:
    """
    Return a part of a value that is a reference to an artifact or a plain value; None for any other part.

    Others are handed on: references to a whole version, and those that skip or wait where nothing is there.
    """
    if isinstance(part, NamedArtifact):
        return part
    if not isinstance(part, Reference) or part.on_missing != "fail":
        return None
    return None if part.wanted is Wanted.VERSION and part.attribute is None else part


def resolved(
    value: Any, resolver: Resolver, wanted: Callable[[Any], AnyReference | None], *, in_code: bool = False
) -> Any:
    """
    Return a value with handles, versions and plain values in the place of references.

    :param wanted: returns the reference that a part stands for; None where it stays.
    :param in_code: see :meth:`Resolver.resolve`.
    """
    found: dict[AnyReference, Any] = {}

    def collect(part: Any) -> Any:
        if (reference := wanted(part)) is None:
            return WALK
        found[reference] = None
        return part

    transform(value, collect)
    for reference, pinned in zip(found, resolver.resolve(list(found), in_code=in_code), strict=True):
        found[reference] = resolved_value(
            resolver.workspace(pinned.conn_id), pinned, Origin(resolver.attempt)
        )

    def put(part: Any) -> Any:
        return WALK if (reference := wanted(part)) is None else found[reference]

    return transform(value, put) if found else value


def loaded(entry: Any, resolver: Resolver) -> Any:
    """Return what an entry of a step's output stands for: its references are resolved, recorded and loaded."""
    return _with_values(resolved(read_result(entry), resolver, meant_by))


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
    :raises InvalidDefinition: if an object in it holds one where nobody looks for it; naming the first.
    :raises NotSerializable: if it is nested too deep to be looked into, and so to be saved.
    """

    def is_meant(part: Any) -> bool:
        if is_reference(part):
            return True
        if not isinstance(part, FunctionType):  # its code may use them
            for held, _ in out_of_reach(part, is_reference):
                raise _not_loaded(part, what, held)
        return False

    try:
        return held_in(value, is_meant)
    except RecursionError:
        raise NotSerializable(what, type_names(value)[0], "it is nested too deep") from None


def with_handles_loaded(value: Any, what: str) -> Any:
    """Return a container with the values of the handles in it; one that also holds references stays as it is."""
    held = references_held(value, what)
    if not held or not all(isinstance(part, Artifact) for part in held):
        return value
    try:
        return _with_values(value)
    except InvalidDefinition as err:  # of a set, for a value that has no hash
        raise InvalidDefinition(what, f"{err.subject}: {err.problem}", err.advice) from err


def without_references(value: Any, what: str) -> Any:
    """
    Return a container with the values of the handles in it.

    :param what: how errors call it.
    :raises InvalidDefinition: if it also holds references: whoever loads it would get them as they are.
    """
    value = with_handles_loaded(value, what)
    for part in references_held(value, what):
        raise _not_loaded(value, what, part)
    return value


def _not_loaded(value: Any, what: str, part: Any) -> InvalidDefinition:
    return InvalidDefinition(
        what,
        f"its value of type {type_names(value)[0]} holds {quoted(part)} where nobody would load it",
        "Return it alone, or in lists, tuples and dicts whose keys are texts or numbers.",
    )


def _with_values(value: Any) -> Any:
    return transform(value, lambda part: part.load() if isinstance(part, Artifact) else WALK)
