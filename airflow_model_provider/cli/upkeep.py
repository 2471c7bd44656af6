"""``airflow model-registry verify``, ``sign``, ``gc`` and ``take-over``."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

from airflow_model_provider import settings
from airflow_model_provider.cli.console import agreed, client, command, progress, show, told
from airflow_model_provider.cli.runs import ended_runs, runs_at_work
from airflow_model_provider.exceptions import InvalidDefinition
from airflow_model_provider.exceptions.base import counted
from airflow_model_provider.registry.entities import RunKey
from airflow_model_provider.upkeep import Garbage, collect
from airflow_model_provider.upkeep import verify as damages


@command
def verify(args: Any) -> None:
    """Hash everything in the store once more; exit code 1 if something is damaged."""
    checked = []
    with progress("Verifying") as advance:

        def told(blob: Any) -> None:
            checked.append(blob.size)
            advance(blob.size)

        found = list(damages(client(args).workspace, told))
    rows = [
        {
            "artifacts": item.artifacts,
            "problem": item.problem,
            "digest": item.digest,
            "error": item.error,
        }
        for item in found
    ]
    show(
        args, rows, f"No damage in {counted(len(checked), 'stored file')} ({counted(sum(checked), 'byte')})."
    )
    if found:
        raise SystemExit(1)


@command
def sign(args: Any) -> None:
    """Sign artifacts that can execute code; exit code 1 if the bytes of one are damaged."""
    if args.all == (args.model is not None) or (args.version is not None and args.model is None):
        raise InvalidDefinition(
            "sign",
            "it needs --model, with or without --version, or --all",
            "Example: --model iris --version 3.",
        )
    registry = client(args)
    what = (
        "all artifacts"
        if args.all
        else f"the artifacts of {args.model}{f' {args.version}' * bool(args.version)}"
    )
    found = registry.sign_artifacts(args.model, args.version, dry_run=True)
    if any(item.problem is None for item in found) and not args.dry_run:
        question = f"Sign {len(found):,} of {what}? Consumers will load them, which can execute code."
        if not agreed(args, question):
            raise SystemExit("Nothing was signed.")
        found = registry.sign_artifacts(args.model, args.version)
    result = "unsigned" if args.dry_run else "signed"
    rows = [
        {"artifact": item.artifact, "result": item.problem or result, "digest": item.digest} for item in found
    ]
    show(args, rows, f"Of {what} none needs a signature.")
    if any(item.problem for item in found):
        raise SystemExit(1)


@command
def gc(args: Any) -> None:
    """Remove what no version needs any more; says first what that is."""
    if not 0 <= args.older_than < 1e6:
        raise InvalidDefinition(
            "--older-than", f"{args.older_than} is not a number of hours", "Write: --older-than 24."
        )
    older_than = args.older_than * 3600.0
    collected = partial(
        collect, client(args).workspace, older_than=older_than, ended=ended_runs, at_work=runs_at_work
    )
    with progress("Looking") as advance:
        found = collected(dry_run=True, told=lambda blob: advance(blob.size))
    if args.dry_run or found == Garbage(0, 0, 0):
        result = "found" if args.dry_run else "removed"
        told(args, _row(result, found), f"Not needed: {_said(found)}.{_closed(found, ' To close: {}.')}")
        return
    if not agreed(args, f"Remove {_said(found)}{_closed(found, ', and close {}')}?"):
        raise SystemExit("Nothing was removed.")
    with progress("Removing") as advance:
        removed = collected(told=lambda blob: advance(blob.size))
    told(args, _row("removed", removed), f"Removed: {_said(removed)}.{_closed(removed, ' Closed: {}.')}")


@command
def release_pins(args: Any) -> None:
    """Release the versions that finished Dag runs have pinned, so that they can be deleted."""
    hours = args.silent_for
    if not 0 <= hours < 1e6:
        raise InvalidDefinition("--silent-for", f"{hours} must be hours from 0", "Example: --silent-for 24.")
    chosen = {"dag_id": args.dag_id, "model": args.of_model}
    registry, silent_for = client(args).workspace.registry, timedelta(hours=hours)
    released = registry.release_pins(silent_for, alive=runs_at_work(), dry_run=args.dry_run, **chosen)
    result = "would be released" if args.dry_run else "released"
    told(args, {"result": result, "run_pins": released}, f"Pins of finished runs {result}: {released:,}.")


@command
def take_over(args: Any) -> None:
    """Let a Dag run go on with what a run of the same id has made and pinned."""
    run = RunKey(settings.deployment(), args.dag_id, args.run_id)
    rows = client(args).workspace.registry.take_over_run(run)
    if not rows:
        raise InvalidDefinition(
            f"run {run.run_id!r} of DAG {run.dag_id!r}",
            "it has made and pinned no versions",
            "Check both ids.",
        )
    row = {"dag_id": run.dag_id, "run_id": run.run_id, "deployment": run.deployment, "rows": rows}
    told(args, row, f"Run {run.run_id!r} of DAG {run.dag_id!r} can go on ({rows} versions and pins).")


def _row(result: str, garbage: Garbage) -> dict[str, Any]:
    return {
        "result": result,
        "files": garbage.blobs,
        "bytes": garbage.size,
        "unfinished_uploads": garbage.leftovers,
        "outputs": garbage.outputs,
        "resolutions": garbage.resolutions,
        "run_pins": garbage.pins,
        "abandoned_versions": garbage.abandoned,
        "versions_of_ended_runs": garbage.ended,
    }


def _said(garbage: Garbage) -> str:
    old = {
        "old output": garbage.outputs,
        "old resolution": garbage.resolutions,
        "pin": garbage.pins,
    }
    more = "".join(f", {counted(count, what)}" for what, count in old.items() if count)
    files = f"{counted(garbage.blobs, 'file')} ({counted(garbage.size, 'byte')})"
    return f"{files}, {counted(garbage.leftovers, 'unfinished upload')}{more}"


def _closed(garbage: Garbage, words: str) -> str:
    """Return words with the numbers of open and abandoned versions; an empty text if both are 0."""
    ended = {"open version": garbage.ended, "abandoned version": garbage.abandoned}
    counts = ", ".join(counted(count, what) for what, count in ended.items() if count)
    return words.format(counts) if counts else ""
