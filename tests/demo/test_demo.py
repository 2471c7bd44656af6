"""The README's first command, as a new user types it."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[2]


def family_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Return the processes that a demo has started."""
    return psutil.Process(process.pid).children(recursive=True)


def start() -> subprocess.Popen[str]:
    """Start the demo in a session of its own."""
    return subprocess.Popen(
        [ROOT / "scripts" / "demo"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def read_until(process: subprocess.Popen[str], text: str) -> str:
    """Read what the demo prints, up to the line that has ``text``."""
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if text in line:
            return said
    raise AssertionError(f"the demo never said {text!r}: {said}")


def test_the_demo_shows_late_binding() -> None:
    """A version promoted while the scoring task was queued is the one it took."""
    demo = start()
    said = read_until(demo, "stopping Airflow")
    assert demo.stdout is not None
    said += demo.stdout.read()

    assert demo.wait(timeout=60) == 0, said
    assert "took iris_classifier@2" in said
    assert "started promotion_starts_scoring by itself, with iris_classifier@2" in said
    assert [
        line
        for line in said.splitlines()
        if "predict" in line and "iris_classifier@2" in line and "0.900" in line
    ]


@pytest.mark.parametrize(
    ("number", "moment"),
    [(signal.SIGINT, "training, as it is scheduled"), (signal.SIGTERM, "waiting until they are up")],
)
def test_an_interrupted_demo_leaves_no_process(number: signal.Signals, moment: str) -> None:
    """Ctrl-C and a polite kill stop everything that was started."""
    demo = start()
    read_until(demo, moment)
    family = family_of(demo)
    assert len(family) >= 4
    demo.send_signal(number)

    assert demo.wait(timeout=60) == 128 + number
    assert [process for process in family if process.is_running()] == []
