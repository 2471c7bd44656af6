"""
Loads files of tables with numbers in them changed, one after the other: ``python -m tests.support.damage``.

Whoever starts it sees whether it lives to the end, as it does where each file is refused or gives a value.
"""

from __future__ import annotations

import contextlib
import shutil
import struct
import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import polars
import pyarrow as pa

from airflow_model_provider.artifacts.store import ArtifactStore
from airflow_model_provider.exceptions import LoadFailed
from airflow_model_provider.materializers import codec
from tests.support.soak import TIMES

_WORDS: Final = [None if number % 7 == 0 else f"a text of some length: {number}" for number in range(24)]
_FRAME: Final = pd.DataFrame(
    {
        "texts": np.array(_WORDS, dtype=object),
        "strings": pd.array(_WORDS, dtype="string"),
        "levels": pd.Categorical(["x", "y"] * 12),
        "floats": np.arange(24) * 1.5,
        "whole": pd.array([1, None] * 12, dtype="Int64"),
        "flags": pd.array([True, None] * 12, dtype="boolean"),
        "arrow": pd.array([1, None] * 12, dtype="int64[pyarrow]"),
        "rows": list(map(str, range(24))),
    }
).set_index("rows")
_TABLE: Final = pa.table(
    {
        "texts": _WORDS,
        "lists": pa.array([["a"], None] * 12),
        "levels": pa.array(_WORDS).dictionary_encode(),
        "views": pa.array(_WORDS, pa.string_view()),
        "deep": pa.array([[{"a": "x"}], None] * 12),
        "pairs": pa.array([[("k", 1)]] * 24, pa.map_(pa.string(), pa.int8())),
        "runs": pa.RunEndEncodedArray.from_arrays([12, 24], ["a", "b"]),
    }
)
_POLARS: Final = polars.DataFrame({"texts": _WORDS, "lists": [["a"], None] * 12}).with_columns(
    levels=polars.col("texts").cast(polars.Categorical)
)
#: Values, and the numbers that are written into their files. Polars ends the process, on purpose, where it
#: is to allocate more than there is; a negative number can't ask for that.
VALUES: Final[dict[str, tuple[Any, tuple[int, ...]]]] = {
    "frame": (_FRAME, (-1, 2**40, 2**62)),
    "series": (_FRAME["strings"], (-1, 2**40, 2**62)),
    "index": (_FRAME.index, (-1, 2**40, 2**62)),
    "table": (_TABLE, (-1, 2**40, 2**62)),
    "array": (pa.array(_WORDS), (-1, 2**40, 2**62)),
    "schema": (_TABLE.schema, (-1, 2**40, 2**62)),
    "polars": (_POLARS, (-1,)),
}


def main() -> None:
    """Load the files of all values, and say which one is next."""
    for name, (value, numbers) in VALUES.items():
        for mmap in (False, True) if name == "polars" else (False,):
            print(name, "mapped" if mmap else "", flush=True)  # noqa: T201 - what a crash leaves
            load_damaged(value, numbers, mmap=mmap)


def load_damaged(value: Any, numbers: tuple[int, ...], *, mmap: bool) -> None:
    """Load the file of a value for each place in it: with each number there, or with the one whose turn it is."""
    folder = Path(tempfile.mkdtemp())
    store = ArtifactStore(str(folder / "store"), "damage", cache_dir=folder / "cache")
    with store.new_file() as path:
        written = codec.write(value, path, what="a table", allow_pickle=False)
        good = path.read_bytes()
    for turn, at in enumerate(range(0, len(good) - 8, 8)):
        for number in numbers if TIMES > 1 else [numbers[turn % len(numbers)]]:
            with store.new_file() as path:
                path.write_bytes(good[:at] + struct.pack("<q", number) + good[at + 8 :])
                digest, size = store.digest(path)
                store.put(path, digest)
            with contextlib.suppress(LoadFailed):
                found = codec.read(
                    store.source(digest, size, what="a table"),
                    materializer=written.materializer,
                    format_version=written.format_version,
                    attributes=written.attributes,
                    what="a table",
                    mmap=mmap,
                )
                _use(found)
    shutil.rmtree(folder)


def _use(value: Any) -> None:
    """Look at all of a value; a moment out of Python's range is an exception, and no harm."""
    with contextlib.suppress(Exception):
        value.to_pylist() if isinstance(value, pa.Table | pa.Array) else repr(value)


if __name__ == "__main__":
    main()
