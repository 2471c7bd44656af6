"""Writing a value to a file and reading it back: chooses the format, explains what fails."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_model_provider.exceptions import (
    DigestMismatch,
    LoadFailed,
    MissingDependency,
    ModelRegistryError,
    NotSerializable,
    PickleForbidden,
    StoreUnavailable,
)
from airflow_model_provider.materializers import environment as environments
from airflow_model_provider.materializers import lookup
from airflow_model_provider.materializers.base import ExactnessLost, Materializer, Source
from airflow_model_provider.materializers.signature import input_schema, is_model
from airflow_model_provider.materializers.signing import Signing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

#: Trouble of the disk, not of the value.
_STORE_TROUBLE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO, errno.EACCES})


class Written(NamedTuple):
    """
    What was written, and all that a load needs to know.

    :param type_names: ``module.Class`` of the value's type and its base classes.
    :param signature: the schema of a model's inputs, where it is known.
    :param is_model: whether it has ``predict``.
    :param executes_code: whether loading it can execute code that stands in the file.
    """

    materializer: str
    format_version: int
    type_names: tuple[str, ...]
    attributes: Mapping[str, Any]
    signature: Mapping[str, Any] | None
    is_model: bool
    environment: Mapping[str, Any]
    executes_code: bool


def write(
    value: Any,
    path: Path,
    *,
    what: str,
    format: str | None = None,
    sklearn_format: str = "pickle",
    allow_pickle: bool = True,
    trusted: Sequence[str] = (),
) -> Written:
    """
    Write a value to a file, in the first format that brings it back equal.

    :param what: how errors call it.
    :param format: a format's key; None for the one of the value's type.
    :param sklearn_format: ``pickle`` or ``skops``, for scikit-learn estimators.
    :param allow_pickle: whether formats that can execute code may be used.
    :param trusted: types trusted in skops files besides the audited list.
    :raises NotSerializable: if no format holds it.
    :raises PickleForbidden: if only pickle would, and that is forbidden.
    """
    names = lookup.type_names(value)
    used, attributes = _save(
        value, path, _candidates(value, format, sklearn_format, trusted), what, allow_pickle
    )
    predicts = is_model(value)
    return Written(
        used.key,
        used.format_version,
        names,
        attributes,
        input_schema(value) if predicts else None,
        predicts,
        environments.capture(names, getattr(used, "packages", ())),
        used.executes_code,
    )


def _candidates(
    value: Any, chosen: str | None, sklearn_format: str, trusted: Sequence[str]
) -> list[Materializer]:
    if chosen is None and sklearn_format == "skops" and lookup.is_estimator(lookup.type_names(value)):
        chosen = "skops.file"
    if chosen is not None:
        return [_made(lookup.for_key(chosen), trusted)]
    found = [lookup.for_value(value), lookup.for_key(lookup.FALLBACK)]
    return [_made(item, trusted) for item in dict.fromkeys(found)]


def _made(materializer: type[Materializer], trusted: Sequence[str]) -> Materializer:
    made: Any = materializer
    return made(tuple(trusted)) if materializer.key == "skops.file" else made()  # type: ignore[no-any-return]


def _save(
    value: Any, path: Path, candidates: Sequence[Materializer], what: str, allow_pickle: bool
) -> tuple[Materializer, Mapping[str, Any]]:
    name = lookup.type_names(value)[0] if lookup.type_names(value) else "object"
    why = ""
    for position, candidate in enumerate(candidates):
        if candidate.executes_code and not allow_pickle:
            raise PickleForbidden(f"{what}{f': {why}' if why else ''}", name)
        try:
            return candidate, candidate.save(value, path)
        except ExactnessLost as lost:
            why = str(lost)
        except Exception as err:
            path.unlink(missing_ok=True)
            if isinstance(err, ModelRegistryError) or (
                isinstance(err, OSError) and err.errno in _STORE_TROUBLE
            ):
                raise
            if isinstance(err, ModuleNotFoundError):
                raise _missing(what, err) from None
            why = f"{type(err).__name__}: {err}"
            if position == len(candidates) - 1 or isinstance(err, OSError):
                raise NotSerializable(what, name, _reason(candidates, why)) from err
    path.unlink(missing_ok=True)
    raise NotSerializable(what, name, _reason(candidates, why))


def _reason(candidates: Sequence[Materializer], why: str) -> str:
    """Name the format where it was the only one, which is where it was chosen."""
    only = candidates[0].key if len(candidates) == 1 else lookup.FALLBACK
    return why if only == lookup.FALLBACK else f"format {only!r} does not hold it: {why}"


def read(
    source: Source,
    *,
    materializer: str,
    format_version: int,
    attributes: Mapping[str, Any],
    what: str,
    environment: Mapping[str, Any] | None = None,
    mmap: bool = False,
    allow_pickle: bool = True,
    trusted: Sequence[str] = (),
    signing: Signing = Signing(),  # noqa: B008 - it never changes
) -> Any:
    """
    Return the value that a file holds.

    :param source: the verified bytes.
    :param what: how errors call it.
    :param environment: what it was saved with; named only where loading fails.
    :param signing: whose signature is asked for, where the format can execute code.
    :raises UnknownFormat: if nothing here reads it.
    :raises PickleForbidden: if the format can execute code and that is forbidden.
    :raises NotSigned: if it can, and the signature is missing.
    :raises DigestMismatch: if the bytes are not those that were registered.
    :raises MissingDependency: if the format's library is not installed.
    :raises StoreUnavailable: if they can't be read, or there is no room for what is unpacked.
    :raises LoadFailed: if they can't be turned into an object here.
    """
    found = _made(lookup.for_key(materializer, format_version), trusted)
    if found.executes_code and not allow_pickle:
        raise PickleForbidden(what, materializer)
    if found.executes_code:
        signing.check(what, source.digest, materializer, format_version, attributes)
    try:
        try:
            return found.load(source, attributes, mmap=mmap)
        except DigestMismatch:
            if not source.is_worth_another_try:
                raise
            return found.load(source, attributes, mmap=mmap)
    except ModelRegistryError:
        raise
    except Exception as err:
        if isinstance(err, ModuleNotFoundError) and not found.executes_code:  # else the value's own module
            raise _missing(what, err) from None
        if isinstance(err, OSError) and err.errno in _STORE_TROUBLE and not found.executes_code:
            raise StoreUnavailable(str(err.filename or what), "read", str(err.strerror)) from err
        changed = tuple(environments.differences(environment))
        raise LoadFailed(what, f"{type(err).__name__}: {err}", changed) from err


def _missing(what: str, err: ModuleNotFoundError) -> MissingDependency:
    library = str(err.name).partition(".")[0]
    extra = library in ("polars", "skops")
    return MissingDependency(what, library, f"airflow-model-provider[{library}]" if extra else library)
