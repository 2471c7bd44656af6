"""What comes back equals what was saved, bit for bit, for values nobody thought of (R20)."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from hypothesis.extra import pandas as hpd

from tests.support.sameness import same
from tests.support.soak import TIMES

exactly = settings(
    max_examples=150 * TIMES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.complex_numbers(),
    st.text(st.characters(exclude_categories=[])),
    st.binary(),
    st.dates(),
    st.datetimes(timezones=st.sampled_from([None, UTC])),
    st.times(),
    st.timedeltas(),
    st.decimals(),
    st.uuids(),
)
hashables = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(), st.binary(), st.tuples(st.integers(), st.text())
)
containers = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.tuples(inner, inner),
        st.dictionaries(hashables, inner, max_size=4),
        st.frozensets(hashables, max_size=4),
        st.sets(hashables, max_size=4),
    ),
    max_leaves=12,
)


@exactly
@given(containers)
def test_containers_come_back(round_trip, value: Any) -> None:
    """Nested containers of scalars: equal, of the same types, in the same order."""
    assert same(round_trip(value), value)


dtypes = st.one_of(
    hnp.scalar_dtypes(),
    hnp.datetime64_dtypes(),
    hnp.timedelta64_dtypes(),
    hnp.unicode_string_dtypes(max_len=4),
    hnp.byte_string_dtypes(max_len=4),
    hnp.array_dtypes(hnp.integer_dtypes(), max_size=3),
)
arrays = hnp.arrays(dtype=dtypes, shape=hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))


@exactly
@given(arrays, st.booleans(), st.booleans())
def test_arrays_come_back(round_trip, array: np.ndarray, fortran: bool, mmap: bool) -> None:
    """Of any dtype, shape, byte order and memory order, copied or mapped."""
    array = np.asfortranarray(array) if fortran else array
    found = round_trip(array, mmap=mmap)

    assert (found.dtype, found.shape, found.tobytes("A")) == (array.dtype, array.shape, array.tobytes("A"))
    assert mmap or found.flags.writeable


column_dtypes = st.sampled_from(
    [
        "int8",
        "int64",
        "uint16",
        "float32",
        "float64",
        "bool",
        "complex128",
        "datetime64[ns]",
        "timedelta64[ns]",
    ]
)


@st.composite
def extension_arrays(draw: st.DrawFn, size: int) -> Any:
    """A column of one of pandas' own types, with missing values."""

    def some(values: st.SearchStrategy[Any]) -> list[Any]:
        return draw(st.lists(st.none() | values, min_size=size, max_size=size))

    kind = draw(
        st.sampled_from(["Int64", "boolean", "string", "Float32", "category", "zoned", "period", "interval"])
    )
    if kind in ("Int64", "Float32"):
        return pd.array(some(st.integers(-99, 99)), dtype=kind)
    if kind == "boolean":
        return pd.array(some(st.booleans()), dtype=kind)
    if kind == "string":
        return pd.array(some(st.text(st.characters(codec="utf-8"))), dtype=kind)
    if kind == "category":
        levels = draw(st.permutations(["a", "b", "c"]))
        return pd.Categorical(some(st.sampled_from("abc")), categories=levels, ordered=draw(st.booleans()))
    if kind == "zoned":
        zone = draw(st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"]))
        unit = draw(st.sampled_from(["ns", "us", "ms", "s"]))
        moments = pd.to_datetime(some(st.integers(0, 2**31)), unit="s", utc=True)
        return moments.as_unit(unit).tz_convert(zone).array
    if kind == "period":
        return pd.PeriodIndex(some(st.dates(date(1990, 1, 1), date(2030, 1, 1))), freq="M").array
    return pd.arrays.IntervalArray.from_breaks(np.arange(size + 1))


@st.composite
def indexes(draw: st.DrawFn, size: int) -> pd.Index:
    """An index of one of the usual kinds."""
    name = draw(st.sampled_from([None, "when", 7, ("a", 1)]))
    kind = draw(st.sampled_from(["range", "int", "text", "dates", "zoned", "multi", "category"]))
    if kind == "range":
        start = draw(st.integers(-9, 9))
        return pd.RangeIndex(start, start + 3 * size, 3, name=name)
    if kind in ("dates", "zoned"):
        zone = "Europe/Berlin" if kind == "zoned" else None
        frequency = draw(st.sampled_from(["D", "h", "MS"]))
        return pd.date_range("2026-03-28", periods=size, freq=frequency, tz=zone, name=name)
    if kind == "multi":
        pairs = [(index % 2, f"row {index}") for index in range(size)]
        return pd.MultiIndex.from_tuples(pairs or [(0, "")], names=["part", None])[:size]
    if kind == "category":
        return pd.CategoricalIndex(["b"] * size, categories=["b", "a"], name=name)
    values = draw(st.permutations(range(size)))
    return pd.Index([f"é{value}" for value in values] if kind == "text" else list(values), name=name)


@st.composite
def frames(draw: st.DrawFn) -> pd.DataFrame:
    """A frame of NumPy's and pandas' own types under any index."""
    count = draw(st.integers(0, 4))
    labels = draw(st.permutations(["b", "a", "ü", " ", "0"]))[:count]
    columns = [hpd.column(label, dtype=np.dtype(draw(column_dtypes))) for label in labels]
    size = draw(st.integers(0, 5))
    frame = draw(hpd.data_frames(columns, index=hpd.range_indexes(min_size=size, max_size=size)))
    for position in range(draw(st.integers(0, 3))):
        frame[f"own {position}"] = draw(extension_arrays(size))
    frame.index = draw(indexes(size))
    frame.attrs = draw(st.sampled_from([{}, {"source": "sensor"}]))
    return frame


def frequency(index: pd.Index) -> Any:
    """The frequency of an index that has one."""
    return getattr(index, "freq", None)


@exactly
@given(frames(), st.booleans())
def test_frames_come_back(round_trip, frame: pd.DataFrame, mmap: bool) -> None:
    """Index, names, frequency, dtypes, categories, zones, column order: copied or mapped."""
    found = round_trip(frame, mmap=mmap)

    pd.testing.assert_frame_equal(found, frame, check_exact=True, check_freq=True, check_column_type="exact")
    assert type(found.index) is type(frame.index)
    assert frequency(found.index) == frequency(frame.index)
    assert list(found.index.names) == list(frame.index.names)
    assert list(found.dtypes) == list(frame.dtypes)
    assert found.attrs == frame.attrs
    for label in frame.columns:
        if frame[label].dtype.kind in "fc":
            assert found[label].to_numpy().tobytes() == frame[label].to_numpy().tobytes()


@exactly
@given(st.data(), st.integers(0, 5), st.sampled_from([None, "name", 3, ("a", 1)]))
def test_series_come_back(round_trip, data: st.DataObject, size: int, name: Any) -> None:
    """With their names and indexes, and both indexes by themselves."""
    series = pd.Series(data.draw(extension_arrays(size)), index=data.draw(indexes(size)), name=name)
    found, index = round_trip(series), round_trip(series.index)

    pd.testing.assert_series_equal(found, series, check_freq=True)
    assert found.name == name
    pd.testing.assert_index_equal(index, series.index, exact=True)
    assert frequency(index) == frequency(series.index)


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"mixed": [1, "a", None]}),
        pd.DataFrame([[1, 2], [3, 4]], columns=["twice", "twice"]),
        pd.DataFrame({"nothing": ["a", None, float("nan")]}, dtype=object),
        pd.DataFrame({"objects": [Decimal("1.20"), uuid.UUID(int=1)]}),
        pd.DataFrame({"lists": [[1], [2, 3]]}),
        pd.DataFrame({"dates": [date(2026, 1, 1), time(1)]}),
        pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", 1), ("b", 2)])),
        pd.DataFrame({0: [1], 1: [2]}),
        pd.DataFrame({"sparse": pd.arrays.SparseArray([0, 0, 1])}),
        pd.DataFrame({"arrow": pd.array([1, 2], dtype="int64[pyarrow]")}),
        pd.DataFrame({"when": [datetime(1, 1, 1), timedelta(1)]}),
        pd.DataFrame(index=pd.Index([1.5, float("nan")])),
    ],
    ids=lambda frame: str(list(frame.columns)),
)
def test_a_frame_that_a_format_would_change_is_stored_another_way(round_trip, frame: pd.DataFrame) -> None:
    """Mixed objects, duplicate columns, None beside NaN: detected when saved, and equal when loaded."""
    found = round_trip(frame)

    pd.testing.assert_frame_equal(found, frame, check_exact=True)
    for column in range(frame.shape[1]):
        before, after = frame.iloc[:, column].tolist(), found.iloc[:, column].tolist()
        assert all(same(a, b) for a, b in zip(after, before, strict=True))


@pytest.mark.parametrize("dtype", ["Float64", "Float32"])
@pytest.mark.parametrize("rows", [3, 60])
def test_not_a_number_is_not_a_missing_value(round_trip, dtype: str, rows: int) -> None:
    """In pandas' own floats, in any row: NaN stays NaN, and NA stays NA."""
    numbers = np.arange(rows, dtype=dtype.lower())
    numbers[-2] = np.nan
    array = pd.arrays.FloatingArray(numbers, np.arange(rows) == rows - 1)
    series, frame = pd.Series(array), pd.DataFrame({"a": array}, index=pd.Index(array))
    found = round_trip(frame, allow_pickle=False)

    for column in (round_trip(series, allow_pickle=False), found["a"], found.index):
        assert column.dtype == dtype
        assert column.isna().tolist() == series.isna().tolist()
        assert (
            column.to_numpy(float, na_value=-1.0).tobytes() == series.to_numpy(float, na_value=-1.0).tobytes()
        )


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize(
    "indices", [pa.array([], pa.int8()), pa.array([1, 0, None], pa.int8())], ids=["no rows", "rows"]
)
def test_a_dictionary_comes_back(round_trip, indices: pa.Array, mmap: bool) -> None:
    """Also where no row uses it: in an array, a batch, a table."""
    array = pa.DictionaryArray.from_arrays(indices, pa.array(["b", "a", "unused"]))
    batch = pa.RecordBatch.from_arrays([array], names=["a"])
    for value in (array, batch, pa.Table.from_batches([batch])):
        found = round_trip(value, mmap=mmap, allow_pickle=False)
        column = found if value is array else found.column(0)
        chunk = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column

        assert found.equals(value)
        assert chunk.dictionary.equals(array.dictionary)


@pytest.mark.parametrize("chunks", [[[]], [[], []], [[1], [], [2, 3]], [[1, 2], []]])
def test_chunks_without_rows_come_back(round_trip, chunks: list[list[int]]) -> None:
    """Of a column by itself and of a table."""
    column = pa.chunked_array(chunks, pa.int64())
    lone, table = round_trip(column), round_trip(pa.table({"a": column, "b": column}))

    for found in (lone, table["a"], table["b"]):
        assert [chunk.to_pylist() for chunk in found.chunks] == chunks


@pytest.mark.filterwarnings("ignore:assert_index_equal will check")  # which is an error in tests only
@pytest.mark.parametrize(
    "frequency",
    [
        pd.offsets.CustomBusinessDay(holidays=["2026-06-03"]),
        pd.offsets.BusinessHour(start="10:00"),
        pd.DateOffset(months=1),
        pd.offsets.Easter(),
    ],
    ids=repr,
)
@pytest.mark.parametrize("rows", [3, 30])
def test_a_frequency_that_its_name_does_not_tell_comes_back(
    round_trip, frequency: pd.DateOffset, rows: int
) -> None:
    """Of an index by itself and of a frame's: the dates that come next are the same."""
    index = pd.date_range("2026-01-01 10:00", periods=rows, freq=frequency)
    for found in (round_trip(index), round_trip(pd.DataFrame({"a": range(rows)}, index=index)).index):
        assert found.freq == frequency
        assert found[-1] + 100 * found.freq == index[-1] + 100 * frequency


@pytest.mark.parametrize(
    "value",
    [
        np.rec.array([(1, 2.5)], dtype=[("a", "i4"), ("b", "f8")]).view(np.ndarray),
        np.rec.array([(1, 2.5)], dtype=[("a", "i4"), ("b", "f8")])[0],
        np.zeros(2, [("a", np.dtype("i4", metadata={"unit": "m"}))]),
    ],
    ids=["array of records", "record", "metadata of a field"],
)
def test_a_dtype_that_npy_has_no_words_for_comes_back(round_trip, value: Any) -> None:
    """With its class, and with the metadata of its fields."""
    found = round_trip(value)

    assert type(found) is type(value)
    assert found.dtype.type is value.dtype.type
    assert found.dtype["a"].metadata == value.dtype["a"].metadata
    assert found.tobytes() == value.tobytes()


@pytest.mark.parametrize("axis", ["index", "columns"])
def test_the_frequency_of_a_level_comes_back(round_trip, axis: str) -> None:
    """A level of dates with a frequency keeps it, on both axes, so that reshaping gives the same index again."""
    levels = pd.MultiIndex.from_product([["x", "y"], pd.date_range("2024", periods=2, freq="D")])
    frame = pd.DataFrame({"a": range(4)}, index=levels)
    frame = frame if axis == "index" else frame.T
    found = round_trip(frame)

    assert getattr(found, axis).levels[1].freq == pd.offsets.Day()
    pd.testing.assert_frame_equal(found, frame, check_exact=True)
