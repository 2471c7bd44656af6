"""Processes with all their children, and theirs: held for a while, or killed at once."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


def kill_families(parents: Iterable[int]) -> None:
    """Kill processes with all that they have started; those that are stopped first can't start more meanwhile."""
    parents = list(parents)
    family: set[psutil.Process] = set()
    while new := {member for pid in parents for member in members(pid)} - family:
        for process in new:
            send(process, signal.SIGSTOP)
        family |= new
    for process in family:
        send(process, signal.SIGKILL)
    psutil.wait_procs(family, timeout=10)


def members(pid: int) -> list[psutil.Process]:
    """Return a process and all that it has started; nothing if it has ended."""
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


@contextmanager
def held(processes: Sequence[psutil.Process]) -> Iterator[None]:
    """Hold processes inside the block."""
    for process in processes:
        send(process, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            send(process, signal.SIGCONT)


def send(process: psutil.Process, number: int) -> None:
    """Send a signal to a process that may have ended."""
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return


def title(process: psutil.Process) -> str:
    """Return how a process is called, nothing if it has ended."""
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""
