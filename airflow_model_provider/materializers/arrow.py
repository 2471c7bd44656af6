"""pyarrow tables, batches and arrays, and polars frames, as Arrow IPC files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from airflow_model_provider.materializers.base import ExactnessLost, Materializer, Source
from airflow_model_provider.materializers.pandas import check_valid, read_base, read_table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


_KINDS = (pa.Table, pa.RecordBatch, pa.Array, pa.ChunkedArray, pa.Schema)


class ArrowMaterializer(Materializer):
    """A Table, RecordBatch, Array, ChunkedArray or Schema; chunks stay as they are, if a table's columns share them."""

    key = "arrow.file"

    def save(self, value: Any, path: Path) -> Mapping[str, Any]:
        if not isinstance(value, _KINDS):
            raise ExactnessLost(f"{type(value).__name__} is not Arrow data")
        kind = "Array" if isinstance(value, pa.Array) else type(value).__name__
        with pa.OSFile(str(path), "wb") as file:
            if kind == "Schema":
                with pa.ipc.new_file(file, value):
                    pass
                return {"kind": kind}
            check_valid(value)
            schema = value.schema if kind in ("Table", "RecordBatch") else pa.schema([("0", value.type)])
            with pa.ipc.new_file(file, schema) as writer:
                for batch in _batches(value, kind, schema):
                    writer.write_batch(batch)
        return {"kind": kind}

    def load(self, source: Source, attributes: Mapping[str, Any], *, mmap: bool = False) -> Any:
        table = read_table(read_base(source, mmap=mmap))
        kind = attributes["kind"]
        if kind == "Schema":
            return table.schema
        if kind == "Table":
            return table
        if kind == "RecordBatch":
            return table.to_batches()[0] if table.num_rows else _empty_batch(table)
        column = table.column(0)
        return column if kind == "ChunkedArray" else column.combine_chunks()


def _batches(value: Any, kind: str, schema: pa.Schema) -> list[pa.RecordBatch]:
    """Return a batch for each chunk, also for one without rows: it may have a dictionary."""
    if kind == "RecordBatch":
        return [value]
    if kind == "Table":
        columns = [column.chunks for column in value.columns]
        if len({tuple(map(len, chunks)) for chunks in columns}) != 1:
            return value.to_batches()  # type: ignore[no-any-return]
    else:
        columns = [value.chunks if kind == "ChunkedArray" else [value]]
    return [pa.RecordBatch.from_arrays(list(arrays), schema=schema) for arrays in zip(*columns, strict=True)]


def _empty_batch(table: pa.Table) -> pa.RecordBatch:
    columns = [column.combine_chunks() for column in table.columns]  # keeps dictionaries
    return pa.RecordBatch.from_arrays(columns, schema=table.schema)


class PolarsMaterializer(Materializer):
    """A polars DataFrame or Series."""

    key = "polars.ipc"

    def save(self, value: Any, path: Path) -> Mapping[str, Any]:
        import polars

        kind = type(value).__name__
        if type(value) not in (polars.DataFrame, polars.Series):
            raise ExactnessLost(f"{kind} is not polars data")
        frame = value.to_frame() if kind == "Series" else value
        if any(str(dtype).startswith("Object") for dtype in frame.dtypes):
            raise ExactnessLost("a column of objects")
        frame.write_ipc(path, compression="uncompressed")
        return {"kind": kind}

    def load(self, source: Source, attributes: Mapping[str, Any], *, mmap: bool = False) -> Any:
        import polars

        try:
            frame = polars.read_ipc(source.path() if mmap else source.read())
        except polars.exceptions.PanicException as err:  # no Exception, yet the file's fault
            raise ValueError(str(err)) from None
        return frame.to_series(0) if attributes["kind"] == "Series" else frame
