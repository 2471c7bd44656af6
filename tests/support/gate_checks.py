"""Functions that gates of tests name by their import path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_model_provider.handles import ModelVersion

#: What ``scripted`` does; None until a test says it.
script: Callable[[ModelVersion, ModelVersion | None], Any] | None = None
#: Of what it was asked: numbers of the version and of the holder.
asked: list[tuple[int, int | None]] = []

not_a_function = 7


def scripted(version: ModelVersion, holder: ModelVersion | None) -> Any:
    asked.append((version.number, None if holder is None else holder.number))
    assert script is not None
    return script(version, holder)


class Checks:
    """Functions that stand in a class."""

    @staticmethod
    def passes(version: ModelVersion, holder: ModelVersion | None) -> bool:
        return True


def passes_numpy(version: ModelVersion, holder: ModelVersion | None) -> Any:
    return np.float64(version.run_metadata["accuracy"]) > 0.5


def refuses(version: ModelVersion, holder: ModelVersion | None) -> bool:
    return False


def returns_a_number(version: ModelVersion, holder: ModelVersion | None) -> int:
    return 1


def raises(version: ModelVersion, holder: ModelVersion | None) -> None:
    raise ConnectionError("the feature store is away")


# [START check]
def not_slower(version, holder):
    seconds = version.run_metadata["seconds"]
    if holder is not None and seconds > 2 * holder.run_metadata.get("seconds", seconds):
        return f"it takes {seconds} s, more than twice as long as {holder}"
    return True


# [END check]
