"""``airflow model-registry`` commands that only read: models, versions, show, compare, history, resolve, lineage."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_model_provider.cli.console import client, command, note, show
from airflow_model_provider.cli.rows import event_row, time_text
from airflow_model_provider.exceptions import InvalidDefinition
from airflow_model_provider.exceptions.base import command_line, quoted
from airflow_model_provider.limits import LARGEST, check_number
from airflow_model_provider.model import Model
from airflow_model_provider.references import Reference, Wanted
from airflow_model_provider.registry.entities import VersionState, part_of
from airflow_model_provider.selectors import ModelStages, Selector, SelectorKind, read_as_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_model_provider.handles import Artifact
    from airflow_model_provider.registry.entities import Attempt, VersionRecord

T = TypeVar("T")


@command
def models(args: Any) -> None:
    """List the models."""
    registry = client(args).workspace.registry
    found = _page(args, lambda limit: registry.list_models(limit=limit), "first")
    holders = registry.holders()
    latest = Selector(SelectorKind.LATEST, ModelStages.LATEST.value)
    newest = registry.numbers([Reference(model.name, latest, Wanted.VERSION) for model in found])
    rows = [
        {
            "model": model.name,
            "newest_version": number,
            "stages": holders.get(model.name, {}),
            "tags": model.tags,
            "description": model.card.get("description"),
            "created_at": time_text(model.created_at),
        }
        for model, number in zip(found, newest, strict=True)
    ]
    show(args, rows, "There is no model yet.")


@command
def versions(args: Any) -> None:
    """List the versions of a model."""
    registry = client(args).workspace.registry
    found = _page(args, lambda limit: registry.list_versions(args.model, limit=limit))
    show(
        args,
        [
            {
                "version": item.number,
                "version_name": item.version_name,
                "state": item.state.value,
                "stages": _stages(item),
                "created_at": time_text(item.created_at),
                "dag_id": item.run.dag_id if item.run else None,
                "run_id": item.run.run_id if item.run else None,
            }
            for item in found
        ],
        f"{args.model} has no version.",
    )
    _note_forgotten(args, found)


def _note_forgotten(args: Any, found: list[VersionRecord]) -> None:
    """Say which versions have been in the making for so long that their run may be over."""
    before = datetime.now(UTC) - timedelta(days=1)
    producing = [item for item in found if item.state is VersionState.PRODUCING and item.created_at < before]
    if producing:
        what = ", ".join(map(str, producing[:3])) + (", ..." if len(producing) > 3 else "")
        note(
            f"In the making for more than a day: {what}. If the run is over, close it: "
            f"{command_line(args.conn_id, 'gc')}"
        )


@command
def show_version(args: Any) -> None:
    """Show what a version holds: its state, artifacts and metadata."""
    version = client(args).get_model_version(args.model, args.version)
    record = version.record
    facts = {
        "version": str(record),
        "version_name": record.version_name,
        "state": record.state.value,
        "stages": _stages(record),
        "created_at": time_text(record.created_at),
        "dag_id": record.run.dag_id if record.run else None,
        "run_id": record.run.run_id if record.run else None,
        "description": record.description,
        "tags": record.tags,
    }
    rows = [{"part": "version", "name": name, "value": value} for name, value in facts.items()]
    rows += [_artifact(args, item) for item in version.list_artifacts()]
    rows += [
        {"part": "metadata", "name": key, "value": value}
        for key, value in sorted(version.run_metadata.items())
    ]
    show(args, rows)


@command
def compare(args: Any) -> None:
    """Show the metadata of versions of a model side by side."""
    found = client(args).compare(args.model, args.versions)
    stages = {label: tuple(held) for label, held in found.stages.items()}
    rows = [{"metadata": key, **values} for key, values in found.metadata.items()]
    # To a program null, which no key of metadata is.
    title = "(stages)" if args.output in ("table", "plain") else None
    show(args, [{"metadata": title, **stages}, *rows])


@command
def history(args: Any) -> None:
    """Show who held a stage, from when, by whom, why and from which Dag run."""
    registry = client(args).workspace.registry
    events = _page(args, lambda limit: registry.history(args.model, args.stage, limit=limit))
    show(
        args,
        [event_row(event) for event in events],
        f"No version of {args.model} was in {f'stage {args.stage}' if args.stage else 'a stage'} yet.",
    )


@command
def resolve(args: Any) -> None:
    """Show which version a stage, a name or a number means, now or at a time."""
    said = Model(args.model, version=args.version, as_of=_as_of(args.as_of))
    reference = Reference(args.model, said.selector, Wanted.VERSION, as_of=said.as_of)
    (found,) = client(args).workspace.registry.resolve([reference])
    assert found.version is not None
    record = found.version
    show(
        args,
        [
            {
                "reference": repr(reference),
                "version": record.number,
                "version_name": record.version_name,
                "state": record.state.value,
            }
        ],
    )


@command
def lineage(args: Any) -> None:
    """Show which tasks of which runs used a version, and what made its artifacts."""
    version = client(args).get_model_version(args.model, args.version)
    made = [
        _link("made", item.made_by, str(item.record), item.digest, item.record.created_at)
        for item in version.list_artifacts()
    ]

    def read(limit: int) -> list[dict[str, Any]]:
        used = [
            _link(
                "belongs" if record.belongs else "used",
                record.attempt,
                record.wanted,
                record.digest,
                record.at,
            )
            for record in version.used_by(limit=limit, belonging=True)
        ]
        return [*made, *used][:limit]

    found = _page(args, read)
    show(args, found, f"{version} was used by no task yet.")


def _page(args: Any, read: Callable[[int], list[T]], which: str = "newest") -> list[T]:
    """Return as many as ``--limit`` allows, and say so if there are more."""
    limit = check_number("--limit", args.limit, largest=LARGEST - 1)
    found = read(limit + 1)
    if len(found) > limit:
        note(f"Showing the {which} {limit:,}. Use --limit for more.")
    return found[:limit]


def _link(
    what: str, attempt: Attempt | None, wanted: str, digest: str | None, at: datetime
) -> dict[str, Any]:
    return {
        "what": what,
        "dag_id": attempt.run.dag_id if attempt else None,
        "run_id": attempt.run.run_id if attempt else None,
        "task_id": attempt.producer if attempt else None,
        "try": attempt.try_number if attempt else None,
        "artifact": wanted,
        "digest": digest,
        "at": time_text(at),
    }


def _stages(record: VersionRecord) -> tuple[str, ...]:
    return record.stages or (("archived",) if record.archived else ())


def _artifact(args: Any, artifact: Artifact[Any]) -> dict[str, Any]:
    value = {
        "version": artifact.number,
        "map_index": artifact.map_index,
        "kind": artifact.kind.value,
        "type": artifact.type,
        "bytes": artifact.size,
        "digest": artifact.digest,
    }
    name = artifact.name
    if args.output in ("table", "plain"):
        name = part_of(name, artifact.record.map_index)
        del value["map_index"]
    return {"part": "artifact", "name": name, "value": value}


def _as_of(text: str | None) -> tuple[str, ...]:
    if text is None:
        return ()
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        problem = f"{quoted(text)} is not a time"
        raise InvalidDefinition("--as-of", problem, "Example: 2026-03-01T12:00+00:00.") from None
    if time.tzinfo is None:
        problem = f"{quoted(text)} has no time zone"
        raise InvalidDefinition("--as-of", problem, f"In UTC it is {time.replace(tzinfo=UTC).isoformat()}.")
    return read_as_of("--as-of", time)
