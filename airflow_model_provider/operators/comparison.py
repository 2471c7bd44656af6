"""What a person is shown before a promotion: candidate and holder side by side, in Markdown that shows text as text."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from airflow_model_provider.exceptions.base import harmless

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_model_provider.registry.entities import VersionRecord

#: Rows of the table, and characters of a cell, at most.
_MOST: Final = 100
_WIDEST: Final = 120
_NOTHING: Final = "-"


def comparison(
    stage: str,
    candidate: tuple[VersionRecord, Mapping[str, Any]],
    holder: tuple[VersionRecord, Mapping[str, Any]] | None,
) -> str:
    """
    Return what the metadata of a candidate and of the present holder of a stage are, as a Markdown table.

    :param candidate: the version that is to come into the stage, with its metadata.
    :param holder: likewise of the version that holds it; None where none does.
    """
    version, values = candidate
    now = f"is held by {code(str(holder[0]))}" if holder else "is free"
    lines = [f"{code(str(version))} is to come into {code(stage)}, which {now}.", ""]
    others = holder[1] if holder else {}
    keys = sorted({*values, *others})
    if not keys:
        return "\n".join([*lines, "No metadata was logged onto either."])
    heads = ["", code(str(version)), code(str(holder[0])) if holder else _NOTHING]
    lines += [_row(heads), _row([":--", "--:", "--:"])]
    lines += [_row([code(key), _cell(values, key), _cell(others, key)]) for key in keys[:_MOST]]
    if len(keys) > _MOST:
        lines += ["", f"{len(keys) - _MOST} more keys are not shown."]
    return "\n".join(lines)


def code(text: str) -> str:
    """
    Return a text as a piece of code in a Markdown table: no markup, no link, no HTML is read in it.

    >>> code("a|<b>*c*")
    '`a¦<b>*c*`'
    """
    shown = harmless(text, _WIDEST).replace("|", "¦")  # nothing escapes a bar after a backslash
    longest = max((len(run) for run in re.findall("`+", shown)), default=0)
    fence, space = "`" * (longest + 1), " " if longest or not shown.strip() else ""
    return f"{fence}{space}{shown}{space}{fence}"


def _cell(values: Mapping[str, Any], key: str) -> str:
    if key not in values:
        return _NOTHING
    value = values[key]
    return code(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
