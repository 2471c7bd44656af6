"""What the registry accepts besides names: keys, texts, tags, ids of tasks and runs, numbers. No I/O, nothing heavy."""

from __future__ import annotations

import json
import operator
from collections.abc import Iterable, Mapping
from typing import Any, Final

from airflow_model_provider.exceptions import InvalidDefinition, InvalidName
from airflow_model_provider.exceptions.base import an, quoted

#: Characters of a key of metadata, of a tag, and of the ids of tasks and runs (as in Airflow), at most.
LONGEST_KEY: Final = 250
#: Levels of a JSON value, at most: what is written at the end of one stack is read at that of another.
DEEPEST: Final = 100
_BYTES_OF_AN_ID: Final = 600
#: Characters of a text that people write, at most.
LONGEST_TEXT: Final = 100_000
#: Bytes of the metadata that one call logs, as JSON, at most.
LARGEST_METADATA: Final = 1_000_000
#: Characters of a part of an address, at most.
LONGEST_ADDRESS: Final = 10_000
#: The largest number and the largest map index that both databases can hold.
LARGEST: Final = 2**63 - 1
LARGEST_INDEX: Final = 2**31 - 1


def is_shallow(value: object, levels: int = DEEPEST) -> bool:
    """Return whether lists and objects are nested in one another no deeper than so many levels."""
    if not isinstance(value, list | tuple | Mapping):
        return True
    parts = value.values() if isinstance(value, Mapping) else value
    return levels > 0 and all(is_shallow(part, levels - 1) for part in parts)


def check_key(key: object, what: str = "metadata key") -> str:
    """
    Return a metadata key, a tag or an id if the registry accepts it.

    :raises InvalidName: if it is not 1 to 250 printable characters.
    """
    if not isinstance(key, str) or not 0 < len(key) <= LONGEST_KEY or not key.isprintable():
        raise InvalidName(what, key, f"It must be 1 to {LONGEST_KEY} printable characters.")
    return key


def check_id(what: str, text: object) -> str:
    """
    Return the id of a deployment, Dag, run or task if the registry accepts it.

    :raises InvalidName: if it is not 1 to 250 printable characters of 600 bytes at most: PostgreSQL indexes four.
    """
    key = check_key(text, what)
    if len(key.encode()) > _BYTES_OF_AN_ID:
        raise InvalidName(what, key, f"It must be at most {_BYTES_OF_AN_ID} bytes in UTF-8.")
    return key


def check_text(what: str, text: object) -> str:
    """
    Return a text that people write if both databases can hold it as it is.

    :param what: how the error calls it: ``reason``.
    :raises InvalidDefinition: if it is no text, too long, or holds NUL or a lone surrogate.
    """
    if not isinstance(text, str):
        raise InvalidDefinition(what, f"it is {type(text).__name__}, not text")
    if len(text) > LONGEST_TEXT:
        raise InvalidDefinition(
            what, f"it has {len(text):,} characters", f"At most {LONGEST_TEXT:,} are kept."
        )
    odd = [mark for mark in text if mark == "\0" or "\ud800" <= mark <= "\udfff"]
    if odd:
        raise InvalidDefinition(what, f"it holds {odd[0]!r}, which no database keeps", "Leave it out.")
    return text


def check_mapping(subject: str, name: str, value: object, advice: str = "") -> Mapping[str, Any]:
    """
    Return a mapping.

    :param name: the argument, for the error.
    :param advice: what to write instead; by itself an example with a metric.
    :raises InvalidDefinition: if it is anything else.
    """
    if not isinstance(value, Mapping):
        problem = f"{name}={quoted(value)} must be a mapping"
        raise InvalidDefinition(subject, problem, advice or f"Example: {name}={{'accuracy': 0.97}}.")
    return value


def check_tags(what: str, tags: object) -> list[str]:
    """
    Return tags if the registry accepts them.

    :param what: whose they are, for the error: ``tags of model 'iris'``.
    :raises InvalidDefinition: if they are one text, or nothing that can be counted up.
    :raises InvalidName: if one is not 1 to 250 printable characters.
    """
    if isinstance(tags, str | Mapping) or not isinstance(tags, Iterable):
        problem = f"{quoted(tags)} is {an(type(tags).__name__)}, not several texts"
        raise InvalidDefinition(what, problem, "Give several: tags=['tabular'].")
    return [check_key(tag, "tag") for tag in tags]


def check_limit(limit: int | None) -> int | None:
    """
    Return how many rows are asked for, at most; None means all.

    :raises InvalidName: if it is no whole number from 0.
    """
    return None if limit is None else check_number("limit", limit, 0)


def is_address(text: object) -> bool:
    """Return whether this can be a part of an address: text of a length that is one, all of which is seen."""
    return isinstance(text, str) and len(text) <= LONGEST_ADDRESS and text.isprintable()


def check_number(what: str, number: object, smallest: int = 1, largest: int = LARGEST) -> int:
    """
    Return a whole number, NumPy's too, if it can be one of the registry's.

    :raises InvalidName: if it is not.
    """
    found = whole(number)
    if found is None or not smallest <= found <= largest:
        raise InvalidName(what, number, f"It must be a whole number from {smallest} to {largest}.")
    return found


def whole(value: object) -> int | None:
    """Return anything that is a whole number, such as ``numpy.int64(3)``, as an ``int``; None if it is none."""
    if isinstance(value, bool):
        return None
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        return None


def is_json(value: object) -> bool:
    """Return whether a value can be written as JSON."""
    try:
        json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        return False
    return True
