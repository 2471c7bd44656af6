"""JSON values that the registry accepts, and how other values become JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any, Final
from uuid import UUID

from airflow_model_provider.exceptions import NotJson
from airflow_model_provider.exceptions.base import an, quoted
from airflow_model_provider.limits import DEEPEST, LARGEST_METADATA, check_key, check_mapping, is_shallow


def plain_metadata(values: Mapping[str, Any], subject: str = "") -> dict[str, Any]:
    """
    Return metadata as the registry stores them. See :func:`plain_json` for the types.

    :param subject: the owner, for the error: ``output 'model' of step 'train'``.
    :raises InvalidDefinition: if they are not a mapping.
    :raises InvalidName: for a key that the registry does not accept.
    :raises NotJson: for a value that is not JSON, or if all values together are too large.
    """
    of = f" of {subject}" if subject else ""
    check_mapping(subject or "log_metadata()", "metadata", values)
    plain = {check_key(key): plain_json(value, f"metadata {key!r}{of}") for key, value in values.items()}
    sizes = {key: len(json.dumps(value)) for key, value in plain.items()}
    if sum(sizes.values()) > LARGEST_METADATA:
        key = max(sizes, key=sizes.__getitem__)
        reason = (
            f"it has {sizes[key]:,} bytes as JSON; one call can log {LARGEST_METADATA:,} bytes in total "
            f"and this one has {sum(sizes.values()):,}"
        )
        advice = "Save large values as an artifact: save_artifact(value, name)."
        raise NotJson(f"metadata {key!r}{of}", type(values[key]).__name__, reason, advice)
    return plain


def plain_json(value: Any, what: str) -> Any:
    """
    Return a value as plain JSON types; NaN and infinities are kept.

    Scalars of NumPy become Python's. ``Decimal`` becomes a number, ``datetime``, ``date`` and ``time`` ISO text,
    ``UUID`` and paths text, a member of an ``Enum`` its value.

    :param what: how the error calls it: ``metadata 'accuracy'``.
    :raises NotJson: if it has no JSON form, would come back as another value, or is nested too deep.
    """
    try:
        found = _plain(value)
        json.dumps(found)
    except _NotText as err:
        said = str(err.part) if isinstance(err.part, int | float) else "name"
        reason = f"its key {quoted(err.part)} is {an(type(err.part).__name__)}, not text"
        raise NotJson(what, type(value).__name__, reason, f"Write text: {quoted(said)}.") from None
    except _NotPlain as err:
        type_name = f"{type(err.part).__module__}.{type(err.part).__qualname__}".removeprefix("builtins.")
        raise NotJson(what, type_name, "it is not a JSON value", _advice(err.part)) from None
    except ValueError as err:  # a number of thousands of digits
        raise NotJson(what, type(value).__name__, str(err), "Log it as text: str(value).") from None
    except RecursionError:
        found = value
    if not is_shallow(found):
        reason = f"it is nested deeper than {DEEPEST} levels, or holds itself"
        raise NotJson(
            what, type(value).__name__, reason, "Save it as an artifact: save_artifact(value, name)."
        )
    return found


class _NotPlain(Exception):
    def __init__(self, part: object) -> None:
        super().__init__(part)
        self.part = part


class _NotText(_NotPlain):
    """A key."""


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):  # of which some are texts or numbers, too
        return _plain(value.value)
    for kind in (int, float, str):
        if isinstance(value, kind):
            return kind(value)  # not of a subclass, such as numpy.float64
    if isinstance(value, Mapping):
        return {_key(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    for types, convert in _CONVERTED:
        if isinstance(value, types):
            return convert(value)
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        return _plain(_item(value))
    raise _NotPlain(value)


def _key(key: object) -> str:
    key = key.value if isinstance(key, Enum) else key
    if not isinstance(key, str):
        raise _NotText(key)
    return str(key)


def _number(value: Decimal) -> int | float:
    if value.is_finite() and value == value.to_integral_value() and abs(value.adjusted()) < _DIGITS:
        return int(value)
    return float(value) if not value.is_snan() else math.nan


def _item(value: Any) -> Any:
    """Return a scalar of NumPy as Python's; its times of nanoseconds are no Python times."""
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    if kind == "m" or type(item := value.item()) is type(value):
        raise _NotPlain(value)
    return str(value) if kind == "M" else item


#: Digits of a whole ``Decimal`` that becomes an ``int``, at most.
_DIGITS: Final = 1000
_CONVERTED: Final[tuple[tuple[Any, Callable[[Any], Any]], ...]] = (
    (Decimal, _number),
    ((datetime, date, time), lambda value: value.isoformat()),
    ((UUID, PurePath), str),
)


def _advice(part: object) -> str:
    """Return what helps with a value of this type."""
    if isinstance(part, timedelta) or getattr(getattr(part, "dtype", None), "kind", "") == "m":
        return "Log its seconds: value.total_seconds()."
    if isinstance(part, set | frozenset):
        return "Log a list: sorted(value)."
    if getattr(part, "shape", ()):
        return "Log a list, value.tolist(), or save it as an artifact: save_artifact(value, name)."
    return "Log a number, a text, or a list or mapping of these. Save others as artifacts: save_artifact()."
