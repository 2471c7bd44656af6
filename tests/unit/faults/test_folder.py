"""A folder on a disk that fails at every call, is gone from some call on, or takes no more bytes (R17)."""

from __future__ import annotations

import errno
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from airflow_model_provider.exceptions import StoreUnavailable
from tests.support.plan import FOR_EVER, Plan, sample
from tests.support.system_calls import system_calls
from tests.unit.faults.operations import OPERATIONS, Operation, new_version
from tests.unit.faults.scene import DONE, NOT_DONE, Scene

#: What is done to bytes; the rest of the operations knows only the database.
NAMES = [
    "save", "save a file", "load", "load mapped", "make a version in a block", "verify", "collect",
]  # fmt: skip
OF_BYTES = pytest.mark.parametrize("operation", [OPERATIONS[name] for name in NAMES], ids=NAMES)

ERRORS = (errno.ENOSPC, errno.EACCES, errno.EIO, errno.EROFS)


def leftovers(scene: Scene) -> list[str]:
    """What writers have left beside the store."""
    return [name for name, _age in scene.observer.store.iter_leftovers()]


@OF_BYTES
def test_a_call_of_the_system_that_fails_is_an_error_and_nothing_is_done(
    operation: Operation, scene: Scene, tmp_path: Path
) -> None:
    """Each call about files of the store and of the cache, once: nothing of it is there, or it did without."""
    plan = Plan()
    with system_calls(plan, tmp_path, errno.EIO):
        calls = scene.rehearse(operation, plan)
    for index, error in sample([*product(range(len(calls)), ERRORS)], 15):
        with system_calls(plan, tmp_path, error):
            outcome = scene.perform(operation, plan.failing(index))

        assert outcome.said in (DONE, NOT_DONE), calls[index]
        assert calls[index].startswith("unlink") or leftovers(scene) == [], calls[index]
    scene.check_end()


@OF_BYTES
def test_a_disk_that_is_gone_is_an_error_and_nothing_is_done(
    operation: Operation, scene: Scene, tmp_path: Path
) -> None:
    """From each call on, all fail: what could not be removed then is removed by the next collection."""
    plan = Plan()
    with system_calls(plan, tmp_path, errno.EIO):
        calls = scene.rehearse(operation, plan)
        for index in sample(range(len(calls)), 4):
            outcome = scene.perform(operation, plan.failing(index, FOR_EVER))

            assert outcome.said in (DONE, NOT_DONE), calls[index]
    scene.check_end()


VALUES: dict[str, Any] = {
    "text": "text " * 10_000,
    "JSON": [{"a": 1}] * 10_000,
    "array": np.arange(10_000),
    "frame": pd.DataFrame({"a": np.arange(10_000)}),
    "estimator": LinearRegression().fit(np.eye(100), np.eye(100)),
    "object": {"of": Path, "numbers": [*range(10_000)], "and": object},
}


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """Let the system refuse to write on at a size, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_a_full_disk_is_the_store_s_trouble_whatever_a_library_makes_of_it(value: Any, scene: Scene) -> None:
    """The system takes no byte, some, or all but the last ones; nothing is left of the file."""
    saved = Operation(
        lambda workspace: new_version(workspace)._replace(value=value),
        OPERATIONS["save"].act,
        lambda _workspace, _subject, record: record.payload.size > 9000,
    )
    for size in (0, 1000, 9000):
        outcome = scene.perform(saved, no_file_larger_than(size))

        assert isinstance(outcome.error, StoreUnavailable)
        assert leftovers(scene) == []
    scene.rehearse(saved, Plan())
    scene.check_end()
