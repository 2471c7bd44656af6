"""Values that exist only when a task runs: computing with one earlier is a clear error, for everybody but machinery."""

from __future__ import annotations

import sys
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NoReturn

from airflow_model_provider.exceptions import DeferredAttributeUsed, DeferredValueUsed

if TYPE_CHECKING:
    from collections.abc import Callable

#: Packages whose code compares, tests, copies and shows whatever it is given; all other code is the user's computing.
_MACHINERY: Final = frozenset({
    "airflow", "airflow_model_provider", "attr", "cloudpickle", "copy", "datahub", "datahub_airflow_plugin", "jinja2",
    "json", "logging", "msgspec", "openlineage", "pickle", "pprint", "pydantic", "sentry_sdk", "simplejson",
    "structlog", "yaml", "_pytest",
})  # fmt: skip


def called_by_machinery(depth: int = 2) -> bool:
    """Return whether the method that asks was called by code that only handles the value."""
    return str(sys._getframe(depth).f_globals.get("__name__", "")).partition(".")[0] in _MACHINERY


class Uncomputed:
    """A value that a task will have: nothing can be computed with it before."""

    __slots__ = ()

    def _describe(self) -> str:
        return repr(self)

    if not TYPE_CHECKING:  # which would take it for a promise of any attribute

        def __getattr__(self, name: str) -> NoReturn:
            if name.startswith("_"):  # machinery asks; there may be nothing to describe yet
                raise AttributeError(name)
            raise DeferredAttributeUsed(self._describe(), name, _attributes(type(self)))

    def _refuse(self, operation: str) -> NoReturn:
        raise DeferredValueUsed(self._describe(), operation)


@cache
def _attributes(kind: type) -> tuple[str, ...]:
    """What a class of references has by itself: of a dict it has only what JSON needs."""
    return tuple(name for name in dir(kind) if name[0] != "_" and name not in dir(dict))


def _refusing(operation: str) -> Callable[..., NoReturn]:
    def refused(self: Uncomputed, *_: object) -> NoReturn:
        self._refuse(operation)

    return refused


_OPERATORS: Final = {
    "add": "adding", "radd": "adding", "sub": "subtracting", "rsub": "subtracting", "mul": "multiplying",
    "rmul": "multiplying", "matmul": "multiplying", "rmatmul": "multiplying", "truediv": "dividing",
    "rtruediv": "dividing", "floordiv": "dividing", "rfloordiv": "dividing", "mod": "taking a remainder",
    "rmod": "taking a remainder", "divmod": "dividing", "rdivmod": "dividing", "pow": "raising to a power",
    "rpow": "raising to a power", "and": "combining it", "rand": "combining it", "or": "combining it",
    "ror": "combining it", "xor": "combining it", "rxor": "combining it", "neg": "negating it",
    "pos": "computing with it", "invert": "negating it", "abs": "taking its absolute value",
    "lt": "comparing it", "le": "comparing it",
    "gt": "comparing it", "ge": "comparing it", "int": "converting it", "float": "converting it",
    "complex": "converting it", "index": "using it as an index", "round": "rounding it",
}  # fmt: skip
for _name, _operation in _OPERATORS.items():
    setattr(Uncomputed, f"__{_name}__", _refusing(_operation))


class UncomputedDict(Uncomputed, dict[str, Any]):
    """
    A deferred value that is a dictionary to what writes JSON, and to nobody else.

    Airflow writes a dict that a task returns into XCom as plain JSON, calling what others would compute with.
    """

    def __bool__(self) -> bool:
        return called_by_machinery() or self._refuse("testing it")

    def __eq__(self, other: object) -> bool:
        if isinstance(other, UncomputedDict):
            return self._equals(other)
        if not called_by_machinery():
            self._refuse("comparing it")
        return NotImplemented

    def __ne__(self, other: object) -> bool:
        if isinstance(other, UncomputedDict):
            return not self._equals(other)
        if not called_by_machinery():
            self._refuse("comparing it")
        return NotImplemented

    def _equals(self, other: UncomputedDict) -> bool:
        return self is other

    def __format__(self, spec: str) -> str:
        return self._refuse("formatting it") if spec else str(self)


def _only_for_machinery(name: str, operation: str) -> Callable[..., Any]:
    plain = getattr(dict, name)

    def guarded(self: UncomputedDict, *args: Any) -> Any:
        return plain(self, *args) if called_by_machinery() else self._refuse(operation)

    return guarded


_OF_A_DICT: Final = {
    "__contains__": "looking into it", "__getitem__": "taking a part of it", "__iter__": "iterating over it",
    "__len__": "taking its length", "__reversed__": "iterating over it", "copy": "copying it as a dict",
    "get": "taking a part of it", "items": "iterating over it", "keys": "iterating over it",
    "values": "iterating over it",
}  # fmt: skip
for _name, _operation in _OF_A_DICT.items():
    setattr(UncomputedDict, _name, _only_for_machinery(_name, _operation))
