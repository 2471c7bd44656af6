"""Files that other programs have made: which format they are of, and what is known of them unopened."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Final

from airflow_model_provider.exceptions import FileMissing, InvalidDefinition, PickleForbidden
from airflow_model_provider.exceptions.base import quoted
from airflow_model_provider.materializers import environment, lookup
from airflow_model_provider.materializers.codec import Written

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any

#: What a file can be registered as, and the format that loads it.
FORMATS: Final = {
    "joblib": "joblib",
    "pickle": "cloudpickle",
    "skops": "skops.file",
    "npy": "numpy.npy",
    "file": "path",
}
_SUFFIXES: Final = {
    ".joblib": "joblib",
    ".pkl": "pickle",
    ".pickle": "pickle",
    ".skops": "skops",
    ".npy": "npy",
}
#: The type of a value that was not looked at.
UNKNOWN_TYPE: Final = "builtins.object"


def format_of(path: Path, chosen: str | None) -> str:
    """
    Return what a file is to be registered as: what was chosen, else what its name says, else just a file.

    :raises InvalidDefinition: for a format that isn't one of :data:`FORMATS`.
    """
    found = _SUFFIXES.get(path.suffix.lower(), "file") if chosen is None else chosen
    if not isinstance(found, str) or found not in FORMATS:
        subject, advice = f"File {quoted(str(path))}", f"Formats: {', '.join(FORMATS)}."
        raise InvalidDefinition(subject, f"format={quoted(found)} does not exist", advice)
    return found


def take(path: Path, target: Path, *, format: str, what: str, allow_pickle: bool) -> Written:
    """
    Copy a file byte by byte, and say what is known of it without opening it.

    :param format: one of :data:`FORMATS`.
    :param what: how errors call it.
    :raises FileMissing: if there is no such file.
    :raises PickleForbidden: if the format can execute code and that is forbidden.
    """
    materializer = lookup.for_key(FORMATS[format])
    if materializer.executes_code and not allow_pickle:
        raise PickleForbidden(what, format)
    if not os.path.isfile(path):  # noqa: PTH113 - Path's own raises where a name is too long
        is_folder = os.path.isdir(path)  # noqa: PTH112 - likewise
        raise FileMissing(what, str(path), "is a folder" if is_folder else "does not exist")
    shutil.copyfile(path, target)
    is_file = materializer.key == "path"
    attributes: Mapping[str, Any] = {"name": path.name, "folder": False} if is_file else {}
    names = lookup.type_names(path) if is_file else (UNKNOWN_TYPE,)
    return Written(
        materializer.key,
        1,
        names,
        attributes,
        None,
        format in ("joblib", "pickle", "skops"),
        environment.capture(("sklearn.",) if format in ("joblib", "skops") else ()),
        materializer.executes_code,
    )
