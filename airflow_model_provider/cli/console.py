"""How the commands speak: results on stdout and all else on stderr, one line and exit code 1 for an error of ours."""

from __future__ import annotations

import io
import json
import math
import os
import shutil
import sys
from collections.abc import Mapping
from contextlib import contextmanager, redirect_stdout
from functools import wraps
from typing import IO, TYPE_CHECKING, Any

from airflow_model_provider.exceptions import ModelRegistryError
from airflow_model_provider.exceptions.base import harmless
from airflow_model_provider.hooks.model_registry import ModelRegistryHook

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from airflow_model_provider.client import Client

#: What a shell calls the end of a program whose output nobody reads any more: 128 + SIGPIPE.
UNREAD = 141


def say(args: Any, text: str) -> None:
    """Write one line of result."""
    _write(args, f"{harmless(text)}\n")


def note(text: str) -> None:
    """Write one line that is no part of the result."""
    if sys.stderr is not None:
        sys.stderr.write(f"{harmless(text)}\n")


def hint(args: Any, text: str) -> None:
    """Write one line that helps people: below a result for them, and beside one for programs."""
    say(args, text) if args.output in ("table", "plain") else note(text)


def told(args: Any, row: Mapping[str, Any], text: str) -> None:
    """Write a result of one row; as a sentence, unless ``--output`` asks for another form."""
    if args.output is None:
        say(args, text)
    else:
        show(args, [row])


def client(args: Any) -> Client:
    """Return the client of the registry that ``--conn-id`` names, as tasks find it."""
    return ModelRegistryHook(args.conn_id).get_client()


def show(args: Any, rows: Sequence[Mapping[str, Any]], empty: str = "Nothing.") -> None:
    """
    Write rows in the form that ``--output`` asks for, as Airflow's own commands do; programs get values of their types.

    What people read shows text as text: no markup, no escape sequence, no number made of a name such as ``1.10``.
    """
    if args.output in ("table", "plain") and not rows:
        say(args, empty)
        return
    with redirect_stdout(args.stdout):  # whose width and colours count
        text = _FORMS[args.output]([dict(row) for row in rows])
    _write(args, text)


def _as_json(rows: list[dict[str, Any]]) -> str:
    return f"{json.dumps(_finite(rows))}\n"


def _as_yaml(rows: list[dict[str, Any]]) -> str:
    from airflow.utils import yaml

    return yaml.dump(_without_surrogates(rows), sort_keys=False)


def _as_table(rows: list[dict[str, Any]]) -> str:
    from airflow.cli.simple_table import AirflowConsole

    console = AirflowConsole(markup=False, emoji=False, highlight=False)
    with console.capture() as captured:
        console.print_as_table([{name: _shown(value) for name, value in row.items()} for row in rows])
    text: str = captured.get()
    return text


def _as_plain(rows: list[dict[str, Any]]) -> str:
    from tabulate import tabulate

    cells = [[_shown(value) for value in row.values()] for row in rows]
    return f"{tabulate(cells, list(rows[0]), 'plain', disable_numparse=True)}\n"


_FORMS: dict[str, Callable[[list[dict[str, Any]]], str]] = {
    "json": _as_json,
    "yaml": _as_yaml,
    "table": _as_table,
    "plain": _as_plain,
}


def _finite(value: Any) -> Any:
    """JSON has no word for NaN and infinities: their text stands for them."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _finite(part) for key, part in value.items()}
    return [_finite(part) for part in value] if isinstance(value, list | tuple) else value


def _without_surrogates(value: Any) -> Any:
    """YAML has no word for a lone surrogate: its escape stands for it."""
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    if isinstance(value, Mapping):
        return {_without_surrogates(key): _without_surrogates(part) for key, part in value.items()}
    return [_without_surrogates(part) for part in value] if isinstance(value, list | tuple) else value


def _shown(value: object) -> str | None:
    if isinstance(value, Mapping):
        return harmless(", ".join(f"{key}: {part}" for key, part in value.items()))
    if isinstance(value, tuple):
        return harmless(", ".join(map(str, value)))
    return None if value is None else harmless(str(value))


def write_bytes(args: Any, reader: IO[bytes]) -> None:
    """Write bytes as the result."""
    if args.stdout is not None:
        with _piped(args):
            shutil.copyfileobj(reader, args.stdout.buffer)
            args.stdout.flush()


def _write(args: Any, text: str) -> None:
    if args.stdout is not None:
        with _piped(args):
            args.stdout.write(text)
            args.stdout.flush()


@contextmanager
def _piped(args: Any) -> Iterator[None]:
    """End quietly if nobody reads stdout any more."""
    try:
        yield
    except BrokenPipeError:
        # What is buffered has to go somewhere when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), args.stdout.fileno())
        raise SystemExit(UNREAD) from None


def agreed(args: Any, question: str) -> bool:
    """Ask, unless ``--yes`` has answered."""
    if args.yes:
        return True
    try:
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
    except (EOFError, RuntimeError):  # at the end of what can be read, or without anything to read from
        note("")
        raise SystemExit(
            "Cannot prompt without a terminal. Nothing was changed. Pass --yes to confirm."
        ) from None


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
        disable=sys.stderr is None or not sys.stderr.isatty(),
    )
    done = [0, 0]

    def advance(size: int) -> None:
        done[0], done[1] = done[0] + 1, done[1] + size
        bar.update(task, description=f"{what}: {done[0]:,} files, {decimal(done[1])}")

    with bar:
        task = bar.add_task(what, total=None)
        yield advance


def command(function: Callable[[Any], None]) -> Callable[[Any], None]:
    """
    Turn our errors into their sentence and exit code 1.

    ``args.stdout`` is for results alone: questions, and what Airflow logs or an artifact prints, go to stderr.
    """

    @wraps(function)
    def run(args: Any) -> None:
        # As Airflow's own commands do: without it, connections that its database keeps are not found.
        os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"
        args.stdout = sys.stdout
        try:
            with redirect_stdout(sys.stderr or io.StringIO()):
                function(args)
        except ModelRegistryError as err:
            err.conn_id, err.on_command_line = err.conn_id or args.conn_id, True
            raise SystemExit(f"{type(err).__name__}: {err}") from None

    return run
