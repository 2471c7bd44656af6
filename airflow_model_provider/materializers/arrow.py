"""pyarrow tables, batches and arrays, and polars frames, as Arrow IPC files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from airflow_model_provider.materializers.base import ExactnessLost, Materializer, Source
from airflow_model_provider.materializers.pandas import check_valid, read_base, read_table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class ArrowMaterializer(Materializer):
    """A Table, RecordBatch, Array, ChunkedArray or Schema; chunks stay as they are."""

    key = "arrow.file"

    def save(self, value: Any, path: Path) -> Mapping[str, Any]:
        kind = "Array" if isinstance(value, pa.Array) else type(value).__name__
        with pa.OSFile(str(path), "wb") as file:
            if kind == "Schema":
                with pa.ipc.new_file(file, value):
                    pass
                return {"kind": kind}
            check_valid(value)
            table = value if kind in ("Table", "RecordBatch") else pa.table({"0": value})
            with pa.ipc.new_file(file, table.schema) as writer:
                writer.write(table)
        return {"kind": kind}

    def load(self, source: Source, attributes: Mapping[str, Any], *, mmap: bool = False) -> Any:
        table = read_table(read_base(source, mmap=mmap))
        kind = attributes["kind"]
        if kind == "Schema":
            return table.schema
        if kind == "Table":
            return table
        if kind == "RecordBatch":
            batches = table.to_batches()
            return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)
        column = table.column(0)
        return column if kind == "ChunkedArray" else column.combine_chunks()


class PolarsMaterializer(Materializer):
    """A polars DataFrame or Series."""

    key = "polars.ipc"

    def save(self, value: Any, path: Path) -> Mapping[str, Any]:
        kind = type(value).__name__
        if kind not in ("DataFrame", "Series"):
            raise ExactnessLost(f"polars {kind} is not data")
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
