"""Whether Airflow would read the file of a program that defines a pipeline."""

from __future__ import annotations

import inspect
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_warned: set[str] = set()


def warn_of_safe_mode(function: Callable[..., Any]) -> None:
    """
    Warn once if a file that runs as a program is one that Airflow's safe mode ignores, as it does without a word.

    :param function: the body of a pipeline.
    """
    if getattr(function, "__module__", None) != "__main__":
        return
    try:
        file = inspect.getfile(inspect.unwrap(function))
        content = Path(file).read_bytes().lower()
    except (OSError, TypeError, ValueError):  # of a notebook
        return
    is_read = b"airflow" in content and (b"dag" in content or b"asset" in content)
    if not is_read and file not in _warned:
        _warned.add(file)
        warnings.warn(
            f"Airflow would ignore {file}: in safe mode it reads only files that contain the words 'airflow' and "
            "'dag'. Put both into its docstring, or set [core] dag_discovery_safe_mode = False.",
            stacklevel=2,
        )
