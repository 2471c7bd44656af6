"""When a loaded value is what was saved: more than ``==`` asks for."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any


def same(left: Any, right: Any) -> bool:
    """Equal, of the same types at every depth, with NaN equal to NaN and 0.0 unlike -0.0."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        return left.hex() == right.hex() if not math.isnan(left) else math.isnan(right)
    if isinstance(left, complex):
        return same(left.real, right.real) and same(left.imag, right.imag)
    if isinstance(left, Decimal):
        return str(left) == str(right)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(same(a, b) for a, b in zip(left, right, strict=True))
    if isinstance(left, dict):
        pairs = zip(left.items(), right.items(), strict=True)
        return len(left) == len(right) and all(same(a, b) for a, b in pairs)
    return bool(left == right)
