"""References to artifacts by their own names, and how a reference of any sort is read from JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Final, Self

from airflow_model_provider.exceptions import InvalidDefinition
from airflow_model_provider.exceptions.base import quoted
from airflow_model_provider.expressions import artifact_expression
from airflow_model_provider.limits import LARGEST_INDEX, check_key, check_number
from airflow_model_provider.references import (
    LARGEST_FORM,
    NAMED_KEY,
    OUTPUT_KEY,
    REFERENCE_KEY,
    UNSET,
    JsonValue,
    OutputReference,
    Reference,
    in_registry_of,
    is_new_version,
    kept_default,
)
from airflow_model_provider.selectors import check_conn_id, check_name

if TYPE_CHECKING:
    from airflow_model_provider.deferring import UncomputedDict

_ATTRIBUTES: Final = ("uri", "digest", "number", "local_path")
_METADATA: Final = "metadata:"


@dataclass(frozen=True, repr=False, eq=False)
class NamedArtifact(JsonValue):
    """
    A lazy reference to an artifact by its own name, whatever model it belongs to.

    :param name: the artifact's name.
    :param version: its own version number; None for the newest one when the task runs.
    :param map_index: only those that this element of a mapped step made.
    :param attribute: a plain value instead of the whole: ``uri``, ``digest``, ``number``, ``local_path``, or
        ``metadata:<key>``.
    :param conn_id: the connection of the registry; None means the default one.
    :param default: a JSON value that is used where the artifact or the key is missing.
    :raises InvalidName: for an impossible name.

    >>> NamedArtifact("scaler", 3)
    artifact scaler@3
    >>> NamedArtifact.from_json(NamedArtifact("scaler", 3).to_json()) == NamedArtifact("scaler", 3)
    True
    """

    name: str
    version: int | None = None
    map_index: int | None = None
    attribute: str | None = None
    conn_id: str | None = None
    default: Any = UNSET

    def __post_init__(self) -> None:
        check_name("artifact", self.name)
        if self.version is not None:
            object.__setattr__(self, "version", check_number("artifact version", self.version))
        if self.map_index is not None:
            index = check_number("map index", self.map_index, -1, LARGEST_INDEX)
            object.__setattr__(self, "map_index", index)
        if isinstance(self.attribute, str) and self.attribute.startswith(_METADATA):
            check_key(self.attribute.removeprefix(_METADATA))
        elif self.attribute not in (None, *_ATTRIBUTES):
            problem = f"attribute={quoted(self.attribute)} is unknown"
            raise InvalidDefinition(f"artifact {self.name!r}", problem, f"Known: {', '.join(_ATTRIBUTES)}.")
        if self.conn_id is not None:
            check_conn_id(self.conn_id)
        object.__setattr__(self, "default", kept_default(self, self.default))
        said = {item.name: getattr(self, item.name) for item in fields(NamedArtifact)[:-1]}
        form = {NAMED_KEY: repr(self)} | {name: value for name, value in said.items() if value is not None}
        form |= {"default": self.default} if self.has_default else {}
        if (excess := len(json.dumps(form)) - LARGEST_FORM) > 0:  # as of a Reference
            form[NAMED_KEY] = f"{repr(self)[: -excess - 3]}..."
        self._become(form)

    def with_attribute(self, attribute: str) -> NamedArtifact:
        """Return a plain value instead of the whole."""
        return NamedArtifact(*replace(self, attribute=attribute)._facts())

    def but(self, **changes: Any) -> Self:
        """Return the same reference with other values."""
        return replace(self, **changes)

    def _facts(self) -> tuple[Any, ...]:
        return tuple(getattr(self, item.name) for item in fields(NamedArtifact))

    def _compared(self) -> tuple[Any, ...]:
        # 0, 0.0 and False are equal to Python, and three defaults; a list has no hash.
        return *self._facts()[:-1], json.dumps(self.default) if self.has_default else None

    def _equals(self, other: UncomputedDict) -> bool:
        return isinstance(other, NamedArtifact) and self._compared() == other._compared()

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(self._compared())

    def __reduce__(self) -> Any:
        return type(self), self._facts()

    def __str__(self) -> str:
        """Return the Jinja expression that means it, so that it can stand in an f-string of a template."""
        options = {"version": self.version, "map_index": self.map_index, "conn_id": self.conn_id}
        default = {"default": self.default} if self.has_default else {}
        return artifact_expression(self.name, self.attribute, options, default)

    def __repr__(self) -> str:
        text = f"artifact {self.name}" + (f"@{self.version}" if self.version is not None else "")
        text += f"[{self.map_index}]" if self.map_index is not None else ""
        if self.attribute and self.attribute.startswith(_METADATA):
            text += f".metadata[{self.attribute.removeprefix(_METADATA)!r}]"
        else:
            text += f".{self.attribute}" if self.attribute else ""
        return in_registry_of(text, self.conn_id)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """
        Read the JSON form.

        :raises InvalidDefinition: if it is not one that this release can read.
        """
        try:
            return cls(**{name: value for name, value in data.items() if name != NAMED_KEY})
        except (ValueError, TypeError) as err:
            problem = f"this is not a reference to an artifact that can be read ({err})"
            advice = "Pass a reference as a task of this package returned it."
            raise InvalidDefinition(quoted(dict(data)), problem, advice) from err


#: Whatever a task can resolve.
AnyReference = Reference | NamedArtifact | OutputReference
#: Without these it is data of the user's that has our key, and no reference of ours, readable or not.
_OF_OUTPUT: Final = frozenset({OUTPUT_KEY, "registry", "id", "digest"})
_OF_REFERENCE: Final = frozenset({REFERENCE_KEY, "model", "selector"})
_OF_NAMED: Final = frozenset({NAMED_KEY, "name"})


def read_reference(value: object) -> AnyReference | None:
    """
    Return the reference that a JSON object is, or None if it is something else.

    Only for what may be one: what a task has returned, or the user's own code wants to be read.

    :raises InvalidDefinition: if it is one that this release can't read, or holds a template.
    """
    if isinstance(value, AnyReference):
        return value
    if isinstance(value, Mapping) and not isinstance(value, JsonValue):
        if value.keys() >= _OF_OUTPUT:
            return OutputReference.from_json(value)
        if value.keys() >= _OF_NAMED:
            return NamedArtifact.from_json(value)
        if value.keys() >= _OF_REFERENCE or is_new_version(value):
            return Reference.from_json(value)
    return None
