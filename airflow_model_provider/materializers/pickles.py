"""Pickle-based formats: what executes code when it is loaded, from the very bytes that were verified."""

from __future__ import annotations

import io
import logging
import pickle
import sys
import warnings
from contextlib import contextmanager
from functools import cache, partial
from types import BuiltinFunctionType, FunctionType
from typing import IO, TYPE_CHECKING, Any

from airflow_model_provider.materializers import own_classes
from airflow_model_provider.materializers.base import ExactnessLost, Materializer, Source
from airflow_model_provider.materializers.reducing import CACHED, reduced, refuse_changed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

log = logging.getLogger(__name__)

#: What stands before each array in a joblib file.
_OF_JOBLIB = b"joblib.numpy_pickle"
#: Pickles up to this size are loaded once when they are saved, to be sure that they can be: that takes 10 ms at most.
_VERIFIED = 4 * 2**20
#: A global of a program that is saved along with its class is worth a warning from this size.
_LARGE = 2**20
#: What a pickle names, unless it holds it.
_CODE = (type, FunctionType, BuiltinFunctionType)


class CloudpickleMaterializer(Materializer):
    """Anything else: cloudpickle, protocol 5; classes of a program or a DAG file travel by value."""

    key = "cloudpickle"
    executes_code = True
    #: The packages whose classes and functions the last saved value has in it.
    packages: tuple[str, ...] = ()

    def save(self, value: Any, path: Path) -> Mapping[str, Any]:
        with path.open("wb") as file, _dag_files_by_value():
            pickler = _pickler()(file)
            pickler.dump(value)
        self.packages = tuple(sorted(pickler.packages))
        if pickler.at_risk or path.stat().st_size <= _VERIFIED:
            _verify(path)
        pickler.warn_of_large_globals()
        return {}

    def load(self, source: Source, attributes: Mapping[str, Any], *, mmap: bool = False) -> Any:
        data = source.read()
        try:
            return _Unpickler(io.BytesIO(data)).load()  # the source has verified the digest
        except Exception as err:
            if _OF_JOBLIB not in data:
                raise
            advice = "it looks like a joblib file: register it with format='joblib'"
            raise pickle.UnpicklingError(f"{err}; {advice}") from err


def _verify(path: Path) -> None:
    """
    Load what was written, which some classes make impossible: an exception whose ``__init__`` takes more arguments.

    :raises ExactnessLost: if that fails.
    """
    try:
        with path.open("rb") as file:
            _Unpickler(file).load()
    except Exception as err:
        raise ExactnessLost(f"its pickle cannot be loaded: {type(err).__name__}: {err}") from err


@contextmanager
def _dag_files_by_value() -> Iterator[None]:
    import cloudpickle

    modules = [module for name, module in list(sys.modules.items()) if name.startswith(own_classes.DAG_FILE)]
    for module in modules:
        cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        for module in modules:
            cloudpickle.unregister_pickle_by_value(module)


class _Unpickler(pickle.Unpickler):
    """Takes classes that were saved by value from the program or DAG file that runs, where it defines them."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file)
        self._found: set[int] = set()

    def find_class(self, module: str, name: str) -> Any:
        found = super().find_class(module, name)
        if module == "cloudpickle.cloudpickle" and name.startswith("_make_skeleton_"):
            return partial(self._class, found)
        if (module, name) == ("cloudpickle.cloudpickle", "_class_setstate"):
            return partial(self._fill, found)
        return found

    def _class(self, make: Callable[..., type], *args: Any) -> type:
        kind = own_classes.loaded_class(args[-1])
        if kind is None:
            return make(*args)
        self._found.add(id(kind))
        return kind

    def _fill(self, fill: Callable[[type, Any], type], kind: type, state: Any) -> type:
        return kind if id(kind) in self._found else fill(kind, state)


class _Noting:
    """What is added to cloudpickle's pickler: it notes what is in the value, and says of classes whose they are."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file, protocol=5)  # type: ignore[call-arg]
        self.packages: set[str] = set()
        self.at_risk = False
        self._globals: dict[str, tuple[str, int]] = {}

    def reducer_override(self, obj: Any) -> Any:
        if (plain := reduced(obj)) is not None:
            self.at_risk = self.at_risk or isinstance(obj, BaseException)
            return plain
        found = super().reducer_override(obj)  # type: ignore[misc]
        if isinstance(obj, _CODE):
            return self._code(obj, found)
        self.at_risk = self.at_risk or isinstance(obj, BaseException)
        return found

    def _code(self, obj: Any, found: Any) -> Any:
        if found is NotImplemented:
            self.packages.add(_package(obj))
        elif isinstance(obj, FunctionType):
            self._note_globals(obj)
        elif (
            len(found) > 2 and found[1][-1] is None
        ):  # cloudpickle keeps this place free for more that is said of a class
            return found[0], (*found[1][:-1], own_classes.identity(obj)), *found[2:]
        return found

    def _note_globals(self, function: FunctionType) -> None:
        for name in function.__code__.co_names:
            size = _size(function.__globals__.get(name))
            if size >= _LARGE:
                self._globals[name] = function.__qualname__, size

    def warn_of_large_globals(self) -> None:
        """Name the globals of a program that make the file large."""
        for name, (user, size) in self._globals.items():
            log.warning(
                "The global %r (%.1f MB) was saved along with the value, because %s() uses it. Move the code into "
                "a module that can be imported, or read the data when it is needed.",
                name,
                size / 1e6,
                user,
            )


@cache
def _pickler() -> Any:
    """Return the class of pickler; cloudpickle is only imported to save."""
    import cloudpickle

    return type("Pickler", (_Noting, cloudpickle.Pickler), {})


def _size(value: Any) -> int:
    """Return about how many bytes a value has, without walking through it; 0 where its own code can't say."""
    if isinstance(value, type):  # its methods are of its instances
        return 0
    try:
        size = getattr(value, "nbytes", None)
        if size is None and hasattr(value, "memory_usage"):
            size = value.memory_usage(index=True)
            size = size.sum() if hasattr(size, "sum") else size
        return int(size) if size is not None and not callable(size) else sys.getsizeof(value, 0)
    except Exception:  # whatever foreign code raises: this is for a warning only
        return 0


def _package(thing: Any) -> str:
    return str(getattr(thing, "__module__", None) or "builtins").partition(".")[0]


class _OwnCode(Exception):
    """The value has code of a program or a DAG file in it."""


class _LibraryPickler(pickle.Pickler):
    """Pickles what comes from libraries, and notes from which."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file, protocol=5)
        self.packages: set[str] = set()

    def reducer_override(self, obj: Any) -> Any:
        refuse_changed(obj)
        if isinstance(obj, (*_CODE, CACHED)):
            package = _package(obj)
            if own_classes.is_own(package):
                raise _OwnCode
            self.packages.add(package)
        return NotImplemented


class SklearnPickleMaterializer(CloudpickleMaterializer):
    """A scikit-learn estimator: pickle protocol 5; by value what comes from a program or DAG file, or is a lambda."""

    key = "sklearn.pickle"

    def save(self, value: Any, path: Path) -> Mapping[str, Any]:
        try:
            with path.open("wb") as file:
                pickler = _LibraryPickler(file)
                pickler.dump(value)
        except (_OwnCode, pickle.PicklingError, AttributeError, TypeError):
            return super().save(value, path)
        self.packages = tuple(sorted(pickler.packages))
        return {}


class JoblibMaterializer(Materializer):
    """A joblib file, as other programs have made it; nothing is saved this way unless asked for."""

    key = "joblib"
    executes_code = True

    def save(self, value: Any, path: Path) -> Mapping[str, Any]:
        import joblib

        refuse_changed(value)
        with path.open("wb") as file:
            joblib.dump(value, file)
        return {}

    def load(self, source: Source, attributes: Mapping[str, Any], *, mmap: bool = False) -> Any:
        import joblib

        return joblib.load(io.BytesIO(source.read()))  # the source has verified the digest


class SkopsMaterializer(Materializer):
    """A scikit-learn estimator as a skops file: loading it executes nothing that is not on the trusted list."""

    key = "skops.file"

    def __init__(self, trusted: tuple[str, ...] = ()) -> None:
        self.trusted = trusted
        self.packages: tuple[str, ...] = ()

    def save(self, value: Any, path: Path) -> Mapping[str, Any]:
        with _skops() as skops:
            data = skops.dumps(value)
        self.packages = tuple(sorted({name.partition(".")[0] for name in self._refuse_untrusted(data)}))
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
