"""JSON values and containers of them, exactly: types that JSON has no word for are tagged."""

from __future__ import annotations

import base64
import json
import math
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from airflow_model_provider.materializers.base import ExactnessLost, Materializer, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

_TAG = "__type__"
#: How many bytes of JSON stay readable in XCom.
SMALL = 1024

_ENCODERS: dict[type, Callable[[Any], Any]] = {
    bytes: lambda value: base64.b64encode(value).decode(),
    tuple: lambda value: [encoded(item) for item in value],
    set: lambda value: [encoded(item) for item in sorted(value, key=repr)],
    frozenset: lambda value: [encoded(item) for item in sorted(value, key=repr)],
    dict: lambda value: [[encoded(key), encoded(item)] for key, item in value.items()],
    datetime: lambda value: value.isoformat(),
    date: lambda value: value.isoformat(),
    time: lambda value: value.isoformat(),
    timedelta: lambda value: [value.days, value.seconds, value.microseconds],
    Decimal: str,
    UUID: str,
    complex: lambda value: [repr(value.real), repr(value.imag)],
    float: repr,
    int: str,
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
    kind: type = type(value)
    if value is None or kind is bool:
        return value
    if kind is str:
        return _text(value)
    if kind is int:
        return value if abs(value) < 2**63 else {_TAG: "int", "value": hex(value)}
    if kind is float:
        return value if math.isfinite(value) else {_TAG: "float", "value": repr(value)}
    if kind is list:
        return [encoded(item) for item in value]
    if kind is dict and _TAG not in value and all(type(key) is str for key in value):
        return {_text(key): encoded(item) for key, item in value.items()}
    if kind not in _ENCODERS or not _keeps_zone(value):
        raise ExactnessLost(f"{kind.__module__}.{kind.__qualname__} is not a JSON value")
    return {_TAG: kind.__name__, "value": _ENCODERS[kind](value)}


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
        try:
            text = json.dumps(encoded(value), separators=(",", ":"), allow_nan=False)
        except RecursionError:
            raise ExactnessLost("it holds itself, or is nested too deep") from None
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
    """Return whether a value is plain JSON of at most 1 KiB, which stays readable in XCom."""
    try:
        return _is_plain(value, 0) and len(json.dumps(value, allow_nan=False)) <= SMALL
    except (ValueError, RecursionError):
        return False


def _is_plain(value: Any, depth: int) -> bool:
    kind: type = type(value)
    if value is None or kind in (bool, float) or (kind is str and len(value) <= SMALL):
        return True
    if kind is int:
        return bool(abs(value) < 2**53)
    if depth > 20 or kind not in (list, dict) or len(value) > SMALL:
        return False
    if kind is dict:
        return all(type(key) is str and _is_plain(item, depth + 1) for key, item in value.items())
    return all(_is_plain(item, depth + 1) for item in value)
