"""The formats of arrays, frames and tables, under the contract (R20)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars
import pyarrow as pa

from airflow_model_provider.materializers.arrow import ArrowMaterializer, PolarsMaterializer
from airflow_model_provider.materializers.numpy import ArrayMaterializer, ScalarMaterializer
from airflow_model_provider.materializers.pandas import (
    FrameMaterializer,
    IndexMaterializer,
    SeriesMaterializer,
)
from tests.contract.built_in import BuiltIn


class _Matrix(np.ndarray):
    """An array that is more than one."""


_RECORDS = np.rec.array([(1, 2.5)], dtype=[("a", "i4"), ("b", "f8")])


class TestArray(BuiltIn):
    materializer = ArrayMaterializer
    examples = {
        "floats": np.array([[1.5, -0.0, np.nan], [np.inf, 2.0, 3.0]]),
        "fortran": np.asfortranarray(np.arange(6, dtype="int16").reshape(2, 3)),
        "big-endian": np.arange(3, dtype=">i4"),
        "strided": np.arange(10, dtype="uint8")[::3],
        "flags": np.array([True, False]),
        "texts": np.array(["a", "ü", ""]),
        "bytes": np.array([b"a", b"bc"]),
        "moments": np.array(["2026-03-29T02:30", "NaT"], dtype="M8[s]"),
        "records": np.array([(1, 2.5), (3, 4.5)], dtype=[("ü", "i4"), ("b", "f8")]),
        "no-dimension": np.array(7),
        "empty": np.empty((0, 3), "float32"),
    }
    refused = {
        "objects": np.array([1, "a"], dtype=object),
        "a-subclass": np.arange(3).view(_Matrix),
        "masked": np.ma.masked_array([1, 2], [True, False]),
        "dtype-metadata": np.zeros(1, np.dtype("i4", metadata={"unit": "m"})),
        "metadata-of-a-field": np.zeros(1, [("a", np.dtype("i4", metadata={"unit": "m"}))]),
        "metadata-of-a-part-of-a-field": np.zeros(1, [("a", (np.dtype("i4", metadata={"unit": "m"}), 2))]),
        "records-in-a-plain-array": _RECORDS.view(np.ndarray),
        "records-in-a-field": np.zeros(1, [("a", _RECORDS.dtype)]),
    }

    def same(self, found: Any, expected: Any) -> bool:
        return (found.dtype, found.shape, found.flags.fnc, found.tobytes("A")) == (
            expected.dtype,
            expected.shape,
            expected.flags.fnc,
            expected.tobytes("A"),
        )


class TestScalar(BuiltIn):
    materializer = ScalarMaterializer
    examples = {
        "float": np.float32(1.5),
        "whole": np.int64(-(2**63)),
        "flag": np.bool_(True),
        "text": np.str_("ü"),
        "bytes": np.bytes_(b"a\0b"),
        "moment": np.datetime64("2026-03-29", "D"),
        "record": np.array([(1, 2.5)], dtype=[("a", "i4"), ("b", "f8")])[0],
        "complex": np.complex64(1 - 2j),
    }
    refused = {
        "a-record": _RECORDS[0],
        "text-with-a-NUL-at-its-end": np.str_("a\0"),
        "bytes-with-a-NUL-at-their-end": np.bytes_(b"a\0"),
    }

    def same(self, found: Any, expected: Any) -> bool:
        return (found.dtype, found.tobytes()) == (expected.dtype, expected.tobytes())


_DAYS = pd.date_range("2026-03-28", periods=3, freq="D", tz="Europe/Berlin", name="day")
_WORKDAYS = pd.date_range("2026-01-01", periods=3, freq=pd.offsets.CustomBusinessDay(holidays=["2026-06-03"]))
_PAIRS = pd.MultiIndex.from_tuples([(0, "a"), (0, "b"), (1, "a")], names=["part", None])
_COLUMNS: dict[str, Any] = {
    "floats": [1.5, float("nan"), -0.0],
    "small": np.array([1, 2, 3], "int8"),
    "flags": [True, False, True],
    "texts": pd.array(["a", None, "ü"], dtype="string"),
    "objects": pd.Series(["a", None, "ü"], dtype=object),
    "bytes": pd.Series([b"a", None, b""], dtype=object),
    "Int64": pd.array([1, None, 2**62 + 1], dtype="Int64"),
    "boolean": pd.array([True, None, False], dtype="boolean"),
    "levels": pd.Categorical(["b", None, "b"], categories=["b", "a"], ordered=True),
    "zoned": pd.to_datetime(["2026-03-29T00:59", None, "2026-03-29T01:01"], utc=True).tz_convert(
        "Europe/Berlin"
    ),
    "moments": pd.to_datetime(["2026-03-29", None, "1677-09-22"]).as_unit("us"),
    "spans": pd.to_timedelta([1, None, -1], unit="s"),
    "months": pd.PeriodIndex(["2026-01", None, "2026-03"], freq="M"),
    "arrow": pd.array([1, None, 3], dtype="int32[pyarrow]"),
}
_FRAME = pd.DataFrame(_COLUMNS)
#: Of a type for whole days, which Arrow itself calls invalid.
_HALF_A_DAY = pa.array([43_200_000]).view(pa.date64())
_FRAME.attrs["source"] = {"sensor": 7}


def _with_a_gap_far_down(labels: Any) -> pd.MultiIndex:
    """Two levels: of two labels in turn, of which the last one is missing, and of the numbers of the rows."""
    rows = list(range(60))
    return pd.MultiIndex(levels=[labels, rows], codes=[[row % 2 for row in rows[:-1]] + [-1], rows])


def _no_duplicates(value: Any) -> Any:
    return value.set_flags(allows_duplicate_labels=False)


class TestFrame(BuiltIn):
    materializer = FrameMaterializer
    examples = {
        "kinds": _FRAME,
        "days": pd.DataFrame({"a": [1, 2, 3]}, index=_DAYS),
        "pairs": pd.DataFrame({"a": [1, 2, 3]}, index=_PAIRS),
        "duplicate-labels": pd.DataFrame([[1, 2.0], [3, 4.0]], index=["r", "r"], columns=["c", "c"]),
        "numbered": pd.DataFrame([[1, 2], [3, 4]]),
        "stacked-columns": pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", 1), ("a", 2)])),
        "no-rows": _FRAME.iloc[:0],
        "no-columns": pd.DataFrame(index=pd.Index([3, 1], name="id")),
        "long": pd.DataFrame({"a": np.arange(100), "b": pd.Categorical(["x", "y"] * 50)}).iloc[::-1],
    }
    refused = {
        "mixed": pd.DataFrame({"a": [1, "a"]}),
        "none-beside-nan": pd.DataFrame({"a": ["a", None, float("nan")]}, dtype=object),
        "mixed-far-down": pd.DataFrame({"a": ["a"] * 50 + [1]}),
        "whole-labels-with-a-gap": pd.DataFrame(
            {"a": range(60)}, index=_with_a_gap_far_down([2**60 + 1, 2**60 + 3])
        ),
        "flags-as-labels-with-a-gap": pd.DataFrame(
            {"a": range(60)}, index=_with_a_gap_far_down([False, True])
        ),
        "holidays": pd.DataFrame({"a": range(3)}, index=_WORKDAYS),
        "intervals": pd.DataFrame({"a": pd.IntervalIndex.from_breaks([0, 1, 2])}),
        "sparse": pd.DataFrame({"a": pd.arrays.SparseArray([0, 1])}),
        "complex": pd.DataFrame({"a": [1j]}),
        "no-duplicates-allowed": _no_duplicates(pd.DataFrame({"a": [1]})),
        "moments-as-labels": pd.DataFrame([[1]], columns=pd.DatetimeIndex(["2026-01-01"])),
        "levels-as-labels": pd.DataFrame([[1]], columns=pd.CategoricalIndex(["a"])),
        "a-subclass": type("Frame", (pd.DataFrame,), {})({"a": [1]}),
    }

    def same(self, found: Any, expected: Any) -> bool:
        pd.testing.assert_frame_equal(
            found, expected, check_exact=True, check_column_type="exact", check_index_type="exact"
        )
        return bool(found.attrs == expected.attrs)

    def is_writable(self, value: Any) -> bool:
        for position in range(value.shape[1] if len(value) else 0):
            value.iloc[0, position] = value.iloc[-1, position]
        return True


class TestSeries(BuiltIn):
    materializer = SeriesMaterializer
    examples = {
        **{f"of-{name}": _FRAME[name] for name in ("floats", "texts", "levels", "zoned", "Int64")},
        "named": pd.Series([1.5, 2.5, 3.5], index=_PAIRS, name=("a", 1)),
        "empty": pd.Series([], dtype="float32"),
        "same-labels": pd.Series([1, 2], index=[5, 5]),
    }
    refused = {
        "mixed": pd.Series([1, "a"]),
        "half-a-day": pd.Series(pd.arrays.ArrowExtensionArray(_HALF_A_DAY)),
        "no-duplicates-allowed": _no_duplicates(pd.Series([1])),
        "whole-labels-with-a-gap": pd.Series(range(60), index=_with_a_gap_far_down([2**60 + 1, 2**60 + 3])),
        "a-subclass": type("Series", (pd.Series,), {})([1]),
    }

    def same(self, found: Any, expected: Any) -> bool:
        pd.testing.assert_series_equal(found, expected, check_exact=True, check_index_type="exact")
        return bool(found.attrs == expected.attrs)

    def is_writable(self, value: Any) -> bool:
        if len(value):
            value.iloc[0] = value.iloc[-1]
        return True


class TestIndex(BuiltIn):
    materializer = IndexMaterializer
    examples = {
        "range": pd.RangeIndex(0, 30, 10, name="step"),
        "whole": pd.Index([3, 1, 2], dtype="int32"),
        "texts": pd.Index(["a", "ü"], dtype=object, name="t"),
        "strings": pd.Index(["a", None], dtype="string"),
        "days": _DAYS,
        "business-days": pd.date_range("2026-03-27", periods=3, freq="B"),
        "moments": pd.DatetimeIndex(["2026-03-29", "NaT"]),
        "spans": pd.timedelta_range("1h", periods=3, freq="h"),
        "months": pd.period_range("2026-01", periods=2, freq="M", name="month"),
        "levels": pd.CategoricalIndex(["b", "a", None], categories=["b", "a"], ordered=True),
        "pairs": _PAIRS,
        "flags": pd.Index([True, False]),
        "empty": pd.Index([], dtype=object),
    }
    refused = {
        "intervals": pd.IntervalIndex.from_breaks([0, 1, 2]),
        "mixed": pd.Index([1, "a"]),
        "whole-labels-with-a-gap": _with_a_gap_far_down([2**60 + 1, 2**60 + 3]),
        "holidays": _WORKDAYS,
        "business-hours": pd.date_range(
            "2026-01-01 10:00", periods=3, freq=pd.offsets.BusinessHour(start="10:00")
        ),
        "a-nameless-frequency": pd.date_range("2026-01-01", periods=3, freq=pd.DateOffset(months=1)),
    }

    def same(self, found: Any, expected: Any) -> bool:
        pd.testing.assert_index_equal(found, expected, exact=True)
        frequencies = [getattr(index, "freq", None) for index in (found, expected)]
        return frequencies[0] == frequencies[1] and type(found) is type(expected)


_TABLE = pa.table({"a": [1, None], "b": [["x"], []]}, metadata={"k": "v"})


class TestArrow(BuiltIn):
    materializer = ArrowMaterializer
    examples = {
        "table": _TABLE,
        "chunks": pa.concat_tables([_TABLE, _TABLE]),
        "no-rows": _TABLE.slice(0, 0),
        "no-columns": pa.table({}),
        "same-names": pa.Table.from_arrays([pa.array([1]), pa.array(["a"])], names=["a", "a"]),
        "batch": _TABLE.to_batches()[0],
        "empty-batch": pa.RecordBatch.from_pylist([], schema=_TABLE.schema),
        "array": pa.array([1.5, None]),
        "slice": pa.array([1, 2, 3]).slice(1, 1),
        "empty-array": pa.array([], pa.int8()),
        "dictionary": pa.array(["b", "a", "b"]).dictionary_encode(),
        "structs": pa.array([{"a": 1}, None]),
        "nothing": pa.nulls(3),
        "chunked": pa.chunked_array([[1], [2, 3]]),
        "no-chunks": pa.chunked_array([], pa.string()),
        "chunked-differently": pa.table(
            {"a": pa.chunked_array([[1], [2, 3]]), "b": pa.chunked_array([[1, 2], [3]])}
        ),
        "schema": pa.schema(
            [pa.field("a", pa.int8(), nullable=False, metadata={"u": "m"})], metadata={"k": "v"}
        ),
    }

    refused = {
        "half-a-day": _HALF_A_DAY,
        "half-a-day-in-a-table": pa.table({"a": _HALF_A_DAY}),
        "of-a-kind-that-is-not-data": pa.int8(),
    }

    def same(self, found: Any, expected: Any) -> bool:
        chunks = [[len(chunk) for chunk in getattr(value, "chunks", ())] for value in (found, expected)]
        noted = isinstance(expected, pa.Table | pa.RecordBatch | pa.Schema)
        equal = found.equals(expected, check_metadata=True) if noted else found.equals(expected)
        return bool(equal and chunks[0] == chunks[1])


class TestPolars(BuiltIn):
    materializer = PolarsMaterializer
    examples = {
        "kinds": polars.DataFrame(
            {
                "a": [1, None],
                "b": ["x", "ü"],
                "c": [[1], None],
                "d": [{"s": 1.5}, {"s": None}],
                "e": polars.Series(["u", "v"], dtype=polars.Categorical),
                "f": polars.Series(["u", "v"], dtype=polars.Enum(["v", "u"])),
                "g": polars.Series([0, 1]).cast(polars.Datetime("us", "Europe/Berlin")),
                "h": polars.Series(["1.20", "3"]).cast(polars.Decimal(10, 2)),
            }
        ),
        "no-rows": polars.DataFrame(schema={"a": polars.Int8}),
        "no-columns": polars.DataFrame(),
        "series": polars.Series("s", [1.5, float("nan"), None]),
        "unnamed": polars.Series([True, None]),
    }
    refused = {
        "objects": polars.Series("o", [object()], dtype=polars.Object),
        "lazy": polars.DataFrame().lazy(),
    }

    def same(self, found: Any, expected: Any) -> bool:
        frames = [value if hasattr(value, "schema") else value.to_frame() for value in (found, expected)]
        return bool(frames[0].equals(frames[1], null_equal=True) and frames[0].schema == frames[1].schema)
