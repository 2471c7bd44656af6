"""Values go through the real store and back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_model_provider.artifacts.store import ArtifactStore
from airflow_model_provider.materializers import codec

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class RoundTrip:
    """Save a value and load it again; ``format``, ``digest`` and ``size`` are those of the last one."""

    def __init__(self, folder: Path) -> None:
        self.store = ArtifactStore(str(folder / "store"), "registry", cache_dir=folder / "cache")
        self.format = self.digest = ""
        self.size = 0

    def __call__(self, value: Any, *, mmap: bool = False, **options: Any) -> Any:
        """Return what comes back."""
        return self.save(value, **options)(mmap)

    def save(self, value: Any, **options: Any) -> Callable[[bool], Any]:
        """Save a value and return what loads it."""
        with self.store.new_file() as path:
            written = codec.write(value, path, what="a value", **options)
            digest, size = self.store.digest(path)
            self.store.put(path, digest)
        self.format, self.digest, self.size = written.materializer, digest, size
        return lambda mmap: codec.read(
            self.store.source(digest, size, what="a value"),
            materializer=written.materializer,
            format_version=written.format_version,
            attributes=json.loads(json.dumps(written.attributes)),
            what="a value",
            mmap=mmap,
            **{name: option for name, option in options.items() if name in ("allow_pickle", "trusted")},
        )

    def keep(self, data: bytes) -> tuple[str, int]:
        """Store bytes as they are; return their digest and size."""
        with self.store.new_file() as path:
            path.write_bytes(data)
            digest, size = self.store.digest(path)
            self.store.put(path, digest)
        return digest, size

    def read(self, data: bytes, format: str, **options: Any) -> Any:
        """Load bytes that are stored as they are, as a value of a format."""
        digest, size = self.keep(data)
        return codec.read(
            self.store.source(digest, size, what="a value"),
            materializer=format,
            format_version=1,
            attributes={},
            what="a value",
            **options,
        )


@pytest.fixture(scope="session")
def round_trip(tmp_path_factory: pytest.TempPathFactory) -> RoundTrip:
    """Save a value and load it again."""
    return RoundTrip(tmp_path_factory.mktemp("values"))
