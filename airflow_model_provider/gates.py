"""Gates: what a version must show before it comes into a stage (R30). A value; whoever promotes asks it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Any, Final, Literal, NamedTuple, Self, TypedDict

from airflow_model_provider.exceptions import InvalidDefinition
from airflow_model_provider.exceptions.base import quoted
from airflow_model_provider.limits import check_key
from airflow_model_provider.selectors import RESERVED, ModelStages, check_name, nearest

#: Longer first, so that ``>=`` is not read as ``>``.
OPERATORS: Final = (">=", "<=", "==", "!=", ">", "<")
_REQUIREMENT: Final = re.compile(
    r"\s*(>=|<=|==|!=|>|<)\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*", re.ASCII
)
_PATH: Final = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*(?:\.|:)[^\W\d]\w*(?:\.[^\W\d]\w*)*")
_LONGEST: Final = 1000
_EXAMPLE: Final = "Example: Gates(require={'accuracy': '>= 0.95'})."
_ADVICE: Final = f"Write an operator ({', '.join(OPERATORS)}) and a number: {{'accuracy': '>= 0.95'}}."


class Requirement(NamedTuple):
    """One condition on one number: ``>= 0.95``."""

    operator: str
    number: float

    def holds(self, value: float) -> bool:
        """Return whether a number satisfies it."""
        match self.operator:
            case ">=":
                return value >= self.number
            case "<=":
                return value <= self.number
            case ">":
                return value > self.number
            case "<":
                return value < self.number
            case "==":
                return value == self.number
        return value != self.number


class GateFields(TypedDict, total=False):
    """The fields of :class:`Gates` where they are given one by one."""

    require: Mapping[str, str]
    better_than: str | None
    metric: str | None
    mode: Literal["max", "min"]
    min_delta: float
    if_vacant: Literal["pass", "fail"]
    artifacts: Sequence[str]
    metadata: Sequence[str]
    max_age: timedelta | None
    min_age: timedelta | None
    check: str | None
    soft: bool


@dataclass(frozen=True, kw_only=True)
class Gates:
    """
    What a version must show before it comes into a stage. All is checked when it is written.

    :param require: conditions on metadata that are numbers, by key: ``{"accuracy": ">= 0.95", "rmse": "< 3"}``.
    :param better_than: a stage whose present holder it must beat in ``metric``. Where that is the stage that it comes
        into, the holder is replaced without ``force``.
    :param metric: the metadata key that is compared.
    :param mode: ``max`` if more is better, ``min`` if less is.
    :param min_delta: by how much it must be better, at least, in the metric's unit.
    :param if_vacant: whether it passes where no version holds ``better_than``.
    :param artifacts: names of artifacts that it must hold.
    :param metadata: keys of metadata that must have been logged onto it.
    :param max_age: how long ago it was made, at most, by the database's clock.
    :param min_age: how long ago it was made, at least.
    :param check: the import path of a function, ``package.module:function``, which is called with the version and with
        the holder of ``better_than`` (else of the stage that it comes into), or None; both are a :class:`ModelVersion`.
        It returns None or True to pass; False, or the objection as text, to refuse.
    :param soft: a refusal by this gate alone is an expected outcome: :attr:`PromotionRefused.soft`.
    :raises InvalidDefinition: naming the field, and what it can be.
    :raises InvalidName: for a stage, artifact or key that can't be one.

    >>> Gates(require={"accuracy": ">= 0.95"}, better_than="production", metric="accuracy").min_delta
    0.0
    """

    require: Mapping[str, str] = field(default_factory=dict)
    better_than: str | None = None
    metric: str | None = None
    mode: Literal["max", "min"] = "max"
    min_delta: float = 0.0
    if_vacant: Literal["pass", "fail"] = "pass"
    artifacts: Sequence[str] = ()
    metadata: Sequence[str] = ()
    max_age: timedelta | None = None
    min_age: timedelta | None = None
    check: str | None = None
    soft: bool = False

    def __new__(cls, *_values: object, **given: object) -> Self:
        """Refuse an argument that is none, with the nearest that is one."""
        _refuse_unknown(given)
        return super().__new__(cls)

    def __post_init__(self) -> None:
        object.__setattr__(self, "require", _requirements(self.require))
        object.__setattr__(self, "artifacts", _several("artifacts", self.artifacts))
        object.__setattr__(self, "metadata", _several("metadata", self.metadata))
        for name in self.artifacts:
            check_name("artifact", name)
        for key in self.metadata:
            check_key(key)
        for key, text in self.require.items():
            _requirement(key, text)
        self._check_comparison()
        self._check_ages()
        if self.check is not None:
            _check_path(self.check)
        if not isinstance(self.soft, bool):
            raise _invalid(f"soft={quoted(self.soft)} is neither True nor False")

    def _check_comparison(self) -> None:
        if self.better_than is None:
            for name in ("metric", "mode", "min_delta", "if_vacant"):
                if getattr(self, name) != _DEFAULTS[name]:
                    raise _invalid(f"{name}= needs better_than=", "Example: better_than='production'.")
            return
        if hasattr(self.better_than, "version_name"):  # a Model, or a version
            raise _invalid(
                f"better_than={self.better_than!r} is a version, not a stage",
                "A gate compares within one model of one registry. Log the other version's value, and use require=.",
            )
        stage = self.better_than.value if isinstance(self.better_than, ModelStages) else self.better_than
        if check_name("stage", stage) in RESERVED:
            raise _invalid(f"better_than={stage!r} must be a stage", "Example: better_than='production'.")
        object.__setattr__(self, "better_than", stage)
        if self.metric is None:
            raise _invalid(
                "better_than= needs metric=, the metadata key to compare", "Example: metric='accuracy'."
            )
        check_key(self.metric)
        _check_word("mode", self.mode, ("max", "min"))
        _check_word("if_vacant", self.if_vacant, ("pass", "fail"))
        if not is_number(self.min_delta) or not 0 <= self.min_delta < math.inf:
            raise _invalid(f"min_delta={quoted(self.min_delta)} must be a number from 0")

    def _check_ages(self) -> None:
        for name in ("max_age", "min_age"):
            age = getattr(self, name)
            if age is not None and (not isinstance(age, timedelta) or age <= timedelta(0)):
                raise _invalid(
                    f"{name}={quoted(age)} must be a positive timedelta", "Example: timedelta(days=7)."
                )
        if self.min_age is not None and self.max_age is not None and self.min_age > self.max_age:
            raise _invalid("min_age= is more than max_age=, so that nothing can pass")

    @property
    def requirements(self) -> dict[str, Requirement]:
        """The conditions of ``require``, ready to be asked."""
        return {key: _requirement(key, text) for key, text in self.require.items()}

    def to_dict(self) -> dict[str, Any]:
        """Return what differs from the defaults as JSON, times in seconds; :meth:`of` reads it."""
        return {
            item.name: _plain(value)
            for item in fields(self)
            if (value := getattr(self, item.name)) != _DEFAULTS[item.name]
        }

    @classmethod
    def of(cls, value: object) -> tuple[Self, ...]:
        """
        Return gates in any of the forms in which they can be given.

        :param value: gates, a mapping of their fields (times also as seconds), several of these, or None.
        :raises InvalidDefinition: for anything else, and for a field that there isn't.

        >>> Gates.of({"max_age": 3600})[0].max_age
        datetime.timedelta(seconds=3600)
        """
        if value is None:
            return ()
        if isinstance(value, cls):
            return (value,)
        if isinstance(value, Mapping):
            return (cls(**_fields(value)),)
        if not isinstance(value, Sequence) or isinstance(value, str | bytes):
            raise _invalid(
                f"{quoted(value)} must be Gates, a mapping of their fields, or a list of these", _EXAMPLE
            )
        if odd := [item for item in value if not isinstance(item, cls | Mapping)]:
            raise _invalid(
                f"{quoted(odd[0])} in the list must be Gates, or a mapping of their fields", _EXAMPLE
            )
        return tuple(item if isinstance(item, cls) else cls(**_fields(item)) for item in value)

    def __hash__(self) -> int:
        return hash(json.dumps(self.to_dict(), sort_keys=True))


def is_number(value: object) -> bool:
    """Return whether a JSON value can be compared as a number: NaN and infinities can't, and True is none."""
    return (isinstance(value, int) and not isinstance(value, bool)) or is_finite(value)


def is_finite(value: object) -> bool:
    """Return whether a value is a float, and neither NaN nor infinite."""
    return isinstance(value, float) and math.isfinite(value)


_DEFAULTS: Final[Mapping[str, Any]] = {
    item.name: {} if item.name == "require" else item.default for item in fields(Gates)
}


def _invalid(problem: str, advice: str = "") -> InvalidDefinition:
    return InvalidDefinition("gates", problem, advice)


def _plain(value: Any) -> Any:
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
        return int(seconds) if seconds.is_integer() else seconds
    return list(value) if isinstance(value, tuple) else dict(value) if isinstance(value, Mapping) else value


def _refuse_unknown(given: Mapping[Any, Any]) -> None:
    for name in given:
        if name not in _DEFAULTS:
            close = nearest(name, _DEFAULTS)
            hint = f"Did you mean {close!r}?" if close else f"Fields: {', '.join(_DEFAULTS)}."
            raise _invalid(f"there is no field {quoted(name)}", hint)


def _fields(given: Mapping[Any, Any]) -> dict[str, Any]:
    _refuse_unknown(given)
    found = dict(given)
    for name in ("max_age", "min_age"):
        if is_number(found.get(name)):
            try:
                found[name] = timedelta(seconds=found[name])
            except OverflowError:
                raise _invalid(f"{name}={quoted(found[name])} is too long") from None
    return found


def _several(name: str, given: object) -> tuple[str, ...]:
    """Refuse one text, which would be read as its letters."""
    if isinstance(given, str | Mapping) or not isinstance(given, Sequence):
        hint = f"Example: {name}=[{given!r}]." if isinstance(given, str) and len(given) < 100 else ""
        raise _invalid(f"{name}={quoted(given)} must be a list", hint)
    return tuple(given)


def _requirements(given: object) -> dict[str, str]:
    if not isinstance(given, Mapping):
        raise _invalid(f"require={quoted(given)} must be a mapping", _ADVICE)
    return {check_key(key): "{} {}".format(*_parts(key, text)) for key, text in given.items()}


def _parts(key: str, text: object) -> tuple[str, str]:
    found = _REQUIREMENT.fullmatch(text) if isinstance(text, str) and len(text) < 100 else None
    if found is None:
        raise _invalid(f"require[{key!r}]={quoted(text)} cannot be parsed", _ADVICE)
    return found[1], found[2]


def _requirement(key: str, text: str) -> Requirement:
    operator, digits = _parts(key, text)
    number: float = int(digits) if digits.lstrip("+-").isdigit() else float(digits)
    if math.isinf(number):
        raise _invalid(f"require[{key!r}]={text!r} has a number that is too large")
    return Requirement(operator, number)


def _check_word(name: str, value: object, known: tuple[str, str]) -> None:
    if not isinstance(value, str) or value not in known:
        raise _invalid(f"{name}={quoted(value)} is unknown", "It is {!r} or {!r}.".format(*known))


def _check_path(path: object) -> None:
    if not isinstance(path, str) or len(path) > _LONGEST or not _PATH.fullmatch(path):
        advice = "Give 'package.module:function': gates travel as text, also to other machines."
        raise _invalid(f"check={quoted(path)} must be an import path", advice)
