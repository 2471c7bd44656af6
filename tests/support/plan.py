"""Which calls fail: what is tested is done once to count its calls, and then once for each of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import TypeVar

from tests.support.soak import TIMES

T = TypeVar("T")
FOR_EVER = 10**9


class Plan:
    """Counts the calls of a block, by name, and says of each whether it fails."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._failing = range(0)
        #: Of the last block, or of the present one.
        self.calls: list[str] = []
        self._counting = False

    @contextmanager
    def failing(self, first: int | None = None, times: int = 1) -> Iterator[None]:
        """
        Count from 0, and let calls fail.

        :param first: the call that fails; None if none does.
        :param times: how many fail, one after the other.
        """
        with self._lock:
            self._counting, self.calls = True, []
            self._failing = range(0) if first is None else range(first, first + times)
        try:
            yield
        finally:
            self._counting = False

    def meets(self, name: str) -> bool:
        """Count a call; return whether it fails."""
        with self._lock:
            if not self._counting:
                return False
            self.calls.append(name)
            return len(self.calls) - 1 in self._failing


def sample(found: Sequence[T], most: int) -> list[T]:
    """All in the long form; else at most so many, evenly spread, the last among them, and the first of several."""
    if TIMES > 1 or len(found) <= most:
        return list(found)
    return [found[-1 - round(place * (len(found) - 1) / max(most - 1, 1))] for place in reversed(range(most))]
