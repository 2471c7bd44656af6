"""How the commands speak: results on stdout, one line and exit code 1 for an error of ours."""

from __future__ import annotations

import sys
from functools import wraps
from typing import TYPE_CHECKING, Any

from airflow_model_provider.exceptions import ModelRegistryError

if TYPE_CHECKING:
    from collections.abc import Callable


def say(text: str) -> None:
    """Write one line of result."""
    sys.stdout.write(f"{text}\n")


def command(function: Callable[[Any], None]) -> Callable[[Any], None]:
    """Turn our errors into their sentence and exit code 1."""

    @wraps(function)
    def run(args: Any) -> None:
        try:
            function(args)
        except ModelRegistryError as err:
            raise SystemExit(f"{type(err).__name__}: {err}") from None

    return run
