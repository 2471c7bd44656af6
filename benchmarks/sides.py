"""The two that are compared, each in processes of its own: they do the same, and take turns."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from benchmarks import peers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

HERE = Path(__file__).parent


class Side:
    """
    A process that does what it is asked, and answers with JSON.

    :param name: ``ours`` or ``mlflow``.
    :param url: of its own database.
    :param store: folder of its artifacts.
    """

    def __init__(self, name: str, url: str, store: Path) -> None:
        python = sys.executable if name == "ours" else peers.interpreter(name)
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("AIRFLOW", "MLFLOW"))}
        kept |= {
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_LOGGING_LEVEL": "ERROR",
            "PYTHONWARNINGS": "ignore",
        }
        self._process = subprocess.Popen(
            [python, HERE / f"{name}_side.py", url, store],
            env={**kept, "AIRFLOW_HOME": str(store), "HOME": str(store)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def begin(self, what: str, **facts: Any) -> None:
        """Ask; :meth:`answer` waits for the answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([what, facts]) + "\n")
        self._process.stdin.flush()

    def answer(self) -> Any:
        """Return the answer."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args} has ended; it said why on standard error")
        return json.loads(line)

    def ask(self, what: str, **facts: Any) -> Any:
        """Ask, and return the answer."""
        self.begin(what, **facts)
        return self.answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)


def together(sides: Sequence[Side], what: str, each: Sequence[dict[str, Any]]) -> tuple[float, list[Any]]:
    """Ask all at once; return the seconds until the last has answered, and the answers."""
    begun = time.perf_counter()
    for side, facts in zip(sides, each, strict=True):
        side.begin(what, **facts)
    answers = [side.answer() for side in sides]
    return time.perf_counter() - begun, answers


@contextmanager
def databases(folder: Path) -> Iterator[dict[str, Callable[[], str]]]:
    """Give what names a new SQLite file, and what makes an empty database on a durable PostgreSQL."""
    from tests.support.databases import PostgresServer

    with ExitStack() as stack:
        server = PostgresServer(folder / "pg", durable=True)
        stack.callback(server.stop)
        yield {
            "SQLite": lambda: f"sqlite:///{folder / uuid.uuid4().hex}.db",
            "PostgreSQL": lambda: server.new_database(empty=True),
        }
