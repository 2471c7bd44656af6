"""References → what they stand for now: one statement reads all of a task's, one records them (R7, R8, R11)."""

from __future__ import annotations

import copy
import hashlib
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_model_provider.exceptions import PinConflict, ReferenceMismatch
from airflow_model_provider.named_artifacts import AnyReference, NamedArtifact
from airflow_model_provider.references import OutputReference, Reference, Wanted
from airflow_model_provider.registry import pins
from airflow_model_provider.registry.entities import Attempt, Resolution, RunKey
from airflow_model_provider.registry.missing import Missing, explain
from airflow_model_provider.registry.resolution_sql import read, write
from airflow_model_provider.registry.rows import artifact_record, version_record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from airflow_model_provider.registry.database import Database
    from airflow_model_provider.registry.entities import ArtifactRecord


def resolve(
    database: Database,
    references: Sequence[AnyReference],
    attempt: Attempt | None,
    stages: Sequence[str],
) -> list[Resolution]:
    """
    Return what references stand for, all in one state of the registry; what is missing is said in the result.

    What the run has pinned wins (R9), then what this try of the task has recorded already (R14), then the
    stages as they were when the try first read them (R8). What a try waits for may come after that.

    :param stages: the declared stages, in order.
    :raises PinConflict: if the try and its run have pinned different versions.
    :raises DeploymentClash: if another Airflow's run of the same name has pinned.
    """
    if not references:
        return []
    while True:
        found, free, is_newer = _read(database, references, attempt, stages)
        if attempt is not None and is_newer:
            pins.take_over_run(database, attempt.run, attempt.run_mark)
        if attempt is None or not free:
            return found
        pins.pin_run(database, attempt, free)


def numbers(database: Database, references: Sequence[Reference]) -> list[int | None]:
    """Return the number of the version that each reference selects now, in one statement; None where none is there."""
    if not references:
        return []
    asked = [_asked(index, item, sqlite=database.is_sqlite) for index, item in enumerate(references)]
    values = {"attempt": None, **dict.fromkeys(RunKey._fields)}
    return database.read(lambda connection: [row.v_number for row in read(connection, asked, values)])


def _read(
    database: Database,
    references: Sequence[AnyReference],
    attempt: Attempt | None,
    stages: Sequence[str],
) -> tuple[list[Resolution], list[pins.RunPin], bool]:
    """Return what is found, what the run is still to pin, and whether it goes on in place of one of the same id."""
    asked = [_asked(index, item, sqlite=database.is_sqlite) for index, item in enumerate(references)]
    run = attempt.run._asdict() if attempt else dict.fromkeys(RunKey._fields)
    values = {"attempt": attempt.attempt_id if attempt else None, **run}

    def work(connection: Connection) -> tuple[list[Resolution], list[pins.RunPin], bool]:
        pairs = list(zip(references, read(connection, asked, values), strict=True))
        by_run = [(item, row) for item, row in pairs if isinstance(item, Reference) and item.pin == "run"]
        marks = {row.run_mark for _, row in by_run if row.by_run}
        is_newer = attempt is not None and any(
            pins.is_newer_run(connection, attempt.run, attempt.run_mark, mark) for mark in marks
        )
        free = [pin for item, row in by_run if (pin := _pinned(item, row)) is not None]
        return [_resolution(connection, item, row, stages) for item, row in pairs], free, is_newer

    return database.read(work)


def _pinned(reference: Reference, row: Any) -> pins.RunPin | None:
    """Check a reference's pins against each other; return the pin that its run does not have yet."""
    if not row.by_run:
        # That there was none is an answer too, where a default was used in its place.
        counts = row.v_id is not None or (reference.has_default and row.model_id is not None)
        return pins.RunPin(row.model_id, reference.pin_key, row.v_id) if counts else None
    if row.v_id is None:
        return None
    if row.task_version_id not in (None, row.run_version_id):
        raise PinConflict(repr(reference), row.v_number)
    return None


def record(database: Database, resolutions: Sequence[Resolution], attempt: Attempt) -> None:
    """Record what a try of a task got; harmless to repeat, and the first record stays."""
    if not resolutions:
        return
    got = [_recorded(resolution) for resolution in resolutions]
    values = {
        "attempt": attempt.attempt_id,
        "deployment": attempt.run.deployment,
        "dag_id": attempt.run.dag_id,
        "run_id": attempt.run.run_id,
        "task_id": attempt.task_id,
        "task_index": attempt.map_index,
        "try_number": attempt.try_number,
    }
    database.repeat(lambda connection: write(connection, got, values))


def _asked(index: int, reference: AnyReference, *, sqlite: bool) -> dict[str, Any]:
    if isinstance(reference, OutputReference):
        return {"i": index, "key": _key(reference), "wanted": "output", "artifact_id": reference.id}
    if isinstance(reference, NamedArtifact):
        return {
            "i": index,
            "key": _key(reference),
            "wanted": "named",
            "name": reference.name,
            "artifact_number": reference.version,
            "map_index": reference.map_index,
        }
    value = reference.selector.value
    return {
        "i": index,
        "key": _key(reference),
        "model": reference.model,
        "kind": reference.selector.kind.value,
        "selector": str(value),
        "number": value if isinstance(value, int) else None,
        "wanted": reference.wanted.value,
        "name": reference.name,
        "artifact_kind": reference.kind.value if reference.kind else None,
        "artifact_number": reference.artifact_version,
        "map_index": reference.map_index,
        "pin_key": reference.pin_key,
        "pin": reference.pin,
        "as_of": _time(reference.as_of[0], sqlite=sqlite) if reference.as_of else None,
        "waits": reference.on_missing == "wait",
    }


def _time(text: str, *, sqlite: bool) -> str:
    """Write a time as the database compares it."""
    time = datetime.fromisoformat(text).astimezone(UTC)
    return time.replace(tzinfo=None).isoformat(" ", "microseconds") if sqlite else time.isoformat()


def _key(reference: AnyReference) -> str:
    """Tell references of one task apart, in 32 characters."""
    facts = json.dumps(reference.to_json(), sort_keys=True)
    return hashlib.sha256(facts.encode()).hexdigest()[:32]


def _recorded(resolution: Resolution) -> dict[str, Any]:
    reference, version, artifact = resolution.reference, resolution.version, resolution.artifact
    return {
        "key": _key(reference),
        "model": reference.model if isinstance(reference, Reference) else None,
        "selector": reference.pin_key if isinstance(reference, Reference) else None,
        "wanted": f"artifact {reference!r}" if isinstance(reference, OutputReference) else repr(reference),
        "version_id": version.id if version else None,
        "artifact_id": artifact.id if artifact else None,
        "digest": artifact.payload.digest if artifact else None,
        "resolved": resolution.missing is None,
        "belongs": resolution.belongs,
        "sequence": resolution.sequence,
    }


def _resolution(
    connection: Connection, reference: AnyReference, row: Any, stages: Sequence[str]
) -> Resolution:
    version = version_record(row) if row.v_id is not None else None
    artifact = artifact_record(row) if row.a_id is not None else None
    missing = Missing(reference, row.model_id, version, artifact, pinned=bool(row.by_run))
    earlier = row.earlier if version is not None else None
    found = Resolution(reference, version, artifact, sequence=row.sequence, earlier=earlier)
    if isinstance(reference, OutputReference):
        if artifact is None:
            return found._replace(missing=explain(connection, missing))
        return found if (error := _mismatch(reference, artifact)) is None else found._replace(missing=error)
    if isinstance(reference, NamedArtifact):
        key = (reference.attribute or "").partition("metadata:")[2]
        if artifact is not None and (not key or key in artifact.metadata):
            return found._replace(value=_of_artifact(reference.attribute, row))
        return found._replace(artifact=None, value=_default(reference), missing=explain(connection, missing))
    if missing.what(metadata_found=bool(row.has_metadata)) is None:
        return found._replace(value=_value(reference, row, stages))
    return found._replace(artifact=None, value=_default(reference), missing=explain(connection, missing))


def _default(reference: Reference | NamedArtifact) -> Any:
    return copy.deepcopy(reference.default) if reference.has_default else None


def _mismatch(reference: OutputReference, artifact: ArtifactRecord) -> ReferenceMismatch | None:
    """Compare what a reference says of an artifact with what the registry says; a URI is never followed."""
    said = (
        *(reference.artifact, reference.number, reference.type),
        *(reference.size, reference.digest),
    )
    payload = artifact.payload
    there = (artifact.name, artifact.number, payload.type_names[0], payload.size, payload.digest)
    if said == there:
        return None
    says = "{}@{}, {}, {:,} bytes, sha256:{}"
    return ReferenceMismatch(f"{reference!r} (id {reference.id})", says.format(*said), says.format(*there))


def _value(reference: Reference, row: Any, stages: Sequence[str]) -> Any:
    """Return the plain value that a reference asks for; None where it asks for a whole, or for the store's URI."""
    attribute = reference.attribute
    if reference.wanted is Wanted.METADATA:
        return row.metadata_value
    if attribute in (None, "uri", "local_path"):
        return None
    if reference.wanted is Wanted.VERSION:
        version = version_record(row)
        plain = {"number": version.number, "id": version.id, "version_name": version.version_name}
        return version.stage(stages) if attribute == "stage" else plain[attribute]
    return _of_artifact(attribute, row)


def _of_artifact(attribute: str | None, row: Any) -> Any:
    if attribute is not None and attribute.startswith("metadata:"):
        return row.a_metadata[attribute.removeprefix("metadata:")]
    return {"number": row.a_number, "digest": row.a_digest}.get(str(attribute))
