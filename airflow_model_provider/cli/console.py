"""How the commands speak: results on stdout, one line and exit code 1 for an error of ours."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any

from airflow_model_provider.exceptions import ModelRegistryError
from airflow_model_provider.exceptions.base import harmless
from airflow_model_provider.hooks.model_registry import ModelRegistryHook

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from airflow_model_provider.client import Client


def say(text: str) -> None:
    """Write one line of result."""
    sys.stdout.write(f"{harmless(text)}\n")


def client(args: Any) -> Client:
    """Return the client of the registry that ``--conn-id`` names, as tasks find it."""
    hook = ModelRegistryHook(args.conn_id)
    hook.get_address()  # refuses a default that workers would not share
    return hook.get_client()


def show(args: Any, rows: Sequence[Mapping[str, Any]], empty: str = "Nothing.") -> None:
    """
    Write rows in the form that ``--output`` asks for, as Airflow's own commands do.

    What people read shows text as text: no markup, no escape sequence, no number made of a name such as ``1.10``.
    """
    from airflow.cli.simple_table import AirflowConsole

    if args.output not in ("table", "plain"):
        data = [dict(row) for row in rows]
        AirflowConsole().print_as(_without_surrogates(data) if args.output == "yaml" else data, args.output)
    elif not rows:
        say(empty)
    elif args.output == "table":
        console = AirflowConsole(markup=False, emoji=False, highlight=False)
        console.print_as_table([{name: _shown(value) for name, value in row.items()} for row in rows])
    else:
        from tabulate import tabulate

        cells = [[_shown(value) for value in row.values()] for row in rows]
        sys.stdout.write(f"{tabulate(cells, list(rows[0]), 'plain', disable_numparse=True)}\n")


def _without_surrogates(value: Any) -> Any:
    """YAML has no word for a lone surrogate: its escape stands for it."""
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    if isinstance(value, Mapping):
        return {_without_surrogates(key): _without_surrogates(part) for key, part in value.items()}
    return [_without_surrogates(part) for part in value] if isinstance(value, list) else value


def _shown(value: object) -> str | None:
    return None if value is None else harmless(str(value))


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
