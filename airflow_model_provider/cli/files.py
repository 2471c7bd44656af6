"""``airflow model-registry register`` and ``download``."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_model_provider.artifacts.scratch import check_target, replacing
from airflow_model_provider.artifacts.trouble import reason
from airflow_model_provider.cli.console import client, command, note, say, told, write_bytes
from airflow_model_provider.cli.values import metadata_of
from airflow_model_provider.exceptions import (
    AlreadyExists,
    DigestMismatch,
    InvalidDefinition,
    ModelRegistryError,
)
from airflow_model_provider.exceptions.base import counted, quoted

if TYPE_CHECKING:
    from airflow_model_provider.artifacts.source import VerifiedSource
    from airflow_model_provider.handles import Artifact


@command
def register(args: Any) -> None:
    """
    Make a version of an existing file, whole or not at all.

    The file is kept byte by byte, and opened only with ``--check``.
    """
    name = args.artifact or "model"
    loaded: list[str] = []
    version = client(args).register_model_version(
        args.model,
        files={name: args.file},
        formats={name: args.format} if args.format else {},
        kinds={name: args.kind} if args.kind else {},
        check=(lambda _name, value: loaded.append(type(value).__name__)) if args.check else None,
        name=args.name,
        metadata=metadata_of("--metadata", args.metadata or (), "--metadata"),
    )
    artifact = version.get_artifact(name)
    row = {
        "model": version.name,
        "version": version.number,
        "version_name": version.version_name,
        "artifact": name,
        "kind": artifact.kind.value,
        "format": artifact.record.payload.materializer,
        "loaded": loaded[-1] if loaded else None,
        "bytes": artifact.size,
        "digest": artifact.digest,
    }
    if loaded and args.output is None:
        say(args, f"Loaded: {loaded[-1]}.")
    told(args, row, f"{artifact!r} is registered (sha256:{artifact.digest}).")


@command
def download(args: Any) -> None:
    """Write the verified bytes of an artifact into a file."""
    registry = client(args)
    version = registry.get_model_version(args.model, args.version)
    artifact = version.get_artifact(args.artifact, map_index=args.map_index)
    if args.to == "-":
        _print(args, artifact)
        return
    name = artifact.name if artifact.map_index is None else f"{artifact.name}-{artifact.map_index}"
    target = Path(args.to or name)
    check_target(target, name, force=args.force)
    source = registry.workspace.store.source(artifact.digest, artifact.size, what=repr(artifact))
    try:
        _write(source, target, force=args.force)
    except DigestMismatch:
        if not source.is_worth_another_try:
            raise
        _write(source, target, force=args.force)
    row = {
        "artifact": repr(artifact),
        "map_index": artifact.map_index,
        "path": str(target),
        "bytes": artifact.size,
        "digest": artifact.digest,
    }
    told(
        args,
        row,
        f"{artifact!r} is in {target} ({counted(artifact.size, 'byte')}, sha256:{artifact.digest}).",
    )


def _print(args: Any, artifact: Artifact[Any]) -> None:
    """Write the verified bytes to stdout, and nothing else."""
    if args.output is not None:
        raise InvalidDefinition("--to -", "stdout is for the artifact's bytes", "Leave --output out.")
    with artifact.path().open("rb") as reader:
        write_bytes(args, reader)
    note(f"{artifact!r} ({counted(artifact.size, 'byte')}, sha256:{artifact.digest}).")


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
