"""Tables whose bytes were made to do harm."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.support.damage import VALUES


def test_numbers_in_a_table_that_are_too_large_crash_nothing() -> None:
    """Offsets and lengths anywhere in its file: it is refused, or gives a value that can be looked at."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.damage"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "RUST_BACKTRACE": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    tried = [line.split()[0] for line in done.stdout.splitlines()]

    assert done.returncode == 0, f"{tried[-1:]}: {done.stderr[-2000:]}"
    assert tried == [*VALUES, "polars"]
