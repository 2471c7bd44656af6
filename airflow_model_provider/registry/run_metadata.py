"""The metadata of a version as a mapping."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from airflow_model_provider.exceptions import MetadataNotFound


class RunMetadata(Mapping[str, Any]):
    """The metadata of a version: a mapping whose missing keys name those that exist."""

    def __init__(self, subject: str, values: Mapping[str, Any]) -> None:
        self._subject, self._values = subject, values

    def __getitem__(self, key: str) -> Any:
        try:
            return self._values[key]
        except KeyError:
            raise MetadataNotFound(self._subject, key, tuple(self._values)) from None

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value, or ``default``."""
        return self._values.get(key, default)

    def __contains__(self, key: object) -> bool:
        return key in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return repr(dict(self._values))
