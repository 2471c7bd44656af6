"""``airflow model-registry register`` and ``download``."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from airflow_model_provider import settings
from airflow_model_provider.cli.console import command, say
from airflow_model_provider.client import Client
from airflow_model_provider.exceptions import AlreadyExists, InvalidDefinition
from airflow_model_provider.handles import ModelVersion
from airflow_model_provider.hooks.model_registry import ModelRegistryHook
from airflow_model_provider.selectors import Selector


@command
def register(args: Any) -> None:
    """Make a version of an existing file; it is kept byte by byte, and opened only with ``--check``."""
    client, name = Client(conn_id=args.conn_id), args.artifact or "model"
    metadata = _metadata(args.metadata or ())
    with client.new_model_version(args.model, args.name) as version:
        artifact = version.save_file(name, args.file, format=args.format, kind=args.kind)
        if metadata:
            version.log_metadata(metadata)
        if args.check:
            say(f"Loaded: {type(artifact.load()).__name__}.")
    say(f"{artifact!r} is registered (sha256:{artifact.digest}).")


@command
def download(args: Any) -> None:
    """Write the verified bytes of an artifact into a file."""
    workspace = ModelRegistryHook(args.conn_id).get_conn()
    selector = Selector.parse(args.version, settings.declared_stages())
    version = ModelVersion(workspace, workspace.registry.get_version(args.model, selector))
    artifact = version.get_artifact(args.artifact)
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
