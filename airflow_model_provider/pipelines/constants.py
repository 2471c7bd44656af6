"""Values in a step's fields that JSON has no word for: Airflow shows a text, and the step gets the value."""

from __future__ import annotations

import math
import re
from enum import Flag
from typing import Any, Final

from airflow_model_provider.exceptions.base import quoted
from airflow_model_provider.pipelines.values import as_airflow, transform

#: What UTF-8 or PostgreSQL's JSON has no place for.
_UNSENT: Final = re.compile("[\0\ud800-\udfff]")


class Constant:
    """
    A value that Airflow can't keep beside a task: NaN, infinity, an integer of more than 64 bits, a lone surrogate.

    Nor a flag, which holds itself: where Airflow looks for other tasks' outputs it would never come to an end.

    :param value: the value.
    """

    __slots__ = ("value",)

    def __init__(self, value: float | str | Flag) -> None:
        self.value = value

    def serialize(self) -> str:
        """Return what Airflow shows for it and keeps in the serialized DAG."""
        return quoted(self.value)

    def __repr__(self) -> str:
        return self.serialize()


def held(value: Any) -> Any:
    """Return a field's content in which each value that Airflow can't keep is a :class:`Constant`."""
    return transform(value, _hold)


def released(value: Any) -> Any:
    """Return a field's content as it was before :func:`held`."""
    return transform(value, lambda part: part.value if isinstance(part, Constant) else as_airflow(part))


def is_unsent(value: Any) -> bool:
    """Return whether a value is one that Airflow can't keep as JSON."""
    kind = type(value)
    return (
        (kind is float and not math.isfinite(value))
        or (kind is int and not -(2**63) <= value < 2**64)
        or (kind is str and _UNSENT.search(value) is not None)
    )


def _hold(part: Any) -> Any:
    return Constant(part) if isinstance(part, Flag) or is_unsent(part) else as_airflow(part)
