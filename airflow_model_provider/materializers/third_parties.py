"""Materializers of other packages: entry points named by the type they are for, imported when that is needed."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from airflow_model_provider.exceptions import MaterializerUnusable
from airflow_model_provider.materializers.base import Materializer

if TYPE_CHECKING:
    from collections.abc import Iterable
    from importlib.metadata import EntryPoint

GROUP: Final = "airflow_model_provider.materializers"
_KEY = re.compile(r"[a-z0-9]+([._-][a-z0-9]+)*")


def for_type(name: str) -> type[Materializer] | None:
    """
    Return the materializer that a package provides for a type, or None.

    :param name: ``module.Class``.
    :raises MaterializerUnusable: if it can't be imported or isn't one, or several packages provide one.
    """
    points = _points().get(name, ())
    if not points:
        return None
    if len(points) > 1:
        raise unusable(name, "several packages provide one")
    found = _loaded()[points[0]]
    if isinstance(found, str):
        raise unusable(name, found)
    return found


def for_key(key: str) -> type[Materializer] | None:
    """
    Return the materializer that a package provides for a format, or None.

    :raises MaterializerUnusable: if several packages provide one.
    """
    named = {
        found: point for point, found in _loaded().items() if not isinstance(found, str) and found.key == key
    }
    if len(named) > 1:
        raise _error(f"format {key!r}", named.values(), "several packages provide one")
    return next(iter(named), None)


def keys() -> list[str]:
    """Return the formats that packages provide."""
    return sorted({found.key for found in _loaded().values() if not isinstance(found, str)})


def broken() -> list[str]:
    """Return what packages provide and can't be used, each with the reason."""
    return [f"{_said(point)}: {found}" for point, found in _loaded().items() if isinstance(found, str)]


def problem(materializer: Any) -> str | None:
    """Return what is wrong with what should be a materializer's class; None for a good one."""
    if not (isinstance(materializer, type) and issubclass(materializer, Materializer)):
        return f"{materializer!r} is no class derived from Materializer"
    said: Any = materializer
    key, version = getattr(said, "key", None), said.format_version
    if not isinstance(key, str) or not _KEY.fullmatch(key) or len(key) > 100:
        return f"its key is {key!r}, and must be lower-case words joined by '.', '_' or '-': 'lightgbm.text'"
    if type(version) is not int or version < 1:
        return f"its format_version is {version!r}, and must be a whole number from 1"
    if type(said.executes_code) is not bool:
        return f"its executes_code is {said.executes_code!r}, and must be True or False"
    return None


def unusable(name: str, reason: str) -> MaterializerUnusable:
    """Return the error that says why a type's materializer can't be used, and of which package it is."""
    return _error(f"type {name!r}", _points()[name], reason)


@lru_cache(maxsize=1)
def _points() -> dict[str, tuple[EntryPoint, ...]]:
    """What is installed, by type, unimported; what is found twice on the path is one."""
    from importlib.metadata import entry_points

    found: dict[str, dict[str, EntryPoint]] = {}
    for point in entry_points(group=GROUP):
        found.setdefault(point.name, {})[point.value] = point
    return {name: tuple(points.values()) for name, points in found.items()}


@lru_cache(maxsize=1)
def _loaded() -> dict[EntryPoint, type[Materializer] | str]:
    """Each entry point's class, or why it can't be used: a broken package must not break what others do."""
    return {point: _load(point) for points in _points().values() for point in points}


def _load(point: EntryPoint) -> type[Materializer] | str:
    try:
        found = point.load()
    except Exception as err:
        return f"{type(err).__name__}: {err}"
    return problem(found) or found


def _error(what: str, points: Iterable[EntryPoint], reason: str) -> MaterializerUnusable:
    return MaterializerUnusable(what, tuple(map(_said, points)), reason)


def _said(point: EntryPoint) -> str:
    package = f"{point.dist.name} {point.dist.version}" if point.dist else "an unknown package"
    return f"{package} ({point.value})"
