"""``airflow model-registry register`` and ``download``."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from airflow_model_provider.cli.console import client, command, say
from airflow_model_provider.exceptions import AlreadyExists, InvalidDefinition


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
    if target.exists() and not args.force:
        raise AlreadyExists("file", str(target))
    part = target.with_name(f"{target.name}.part")
    try:
        shutil.copyfile(artifact.path(), part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    say(f"{artifact!r} is in {target} ({artifact.size:,} bytes, sha256:{artifact.digest}).")


def _metadata(said: Any) -> dict[str, Any]:
    """Read ``accuracy=0.97``: JSON where it is some, else text."""
    found: dict[str, Any] = {}
    for item in said:
        key, equals, text = item.partition("=")
        if not equals:
            raise InvalidDefinition("--metadata", f"{item!r} has no '='", "Write: --metadata accuracy=0.97.")
        try:
            found[key] = json.loads(text)
        except ValueError:
            found[key] = text
    return found
