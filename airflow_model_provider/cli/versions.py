"""``airflow model-registry delete`` and ``log-metadata``."""

from __future__ import annotations

from typing import Any

from airflow_model_provider.cli.console import agreed, client, command, told
from airflow_model_provider.cli.values import metadata_of


@command
def delete(args: Any) -> None:
    """Delete a version, after a question."""
    registry = client(args)
    version = registry.get_model_version(args.model, args.version)
    if not agreed(args, f"Delete {version} and its artifacts? Its number is never used again."):
        raise SystemExit("Nothing was deleted.")
    registry.delete_model_version(args.model, version.number, purge=args.purge, force=args.force)
    row = {"model": args.model, "version": version.number, "deleted": True}
    told(args, row, f"Deleted {version}. Unneeded files go with the next gc.")


@command
def log_metadata(args: Any) -> None:
    """Log metadata onto a version."""
    version = client(args).get_model_version(args.model, args.version)
    metadata = metadata_of("log-metadata", args.metadata, f"log-metadata {args.model} {args.version}")
    version.log_metadata(metadata)
    row = {"model": args.model, "version": version.number, "metadata": metadata}
    told(args, row, f"Logged {', '.join(metadata)} onto {version}.")
