"""``airflow model-registry promote`` and ``rollback``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from airflow_model_provider.cli.console import client, command, told
from airflow_model_provider.cli.rows import event_row, no_event_row
from airflow_model_provider.exceptions import InvalidConfiguration
from airflow_model_provider.exceptions.base import quoted
from airflow_model_provider.references import UNSET
from airflow_model_provider.selectors import ModelStages

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_model_provider.gates import Gates
    from airflow_model_provider.registry.entities import StageEvent

_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}


@command
def promote(args: Any) -> None:
    """Move a version into a stage."""
    version = client(args).get_model_version(args.model, args.version)
    held = version.record.stages
    event = version.set_stage(
        args.stage,
        force=args.force,
        expected=_expected(args.expected),
        reason=args.reason,
        allow_incomplete=args.allow_incomplete,
        gates=gates_of(args),
    )
    if event is None:
        row = {"model": args.model, "changed": False, **no_event_row(args.stage, version.number)}
        told(args, row, _unchanged(version, args.stage))
    else:
        told(args, {"model": args.model, "changed": True, **event_row(event)}, _changed(event, held))


@command
def rollback(args: Any) -> None:
    """Give a stage back to an earlier holder."""
    model = client(args).get_model(args.model)
    event = model.rollback(args.stage, to=args.to, expected=_expected(args.expected), reason=args.reason)
    told(args, {"model": args.model, **event_row(event)}, f"{event}.")


def _changed(event: StageEvent, held: Sequence[str]) -> str:
    """What was done; who leaves several stages does so in several events, of which this is the last."""
    if event.version is None and len(held) > 1:
        return f"Moved {event.model}@{event.previous} out of {' and '.join(held)} (event {event.sequence})."
    return f"{event}."


def _unchanged(version: object, stage: str) -> str:
    if stage == ModelStages.ARCHIVED:
        return f"{version} is in no stage. Nothing was changed."
    return f"{version} is {stage} already. Nothing was changed."


def _expected(text: str | None) -> Any:
    if text is None:
        return UNSET
    if text.lower() == "none":
        return None
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise InvalidConfiguration("--expected", f"{quoted(text)} is neither a version number nor none")
    return int(text)


def gates_of(args: Any) -> tuple[Gates, ...] | None:
    """Return the gates that the options of ``promote`` say; None if they say nothing."""
    from airflow_model_provider.gates import Gates

    given = {
        "better_than": args.better_than,
        "metric": args.metric,
        "mode": args.mode,
        "min_delta": args.min_delta,
        "if_vacant": args.if_vacant,
        "artifacts": args.artifact,
        "metadata": args.metadata_key,
        "max_age": _seconds("--max-age", args.max_age),
        "min_age": _seconds("--min-age", args.min_age),
        "check": args.check,
    }
    said = {name: value for name, value in given.items() if value is not None}
    required = [{"require": _requirement(text)} for text in args.require or ()]
    return Gates.of([*required, *([said] if said else [])]) or None


def _requirement(text: str) -> dict[str, str]:
    found = re.fullmatch(r"\s*(.*?[^\s<>=!])\s*((?:[<>=!]=|[<>]).*)", text)
    if found is None:
        reason = f"{quoted(text)} is not a condition; write --require 'accuracy>=0.95', quoted for the shell"
        raise InvalidConfiguration("--require", reason)
    return {found[1]: found[2]}


def _seconds(option: str, text: str | None) -> int | None:
    if text is None:
        return None
    if not re.fullmatch(r"(?:[0-9]{1,9}[dhms])+", text):
        raise InvalidConfiguration(option, f"{quoted(text)} is not a length of time; write 7d, 12h, or 1d12h")
    if not (found := _sum(text)):
        raise InvalidConfiguration(option, f"{quoted(text)} is no time; write 7d, 12h, or 1d12h")
    return found


def _sum(text: str) -> int:
    return sum(int(count) * _UNITS[unit] for count, unit in re.findall(r"([0-9]+)([dhms])", text))
