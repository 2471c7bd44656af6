"""Which materializer: by the names of a value's types, so that nothing is imported for a type that isn't there."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

from airflow_model_provider.exceptions import UnknownFormat
from airflow_model_provider.materializers import third_parties

if TYPE_CHECKING:
    from airflow_model_provider.materializers.base import Materializer

_HERE = "airflow_model_provider.materializers"

_JSON = "json:JsonMaterializer"
#: Type → materializer. The first type of the value's method resolution order that stands here decides.
_TYPES: Final = {
    **{
        f"builtins.{name}": _JSON
        for name in (
            "NoneType",
            "bool",
            "int",
            "float",
            "complex",
            "list",
            "tuple",
            "dict",
            "set",
            "frozenset",
        )
    },
    **{f"datetime.{name}": _JSON for name in ("datetime", "date", "time", "timedelta")},
    "decimal.Decimal": _JSON,
    "uuid.UUID": _JSON,
    "builtins.str": "json:TextMaterializer",
    "builtins.bytes": "json:BytesMaterializer",
    "builtins.bytearray": "json:BytesMaterializer",
    "pathlib.Path": "files:PathMaterializer",
    "pathlib._local.Path": "files:PathMaterializer",  # Python 3.13
    "numpy.ndarray": "numpy:ArrayMaterializer",
    "numpy.memmap": "numpy:ArrayMaterializer",
    "numpy.generic": "numpy:ScalarMaterializer",
    "pandas.DataFrame": "pandas:FrameMaterializer",
    "pandas.Series": "pandas:SeriesMaterializer",
    "pandas.Index": "pandas:IndexMaterializer",
    "pandas.core.frame.DataFrame": "pandas:FrameMaterializer",
    "pandas.core.series.Series": "pandas:SeriesMaterializer",
    "pandas.core.indexes.base.Index": "pandas:IndexMaterializer",
    **{
        f"pyarrow.lib.{name}": "arrow:ArrowMaterializer"
        for name in ("Table", "RecordBatch", "Array", "ChunkedArray", "Schema")
    },
    "polars.dataframe.frame.DataFrame": "arrow:PolarsMaterializer",
    "polars.series.series.Series": "arrow:PolarsMaterializer",
    "sklearn.base.BaseEstimator": "pickles:SklearnPickleMaterializer",
}
#: Only these hold exactly their type; a subclass of another one is more than it.
_ANY_SUBCLASS: Final = frozenset(
    {
        "pathlib.Path",
        "pathlib._local.Path",
        "sklearn.base.BaseEstimator",
        "pandas.Index",
        "pandas.core.indexes.base.Index",
        "numpy.generic",
        "pyarrow.lib.Array",
    }
)
_KEYS: Final = {
    "json": _JSON,
    "text.utf8": "json:TextMaterializer",
    "bytes.raw": "json:BytesMaterializer",
    "path": "files:PathMaterializer",
    "numpy.npy": "numpy:ArrayMaterializer",
    "numpy.scalar": "numpy:ScalarMaterializer",
    "pandas.frame": "pandas:FrameMaterializer",
    "pandas.series": "pandas:SeriesMaterializer",
    "pandas.index": "pandas:IndexMaterializer",
    "arrow.file": "arrow:ArrowMaterializer",
    "polars.ipc": "arrow:PolarsMaterializer",
    "sklearn.pickle": "pickles:SklearnPickleMaterializer",
    "skops.file": "pickles:SkopsMaterializer",
    "cloudpickle": "pickles:CloudpickleMaterializer",
    "joblib": "pickles:JoblibMaterializer",
}
FALLBACK: Final = "cloudpickle"


def type_names(value: object) -> tuple[str, ...]:
    """Return ``module.Class`` of the value's type and of its base classes, without ``object``."""
    return tuple(f"{kind.__module__}.{kind.__qualname__}" for kind in type(value).__mro__[:-1])


def _load(where: str) -> type[Materializer]:
    module, name = where.split(":")
    found: type[Materializer] = getattr(importlib.import_module(f"{_HERE}.{module}"), name)
    return found


def for_value(value: object) -> type[Materializer]:
    """
    Return the materializer of a value's type; cloudpickle's where there is no other.

    :raises MaterializerUnusable: if another package's is meant, and can't be used.
    """
    names = type_names(value)
    for position, name in enumerate(names):
        if name in _TYPES and (position == 0 or name in _ANY_SUBCLASS):
            return _load(_TYPES[name])
        if name not in _TYPES:
            found = _of_another_package(name)
            if found is not None and (position == 0 or found.subclasses):
                return found
    return _load(_KEYS[FALLBACK])


def _of_another_package(name: str) -> type[Materializer] | None:
    found = third_parties.for_type(name)
    if found is not None and for_key(found.key) is not found:
        raise third_parties.unusable(name, f"its key {found.key!r} is that of a built-in format")
    return found


def for_key(key: str, format_version: int | None = None) -> type[Materializer]:
    """
    Return the materializer of a format.

    :param format_version: the version that is to be read; None for the newest.
    :raises UnknownFormat: if nothing here provides it.
    :raises MaterializerUnusable: if several packages do.
    """
    found = None
    if isinstance(key, str):
        found = _load(_KEYS[key]) if key in _KEYS else third_parties.for_key(key)
    if found is None:
        known = (*_KEYS, *third_parties.keys())
        raise UnknownFormat(key, format_version or 0, known, third_parties.broken())
    if format_version is None:
        return found
    if format_version > found.format_version:
        raise UnknownFormat(key, format_version, (f"{key} up to {found.format_version}",))
    return found.older.get(format_version, found)


def is_estimator(names: tuple[str, ...]) -> bool:
    """Return whether these are the types of a scikit-learn estimator."""
    return "sklearn.base.BaseEstimator" in names
