"""``airflow model-registry register`` and ``download``."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_model_provider.artifacts.scratch import replacing
from airflow_model_provider.artifacts.trouble import reason
from airflow_model_provider.cli.console import client, command, say
from airflow_model_provider.exceptions import (
    AlreadyExists,
    DigestMismatch,
    InvalidDefinition,
    ModelRegistryError,
)
from airflow_model_provider.exceptions.base import quoted

if TYPE_CHECKING:
    from airflow_model_provider.artifacts.source import VerifiedSource


@command
def register(args: Any) -> None:
    """Make a version of an existing file; it is kept byte by byte, and opened only with ``--check``."""
    metadata = _metadata(args.metadata or ())
    with client(args).new_model_version(args.model, args.name) as version:
        artifact = version.save_file(args.artifact or "model", args.file, format=args.format, kind=args.kind)
        if metadata:
            version.log_metadata(metadata)
        if args.check:
            say(args, f"Loaded: {type(artifact.load()).__name__}.")
    say(args, f"{artifact!r} is registered (sha256:{artifact.digest}).")


@command
def download(args: Any) -> None:
    """Write the verified bytes of an artifact into a file."""
    registry = client(args)
    artifact = registry.get_model_version(args.model, args.version).get_artifact(args.artifact)
    target = Path(args.to or artifact.name)
    if os.path.lexists(target) and not args.force:
        raise AlreadyExists("file", str(target))
    source = registry.workspace.store.source(artifact.digest, artifact.size, what=repr(artifact))
    try:
        _write(source, target, force=args.force)
    except DigestMismatch:
        if not source.is_worth_another_try:
            raise
        _write(source, target, force=args.force)
    say(args, f"{artifact!r} is in {target} ({artifact.size:,} bytes, sha256:{artifact.digest}).")


def _write(source: VerifiedSource, target: Path, *, force: bool) -> None:
    """Copy into a file that is there when all of it is, and is what was registered."""
    try:
        with replacing(target, force=force) as file, source.open() as reader:
            shutil.copyfileobj(reader, file)
    except ModelRegistryError:
        raise
    except FileExistsError:
        raise AlreadyExists("file", str(target)) from None
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
