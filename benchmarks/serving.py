"""The other end of :mod:`benchmarks.sides`: a program that does what it is asked, line by line. Plain Python only."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def serve(work: object) -> None:
    """Call the methods that the lines of standard input name, until it ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no answer
    for line in sys.stdin:
        name, facts = json.loads(line)
        print(json.dumps(getattr(work, name)(**facts)), file=answers, flush=True)


def timed(calls: list[Callable[[], Any]]) -> float:
    """Seconds that calls take, on average."""
    begun = time.perf_counter()
    for call in calls:
        call()
    return (time.perf_counter() - begun) / len(calls)
