"""Measuring two things side by side: they take turns, and medians are compared."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True)
class Row:
    """
    One line of the table.

    :param ours: median with this package, in ``unit``.
    :param bare: median of what it is compared with, in the same unit.
    :param budget: what ``ours / bare`` may be; with ``difference=True``, what ``ours - bare`` may be, in ``unit``.
    """

    question: str
    case: str
    ours: float
    bare: float
    unit: str = "s"
    budget: float | None = None
    difference: bool = False
    rounds: int = 0

    @property
    def figure(self) -> float:
        """The ratio, or the difference."""
        return self.ours - self.bare if self.difference else self.ours / self.bare

    @property
    def kept(self) -> bool | None:
        """Whether the budget is kept; None if there is none."""
        return None if self.budget is None else self.figure <= self.budget


def seconds(call: Callable[[], object]) -> float:
    """How long a call takes."""
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def paired(
    ours: Callable[[], float], bare: Callable[[], float], *, rounds: int, warm: int = 1
) -> tuple[float, float]:
    """Return the medians of two measurements that take turns; who goes first alternates."""
    first, second = zip(*in_turn(ours, bare, rounds=rounds, warm=warm), strict=True)
    return median(first), median(second)


def in_turn(
    ours: Callable[[], float], bare: Callable[[], float], *, rounds: int, warm: int = 1
) -> list[tuple[float, float]]:
    """Return pairs of two measurements that take turns; who goes first alternates."""
    pairs = [(ours(), bare()) if number % 2 else (bare(), ours())[::-1] for number in range(-warm, rounds)]
    return pairs[warm:]


def beyond(ours: Callable[[], float], bare: Callable[[], float], *, rounds: int) -> tuple[float, float]:
    """
    Return the median of what the first takes beyond the second, added to the median of the second, and that.

    Each difference is of two measurements in a row: a machine that is slower for a while is so for both.
    """
    pairs = in_turn(ours, bare, rounds=rounds)
    base = median(second for _, second in pairs)
    return base + median(first - second for first, second in pairs), base


def chosen(program: str, description: str | None, noun: str, known: Sequence[str]) -> list[str]:
    """Return what the command line names of what there is; all of it, if it names none."""
    parser = argparse.ArgumentParser(prog=program, description=description)
    parser.add_argument("names", nargs="*", metavar=noun, help=f"of: {', '.join(known)} (default: all)")
    asked = parser.parse_args().names or list(known)
    if unknown := sorted(set(asked) - set(known)):
        parser.error(f"there is no {noun} {', '.join(unknown)}; there are: {', '.join(known)}")
    return asked


def python(
    *arguments: str | Path,
    environment: Mapping[str, str] | None = None,
    interpreter: str | Path = sys.executable,
) -> float:
    """How long a fresh Python takes for a program, from its start to its end."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    begun = time.perf_counter()
    done = subprocess.run(
        [interpreter, *arguments],
        env={**kept, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    taken = time.perf_counter() - begun
    if done.returncode:
        raise RuntimeError(done.stderr)
    return taken
