"""
How what a task returned travels, and how it is read: data stays data.

A step's result is written by this package: references as JSON, and data of the user's that could be taken for one of
these, or for a word of Airflow's, set apart. So what a step returned is read to any depth. Any other task's result is
data, and a reference only as a whole. Nothing else is ever read: no parameter, no run configuration, no row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from airflow_model_provider.exceptions import InvalidDefinition
from airflow_model_provider.exceptions.base import quoted
from airflow_model_provider.limits import is_shallow
from airflow_model_provider.named_artifacts import read_reference
from airflow_model_provider.pipelines.constants import is_unsent
from airflow_model_provider.pipelines.values import WALK, transform
from airflow_model_provider.references import NAMED_KEY, OUTPUT_KEY, REFERENCE_KEY

if TYPE_CHECKING:
    from collections.abc import Callable

#: Holds the items of a dict that can't travel as it is: ``{DATA_KEY: [[key, value], ...]}``.
DATA_KEY: Final = "__model_registry_data__"
#: Keys that say what a JSON object is: ours, and Airflow's (``airflow.sdk.serde``), which makes objects of them.
_WORDS: Final = frozenset(
    {
        *(REFERENCE_KEY, OUTPUT_KEY, NAMED_KEY, DATA_KEY),
        *("__classname__", "__version__", "__data__", "__id__", "__type", "__var", "__source"),
    }
)
_SCALARS: Final = (str, int, float, bool, type(None))


def is_plain(value: Any) -> bool:
    """Return whether no JSON object in a value has a key that would be taken for a word of ours or of Airflow's."""
    if isinstance(value, dict):
        return _WORDS.isdisjoint(value) and all(map(is_plain, value.values()))
    return not isinstance(value, list | tuple) or all(map(is_plain, value))


def sent(value: Any) -> Any:
    """
    Return what travels as it arrives: new containers, of which none stands in two places.

    >>> row = [0]
    >>> rows = sent([row, row])
    >>> rows[0] is rows[1]
    False
    """
    if isinstance(value, dict):
        return {key: sent(item) for key, item in value.items()}
    return type(value)(map(sent, value)) if isinstance(value, list | tuple) else value


def written(value: Any, reference: Callable[[Any], dict[str, Any] | None]) -> Any:
    """
    Return the form in which a step's result that holds references travels; :func:`read_result` reads it.

    :param reference: returns the JSON form of a part that is a reference, None for any other.
    :raises TypeError: for what JSON has no word for, or is nested too deep.

    >>> written({"__artifact__": [1]}, lambda part: None)
    {'__model_registry_data__': [['__artifact__', [1]]]}
    """
    try:
        form = _form(value, reference)
    except RecursionError as err:
        raise TypeError("it holds itself") from err
    if not is_shallow(form):
        raise TypeError("it is nested too deep")
    return form


def _form(value: Any, reference: Callable[[Any], dict[str, Any] | None]) -> Any:
    if (found := reference(value)) is not None:
        return found
    if type(value) in (tuple, list):
        return type(value)(_form(item, reference) for item in value)
    if type(value) is dict:
        items = {_scalar(key): _form(item, reference) for key, item in value.items()}
        plain = _WORDS.isdisjoint(items) and all(type(key) is str for key in items)
        return items if plain else {DATA_KEY: [[key, item] for key, item in items.items()]}
    return _scalar(value)


def _scalar(value: Any) -> Any:
    if not isinstance(value, _SCALARS) or is_unsent(value):
        raise TypeError(f"{quoted(value)} is no JSON value")
    return value


def read_result(value: Any) -> Any:
    """
    Return what a step returned: its references, at any depth, and its data as they were.

    :raises InvalidDefinition: for a reference that this release can't read, or one that holds a template.

    >>> read_result([{"__model_registry_data__": [["__artifact__", [1]]]}])
    [{'__artifact__': [1]}]
    """
    return transform(value, _part)


def _part(part: Any) -> Any:
    if type(part) is not dict:
        return WALK
    if len(part) == 1 and DATA_KEY in part:
        return _set_apart(part[DATA_KEY])
    return WALK if (found := read_reference(part)) is None else found


def _set_apart(pairs: Any) -> Any:
    try:
        return {key: transform(item, _part) for key, item in pairs}
    except (TypeError, ValueError) as err:
        raise InvalidDefinition(
            f"{{{DATA_KEY!r}: {quoted(pairs)}}}", "this is not what a step has written"
        ) from err


def read_whole(value: Any) -> Any:
    """
    Return what any other task returned: a reference if the whole of it is one, else the data that it is.

    :raises InvalidDefinition: as :func:`read_result`, and for a reference into the registry of a named connection: what
        came from outside must not choose where a task reads.
    """
    if (found := read_reference(value)) is None:
        return value
    part: Any = found
    while hasattr(part, "conn_id"):
        if part.conn_id is not None:
            raise InvalidDefinition(
                repr(found),
                f"it names the connection {part.conn_id!r}, and came as data",
                f"Take it in a step, or ask its registry: Client(conn_id={part.conn_id!r}).",
            )
        part = getattr(part, "default", None)
    return found
