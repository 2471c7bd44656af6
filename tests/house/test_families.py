"""Whatever the tests start can be ended."""

from __future__ import annotations

import subprocess
import sys

import psutil

from tests.support.families import kill_families, members

#: Starts children without end, in sessions of their own too; each tells that it is there, and then only lives: its
#: sleeps are the time in which it can be killed, and the short ones let it be found while it grows.
RESTLESS = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
print("here", flush=True)
for number in range(12):
    if os.fork() == 0:
        if number % 2:
            os.setsid()
        print("here", flush=True)
        time.sleep(600)
    time.sleep(0.01)
time.sleep(600)
"""


def test_a_family_is_killed_while_it_grows() -> None:
    """Neither who ignores a polite signal, nor who left its session, nor who came last is left."""
    parent = subprocess.Popen([sys.executable, "-c", RESTLESS], stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    for _ in range(3):
        assert parent.stdout.readline() == "here\n"
    seen = members(parent.pid)
    kill_families([parent.pid])

    rest = parent.stdout.read()  # ends when the last of them has
    parent.wait(timeout=10)
    assert len(seen) >= 3
    assert rest.count("here") <= 10
    assert not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in seen)
