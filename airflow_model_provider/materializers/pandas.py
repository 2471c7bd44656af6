"""Frames, series and indexes as Arrow IPC files, column by column: exact, executes nothing, memory-maps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pandas.testing import assert_frame_equal, assert_index_equal
from pandas.tseries.frequencies import to_offset

from airflow_model_provider.materializers.base import ExactnessLost, Materializer, Source
from airflow_model_provider.materializers.columns import Base, decode, encode
from airflow_model_provider.materializers.json import decoded, encoded

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: How many rows are read back when a frame is saved, to be sure that its kind of frame is exact.
_SAMPLE = 20


class _Columns:
    """Arrays that become the columns of one Arrow file."""

    def __init__(self) -> None:
        self.arrays: list[pa.Array] = []

    def add(self, values: Any) -> dict[str, Any]:
        """Add a column and return how it is read back."""
        array, spec = encode(values)
        self.arrays.append(array)
        return {**spec, "at": len(self.arrays) - 1}

    def index(self, index: pd.Index) -> dict[str, Any]:
        """Add an index and return how it is read back."""
        names = encoded(list(index.names))
        if type(index) is pd.RangeIndex:
            return {"range": [index.start, index.stop, index.step], "names": names}
        if isinstance(index, pd.MultiIndex):
            return {"levels": [self._level(index, number) for number in range(index.nlevels)], "names": names}
        return {"values": self.add(index), "names": names, "freq": _frequency(index)}

    def _level(self, index: pd.MultiIndex, number: int) -> dict[str, Any]:
        """Add one level; where a label is missing, pandas makes floats of whole numbers, and objects of flags."""
        values, dtype = index.get_level_values(number), index.levels[number].dtype
        _refuse_frequency(index, number)
        if values.dtype != dtype:
            raise ExactnessLost(f"a label is missing in level {number} of the index, of dtype {dtype}")
        return self.add(values)

    def batch(self) -> pa.RecordBatch:
        """Return them as one batch, which keeps the categories of a column without rows."""
        batch = pa.RecordBatch.from_arrays(self.arrays, names=list(map(str, range(len(self.arrays)))))
        check_valid(batch)
        return batch


def _refuse_frequency(index: pd.MultiIndex, number: int) -> None:
    """Refuse a level with a frequency, which reshaping the frame would bring out again."""
    if _frequency(index.levels[number]) is not None:
        raise ExactnessLost(f"level {number} of the index has a frequency")


def _frequency(index: pd.Index) -> str | None:
    frequency = getattr(index, "freq", None) if not isinstance(index, pd.PeriodIndex) else None
    if frequency is None:
        return None
    name: str = frequency.freqstr
    if not _is_named(frequency, name):
        raise ExactnessLost(f"frequency {frequency!r} can't be told by its name, {name}")
    return name


def _is_named(frequency: Any, name: str) -> bool:
    """Return whether a name says all of a frequency: it has no word for holidays or business hours."""
    try:
        return bool(to_offset(name) == frequency)
    except ValueError:
        return False


def _labels(columns: pd.Index) -> dict[str, Any]:
    """The column labels, which are few, as JSON."""
    names = encoded(list(columns.names))
    if type(columns) is pd.RangeIndex:
        return {"range": [columns.start, columns.stop, columns.step], "names": names}
    labels = {"json": encoded(columns.tolist()), "dtype": str(columns.dtype), "names": names}
    if isinstance(columns, pd.MultiIndex):
        for number in range(columns.nlevels):
            _refuse_frequency(columns, number)
        labels["multi"] = True
    elif columns.dtype not in ("object", "int64", "str", "float64", "bool"):
        raise ExactnessLost(f"column labels of dtype {columns.dtype}")
    return labels


def _read_labels(spec: Mapping[str, Any]) -> Any:
    names: Any = decoded(spec["names"])
    if "range" in spec:
        start, stop, step = spec["range"]
        return pd.RangeIndex(start, stop, step, name=names[0])
    values = decoded(spec["json"])
    if spec.get("multi"):
        return pd.MultiIndex.from_tuples(values, names=names)
    return pd.Index(values, dtype=spec["dtype"], name=names[0])


def _read_index(table: pa.Table, spec: Mapping[str, Any], base: Base) -> Any:
    names: Any = decoded(spec["names"])
    if "range" in spec:
        start, stop, step = spec["range"]
        return pd.RangeIndex(start, stop, step, name=names[0])
    if "levels" in spec:
        return pd.MultiIndex.from_arrays(
            [_column(table, level, base) for level in spec["levels"]], names=names
        )
    values = _column(table, spec["values"], base)
    index: Any = pd.Index(values, name=names[0], copy=False)
    if index.dtype != getattr(values, "dtype", None):
        index = pd.Index(values, name=names[0], dtype=values.dtype, copy=False)
    if spec["freq"]:
        index.freq = spec["freq"]
    return index


def _column(table: pa.Table, spec: Mapping[str, Any], base: Base) -> Any:
    chunks = table.column(spec["at"]).chunks
    array = chunks[0] if chunks else pa.array([], table.schema.field(spec["at"]).type)
    return decode(array, spec, base)


def _write(batch: pa.RecordBatch, sink: Any) -> None:
    """Write an Arrow IPC file of one batch, uncompressed, so that its columns can be mapped whole."""
    with pa.ipc.new_file(sink, batch.schema) as writer:
        writer.write_batch(batch)


def read_base(source: Source, *, mmap: bool) -> Base:
    """Return all bytes: mapped read-only, or in one writable allocation filled in one verified pass."""
    if mmap:
        return Base(np.asarray(np.memmap(source.path(), dtype=np.uint8, mode="r")))
    data = np.empty(source.size, np.uint8)
    with source.open() as reader:
        reader.readinto(memoryview(data))  # type: ignore[arg-type]
    return Base(data)


def read_table(base: Base) -> pa.Table:
    """Return the table of an Arrow IPC file over its bytes; Arrow itself follows offsets that lead out of them."""
    table = pa.ipc.open_file(base.buffer).read_all()
    table.validate(full=True)
    return table


def check_valid(value: Any) -> None:
    """
    Refuse what :func:`read_table` would refuse.

    :param value: a table, a batch, or an array.
    :raises ExactnessLost: if Arrow finds something wrong in it.
    """
    try:
        value.validate(full=True)
    except pa.ArrowInvalid as err:
        raise ExactnessLost(str(err)) from None


class FrameMaterializer(Materializer):
    """A DataFrame."""

    key = "pandas.frame"

    def save(self, value: Any, path: Path) -> Mapping[str, Any]:
        batch, attributes = _encode_frame(value)
        sample = value.iloc[:_SAMPLE]
        _same(assert_frame_equal, _decode_frame(*_in_memory(*_encode_frame(sample))), sample)
        with pa.OSFile(str(path), "wb") as file:
            _write(batch, file)
        return attributes

    def load(self, source: Source, attributes: Mapping[str, Any], *, mmap: bool = False) -> Any:
        base = read_base(source, mmap=mmap)
        return _decode_frame(read_table(base), attributes, base)


def _encode_frame(frame: pd.DataFrame) -> tuple[pa.RecordBatch, dict[str, Any]]:
    if type(frame) is not pd.DataFrame or not frame.flags.allows_duplicate_labels:
        raise ExactnessLost(f"{type(frame).__name__} is not a plain frame")
    columns = _Columns()
    specs = [columns.add(frame.iloc[:, position]) for position in range(frame.shape[1])]
    attributes = {
        "columns": specs,
        "index": columns.index(frame.index),
        "labels": _labels(frame.columns),
        "attrs": encoded(frame.attrs),
        "rows": len(frame),
    }
    return columns.batch(), attributes


def _decode_frame(table: pa.Table, attributes: Mapping[str, Any], base: Base) -> pd.DataFrame:
    index = _read_index(table, attributes["index"], base)
    data = {position: _column(table, spec, base) for position, spec in enumerate(attributes["columns"])}
    frame = pd.DataFrame(data, index=index, copy=False)
    frame.columns = _read_labels(attributes["labels"])
    frame.attrs = decoded(attributes["attrs"])
    return frame


def _in_memory(batch: pa.RecordBatch, attributes: dict[str, Any]) -> tuple[pa.Table, dict[str, Any], Base]:
    sink = pa.BufferOutputStream()
    _write(batch, sink)
    base = Base(np.frombuffer(bytearray(sink.getvalue()), np.uint8))
    return read_table(base), attributes, base


def _same(check: Any, found: Any, expected: Any) -> None:
    try:
        check(found, expected, check_exact=True)
    except AssertionError as err:
        raise ExactnessLost(str(err).splitlines()[0]) from None
    for attribute in ("index", "columns"):
        if type(getattr(found, attribute, None)) is not type(getattr(expected, attribute, None)):
            raise ExactnessLost(f"another kind of {attribute}")


class SeriesMaterializer(Materializer):
    """A Series, with name, index and dtype."""

    key = "pandas.series"

    def save(self, value: Any, path: Path) -> Mapping[str, Any]:
        if type(value) is not pd.Series or not value.flags.allows_duplicate_labels:
            raise ExactnessLost(f"{type(value).__name__} is not a plain series")
        frame = pd.DataFrame({0: value}, copy=False)
        attributes = FrameMaterializer().save(frame, path)
        return {"frame": attributes, "name": encoded(value.name), "attrs": encoded(value.attrs)}

    def load(self, source: Source, attributes: Mapping[str, Any], *, mmap: bool = False) -> Any:
        series = FrameMaterializer().load(source, attributes["frame"], mmap=mmap).iloc[:, 0]
        series.name = decoded(attributes["name"])
        series.attrs = decoded(attributes["attrs"])
        return series


class IndexMaterializer(Materializer):
    """An Index of any kind, with its names and frequency."""

    key = "pandas.index"

    def save(self, value: Any, path: Path) -> Mapping[str, Any]:
        if not isinstance(value, pd.Index):
            raise ExactnessLost(f"{type(value).__name__} is not an index")
        columns = _Columns()
        spec = columns.index(value)
        batch = columns.batch()
        _same(assert_index_equal, _read_index(*_in_memory(batch, spec)), value)
        with pa.OSFile(str(path), "wb") as file:
            _write(batch, file)
        return {"index": spec}

    def load(self, source: Source, attributes: Mapping[str, Any], *, mmap: bool = False) -> Any:
        base = read_base(source, mmap=mmap)
        return _read_index(read_table(base), attributes["index"], base)
