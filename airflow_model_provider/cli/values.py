"""How values are read that were typed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from airflow_model_provider.exceptions import InvalidDefinition
from airflow_model_provider.exceptions.base import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable


def metadata_of(option: str, typed: Iterable[str], example: str) -> dict[str, Any]:
    """
    Read ``accuracy=0.97``: JSON if it is some, else text.

    :param example: the command or option before such an item.
    :raises InvalidDefinition: for an item without ``=``.
    """
    found: dict[str, Any] = {}
    for item in typed:
        key, equals, text = item.partition("=")
        if not equals:
            raise InvalidDefinition(
                option, f"{quoted(item)} has no '='", f"Example: {example} accuracy=0.97."
            )
        try:
            found[key] = json.loads(text)
        except (ValueError, RecursionError):
            found[key] = text
    return found
