"""NumPy arrays and scalars as ``.npy`` without objects: executes nothing, and memory-maps."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from airflow_model_provider.materializers.base import ExactnessLost, Materializer, Reader, Source

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class ArrayMaterializer(Materializer):
    """A plain array of any shape, order and dtype without objects."""

    key = "numpy.npy"

    def save(self, value: Any, path: Path) -> Mapping[str, Any]:
        if type(value) not in (np.ndarray, np.memmap):
            raise ExactnessLost(f"{type(value).__name__} is not a plain array")
        if not _is_plain(value.dtype):
            raise ExactnessLost(f"dtype {value.dtype} can't be stored in .npy as it is")
        with path.open("wb") as file:
            np.save(file, value, allow_pickle=False)
        return {}

    def load(self, source: Source, attributes: Mapping[str, Any], *, mmap: bool = False) -> Any:
        if mmap and source.size:
            return np.lib.format.open_memmap(source.path(), mode="r")  # np.load would open archives too
        with source.open() as reader:
            return read_array(reader)


class ScalarMaterializer(Materializer):
    """A NumPy scalar, with its dtype."""

    key = "numpy.scalar"

    def save(self, value: Any, path: Path) -> Mapping[str, Any]:
        array = np.asarray(value)
        if not _is_plain(array.dtype) or type(array[()]) is not type(value):
            raise ExactnessLost(f"{type(value).__name__} can't be stored in .npy as it is")
        if array.dtype.kind in "SU" and array[()] != value:
            raise ExactnessLost("NumPy takes the NULs off its end")
        with path.open("wb") as file:
            np.save(file, array, allow_pickle=False)
        return {}

    def load(self, source: Source, attributes: Mapping[str, Any], *, mmap: bool = False) -> Any:
        with source.open() as reader:
            return read_array(reader)[()]


def _is_plain(dtype: np.dtype[Any]) -> bool:
    """Return whether ``.npy`` says all of a dtype: no objects, metadata or records in any part of it."""
    parts = [field[0] for field in (dtype.fields or {}).values()]
    parts += [dtype.subdtype[0]] if dtype.subdtype else []
    if dtype.hasobject or dtype.metadata is not None or (dtype.kind == "V" and dtype.type is not np.void):
        return False
    return all(map(_is_plain, parts))


def read_array(reader: Reader) -> Any:
    """Read an ``.npy`` stream straight into a new, writable array: one pass, no second copy."""
    version = np.lib.format.read_magic(reader)  # type: ignore[arg-type, no-untyped-call, unused-ignore]
    read_header = (
        np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    )
    if version not in ((1, 0), (2, 0)):
        rest = io.BytesIO(np.lib.format.magic(*version) + (reader.read() or b""))  # type: ignore[no-untyped-call, unused-ignore]
        return np.load(rest, allow_pickle=False)
    shape, fortran, dtype = read_header(reader)  # type: ignore[arg-type, no-untyped-call, unused-ignore]
    if dtype.hasobject:
        raise ValueError("it is an array of objects, and these would be pickled")
    array = np.empty(shape, dtype, order="F" if fortran else "C")
    flat = array.reshape(-1, order="F" if fortran else "C")
    if array.nbytes:
        view = memoryview(flat.view(np.uint8))  # type: ignore[arg-type]
        if reader.readinto(view) != array.nbytes:
            raise ValueError("the array is shorter than its header says")
    return array
