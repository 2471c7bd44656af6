"""JSON values and containers of them, exactly: types that JSON has no word for are tagged."""

from __future__ import annotations

import base64
import json
import math
import re
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from operator import itemgetter
from typing import TYPE_CHECKING, Any
from uuid import UUID

from airflow_model_provider.limits import DEEPEST
from airflow_model_provider.materializers.base import ExactnessLost, Materializer, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

_TAG = "__type__"
#: How many bytes of JSON stay readable in XCom.
SMALL = 1024
#: What UTF-8 or PostgreSQL has no place for.
_UNSENT = re.compile("[\0\ud800-\udfff]")

#: Parts that a container which is met again may add, besides ten for each that is there once.
_AGAIN = 1_000_000

_CONTAINERS = frozenset({list, tuple, set, frozenset, dict})
_ENCODERS: dict[type, Callable[[Any], Any]] = {
    bytes: lambda value: base64.b64encode(value).decode(),
    datetime: lambda value: value.isoformat(),
    date: lambda value: value.isoformat(),
    time: lambda value: value.isoformat(),
    timedelta: lambda value: [value.days, value.seconds, value.microseconds],
    Decimal: str,
    UUID: str,
    complex: lambda value: [repr(value.real), repr(value.imag)],
}
_DECODERS: dict[str, Callable[[Any], Any]] = {
    "bytes": base64.b64decode,
    "tuple": lambda value: tuple(decoded(item) for item in value),
    "set": lambda value: {decoded(item) for item in value},
    "frozenset": lambda value: frozenset(decoded(item) for item in value),
    "dict": lambda value: {decoded(key): decoded(item) for key, item in value},
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "timedelta": lambda value: timedelta(*value),
    "Decimal": Decimal,
    "UUID": UUID,
    "complex": lambda value: complex(float(value[0]), float(value[1])),
    "float": float,
    "int": lambda value: int(value, 0),
}


def encoded(value: Any) -> Any:
    """Return the JSON form of a value, or raise ``ExactnessLost``."""
    return _Encoder().form(value)


class _Encoder:
    """
    Makes the JSON form of one value.

    It is no deeper than can be read at the end of any stack, and not much larger than the value: JSON has no word for
    the same container once more, and lists that hold the one before twice would double with each.
    """

    def __init__(self) -> None:
        self._depth = self._once = self._again = 0
        self._met: set[int] = set()

    def form(self, value: Any) -> Any:
        """Return the JSON form of a value or of a part of it."""
        kind: type = type(value)
        if value is None or kind is bool:
            return value
        if kind is str:
            return _text(value)
        if kind is int:
            return value if abs(value) < 2**63 else {_TAG: "int", "value": hex(value)}
        if kind is float:
            return value if math.isfinite(value) else {_TAG: "float", "value": repr(value)}
        if kind in _CONTAINERS:
            return self._container(value, kind)
        if kind not in _ENCODERS or not _keeps_zone(value):
            raise ExactnessLost(f"{kind.__module__}.{kind.__qualname__} is not a JSON value")
        return {_TAG: kind.__name__, "value": _ENCODERS[kind](value)}

    def _container(self, value: Any, kind: type) -> Any:
        if id(value) in self._met:
            self._meet_again(value)
        else:
            self._met.add(id(value))
            self._once += len(value)
        if self._depth == DEEPEST:
            raise ExactnessLost(f"it is nested deeper than {DEEPEST} levels, or holds itself")
        self._depth += 1
        found = [self.form(item) for item in value] if kind is list else self._contents(value, kind)
        self._depth -= 1
        return found

    def _meet_again(self, value: Any) -> None:
        self._again += len(value)
        if self._again > _AGAIN + 10 * self._once:
            raise ExactnessLost("it holds the same containers again and again")

    def _contents(self, value: Any, kind: type) -> Any:
        if kind is dict and _TAG not in value and all(type(key) is str for key in value):
            return {_text(key): self.form(item) for key, item in value.items()}
        if kind is dict:
            forms = [[self.form(key), self.form(item)] for key, item in value.items()]
        else:
            forms = [self.form(item) for item in value]
        if kind in (set, frozenset):
            named = zip(
                map(repr, value), forms, strict=True
            )  # after them: of what they refuse it may never end
            forms = [form for _, form in sorted(named, key=itemgetter(0))]
        return {_TAG: kind.__name__, "value": forms}


def _text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ExactnessLost("a lone surrogate is not text") from None
    return value


def _keeps_zone(value: Any) -> bool:
    """ISO 8601 keeps an offset but not the name of a zone, nor which of two equal hours it is."""
    if not isinstance(value, datetime | time):
        return True
    return repr(type(value).fromisoformat(value.isoformat())) == repr(value)


def decoded(value: Any) -> Any:
    """Return the value of a JSON form."""
    if type(value) is list:
        return [decoded(item) for item in value]
    if type(value) is dict:
        if _TAG in value:
            return _DECODERS[value[_TAG]](value["value"])
        return {key: decoded(item) for key, item in value.items()}
    return value


class JsonMaterializer(Materializer):
    """None, bool, int, float, str and containers, tuples, sets, dates, decimals and the like."""

    key = "json"

    def save(self, value: Any, path: Path) -> Mapping[str, Any]:
        text = json.dumps(encoded(value), separators=(",", ":"), allow_nan=False)
        path.write_bytes(text.encode())
        return {}

    def load(self, source: Source, attributes: Mapping[str, Any], *, mmap: bool = False) -> Any:
        return decoded(json.loads(source.read()))


class TextMaterializer(Materializer):
    """A string, as the UTF-8 text it is."""

    key = "text.utf8"

    def save(self, value: Any, path: Path) -> Mapping[str, Any]:
        if type(value) is not str:
            raise ExactnessLost(f"{type(value).__name__} is not plain text")
        path.write_bytes(_text(value).encode())
        return {}

    def load(self, source: Source, attributes: Mapping[str, Any], *, mmap: bool = False) -> Any:
        return source.read().decode()


class BytesMaterializer(Materializer):
    """Bytes, as they are."""

    key = "bytes.raw"

    def save(self, value: Any, path: Path) -> Mapping[str, Any]:
        if type(value) not in (bytes, bytearray):
            raise ExactnessLost(f"{type(value).__name__} is not plain bytes")
        path.write_bytes(value)
        return {"type": type(value).__name__}

    def load(self, source: Source, attributes: Mapping[str, Any], *, mmap: bool = False) -> Any:
        data = source.read()
        return bytearray(data) if attributes.get("type") == "bytearray" else data


def is_small_json(value: Any) -> bool:
    """
    Return whether a value is plain JSON of at most 1 KiB, which stays readable in XCom.

    Lone surrogates and NULs are not: the network or Airflow's database would refuse them. Nor are floats that
    PostgreSQL's JSON gives back as whole numbers, or without their sign.
    """
    try:
        return _is_plain(value) and len(json.dumps(value, allow_nan=False)) <= SMALL
    except (ValueError, RecursionError):
        return False


def _is_plain(value: Any) -> bool:
    todo, looked_at = [(value, 0)], 0
    while todo:
        part, depth = todo.pop()
        kind, looked_at = type(part), looked_at + 1
        if kind in (list, dict):
            if depth > 20 or len(part) + looked_at > SMALL:  # each part has a character at least
                return False
            todo += [(item, depth + 1) for item in (part if kind is list else part.values())]
        if kind is dict:
            if not all(type(key) is str for key in part):
                return False
            todo += [(key, 0) for key in part]
        elif kind is not list and not _is_plain_scalar(part):
            return False
    return True


def _is_plain_scalar(value: Any) -> bool:
    kind: type = type(value)
    if kind is float:
        return abs(value) < 1e16 and (value != 0 or math.copysign(1, value) > 0)
    if kind is str:
        return len(value) <= SMALL and _UNSENT.search(value) is None
    return value is None or kind is bool or (kind is int and bool(abs(value) < 2**53))
