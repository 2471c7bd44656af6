"""``airflow model-registry promote`` and ``rollback``."""

from __future__ import annotations

import re
from typing import Any

from airflow_model_provider.cli.console import client, command, say
from airflow_model_provider.exceptions import InvalidConfiguration
from airflow_model_provider.exceptions.base import quoted
from airflow_model_provider.references import UNSET


@command
def promote(args: Any) -> None:
    """Move a version into a stage."""
    version = client(args).get_model_version(args.model, args.version)
    event = version.set_stage(
        args.stage,
        force=args.force,
        expected=_expected(args.expected),
        reason=args.reason,
        allow_incomplete=args.allow_incomplete,
    )
    if event is None:
        say(f"{version} holds {args.stage} already.")
    else:
        before = f", before: version {event.previous}" if event.previous else ""
        say(f"{version} is {args.stage} now{before} (event {event.sequence}).")


@command
def rollback(args: Any) -> None:
    """Give a stage back to an earlier holder."""
    model = client(args).get_model(args.model)
    event = model.rollback(args.stage, to=args.to, expected=_expected(args.expected), reason=args.reason)
    before = f", before: version {event.previous}" if event.previous else ""
    say(f"{args.model}@{event.number} is {args.stage} again{before} (event {event.sequence}).")


def _expected(text: str | None) -> Any:
    if text is None:
        return UNSET
    if text.lower() == "none":
        return None
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise InvalidConfiguration("--expected", f"{quoted(text)} is neither a version number nor none")
    return int(text)
