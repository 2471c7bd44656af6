"""How objects are pickled that pickle and cloudpickle bring back as something else, or not at all."""

from __future__ import annotations

import copyreg
import functools
import operator
import sys
from functools import cached_property, lru_cache
from typing import Any, Final, NewType

from airflow_model_provider.materializers.base import ExactnessLost
from airflow_model_provider.materializers.own_classes import is_own

#: The type of what ``functools.cache`` and ``lru_cache`` make.
CACHED: Final[Any] = type(lru_cache(is_own))


def refuse_changed(value: Any) -> None:
    """
    Refuse what pickle itself brings back as something else.

    :raises ExactnessLost: if it does.
    """
    if isinstance(value, memoryview):
        raise ExactnessLost("a memoryview would come back as bytes: save bytes(value)")
    if isinstance(value, str | bytes) and type(value).__module__ == "numpy" and value[-1:] in ("\0", b"\0"):
        raise ExactnessLost("NumPy takes the NULs off its end: save it as str or bytes")


def reduced(obj: Any) -> Any:
    """
    Return what pickle keeps of an object, as ``__reduce__`` does; None where others know.

    Only what Python itself has is named in it: another program that reads the file needs nothing of ours.

    :raises ExactnessLost: if it would come back as another one.
    """
    refuse_changed(obj)
    if type(obj) is cached_property:  # without its lock, which Python 3.11 gives it
        return cached_property, (obj.func,), {"attrname": obj.attrname, "__doc__": obj.__doc__}
    if type(obj) in (CACHED, NewType) and not _can_be_imported(obj):
        return _cached(obj) if type(obj) is CACHED else _new_type(obj)
    return _exception(obj) if isinstance(obj, BaseException) else None


def _can_be_imported(obj: Any) -> bool:
    import cloudpickle

    module = obj.__module__
    by_value = any(
        f"{module}.".startswith(f"{each}.") for each in cloudpickle.list_registry_pickle_by_value()
    )
    if is_own(module) or by_value:
        return False
    try:
        return operator.attrgetter(obj.__qualname__)(sys.modules[module]) is obj
    except (AttributeError, KeyError):
        return False


def _cached(obj: Any) -> tuple[Any, ...]:
    """Pickle a function with a cache as the function, and how its results are kept; pickle itself keeps its name."""
    said = obj.cache_parameters()
    made = (obj.__wrapped__, said["maxsize"], said["typed"], functools._CacheInfo)
    return CACHED, made, {**vars(obj), "cache_parameters": functools.partial(dict, **said)}


def _new_type(obj: Any) -> tuple[Any, ...]:
    return NewType, (obj.__name__, obj.__supertype__), {"__module__": obj.__module__}


def _exception(obj: BaseException) -> Any:
    """Pickle an exception as its arguments and attributes; pickle itself calls its ``__init__`` with them again."""
    kind = type(obj)
    reduces_itself = _has_own(kind, "__reduce__", "__reduce_ex__", "__getnewargs__", "__getnewargs_ex__")
    if reduces_itself or not _has_own(kind, "__init__", "__new__"):
        return None
    is_plain = _built_in(kind).__basicsize__ == BaseException.__basicsize__
    if is_plain and not _has_own(kind, "__new__", "__slots__"):
        return copyreg.__newobj__, (kind, *obj.args), vars(obj) or None  # type: ignore[attr-defined]
    _check_made_again(obj)  # by its __init__, which sets what stands elsewhere, such as errno
    return None


def _check_made_again(obj: BaseException) -> None:
    said: Any = obj.__reduce_ex__(5)
    try:
        again = said[0](*said[1])
    except Exception:  # the pickle is loaded before it is kept, and says it better
        return
    if (again.args, str(again)) != (obj.args, str(obj)):
        raise ExactnessLost(
            f"{obj!r} would come back as {again!r}: its __init__ takes other arguments than it keeps"
        )


def _has_own(kind: type, *names: str) -> bool:
    """Whether a class, or a base class of it that is written in Python, defines one of these."""
    own = kind.__mro__[: kind.__mro__.index(_built_in(kind))]
    return any(name in vars(each) for each in own for name in names)


def _built_in(kind: type) -> type:
    """Return the first base class that is Python's own."""
    return next(each for each in kind.__mro__ if each.__module__ == "builtins")
