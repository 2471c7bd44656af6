"""One pandas column (or index level) ↔ one Arrow array, exactly; what isn't sure to come back equal is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from airflow_model_provider.materializers.base import ExactnessLost

if TYPE_CHECKING:
    from collections.abc import Mapping

_RAW = frozenset("iufMm")


class Base:
    """
    The bytes of a file in memory or mapped, from which columns are taken without a copy.

    :param data: all bytes, as a one-dimensional array of ``uint8``.
    """

    def __init__(self, data: np.ndarray[Any, Any]) -> None:
        self.data = data
        self.buffer = pa.py_buffer(data)

    def view(self, array: pa.Array, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
        """Return a fixed-width Arrow array as a NumPy array over the same bytes, as writable as they are."""
        if len(array) == 0:
            return np.empty(0, dtype)
        start = array.buffers()[1].address - self.buffer.address + array.offset * dtype.itemsize
        return self.data[start : start + len(array) * dtype.itemsize].view(dtype)


def encode(values: Any) -> tuple[pa.Array, dict[str, Any]]:
    """
    Return an Arrow array and what is needed to read it back.

    :param values: a Series or an Index.
    :raises ExactnessLost: if it would not come back equal.
    """
    dtype = values.dtype
    if isinstance(dtype, np.dtype):
        return _encode_numpy(values.to_numpy(), dtype)
    array = values.array
    if isinstance(dtype, pd.CategoricalDtype):
        categories, spec = encode(dtype.categories)
        indices = pa.array(array.codes, mask=array.codes < 0)
        facts = {"kind": "category", "ordered": bool(dtype.ordered), "categories": spec}
        return pa.DictionaryArray.from_arrays(indices, categories), facts
    if isinstance(dtype, pd.DatetimeTZDtype):
        raw = np.asarray(array.asi8)
        return pa.array(raw), {"kind": "zoned", "unit": dtype.unit, "tz": _zone(dtype)}
    if isinstance(dtype, pd.PeriodDtype):
        return pa.array(np.asarray(array.asi8)), {"kind": "period", "dtype": str(dtype)}
    if isinstance(dtype, pd.StringDtype):
        facts = {"kind": "string", "storage": dtype.storage, "na": "NA" if dtype.na_value is pd.NA else "nan"}
        return _one(_arrow(array)), facts
    if isinstance(dtype, pd.ArrowDtype):
        return _one(array.__arrow_array__()), {"kind": "arrow"}
    if isinstance(array, pd.arrays.IntegerArray | pd.arrays.FloatingArray | pd.arrays.BooleanArray):
        found = _one(array.__arrow_array__())
        if not np.array_equal(found.is_null(), array.isna()):
            raise ExactnessLost(f"a NaN of {dtype} would become NA")
        return found, {"kind": "nullable", "dtype": dtype.name}
    raise ExactnessLost(f"dtype {dtype} has no exact Arrow form here")


def _arrow(array: Any) -> Any:
    try:
        return array.__arrow_array__()
    except (pa.ArrowException, UnicodeError) as err:
        raise ExactnessLost(str(err)) from None


def _encode_numpy(values: Any, dtype: np.dtype[Any]) -> tuple[pa.Array, dict[str, Any]]:
    if dtype.kind == "b":
        return pa.array(np.ascontiguousarray(values).view(np.uint8)), {"kind": "raw", "dtype": "?"}
    if dtype.kind in _RAW and dtype.itemsize <= 8:
        width = values if dtype.kind in "iu" or dtype.char in "fd" else values.view(f"u{dtype.itemsize}")
        if not dtype.isnative:
            raise ExactnessLost(f"dtype {dtype} has another byte order")
        return pa.array(np.ascontiguousarray(width), from_pandas=False), {"kind": "raw", "dtype": dtype.str}
    if dtype.kind == "O":
        return _encode_objects(values)
    raise ExactnessLost(f"dtype {dtype} has no exact Arrow form")


def _encode_objects(values: Any) -> tuple[pa.Array, dict[str, Any]]:
    """Objects are exact where all are strings, or all are bytes, apart from None."""
    kinds = set(map(type, values))
    for kind, arrow in ((str, pa.large_string()), (bytes, pa.large_binary())):
        if kinds <= {kind, type(None)}:
            try:
                return _one(pa.array(values, type=arrow, from_pandas=False)), {"kind": "object"}
            except (pa.ArrowException, UnicodeError) as err:
                raise ExactnessLost(str(err)) from None
    names = ", ".join(sorted(kind.__name__ for kind in kinds))
    raise ExactnessLost(f"a column of objects holds {names}")


def _zone(dtype: pd.DatetimeTZDtype) -> str:
    name = str(dtype.tz)
    if pd.DatetimeTZDtype(dtype.unit, name) != dtype or type(
        pd.DatetimeTZDtype(dtype.unit, name).tz
    ) is not type(dtype.tz):
        raise ExactnessLost(f"time zone {dtype.tz!r} can't be told by its name")
    return name


def _one(array: Any) -> pa.Array:
    if not isinstance(array, pa.ChunkedArray):
        return array
    return (
        array.chunk(0)
        if array.num_chunks == 1
        else pa.concat_arrays(array.chunks)
        if array.num_chunks
        else pa.array([], array.type)
    )


def decode(array: pa.Array, spec: Mapping[str, Any], base: Base) -> Any:
    """Return the pandas (or NumPy) array that was encoded."""
    kind = spec["kind"]
    if kind == "raw":
        return base.view(array, np.dtype(spec["dtype"]))
    if kind == "zoned":
        moments = base.view(array, np.dtype(f"M8[{spec['unit']}]"))
        return pd.DatetimeIndex(moments).tz_localize("UTC").tz_convert(spec["tz"]).array
    if kind == "period":
        period: Any = pd.api.types.pandas_dtype(spec["dtype"])
        return pd.arrays.PeriodArray(base.view(array, np.dtype("i8")), dtype=period)
    if kind == "object":
        return pd.Index(
            array.to_numpy(zero_copy_only=False), dtype=object
        )  # pandas 3 would take them for str
    if kind == "category":
        categories = pd.Index(decode(array.dictionary, spec["categories"], base))
        codes = np.array(array.indices.fill_null(-1))  # copied: Arrow's own are read-only
        return pd.Categorical.from_codes(codes, categories=categories, ordered=spec["ordered"])
    if kind == "arrow":
        return pd.arrays.ArrowExtensionArray(pa.chunked_array([array]))
    if kind == "string":
        dtype: Any = _string_dtype(spec)
    else:
        dtype = pd.api.types.pandas_dtype(spec["dtype"])
        if dtype.kind == "f":  # pandas' own way makes NA of NaN, or not, as an option says
            return pd.arrays.FloatingArray(np.array(array.fill_null(0)), np.array(array.is_null()))
    return dtype.__from_arrow__(pa.chunked_array([array]))


def _string_dtype(spec: Mapping[str, Any]) -> pd.StringDtype:
    if spec["na"] == "nan":
        return pd.StringDtype(spec["storage"], na_value=np.nan)
    return pd.StringDtype(spec["storage"])
