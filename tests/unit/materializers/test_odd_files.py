"""Bytes, signatures and rows that this package has not written: the usual errors (R39)."""

from __future__ import annotations

import io
import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from airflow_model_provider.exceptions import LoadFailed, NotSigned
from airflow_model_provider.materializers.signing import Signing

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    "recorded",
    [
        "no dict",
        ["python"],
        {"libraries": "no dict"},
        {"libraries": ["numpy"]},
        {"libraries": {"": "1"}},
        {"libraries": {"\0": "1", "\ud800": "1", "..": "1"}},
        {"libraries": {"numpy": {"deep": []}}, "python": [3]},
    ],
    ids=repr,
)
def test_a_load_that_fails_says_so_whatever_was_recorded(round_trip, recorded: Any) -> None:
    """An environment that this package has not written changes nothing about the error."""
    with pytest.raises(LoadFailed, match="a value could not be loaded: UnpicklingError"):
        round_trip.read(b"no pickle", "cloudpickle", environment=recorded)


@pytest.mark.parametrize("found", ["\u00e9", "\ud800", "", "0" * 64, "\0", 7, None, ["0"]], ids=repr)
def test_a_signature_that_is_none_is_refused(found: object) -> None:
    """Whatever it is: text that no hash is made of, or no text."""
    with pytest.raises(NotSigned):
        Signing(("k" * 16,)).check("a value", "ab" * 32, "cloudpickle", 1, {"hmac": found})


def _saved(save: Callable[..., None], array: Any) -> bytes:
    file = io.BytesIO()
    save(file, array)
    return file.getvalue()


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("format", ["numpy.npy", "numpy.scalar"])
@pytest.mark.parametrize(
    "data",
    [
        _saved(np.savez, np.arange(3)),
        _saved(np.savez_compressed, np.arange(3)),
        _saved(np.save, np.array([], dtype=object)),
        _saved(np.save, np.zeros((0, 3), [("a", "O")])),
        _saved(np.save, np.array([1, "a"], dtype=object)),
        pickle.dumps([1]),
        b"",
    ],
    ids=["npz", "compressed npz", "no objects", "no records of objects", "objects", "a pickle", "nothing"],
)
def test_what_is_no_npy_is_not_loaded_as_one(round_trip, data: bytes, format: str, mmap: bool) -> None:
    """An archive of arrays, and what holds objects, even if it has no rows."""
    with pytest.raises(LoadFailed):
        round_trip.read(data, format, mmap=mmap)
