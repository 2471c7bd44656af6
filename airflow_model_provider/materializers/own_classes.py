"""
Classes that a program, a notebook or a DAG file defines itself.

Another process has such a module under another name, or not at all, so cloudpickle saves its classes by value. A class
that was loaded from its value is a stranger to the class of the same file that runs: ``is``, ``==``, ``match`` and
``isinstance`` fail. So the pickle also says of which file a class is, and a load prefers the class of the module that
this process has loaded from that file. Only loaded modules are looked at: nothing is imported.

A file is the same at the same place, and at the same place in a DAG bundle. Of another machine only the end of the path
is known, and other files have such an end too: there, the code of the class tells.
"""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import logging
import os
import re
import sys
from functools import partial
from types import CodeType, FunctionType, ModuleType
from typing import Any, Final

log = logging.getLogger(__name__)

#: How Airflow calls the modules that it makes of DAG files; no other process can import them by that name.
DAG_FILE: Final = "unusual_prefix_"
#: The file of a notebook or an interactive session, which has none.
_INTERACTIVE: Final = "<interactive>"
#: What ``dataclasses.make_dataclass()`` says of the classes that it makes, before Python 3.12.
_MADE: Final = "types"
#: Where bundles of Airflow keep the versions of one file.
_BUNDLE_VERSION: Final = re.compile(r"/(?:versions/[^/]+|tracking_repo)/")
_ADDRESS: Final = re.compile(" at 0x[0-9a-fA-F]+")
#: Values of enum members that say more are kept as a digest.
_LONGEST: Final = 100


def is_own(module: str | None) -> bool:
    """Return whether a module of this name is a program, a notebook or a DAG file."""
    return module == "__main__" or (module or "").startswith(DAG_FILE)


def identity(kind: type) -> dict[str, Any] | None:
    """Return what tells a class of a program or a DAG file from others; None if no other process could find it."""
    module = _home(kind)
    files = _files(module)
    if not files or _member(module, kind.__qualname__) is not kind:
        return None
    return {
        "files": files,
        "place": _place(module),
        "name": kind.__qualname__,
        "traits": traits(kind),
        "code": _digest(kind),
    }


def loaded_class(said: object) -> type | None:
    """
    Return the class of which :func:`identity` was saved, if this process has loaded it.

    A class that has changed since is not the same: then the saved definition is used, and a warning says so.
    """
    if not isinstance(said, dict) or not {"files", "place", "name", "traits", "code"} <= set(said):
        return None
    found = _candidates(said)
    for is_sure, kind in found:
        if _fits(said["traits"], traits(kind)) and (is_sure or said["code"] == _digest(kind)):
            return kind
    if found:
        log.warning(
            "Class %r of %s is another one than the value was saved with: its saved definition is used, so "
            "isinstance() with the present class is False.",
            said["name"],
            said["files"][0],
        )
    return None


def _home(kind: type) -> ModuleType | None:
    """Return the module in which a class stands."""
    if kind.__module__ != _MADE:
        return sys.modules.get(kind.__module__)
    own = (module for name, module in list(sys.modules.items()) if is_own(name))
    return next((module for module in own if _member(module, kind.__qualname__) is kind), None)


def _candidates(said: dict[str, Any]) -> list[tuple[bool, type]]:
    """Return the classes of this name in modules that may be of the file, the likeliest first; and which are sure."""
    name, end = str(said["name"]), str(said["files"][0]).rpartition("/")[2]
    found: list[tuple[tuple[bool, int], type]] = []
    for module in list(sys.modules.values()):
        likeness = _likeness(said, module) if _file(module).endswith(end) else None
        kind = _member(module, name) if likeness is not None else None
        if likeness is None or not isinstance(kind, type) or kind.__qualname__ != name:
            continue
        if kind.__module__ in (module.__name__, _MADE):
            found.append((likeness, kind))
    return [(is_sure, kind) for (is_sure, _), kind in sorted(found, key=lambda item: item[0], reverse=True)]


def _likeness(said: dict[str, Any], module: ModuleType) -> tuple[bool, int] | None:
    """Return whether a module is surely of the file, and how much of the path they share; None if it is not."""
    files, place = _files(module), _place(module)
    shared = max(map(len, set(files) & set(said["files"])), default=0)
    if place and place == said["place"]:
        return True, len(place)
    if any("/" in file for file in set(files) & set(said["files"])):
        return True, shared
    end = max(files[-1:] + said["files"][-1:], key=len, default="")
    ends_so = all(str(each).endswith(f"/{end}") for each in (place, said["place"]))
    return (False, len(end) if ends_so else shared) if shared or ends_so else None


def _place(module: ModuleType | None) -> str:
    """Return where a module's file is, the same for all versions of a bundle; nothing where it has none."""
    file = getattr(module, "__file__", None)
    if not isinstance(file, str):
        return ""
    return _BUNDLE_VERSION.sub("/", os.path.abspath(file).replace(os.sep, "/"))  # noqa: PTH100


def _files(module: ModuleType | None) -> list[str]:
    """Return a module's file, relative to the folders of the path that it is in, longest first: bundles move."""
    file = getattr(module, "__file__", None)
    if not isinstance(file, str):
        interactive = module is not None and module.__name__ == "__main__"
        return [_INTERACTIVE] if interactive else []
    folders = {os.path.abspath(folder) for folder in sys.path if isinstance(folder, str)}  # noqa: PTH100 - text
    file, found = os.path.abspath(file), []  # noqa: PTH100
    parent = os.path.dirname(file)  # noqa: PTH120
    while parent != (above := os.path.dirname(parent)):  # noqa: PTH120
        if parent in folders:
            found.append(file[len(parent) + 1 :].replace(os.sep, "/"))
        parent = above
    return found[::-1] or [os.path.basename(file)]  # noqa: PTH119


def _file(module: object) -> str:
    """Return a module's file without asking the module, which may load something then, or be no real one."""
    try:
        names: dict[str, Any] = object.__getattribute__(module, "__dict__")
    except AttributeError:
        return ""
    return str(names.get("__file__") or _INTERACTIVE)


def _member(module: ModuleType | None, name: str) -> Any:
    found: Any = module
    for part in name.split("."):
        found = vars(found).get(part) if hasattr(found, "__dict__") else None
    return found


# --- whether a class is still the one that was saved -------------------------------------------------------


def traits(kind: type) -> list[str]:
    """Return what a saved value relies on: members and their values, names of fields, or a digest of the code."""
    if issubclass(kind, enum.Enum):
        return ["members", *(f"{name}={_text(item)}" for name, item in kind.__members__.items())]
    fields = _fields(kind)
    return ["code", _digest(kind)] if fields is None else ["fields", *fields]


def _fits(saved: Any, present: list[str]) -> bool:
    if present[0] == "members":
        return set(saved) <= set(present)
    return list(saved) == present


def _text(member: enum.Enum) -> str:
    """Return the value of a member as a text that is the same in each process."""
    try:
        said = _constant(member.value)
    except Exception:  # foreign code may raise anything
        said = type(member.value).__qualname__
    text = _ADDRESS.sub("", str(said)).replace(f"{type(member).__module__}.", "")
    if len(text) > _LONGEST:
        text = hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()[:16]
    return f"{type(member.value).__name__} {text}"


def _fields(kind: Any) -> list[str] | None:
    if dataclasses.is_dataclass(kind):
        return sorted(field.name for field in dataclasses.fields(kind))
    if issubclass(kind, tuple) and hasattr(kind, "_fields"):
        return list(kind._fields)
    if isinstance(found := getattr(kind, "__pydantic_fields__", None), dict):
        return sorted(found)
    if (found := getattr(kind, "__attrs_attrs__", None)) is not None:
        return sorted(field.name for field in found)
    return None


def _digest(kind: type) -> str:
    said = [
        (name, described)
        for base in kind.__mro__
        if base.__module__ == kind.__module__
        for name, value in sorted(vars(base).items())
        if (described := _described(value, is_data=not _is_of_python(name))) is not None
    ]
    return hashlib.sha256(repr(said).encode(errors="backslashreplace")).hexdigest()[:16]


def _is_of_python(name: str) -> bool:
    """Whether Python, or an enum, has made an attribute of this name: ``__doc__``, ``_flag_mask_``."""
    return name.startswith("_") and name.endswith("_")


def _described(value: Any, *, is_data: bool) -> Any:
    """Return what an attribute of a class does or is, the same in every process; None if that is not known."""
    for name in ("__func__", "fget", "func", "__wrapped__"):
        value = getattr(value, name, value) if not isinstance(value, FunctionType | partial) else value
    if isinstance(value, FunctionType):
        return _code(value.__code__)
    return repr(value) if is_data and type(value) in (int, float, bool, str, bytes) else None


def _code(code: CodeType) -> tuple[Any, ...]:
    return code.co_code, code.co_names, [_constant(item) for item in code.co_consts]


def _constant(value: Any) -> Any:
    if isinstance(value, CodeType):
        return _code(value)
    if isinstance(value, tuple):
        return tuple(map(_constant, value))
    if isinstance(value, frozenset):
        return sorted(map(repr, value))  # their order is another one in each process
    return repr(value)
