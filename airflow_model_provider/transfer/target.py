"""What must not be overwritten."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

_KINDS: Final = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFBLK: "a device",
    stat.S_IFCHR: "a device",
}


def obstacle(path: Path) -> str | None:
    """
    Return what a new file may not take the place of; None for nothing, a regular file, or a link to one.

    A device, a pipe or a socket has its name so that programs find it, and would be gone for all of them.
    """
    try:
        return _KINDS.get(stat.S_IFMT(path.stat().st_mode))
    except (OSError, ValueError):  # nothing is there, or nothing that could be written either
        return None
