"""``airflow model-registry register`` and ``download``."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any, BinaryIO

from airflow_model_provider.artifacts.scratch import replacing
from airflow_model_provider.artifacts.trouble import reason
from airflow_model_provider.cli.console import client, command, say
from airflow_model_provider.exceptions import AlreadyExists, InvalidDefinition
from airflow_model_provider.exceptions.base import quoted


@command
def register(args: Any) -> None:
    """Make a version of an existing file; it is kept byte by byte, and opened only with ``--check``."""
    metadata = _metadata(args.metadata or ())
    with client(args).new_model_version(args.model, args.name) as version:
        artifact = version.save_file(args.artifact or "model", args.file, format=args.format, kind=args.kind)
        if metadata:
            version.log_metadata(metadata)
        if args.check:
            say(f"Loaded: {type(artifact.load()).__name__}.")
    say(f"{artifact!r} is registered (sha256:{artifact.digest}).")


@command
def download(args: Any) -> None:
    """Write the verified bytes of an artifact into a file."""
    artifact = client(args).get_model_version(args.model, args.version).get_artifact(args.artifact)
    target = Path(args.to or artifact.name)
    if os.path.lexists(target) and not args.force:
        raise AlreadyExists("file", str(target))
    with artifact.path().open("rb") as source:
        _write(source, target)
    say(f"{artifact!r} is in {target} ({artifact.size:,} bytes, sha256:{artifact.digest}).")


def _write(source: BinaryIO, target: Path) -> None:
    """Copy into a file that is there when all of it is."""
    try:
        with replacing(target) as file:
            shutil.copyfileobj(source, file)
    except (OSError, ValueError) as err:
        advice = "Name a file in a folder that is there, and has room."
        raise InvalidDefinition(
            "--to", f"{quoted(str(target))} cannot be written ({reason(err)})", advice
        ) from None


def _metadata(said: Any) -> dict[str, Any]:
    """Read ``accuracy=0.97``: JSON where it is some, else text."""
    found: dict[str, Any] = {}
    for item in said:
        key, equals, text = item.partition("=")
        if not equals:
            raise InvalidDefinition(
                "--metadata", f"{quoted(item)} has no '='", "Write: --metadata accuracy=0.97."
            )
        try:
            found[key] = json.loads(text)
        except (ValueError, RecursionError):
            found[key] = text
    return found
