"""What the registry accepts as JSON values and as metadata keys."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from airflow_model_provider.exceptions import InvalidName, NotSerializable


def plain_json(value: Any, what: str) -> Any:
    """
    Return a value as plain JSON types; NaN and infinities are kept, NumPy's scalars become Python's.

    :param what: how the error calls it: ``metadata 'accuracy'``.
    :raises NotSerializable: if it is no JSON value, or would come back as another one.
    """
    try:
        found = _plain(value)
        json.dumps(found)
    except _NotPlain as err:
        type_name = f"{type(err.part).__module__}.{type(err.part).__qualname__}"
        raise NotSerializable(what, type_name.removeprefix("builtins."), "it is not a JSON value") from None
    except (ValueError, RecursionError) as err:
        raise NotSerializable(what, type(value).__name__, str(err)) from None
    return found


def check_key(key: object) -> str:
    """
    Return a metadata key if the registry accepts it.

    :raises InvalidName: if it is not 1 to 250 printable characters.
    """
    if not isinstance(key, str) or not 0 < len(key) <= 250 or not key.isprintable():
        raise InvalidName("metadata key", key, "It must be 1 to 250 printable characters.")
    return key


class _NotPlain(Exception):
    def __init__(self, part: object) -> None:
        super().__init__(part)
        self.part = part


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    for kind in (int, float, str):
        if isinstance(value, kind):
            return kind(value)  # not of a subclass, such as numpy.float64
    if isinstance(value, Mapping):
        if odd := [key for key in value if not isinstance(key, str)]:
            raise _NotPlain(odd[0])
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        return _plain(value.item())
    raise _NotPlain(value)
