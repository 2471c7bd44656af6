"""Pickle-based formats: what executes code when it is loaded, from the very bytes that were verified."""

from __future__ import annotations

import pickle
import sys
from typing import TYPE_CHECKING, Any

from airflow_model_provider.materializers.base import Materializer, Source

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class CloudpickleMaterializer(Materializer):
    """Anything else: cloudpickle, protocol 5; classes of ``__main__`` travel by value."""

    key = "cloudpickle"
    executes_code = True

    def save(self, value: Any, path: Path) -> Mapping[str, Any]:
        import cloudpickle

        with path.open("wb") as file:
            cloudpickle.dump(value, file, protocol=5)
        return {}

    def load(self, source: Source, attributes: Mapping[str, Any], *, mmap: bool = False) -> Any:
        return pickle.loads(source.read())  # noqa: S301 - the source has verified the digest


class SklearnPickleMaterializer(CloudpickleMaterializer):
    """A scikit-learn estimator: pickle protocol 5, by value where it comes from ``__main__`` or holds lambdas."""

    key = "sklearn.pickle"

    def save(self, value: Any, path: Path) -> Mapping[str, Any]:
        try:
            data = pickle.dumps(value, protocol=5)
        except (pickle.PicklingError, AttributeError, TypeError):
            return super().save(value, path)
        if "__main__" in sys.modules and b"__main__" in data:
            return super().save(value, path)
        path.write_bytes(data)
        return {}


class SkopsMaterializer(Materializer):
    """A scikit-learn estimator as a skops file: loading it executes nothing that is not on the trusted list."""

    key = "skops.file"

    def __init__(self, trusted: tuple[str, ...] = ()) -> None:
        self.trusted = trusted

    def save(self, value: Any, path: Path) -> Mapping[str, Any]:
        from skops.io import dumps

        data = dumps(value)
        self._refuse_untrusted(data)
        path.write_bytes(data)
        return {}

    def load(self, source: Source, attributes: Mapping[str, Any], *, mmap: bool = False) -> Any:
        from skops.io import loads

        data = source.read()
        return loads(data, trusted=self._refuse_untrusted(data))

    def _refuse_untrusted(self, data: bytes) -> list[str]:
        """Return the types that the file names and we trust; the list is ours, never the file's."""
        from skops.io import get_untrusted_types

        from airflow_model_provider.exceptions import UntrustedTypes
        from airflow_model_provider.materializers.skops_trust import TRUSTED

        named = get_untrusted_types(data=data)
        unknown = [name for name in named if name not in TRUSTED and name not in self.trusted]
        if unknown:
            raise UntrustedTypes("The skops file", tuple(unknown))
        return list(named)
