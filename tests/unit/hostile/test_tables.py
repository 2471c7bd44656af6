"""Tables whose bytes were made to do harm (R39)."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.support.damage import VALUES


@pytest.mark.parametrize(("name", "mmap"), [*((name, False) for name in VALUES), ("polars", True)])
def test_numbers_in_a_table_that_are_too_large_crash_nothing(name: str, mmap: bool) -> None:
    """Offsets and lengths anywhere in its file: it is refused, or gives a value that can be looked at."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.damage", name, "1" if mmap else "0"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr[-2000:]
