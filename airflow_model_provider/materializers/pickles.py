"""Pickle-based formats: what executes code when it is loaded, from the very bytes that were verified."""

from __future__ import annotations

import pickle
import sys
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow_model_provider.materializers.base import ExactnessLost, Materializer, Source

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


#: How Airflow calls the modules that it makes of DAG files; no other process can import them by that name.
_DAG_FILE = "unusual_prefix_"


#: What stands before each array in a joblib file.
_OF_JOBLIB = b"joblib.numpy_pickle"


class CloudpickleMaterializer(Materializer):
    """Anything else: cloudpickle, protocol 5; classes of a program or a DAG file travel by value."""

    key = "cloudpickle"
    executes_code = True

    def save(self, value: Any, path: Path) -> Mapping[str, Any]:
        import cloudpickle

        _refuse_changed(value)
        with path.open("wb") as file, _dag_files_by_value():
            cloudpickle.dump(value, file, protocol=5)
        return {}

    def load(self, source: Source, attributes: Mapping[str, Any], *, mmap: bool = False) -> Any:
        data = source.read()
        try:
            return pickle.loads(data)  # noqa: S301 - the source has verified the digest
        except Exception as err:
            if _OF_JOBLIB not in data:
                raise
            advice = "it looks like a joblib file: register it with format='joblib'"
            raise pickle.UnpicklingError(f"{err}; {advice}") from err


def _refuse_changed(value: Any) -> None:
    """Refuse what pickle itself brings back as something else."""
    if isinstance(value, memoryview):
        raise ExactnessLost("a memoryview would come back as bytes: save bytes(value)")
    if type(value).__module__ == "numpy" and isinstance(value, str | bytes) and value[-1:] in ("\0", b"\0"):
        raise ExactnessLost("NumPy takes the NULs off its end: save it as str or bytes")


@contextmanager
def _dag_files_by_value() -> Iterator[None]:
    import cloudpickle

    modules = [module for name, module in list(sys.modules.items()) if name.startswith(_DAG_FILE)]
    for module in modules:
        cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        for module in modules:
            cloudpickle.unregister_pickle_by_value(module)


class SklearnPickleMaterializer(CloudpickleMaterializer):
    """A scikit-learn estimator: pickle protocol 5; by value what comes from a program or DAG file, or is a lambda."""

    key = "sklearn.pickle"

    def save(self, value: Any, path: Path) -> Mapping[str, Any]:
        try:
            data = pickle.dumps(value, protocol=5)
        except (pickle.PicklingError, AttributeError, TypeError):
            return super().save(value, path)
        if b"__main__" in data or _DAG_FILE.encode() in data:
            return super().save(value, path)
        path.write_bytes(data)
        return {}


class JoblibMaterializer(Materializer):
    """A joblib file, as other programs have made it; nothing is saved this way unless asked for."""

    key = "joblib"
    executes_code = True

    def save(self, value: Any, path: Path) -> Mapping[str, Any]:
        import joblib

        _refuse_changed(value)
        with path.open("wb") as file:
            joblib.dump(value, file)
        return {}

    def load(self, source: Source, attributes: Mapping[str, Any], *, mmap: bool = False) -> Any:
        import io

        import joblib

        return joblib.load(io.BytesIO(source.read()))  # the source has verified the digest


class SkopsMaterializer(Materializer):
    """A scikit-learn estimator as a skops file: loading it executes nothing that is not on the trusted list."""

    key = "skops.file"

    def __init__(self, trusted: tuple[str, ...] = ()) -> None:
        self.trusted = trusted

    def save(self, value: Any, path: Path) -> Mapping[str, Any]:
        with _skops() as skops:
            data = skops.dumps(value)
        self._refuse_untrusted(data)
        path.write_bytes(data)
        return {}

    def load(self, source: Source, attributes: Mapping[str, Any], *, mmap: bool = False) -> Any:
        data = source.read()
        trusted = self._refuse_untrusted(data)
        with _skops() as skops:
            return skops.loads(data, trusted=trusted)

    def _refuse_untrusted(self, data: bytes) -> list[str]:
        """Return the types that the file names and we trust; the list is ours, never the file's."""
        from airflow_model_provider.exceptions import UntrustedTypes
        from airflow_model_provider.materializers.skops_trust import TRUSTED

        with _skops() as skops:
            named = skops.get_untrusted_types(data=data)
        unknown = [name for name in named if name not in TRUSTED and name not in self.trusted]
        if unknown:
            raise UntrustedTypes("The skops file", tuple(unknown))
        return list(named)


@contextmanager
def _skops() -> Iterator[Any]:
    """Give ``skops.io``; it asks all modules for a function's name, and Airflow's deprecated ones warn at each."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"The `airflow\.")
        import skops.io

        yield skops.io
