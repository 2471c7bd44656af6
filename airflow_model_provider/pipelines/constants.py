"""Values in a step's fields that JSON has no word for: Airflow shows a text, and the step gets the value."""

from __future__ import annotations

import math
from enum import Flag
from typing import Any

from airflow_model_provider.exceptions.base import quoted
from airflow_model_provider.pipelines.values import UNSENT, as_airflow, holds_itself, transform


class Constant:
    """
    A value that Airflow can't keep beside a task: NaN, infinity, an integer of more than 64 bits, a lone surrogate.

    Nor what holds itself, as a flag does: where Airflow looks for other tasks' outputs it would never come to an end.

    :param value: the value.
    """

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def serialize(self) -> str:
        """Return what Airflow shows for it and keeps in the serialized DAG."""
        return quoted(self.value)

    def __repr__(self) -> str:
        return self.serialize()


def held(value: Any) -> Any:
    """Return a field's content in which each value that Airflow can't keep is a :class:`Constant`."""
    return transform(value, _hold)


def held_data(value: Any) -> Any:
    """Return what another task returned; as one :class:`Constant` if Airflow can't keep a key, or it holds itself."""
    unsent = False

    def visit(part: Any) -> Any:
        nonlocal unsent
        unsent |= isinstance(part, dict) and any(map(is_unsent, part))
        return as_airflow(part)

    return Constant(value) if holds_itself(value, visit) or unsent else value


def released(value: Any) -> Any:
    """Return a field's content as it was before :func:`held`."""
    return transform(value, lambda part: part.value if isinstance(part, Constant) else as_airflow(part))


def is_unsent(value: Any) -> bool:
    """Return whether a value is one that Airflow can't keep as JSON."""
    kind = type(value)
    return (
        (kind is float and not math.isfinite(value))
        or (kind is int and not -(2**63) <= value < 2**64)
        or (kind is str and UNSENT.search(value) is not None)
    )


def _hold(part: Any) -> Any:
    return Constant(part) if isinstance(part, Flag) or is_unsent(part) else as_airflow(part)
