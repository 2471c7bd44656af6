"""The README's first command, as a new user types it."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

ROOT = Path(__file__).parents[2]


def family_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Return the processes that a demo has started."""
    return psutil.Process(process.pid).children(recursive=True)


def start(*arguments: str) -> subprocess.Popen[str]:
    """Start the demo in a session of its own."""
    return subprocess.Popen(
        [ROOT / "scripts" / "demo", *arguments],
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


class Played(NamedTuple):
    """A demo that was played to its end."""

    code: int
    said: str
    #: What it had started when it was nearly through: a task runs then.
    family: list[psutil.Process]


@pytest.fixture(scope="module")
def played() -> Played:
    """The demo is played once."""
    demo = start()
    said = read_until(demo, "the workers go on")
    family = family_of(demo)
    assert demo.stdout is not None
    said += demo.stdout.read()
    return Played(demo.wait(timeout=60), said, family)


def test_the_demo_shows_late_binding(played: Played) -> None:
    """A version promoted while the scoring task was queued is the one it took."""
    assert played.code == 0, played.said
    assert "took iris_classifier@2" in played.said
    assert "started promotion_starts_scoring by itself, with iris_classifier@2" in played.said
    assert [
        line
        for line in played.said.splitlines()
        if "predict" in line and "iris_classifier@2" in line and "0.900" in line
    ]
    assert [process for process in played.family if process.is_running()] == []


@pytest.mark.parametrize(
    ("number", "moment", "arguments"),
    [
        (signal.SIGINT, "/dags/do_predictions; Ctrl-C ends it", ("--ui",)),
        (signal.SIGTERM, "waiting until they are up", ()),
    ],
)
def test_an_interrupted_demo_leaves_no_process(
    played: Played, number: signal.Signals, moment: str, arguments: tuple[str, ...]
) -> None:
    """Ctrl-C when the last one is looked at, and a polite kill of one that begins, stop all that was started."""
    demo = start(*arguments)
    read_until(demo, moment)
    family = family_of(demo)
    assert len(family) >= 4
    demo.send_signal(number)

    assert demo.wait(timeout=60) == 128 + number
    assert [process for process in family if process.is_running()] == []
