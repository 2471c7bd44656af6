"""
Programs that need Airflow, without the seconds that importing it takes: each is a fork of one process that has.

As a program: what is forked. It reads lines of JSON and answers each with the exit code of what it was told to run.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import threading
import traceback
from itertools import count
from typing import TYPE_CHECKING, Any, NoReturn, Self

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

COMMAND = "from airflow.__main__ import main\nmain()"
#: What our commands and Airflow's own load before they do anything.
COMMANDS = """
import alembic.command, sqlalchemy.orm
import airflow.models.dagrun, airflow.sdk.execution_time.supervisor
import airflow_model_provider.artifacts, airflow_model_provider.client, airflow_model_provider.registry.registry
import airflow_model_provider.hooks.model_registry
from airflow.cli.cli_parser import get_parser
get_parser()
sqlalchemy.orm.configure_mappers()
"""


class Preloaded:
    """
    Start with ``with Preloaded(folder, environment) as python``.

    :param folder: where it keeps what the programs print.
    :param environment: environment variables of them all.
    :param first: code that all of them share, run once.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str], *, first: str = COMMANDS) -> None:
        self._folder, self._numbers = folder, count(1)
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, first],
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.kill()  # it has nothing to end
        self._process.communicate()

    def run(
        self, code: str, *arguments: str, check: bool = True, unread: bool = False, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """
        Run a program, at whose end nothing of it is left.

        :param arguments: its ``sys.argv``, from its name on.
        :param unread: write to a pipe that nobody reads any more.
        :param variables: further environment variables.
        """
        number = next(self._numbers)
        out, err = self._folder / f"{number}.out", self._folder / f"{number}.err"
        request = {"code": code, "argv": arguments, "unread": unread, "variables": variables}
        request |= {"out": str(out), "err": str(err)}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{json.dumps(request)}\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "the process that others are forked from has ended"
        done = subprocess.CompletedProcess(arguments, int(answer), out.read_text(), err.read_text())
        assert not check or done.returncode == 0, f"{arguments}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done

    def airflow(
        self, *arguments: str, check: bool = True, unread: bool = False
    ) -> subprocess.CompletedProcess[str]:
        """Run an ``airflow`` command."""
        return self.run(COMMAND, "airflow", *arguments, check=check, unread=unread)


def main() -> None:
    """Run the code that is shared; then fork until there is nothing more to read."""
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)  # nothing but answers goes there
        exec(sys.argv[1], {"__name__": "shared"})
        while line := sys.stdin.readline():
            child = os.fork()
            if child == 0:
                end(become(json.loads(line)))
            _, status = os.waitpid(child, 0)
            answers.write(f"{os.waitstatus_to_exitcode(status)}\n")
            answers.flush()


def become(request: dict[str, Any]) -> int:
    """Be the program that was asked for; return its exit code."""
    for number, name in enumerate((os.devnull, request["out"], request["err"])):
        file = os.open(name, os.O_RDWR | os.O_CREAT)
        os.dup2(file, number)
        os.close(file)
    if request["unread"]:
        reader, writer = os.pipe()
        os.dup2(writer, 1)
        os.close(reader)
    os.environ.update(request["variables"])
    sys.argv = request["argv"] or ["-c"]
    try:
        exec(compile(request["code"], "<string>", "exec"), {"__name__": "__main__"})
    except SystemExit as ended:
        if ended.code is None or isinstance(ended.code, int):
            return ended.code or 0
        sys.stderr.write(f"{ended.code}\n")
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def end(code: int) -> NoReturn:
    """End as an interpreter does, but for freeing all that was loaded, which takes a fork longer than the program."""
    threading._shutdown()
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
    except OSError:
        traceback.print_exc()
        code = 120
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
