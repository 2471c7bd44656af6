"""What the registry accepts as JSON values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from airflow_model_provider.exceptions import NotSerializable
from airflow_model_provider.limits import DEEPEST, check_key, is_shallow


def plain_metadata(values: Mapping[str, Any], subject: str = "") -> dict[str, Any]:
    """
    Return metadata as they are kept.

    :param subject: what they are of, for the error.
    :raises InvalidName: for a key that can't be kept.
    :raises NotSerializable: for a value that can't.
    """
    of = f" of {subject}" if subject else ""
    return {check_key(key): plain_json(value, f"metadata {key!r}{of}") for key, value in values.items()}


def plain_json(value: Any, what: str) -> Any:
    """
    Return a value as plain JSON types; NaN and infinities are kept, NumPy's scalars become Python's.

    :param what: how the error calls it: ``metadata 'accuracy'``.
    :raises NotSerializable: if it is no JSON value, would come back as another one, or is nested too deep.
    """
    try:
        found = _plain(value)
        json.dumps(found)
    except _NotPlain as err:
        type_name = f"{type(err.part).__module__}.{type(err.part).__qualname__}"
        raise NotSerializable(what, type_name.removeprefix("builtins."), "it is not a JSON value") from None
    except ValueError as err:  # a number of thousands of digits
        raise NotSerializable(what, type(value).__name__, str(err)) from None
    except RecursionError:
        found = value
    if not is_shallow(found):
        reason = f"it is nested deeper than {DEEPEST} levels, or holds itself"
        raise NotSerializable(what, type(value).__name__, reason)
    return found


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
