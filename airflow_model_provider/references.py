"""
References: the small lazy values that travel in task configuration and XCom.

Nothing here does I/O or imports anything heavy: a DAG file is parsed with it (R1, R2).
"""

from __future__ import annotations

import importlib
import json
import sys
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Final, NoReturn, Self

from airflow_model_provider.deferring import UncomputedDict, called_by_machinery
from airflow_model_provider.exceptions import InvalidDefinition
from airflow_model_provider.exceptions.base import harmless, quoted
from airflow_model_provider.expressions import jinja_expression
from airflow_model_provider.limits import DEEPEST, LARGEST_INDEX, check_key, check_number, is_shallow
from airflow_model_provider.selectors import (
    ArtifactType,
    Selector,
    SelectorKind,
    artifact_type,
    check_conn_id,
    check_name,
    printed,
    read_as_of,
)
from airflow_model_provider.stage_uri import DEFAULT_CONN_ID

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The key that marks a JSON object as one of ours, in XCom and in rendered fields.
REFERENCE_KEY: Final = "__model_reference__"
OUTPUT_KEY: Final = "__artifact__"
NAMED_KEY: Final = "__named_artifact__"
#: Turns references into handles while Airflow renders the fields of stock operators; by name, because the core
#: does not import what stands above it.
_RENDERING: Final = "airflow_model_provider.rendering"


class Wanted(StrEnum):
    """What a reference asks of the version it selects."""

    VERSION = "version"
    ARTIFACT = "artifact"
    METADATA = "metadata"


class _Unset:
    """The absence of a default, so that ``default=None`` can be said."""

    _only: _Unset | None = None

    def __new__(cls) -> _Unset:
        cls._only = cls._only or super().__new__(cls)
        return cls._only

    def __reduce__(self) -> str:
        return "UNSET"

    def __deepcopy__(self, memo: object) -> _Unset:
        return self

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = _Unset()

#: What can be done with a reference that ``expand()`` does not take.
MAP_OVER: Final = (
    "Pass a list of references, the output of a step that returns a list, or use partial() for one value."
)
#: How long a version is kept, and what is done where there is none; the first is the default.
PINS: Final = ("task", "run")
POLICIES: Final = ("fail", "skip", "wait")
_ATTRIBUTES: Final = ("id", "number", "version_name", "stage", "uri", "digest", "local_path")

#: Characters that a reference has as JSON at most, a long default, template or metadata key aside (R2).
LARGEST_FORM: Final = 499


def in_registry_of(text: str, conn_id: str | None) -> str:
    """
    Return the printed form of something in a registry: the default one is not named.

    >>> in_registry_of("iris[production]", "team_a")
    'iris[production] in team_a'
    """
    return text if conn_id in (None, DEFAULT_CONN_ID) else f"{text} in {harmless(str(conn_id))}"


class JsonValue(UncomputedDict):
    """
    A value that is its own JSON form, and never changes.

    Airflow writes a dict that a task returns into XCom as plain JSON; anything else it would wrap in a class
    name that no task may read without an allow-list (R4).
    """

    def _never(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError(f"{self!r} can't be changed")

    __setitem__ = __delitem__ = __ior__ = _never
    clear = pop = popitem = setdefault = update = _never
    # What frozen dataclasses leave open: other names, on their subclasses.
    __setattr__ = __delattr__ = _never

    @property
    def has_default(self) -> bool:
        """Whether something is to be used where stage, artifact or key is missing; None counts."""
        return getattr(self, "default", UNSET) is not UNSET

    def values(self) -> Any:
        """
        Return the parts of the JSON form. Airflow asks for them where ``expand()`` is given a reference.

        :raises InvalidDefinition: there: it would be mapped over its parts.
        """
        if _is_expanded():
            raise InvalidDefinition(repr(self), "it is one value and can't be mapped over", MAP_OVER)
        return super().values() if called_by_machinery() else self._refuse("iterating over it")

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def _become(self, data: Mapping[str, Any]) -> None:
        dict.update(self, data)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form as a plain dict."""
        return dict(dict.items(self))

    def serialize(self) -> dict[str, Any]:
        """Return what Airflow shows for it and keeps in the serialized DAG."""
        return self.to_json()

    def resolve(self, context: Mapping[str, Any]) -> Any:
        """
        Return what it stands for in a task's template field; Airflow calls this while it renders the field.

        In a step it stays as it is until ``pre_execute``; in any other operator it becomes a pinned handle, or
        a plain value.
        """
        return importlib.import_module(_RENDERING).rendered(self, context)


@dataclass(frozen=True, repr=False, eq=False)
class Reference(JsonValue):
    """
    A lazy reference: a model, which version of it, and what is wanted.

    It is immutable, hashable, equal by value, does no I/O, and is resolved by the task that receives it.

    :param model: the model's name.
    :param selector: which version.
    :param wanted: the version itself, an artifact of it, or a metadata value of it.
    :param name: the artifact's name or the metadata key.
    :param kind: only an artifact of this kind, or None for any.
    :param artifact_version: a given version of the artifact instead of the newest.
    :param map_index: the element of a collection that a mapped step made.
    :param attribute: a plain value instead of the whole: ``number``, ``version_name``, ``stage``, ``id`` of a
        version; ``uri``, ``digest``, ``number``, ``local_path`` of an artifact, or ``metadata:<key>``.
    :param default: used where stage, artifact or key is missing: a JSON value, or another reference, which is
        resolved in turn.
    :param conn_id: the connection of the registry; None means the default one.
    :param pin: ``task``, or ``run``: all tasks of a Dag run get the same version.
    :param as_of: the version that the stage pointed to then: times, or names of the run's dates; the first
        that there is counts.
    :param on_missing: ``fail``, ``skip`` or ``wait`` where no version is selected.

    >>> reference = Reference("iris_classifier", Selector.parse("production"), Wanted.ARTIFACT, "trained_model")
    >>> reference
    iris_classifier[production]/trained_model
    >>> Reference.from_json(reference.to_json()) == reference
    True
    """

    model: str
    selector: Selector
    wanted: Wanted = Wanted.VERSION
    name: str | None = None
    kind: ArtifactType | None = None
    artifact_version: int | None = None
    map_index: int | None = None
    attribute: str | None = None
    default: Any = UNSET
    conn_id: str | None = None
    pin: str = "task"
    as_of: tuple[str, ...] = ()
    on_missing: str = "fail"

    def __post_init__(self) -> None:
        self._check_names()
        if isinstance(self.default, JsonValue):
            object.__setattr__(self, "default", getattr(self.default, "reference", self.default))
        if not isinstance(self.default, Reference):
            object.__setattr__(self, "default", kept_default(self, self.default))
        self._become(self._as_json())

    def _check_names(self) -> None:
        check_name("model", self.model)
        if self.wanted is Wanted.METADATA:
            check_key(self.name)
        elif self.wanted is Wanted.ARTIFACT:
            check_name("artifact", self.name)
        if self.attribute is not None and self.attribute.startswith("metadata:"):
            check_key(self.attribute.removeprefix("metadata:"))
        if self.conn_id is not None:
            check_conn_id(self.conn_id)
        if self.artifact_version is not None:
            number = check_number("artifact version", self.artifact_version)
            object.__setattr__(self, "artifact_version", number)
        if self.map_index is not None:
            index = check_number("map index", self.map_index, -1, LARGEST_INDEX)
            object.__setattr__(self, "map_index", index)

    @property
    def fallback(self) -> Reference | None:
        """The reference that is resolved in its place where stage, artifact or key is missing, if there is one."""
        return self.default if isinstance(self.default, Reference) else None

    def with_attribute(self, attribute: str) -> Reference:
        """Return a plain value instead of the whole, of its fallback too."""
        default = self.default if self.fallback is None else self.fallback.with_attribute(attribute)
        facts = {item.name: getattr(self, item.name) for item in fields(Reference)}
        return Reference(**{**facts, "attribute": attribute, "default": default})

    @property
    def pin_key(self) -> str:
        """What a pin of it is kept under: the selector, with the time for which it is asked."""
        return f"{self.selector} as of {self.as_of[0]}" if self.as_of else str(self.selector)

    def but(self, **changes: Any) -> Self:
        """Return the same reference with other values."""
        return replace(self, **changes)

    def _facts(self) -> tuple[Any, ...]:
        return tuple(getattr(self, item.name) for item in fields(Reference))

    def _equals(self, other: UncomputedDict) -> bool:
        if not isinstance(other, Reference):
            return False
        same = self._facts() == other._facts()
        # 0, 0.0 and False are equal to Python, and three defaults.
        return same and (not self.has_default or json.dumps(self.default) == json.dumps(other.default))

    def __hash__(self) -> int:  # type: ignore[override]
        default = json.dumps(self.default) if self.has_default else None
        return hash((self.model, self.selector, self.wanted, self.name, self.attribute, default))

    def __reduce__(self) -> Any:
        return type(self), self._facts()

    def __str__(self) -> str:
        """Return the Jinja expression that means it, so that it can stand in an f-string of a template."""
        return jinja_expression(self)

    def __repr__(self) -> str:
        return in_registry_of(self._printed(), self.conn_id)

    def _printed(self) -> str:
        text = printed(self.model, self.selector, self.as_of)
        if self.wanted is Wanted.ARTIFACT:
            text += f"/{self.name}"
            text += f"@{self.artifact_version}" if self.artifact_version is not None else ""
            text += f"[{self.map_index}]" if self.map_index is not None else ""
        elif self.wanted is Wanted.METADATA:
            text += f".run_metadata[{self.name!r}]"
        key = (self.attribute or "").partition("metadata:")[2]
        if key:
            return f"{text}.metadata[{key!r}]"
        return text + (f".{self.attribute}" if self.attribute else "")

    def _as_json(self) -> dict[str, Any]:
        """Only what differs from the defaults, in a fixed order."""
        data: dict[str, Any] = {
            REFERENCE_KEY: repr(self),
            "model": self.model,
            "version": self.selector.value,
        }
        data["selector"] = self.selector.kind.value
        for item in fields(Reference)[2:]:
            value = getattr(self, item.name)
            if value is not UNSET and value is not None and value != item.default:
                data[item.name] = _plain(value)
        if self.wanted is Wanted.ARTIFACT:
            del data["wanted"]  # what has a name is an artifact, unless it says otherwise
        else:
            data["wanted"] = self.wanted.value
        if self.default is not UNSET:
            data.pop("default", None)
            data[_FALLBACK if self.fallback else "default"] = _plain(self.default)
        excess = len(json.dumps(data)) - LARGEST_FORM
        if excess > 0:  # names as long as they may be: the printed form, which only people read, gives way
            data[REFERENCE_KEY] = f"{repr(self)[: -excess - 3]}..."
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """
        Read the JSON form, of this release or an older one.

        :raises InvalidDefinition: if it is not one that this release can read, or holds a template.
        """
        if "selector" not in data and is_new_version(data):
            model = data["model"]
            problem = "it names no version, because each run makes a new one"
            raise InvalidDefinition(f"{model}[new]", problem, "Say which: version='latest', version=3.")
        try:
            more = {name: data[name] for name in data if name not in _SELECTED}
            values = {item.name: more.pop(item.name) for item in fields(Reference)[2:] if item.name in more}
            fallback = more.pop(_FALLBACK, None)
            _refuse_unknown(more)
            if fallback is not None:
                values["default"] = Reference.from_json({**fallback})
            values["wanted"] = Wanted(values.get("wanted", "artifact" if "name" in values else "version"))
            values["as_of"] = read_as_of("as_of", values.get("as_of", ()))
            _refuse_unknown_words(values)
            if values.get("kind") is not None:
                values["kind"] = artifact_type(values["kind"])
            selector = Selector(SelectorKind(data["selector"]), data["version"])
            made = cls(data["model"], selector, **values)
        except (KeyError, ValueError, TypeError, RecursionError) as err:
            raise InvalidDefinition(
                quoted(dict(data)),
                f"this is not a model reference that this release can read ({type(err).__name__}: {err})",
                "Pass a reference as a task of this package returned it. If another release did, give all workers the "
                "same release and clear that task.",
            ) from err
        if selector.kind is SelectorKind.TEMPLATE:
            problem = "it holds a template, and it came as data, which is never rendered"
            advice = "Templates can stand in DAG files only. Return a reference that names its version."
            raise InvalidDefinition(quoted(repr(made)), problem, advice)
        return made


def kept_default(reference: JsonValue, default: Any) -> Any:
    """
    Return a default as it comes out of XCom; what is done to the user's object later doesn't count.

    :param reference: whose it is, for the error.
    :raises InvalidDefinition: if JSON cannot hold it.
    """
    if default is UNSET:
        return default
    if isinstance(default, JsonValue):
        problem = f"default={default!r} must be a JSON value here"
        raise InvalidDefinition(
            repr(reference), problem, "Only what a Model gives can be a default of its kind."
        )
    try:
        kept = json.loads(json.dumps(default, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as err:
        problem = f"default={quoted(default)} is not a JSON value"
        raise InvalidDefinition(repr(reference), problem) from err
    if not is_shallow(kept):
        problem = f"its default is nested deeper than {DEEPEST} levels"
        raise InvalidDefinition(repr(reference), problem)
    return kept


def is_new_version(data: Mapping[str, Any]) -> bool:
    """Whether it is the JSON form of a model of which each run makes a new version."""
    model = data.get("model")
    return isinstance(model, str) and data.get(REFERENCE_KEY) == f"{model}[new]"


#: Holds the default in the JSON form where it is a reference: data can't be taken for one.
_FALLBACK: Final = "default_reference"
#: Keys of the JSON form that are no fields.
_SELECTED: Final = frozenset({REFERENCE_KEY, "model", "version", "selector"})


def _refuse_unknown(values: Mapping[str, Any]) -> None:
    if values:
        raise ValueError(f"unknown: {', '.join(sorted(values))}")


def _refuse_unknown_words(values: Mapping[str, Any]) -> None:
    attribute = str(values.get("attribute", "id"))
    attributes = (attribute,) if attribute.startswith("metadata:") else _ATTRIBUTES
    known = {"pin": PINS, "on_missing": POLICIES, "attribute": attributes}
    _refuse_unknown(
        {name: values[name] for name, words in known.items() if values.get(name, words[0]) not in words}
    )


def _plain(value: Any) -> Any:
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, JsonValue):
        return value.to_json()
    return list(value) if isinstance(value, tuple) else value


@dataclass(frozen=True, slots=True)
class OutputReference:
    """
    What travels in XCom for a saved output: which artifact version it is, never its bytes (R16).

    :param registry: id of the registry it was saved in.
    :param id: id of the artifact version there.
    :param artifact: the artifact's name.
    :param number: the artifact's version number.
    :param type: the value's type, ``module.Class``.
    :param digest: SHA-256 of the bytes, hexadecimal.
    :param uri: where the bytes are.
    :param size: number of bytes.
    :param versions: printed forms (``iris_classifier@2``) of the model versions it belongs to.
    :param conn_id: the connection of the registry, if it is not the default one.
    """

    registry: str
    id: int
    artifact: str
    number: int
    type: str
    digest: str
    uri: str
    size: int
    versions: tuple[str, ...] = ()
    conn_id: str | None = None
    has_default: ClassVar[bool] = False

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form, which reads well on Airflow's XCom page."""
        return {
            OUTPUT_KEY: f"{self.artifact}@{self.number}",
            "type": self.type,
            "model_versions": list(self.versions),
            "digest": f"sha256:{self.digest}",
            "uri": self.uri,
            "size": self.size,
            "registry": self.registry,
            "id": self.id,
            **({} if self.conn_id is None else {"conn_id": self.conn_id}),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """
        Read the JSON form.

        :raises InvalidDefinition: if it is not one that this release can read.
        """
        try:
            artifact, _, number = _text(data, OUTPUT_KEY).rpartition("@")
            return cls(
                registry=_text(data, "registry"),
                id=check_number("id", data["id"]),
                artifact=check_name("artifact", artifact),
                number=check_number("number", int(number)),
                type=_text(data, "type"),
                digest=_text(data, "digest").removeprefix("sha256:"),
                uri=_text(data, "uri"),
                size=check_number("size", data["size"], 0),
                versions=_texts(data.get("model_versions", [])),
                conn_id=_text(data, "conn_id") if "conn_id" in data else None,
            )
        except (KeyError, ValueError, TypeError, RecursionError) as err:
            problem = "this is not a reference to an artifact that can be read"
            advice = "Pass a reference as a task of this package returned it."
            raise InvalidDefinition(quoted(dict(data)), problem, advice) from err

    def serialize(self) -> dict[str, Any]:
        """Return what Airflow shows for it on the page of rendered fields."""
        return self.to_json()

    def __repr__(self) -> str:
        return f"{self.artifact}@{self.number}"


def _text(data: Mapping[str, Any], key: str) -> str:
    text = data[key]
    if not isinstance(text, str):
        raise TypeError(f"{key} is no text")
    return text


def _texts(found: object) -> tuple[str, ...]:
    if not isinstance(found, list | tuple) or not all(isinstance(text, str) for text in found):
        raise TypeError("model_versions is no list of texts")
    return tuple(found)


def _is_expanded() -> bool:
    """Whether Airflow looks through what ``expand()`` is given, and has come to an argument, not to what is in one."""
    frame, depth = sys._getframe(2), 0
    while frame.f_code.co_name == "ensure_xcomarg_return_value" and frame.f_back is not None:
        frame, depth = frame.f_back, depth + 1
    return 0 < depth <= 2
