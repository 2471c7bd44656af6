"""Which local files were verified, so that a large mapped file is hashed once and not at every load (R18)."""

from __future__ import annotations

import hashlib
import json
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from airflow_model_provider.artifacts.scratch import random_name

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_model_provider.artifacts.private import PrivateFolder

_NOTES_PER_FOLDER = 64
#: How far apart two changes must be to have different change times, in ns: the kernel's clock ticks at 100 Hz
#: or more; a file system without fractions of seconds is coarser.
_TICK, _COARSE_TICK = 20_000_000, 2_000_000_000


class Verifications:
    """
    Notes that a file had a digest; valid while device, inode, size and change time of the file stay the same.

    :param folder: the user's private folder.
    """

    def __init__(self, folder: PrivateFolder) -> None:
        self._folder = folder

    def hold(self, path: Path, digest: str, status: os.stat_result) -> bool:
        """Return whether the file that ``status`` describes was verified to have this digest."""
        try:
            return bool(json.loads(self._note(path).read_text()) == [digest, *_facts(status)])
        except (OSError, ValueError):
            return False

    def remember(self, path: Path, digest: str, status: os.stat_result, begun: int) -> None:
        """
        Note that a file was verified. What can't be noted is verified again the next time.

        :param status: of the open file, taken before it was read.
        :param begun: when reading began, in ns since the epoch.
        """
        if begun - status.st_ctime_ns < _tick(status):
            return
        note = self._note(path)
        part = note.with_name(random_name(".part"))
        try:
            note.parent.mkdir(exist_ok=True, mode=0o700)
            part.write_text(json.dumps([digest, *_facts(status)]))
            part.replace(note)
            _drop_oldest(note.parent)
        except OSError:
            with suppress(OSError):
                part.unlink()

    def _note(self, path: Path) -> Path:
        name = hashlib.sha256(os.fsencode(path)).hexdigest()
        return self._folder.room("verified") / name[:2] / name


def wait_out_tick(status: os.stat_result) -> None:
    """
    Let the clock of change times tick, for a file that changed just now: 20 ms at most.

    A change within the same tick would not show, so a verification begun in it could not be remembered.
    """
    left = status.st_ctime_ns + _tick(status) - time.time_ns()
    if 0 < left <= _TICK:
        time.sleep(left / 1e9)


def _tick(status: os.stat_result) -> int:
    return _TICK if status.st_ctime_ns % 1_000_000_000 else _COARSE_TICK


def _facts(status: os.stat_result) -> list[int]:
    return [status.st_dev, status.st_ino, status.st_size, status.st_ctime_ns]


def _drop_oldest(folder: Path) -> None:
    notes = list(folder.iterdir())
    if len(notes) > _NOTES_PER_FOLDER:
        for note in sorted(notes, key=lambda item: item.stat().st_mtime_ns)[:-_NOTES_PER_FOLDER]:
            note.unlink(missing_ok=True)
