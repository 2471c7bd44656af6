"""How the commands speak: results on stdout, one line and exit code 1 for an error of ours."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any

from airflow_model_provider.exceptions import ModelRegistryError
from airflow_model_provider.hooks.model_registry import ModelRegistryHook

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from airflow_model_provider.client import Client


def say(text: str) -> None:
    """Write one line of result."""
    sys.stdout.write(f"{text}\n")


def client(args: Any) -> Client:
    """Return the client of the registry that ``--conn-id`` names, as tasks find it."""
    hook = ModelRegistryHook(args.conn_id)
    hook.get_address()  # refuses a default that workers would not share
    return hook.get_client()


def show(args: Any, rows: Sequence[Mapping[str, Any]], empty: str = "Nothing.") -> None:
    """Write rows in the form that ``--output`` asks for, as Airflow's own commands do."""
    from airflow.cli.simple_table import AirflowConsole

    if not rows and args.output in ("table", "plain"):
        say(empty)
        return
    AirflowConsole().print_as(data=[dict(row) for row in rows], output=args.output)


def agreed(args: Any, question: str) -> bool:
    """Ask, unless ``--yes`` has answered."""
    return bool(args.yes) or input(f"{question} [y/N] ") == "y"


@contextmanager
def progress(what: str) -> Iterator[Callable[[int], None]]:
    """Show on a terminal how far a long command has come; the block calls what it is given with bytes done."""
    from rich.console import Console
    from rich.filesize import decimal
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    done = [0, 0]

    def advance(size: int) -> None:
        done[0], done[1] = done[0] + 1, done[1] + size
        bar.update(task, description=f"{what}: {done[0]:,} files, {decimal(done[1])}")

    with bar:
        task = bar.add_task(what, total=None)
        yield advance


def command(function: Callable[[Any], None]) -> Callable[[Any], None]:
    """Turn our errors into their sentence and exit code 1."""

    @wraps(function)
    def run(args: Any) -> None:
        try:
            function(args)
        except ModelRegistryError as err:
            raise SystemExit(f"{type(err).__name__}: {err}") from None

    return run
