"""What may be overwritten."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def is_replaceable(path: Path) -> bool:
    """
    Return whether a new file may take a path: nothing is there, or a regular file, or a link to one.

    A device, a pipe or a socket has its name so that programs find it, and would be gone for all of them.
    """
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (OSError, ValueError):  # nothing is there, or nothing that could be written either
        return True
