"""``airflow model-registry export`` and ``import``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_model_provider.cli.console import client, command, hint, progress, say, show, told
from airflow_model_provider.exceptions.base import command_line, counted, listing
from airflow_model_provider.transfer import exporting, importing

if TYPE_CHECKING:
    from airflow_model_provider.transfer.importing import Imported, ImportedVersion


@command
def export_model(args: Any) -> None:
    """Write versions of a model into one file; nothing is left of it if that fails."""
    versions = None if args.versions == ["all"] else args.versions
    with progress("Exporting") as advance:
        found = exporting.export_model(
            client(args).workspace, args.model, args.file, versions, force=args.force, told=advance
        )
    files = f"{counted(found.payloads, 'file')} ({counted(found.size, 'byte')})"
    what = f"{counted(len(found.versions), 'version')} of {args.model}, {files}"
    row = {
        "path": str(found.path),
        "versions": found.versions,
        "left_out": found.left_out,
        "files": found.payloads,
        "bytes": found.size,
    }
    told(args, row, f"Exported to {found.path}: {what}.")
    if found.left_out and args.output is None:
        say(args, f"Not ready, and so left out: {listing(found.left_out)}.")


@command
def import_model(args: Any) -> None:
    """Make versions of an export, and say how to promote those that were in a stage where they come from."""
    with progress("Checking" if args.dry_run else "Importing") as advance:
        found = importing.import_model(
            client(args).workspace, args.file, args.model, dry_run=args.dry_run, told=advance
        )
    show(args, [_row(found, item) for item in found.versions])
    _say_what_to_promote(args, found)


def _row(found: Imported, item: ImportedVersion) -> dict[str, Any]:
    result = "present" if not item.is_new else "imported" if item.number else "valid"
    version = f"{found.model}@{item.number}" if item.number else None
    return {
        "source": item.source,
        "result": result,
        "version": version,
        "stages_there": item.stages,
    }


def _say_what_to_promote(args: Any, found: Imported) -> None:
    commands = [
        command_line(args.conn_id, "promote", found.model, str(item.number), stage)
        for item in found.versions
        for stage in item.stages
        if item.is_new and item.number
    ]
    if commands:
        hint(args, "Stages are assigned by promotions only. What was in one there:")
    for line in commands:
        hint(args, f"  {line}")
