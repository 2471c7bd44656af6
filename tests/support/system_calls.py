"""Python's calls of the system that are about files in a folder, each of which can be made to fail."""

from __future__ import annotations

import builtins
import fcntl
import io
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from tests.support.plan import Plan

_OF_OS = (
    "chmod", "fstat", "fsync", "listdir", "lstat", "mkdir", "open", "rename", "replace", "rmdir", "scandir",
    "sendfile", "stat", "unlink", "utime",
)  # fmt: skip
_readlink = os.readlink


@contextmanager
def system_calls(plan: Plan, folder: Path, error: int) -> Iterator[None]:
    """
    Let a plan say which calls about files in a folder fail.

    :param error: what the system says then, of :mod:`errno`.
    """

    def met(name: str, subject: Any) -> None:
        place = _place(subject)
        if (
            place is not None
            and place.is_relative_to(folder)
            and plan.meets(f"{name} {place.relative_to(folder)}")
        ):
            raise OSError(error, os.strerror(error), str(place))

    def faulty(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def called(subject: Any = ".", *args: Any, **kwargs: Any) -> Any:
            met(name, subject)
            return call(subject, *args, **kwargs)

        return called

    class FaultyFile(io.FileIO):
        def readall(self) -> bytes:
            met("read", self.fileno())
            return super().readall()

        def readinto(self, buffer: Any) -> int:
            met("read", self.fileno())
            return super().readinto(buffer)

    with ExitStack() as patches:
        for name in _OF_OS:
            patches.enter_context(patch.object(os, name, faulty(name, getattr(os, name))))
        opened = faulty("open", io.open)
        for module, name, call in (
            (io, "open", opened),
            (builtins, "open", opened),
            (io, "FileIO", FaultyFile),
            (fcntl, "flock", faulty("flock", fcntl.flock)),
        ):
            patches.enter_context(patch.object(module, name, call))
        yield


def _place(subject: Any) -> Path | None:
    """The path of a path, a descriptor or an open file."""
    try:
        if not isinstance(subject, int | str | bytes | os.PathLike):
            subject = subject.fileno()
        found = _readlink(f"/proc/self/fd/{subject}") if isinstance(subject, int) else os.fspath(subject)
        return Path(os.fsdecode(found)).absolute()
    except (OSError, ValueError):
        return None
