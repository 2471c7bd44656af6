"""What all errors share."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Sequence


def listing(names: Sequence[object], none: str = "none", limit: int = 10) -> str:
    """Join names for a message, cut after ``limit``."""
    if not names:
        return none
    shown = ", ".join(str(name) for name in names[:limit])
    return f"{shown} and {len(names) - limit} more" if len(names) > limit else shown


class ModelRegistryError(Exception):
    """Base of all errors of this package. A retry does not help unless ``transient`` is true."""

    transient: ClassVar[bool] = False
