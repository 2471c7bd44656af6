"""
Whether a value fits an annotation: an artifact by its recorded type, then by its value; any other by its value.

Only what is understood is refused: a name that can't be evaluated, a form not known here, or a class whose own check
fails accepts everything. Nothing is imported for the record's sake: a type that isn't loaded yet is unknown.
"""

from __future__ import annotations

import sys
import typing
from abc import ABCMeta
from collections import abc
from itertools import islice
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, NewType, TypeVar, Union, get_args, get_origin

from airflow_model_provider.exceptions import WrongOutput, WrongType

if typing.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

#: So many items of a container are looked at.
_ITEMS: Final = 100
#: What else counts as one of these (PEP 484).
_TOWER: Final = {float: (float, int), complex: (complex, float, int), bytes: (bytes, bytearray, memoryview)}
#: A NumPy scalar counts as the one of these that it stands for.
_SCALARS: Final = (bool, int, float, complex)
#: Between their brackets stands the type of the items, of these of the keys and of the values.
_COLLECTIONS: Final = (list, tuple, set, frozenset, *(abc.Iterable, abc.Collection, abc.Sequence, abc.Set))
#: Of these the items are looked at; a text is one of texts.
_WALKED: Final = (list, tuple, set, frozenset, dict, str, bytes)
_MAPPINGS: Final = (dict, abc.Mapping, abc.MutableMapping)
#: Their types have no bases from elsewhere, in no release.
_LIBRARIES: Final = frozenset({"datetime", "decimal", "numpy", "pandas", "polars", "pyarrow", "uuid"})
#: Classes of these modules travel by value: the one that is loaded is never the one that is defined here.
_BY_VALUE: Final = ("__main__", "unusual_prefix_")


def check_recorded(
    annotation: Any,
    type_names: Sequence[str],
    *,
    step: str,
    parameter: str,
    what: str,
    optional: bool = False,
) -> None:
    """
    Refuse an artifact whose recorded type shows, before anything is loaded, that it will not fit.

    In doubt it is loaded: what :func:`check_value` would accept is never refused here.

    :param type_names: ``module.Class`` of the value's type and its bases; none, or object: nothing is known.
    :param what: how the message calls the artifact.
    :param optional: whether None is accepted whatever the annotation says.
    :raises WrongType: if it can't fit.
    """
    if (
        not type_names
        or type_names[0] == "builtins.object"
        or (optional and type_names[0] == "builtins.NoneType")
    ):
        return
    try:
        fits = _may_hold(annotation, type_names)
    except Exception:  # a class decides by code of its own, which may fail
        return
    if not fits:
        found = type_names[0].removeprefix("builtins.")
        raise WrongType(step, parameter, _printed(annotation), "None" if found == "NoneType" else found, what)


def check_value(
    annotation: Any, value: Any, *, step: str, parameter: str, what: str, optional: bool = False
) -> None:
    """
    Refuse a value that does not fit; of a handle, one whose recorded type does not.

    :param what: how the message calls the value.
    :param optional: whether None is accepted whatever the annotation says.
    :raises WrongType: if it does not fit.
    """
    if optional and value is None:
        return
    try:
        fits = _fits(annotation, value)
    except Exception:  # as above
        return
    if not fits:
        raise WrongType(step, parameter, _printed(annotation), _found(annotation, value), what)


def check_output(annotation: Any, value: Any, *, step: str, output: str) -> None:
    """
    Refuse a step's result that does not fit what the step declares; of a handle, one whose recorded type does not.

    :raises WrongOutput: if it does not fit.
    """
    try:
        fits = _fits(annotation, value)
        if not fits and _is_handle(type(value)):
            fits = _may_hold(annotation, value.record.payload.type_names)
        elif not fits:
            fits = _stands_for_another(value)
    except Exception:  # as above
        return
    if not fits:
        raise WrongOutput(step, output, _printed(annotation), _found(annotation, value))


# --- annotations -------------------------------------------------------------------------------------------


def _members(annotation: Any) -> Iterator[Any]:
    """Give the alternatives that an annotation stands for: a value fits if it fits one of them."""
    parts: tuple[Any, ...]
    if get_origin(annotation) is Annotated:
        parts = get_args(annotation)[:1]
    elif get_origin(annotation) in (Union, UnionType):
        parts = get_args(annotation)
    elif isinstance(annotation, TypeVar):
        parts = annotation.__constraints__ or (Any if annotation.__bound__ is None else annotation.__bound__,)
    elif isinstance(annotation, NewType):
        parts = (annotation.__supertype__,)
    elif type(annotation).__name__ == "TypeAliasType":
        parts = (annotation.__value__,)
    else:
        yield NoneType if annotation is None else annotation
        return
    for part in parts:
        yield from _members(part)


def _kind(member: Any) -> Any:
    """Return the class that a member names, with or without ``[...]``; Any for what is not understood."""
    origin = get_origin(member)
    kind = member if origin is None else origin
    if kind in (typing.IO, typing.TextIO, typing.BinaryIO):  # what only type checkers know files by
        return Any
    return kind if kind is Literal or (isinstance(kind, type) and kind is not object) else Any


def _is_handle(kind: Any) -> bool:
    return (kind.__module__, kind.__qualname__) == ("airflow_model_provider.handles", "Artifact")


def _stands_for_another(value: Any) -> bool:
    """Whether a value is a reference, a handle or a version, or holds one: what it stands for is not known here."""
    todo, seen = [value], set()
    while todo:
        part = todo.pop()
        if type(part).__module__.startswith("airflow_model_provider."):
            return True
        if type(part) in (list, tuple, set, dict) and id(part) not in seen:
            seen.add(id(part))
            todo += part.values() if type(part) is dict else part
    return False


def _is_typed_dict(kind: Any) -> bool:
    return "__required_keys__" in vars(kind)


# --- what is recorded --------------------------------------------------------------------------------------


def _may_hold(annotation: Any, names: Sequence[str]) -> bool:
    return any(_may_be(member, names) for member in _members(annotation))


def _may_be(member: Any, names: Sequence[str]) -> bool:
    kind, args = _kind(member), get_args(member)
    if kind is Any or kind is type:
        return True
    if kind is Literal:
        return any(_may_be(type(arg), names) for arg in args)
    if _is_handle(kind):
        return not (args and names) or _may_hold(args[0], names)
    return _may_be_instance(dict if _is_typed_dict(kind) else kind, names)


def _may_be_instance(kind: type, names: Sequence[str]) -> bool:
    accepted = _TOWER.get(kind, (kind,))
    known = {name.rpartition(".")[2] for name in names}
    if "typing.Any" in names or any(item.__qualname__.rpartition(".")[2] in known for item in accepted):
        return True  # by the name alone: in another release the class may stand in another module
    if kind in _SCALARS and "numpy.generic" in names:
        return True
    library, types = names[0].partition(".")[0], _loaded_as(names)
    check = type(kind).__instancecheck__
    if check is ABCMeta.__instancecheck__:  # the modules of other types may register them when they load
        certain = bool(types) and (library == "builtins" or library in _LIBRARIES)
    else:
        elsewhere = library in _LIBRARIES and library != kind.__module__.partition(".")[0]
        certain = check is type.__instancecheck__ and (bool(types) or elsewhere)
    return not certain or any(_may_pass(item, accepted) for item in types)


def _may_pass(found: type, accepted: tuple[type, ...]) -> bool:
    """Whether an instance may pass as one of these: also one that says itself what its class is."""
    lineage = found.__mro__[:-1]  # what a metaclass says of subclasses does not count for instances
    named = any(item in accepted or "__class__" in vars(item) for item in lineage)
    return named or issubclass(found, accepted)


def _loaded_as(names: Sequence[str]) -> list[type]:
    """Return the types that a load may give, as far as they are there; nothing is imported."""
    types = [] if (found := _find(names[0])) is None else [found]
    if any(name.endswith(".PurePath") for name in names):  # any path comes back as a local one
        from pathlib import Path

        types.append(type(Path()))
    return types


def _find(name: str) -> type | None:
    if name == "builtins.NoneType" or name.startswith(_BY_VALUE):
        return NoneType if name == "builtins.NoneType" else None
    parts = name.split(".")
    for length in range(len(parts) - 1, 0, -1):
        found: Any = sys.modules.get(".".join(parts[:length]))
        if found is not None:
            for part in parts[length:]:  # not getattr: modules may import on being asked
                found = vars(found).get(part) if hasattr(found, "__dict__") else None
            return found if isinstance(found, type) else None
    return None


# --- what is loaded ----------------------------------------------------------------------------------------


def _fits(annotation: Any, value: Any) -> bool:
    return any(_is(member, value) for member in _members(annotation))


def _is(member: Any, value: Any) -> bool:
    kind, args = _kind(member), get_args(member)
    if kind is Any:
        return True
    if kind is Literal:
        return any(_is_literal(arg, value) for arg in args)
    if _is_handle(kind):
        return isinstance(value, kind) and _may_be(member, value.record.payload.type_names)
    if _needs_typeguard(kind, args):
        return not _refusal(member, value)
    if getattr(kind, "_is_protocol", False):
        return _follows(kind, value)
    if not _is_instance(kind, value, generic=bool(args)):
        return False
    if kind is tuple and _is_fixed(member):
        return _is_row(args, value)
    if args and (kind.__module__, kind.__name__) == ("numpy", "ndarray"):
        return _has_dtype(args[-1], value.dtype)
    return all(_fits(part, item) for part, item in _contents(kind, args, value))


def _is_literal(arg: Any, value: Any) -> bool:
    is_bool = isinstance(_plain(value), bool)  # True equals 1, and is another literal
    return _is_instance(type(arg), value) and arg == value and is_bool == isinstance(arg, bool)


def _is_fixed(member: Any) -> bool:
    """Whether it says how many items a tuple has; ``tuple[()]`` says so, and ``typing.Tuple`` does not."""
    is_bare = member is tuple or member is typing.Tuple  # noqa: UP006
    return not is_bare and Ellipsis not in get_args(member)


def _is_instance(kind: type, value: Any, *, generic: bool = False) -> bool:
    if isinstance(value, _TOWER.get(kind, kind)):
        return True
    if kind in _SCALARS and (plain := _plain(value)) is not value:
        return isinstance(plain, _TOWER.get(kind, kind))
    return any(item is Any or _is_same(kind, item, generic=generic) for item in type(value).__mro__)


def _is_same(kind: type, found: type, *, generic: bool) -> bool:
    """Whether a class is another copy of ``kind``: of a reloaded module, or one that travelled by value."""
    if found.__qualname__ != kind.__qualname__:
        return False  # of generic ones some stand only for type checkers: pandera's DataFrame[...]
    return generic or found.__module__ == kind.__module__ or found.__module__.startswith(_BY_VALUE)


def _plain(value: Any) -> Any:
    """Return what a NumPy scalar stands for, and anything else as it is."""
    is_scalar = any((item.__module__, item.__name__) == ("numpy", "generic") for item in type(value).__mro__)
    return value.item() if is_scalar else value


def _follows(protocol: type, value: Any) -> bool:
    """Whether the members are there. Signatures are not compared: ``predict(X)`` serves as ``predict(data)``."""
    from typing_extensions import get_protocol_members

    nominal = protocol in type(value).__mro__
    return nominal or all(hasattr(value, name) for name in get_protocol_members(protocol))


def _contents(kind: Any, args: tuple[Any, ...], value: Any) -> Iterable[tuple[Any, Any]]:
    """Give the first items of a built-in container with their annotations; others may be costly to walk."""
    if args and kind in _MAPPINGS and isinstance(value, dict):
        for pair in islice(value.items(), _ITEMS):
            yield from zip(args, pair, strict=True)
    elif args and kind in _COLLECTIONS and isinstance(value, _WALKED):
        yield from ((args[0], item) for item in islice(value, _ITEMS))


def _has_dtype(annotation: Any, dtype: Any) -> bool:
    """Whether an array has the dtype of an annotation: ``numpy.dtype[numpy.int8]``, ``numpy.dtype[numpy.floating]``."""
    scalars = [member for part in get_args(annotation) for member in _members(part)]
    kinds = [_kind(member) for member in scalars]
    return not kinds or any(kind is Any or issubclass(dtype.type, kind) for kind in kinds)


def _is_row(args: tuple[Any, ...], value: tuple[Any, ...]) -> bool:
    if any(getattr(arg, "__unpacked__", False) or get_origin(arg) is typing.Unpack for arg in args):
        return True
    return len(args) == len(value) and all(map(_fits, args, value))


def _needs_typeguard(kind: Any, args: tuple[Any, ...]) -> bool:
    return kind is not Literal and (bool(args and kind in (type, abc.Callable)) or _is_typed_dict(kind))


def _refusal(member: Any, value: Any) -> str:
    # 100 ms, for the few forms that need it
    from typeguard import ForwardRefPolicy, TypeCheckError, check_type

    try:
        check_type(value, member, forward_ref_policy=ForwardRefPolicy.IGNORE)
    except TypeCheckError as err:
        return str(err)
    return ""


# --- messages ----------------------------------------------------------------------------------------------


def _printed(annotation: Any) -> str:
    """Print an annotation as one would write it, with full names: ``list[int] | None``."""
    if isinstance(annotation, list):
        return f"[{', '.join(map(_printed, annotation))}]"
    members = list(_members(annotation))
    if len(members) > 1:
        return " | ".join(map(_printed, members))
    (member,) = members
    origin, args = get_origin(member), get_args(member)
    if origin is Literal:
        return f"Literal[{', '.join(map(repr, args))}]"
    if origin is tuple and not args and _is_fixed(member):
        return "tuple[()]"
    if origin is not None:
        return f"{_printed(origin)}[{', '.join(map(_printed, args))}]" if args else _printed(origin)
    if member is NoneType or member is Ellipsis:
        return "None" if member is NoneType else "..."
    name = f"{member.__module__}.{member.__qualname__}" if isinstance(member, type) else str(member)
    return name.removeprefix("builtins.").removeprefix("typing.")


def _found(annotation: Any, value: Any) -> str:
    """Print the type of a refused value, and what makes it unfit where the type does not show it."""
    printed, members = _printed_type(value), list(_members(annotation))
    if any(_kind(member) is Literal for member in members) and isinstance(value, str | int | bytes):
        return f"{value!r:.60}" if type(value) in (str, int) else f"{printed} {value!r:.60}"
    if len(members) == 1 and _needs_typeguard(_kind(members[0]), get_args(members[0])):
        return f"{printed} ({_refusal(members[0], value)})"
    return printed


def _printed_type(value: Any, depth: int = 2) -> str:
    kind, parts = type(value), []
    if _is_handle(kind):
        return f"{_printed(kind)}[{value.type.removeprefix('builtins.')}]"
    if (kind.__module__, kind.__name__) == ("numpy", "ndarray"):
        return f"{_printed(kind)} of dtype {value.dtype}"
    if depth and kind in (list, set, frozenset, dict):
        parts = [value, value.values()] if kind is dict else [value]
    elif depth and kind is tuple:
        parts = [[item] for item in value[:10]]
    printed = ([_printed_type(item, depth - 1) for item in islice(part, _ITEMS)] for part in parts)
    inner = ", ".join(" | ".join(dict.fromkeys(names)) for names in printed if names)
    return f"{_printed(kind)}[{inner}]" if inner else _printed(kind)
