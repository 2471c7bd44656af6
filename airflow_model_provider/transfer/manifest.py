"""
What an export says of its versions: ``manifest.json``, and how it is read from a file that nobody vouches for.

A change of what stands in it raises :data:`VERSION`, and :func:`read` keeps reading the older ones.
"""

from __future__ import annotations

import json
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from airflow_model_provider import __version__
from airflow_model_provider.exceptions import InvalidDefinition, NotSerializable
from airflow_model_provider.limits import LARGEST_METADATA, check_id, check_key, check_text
from airflow_model_provider.registry.catalog import CARD
from airflow_model_provider.registry.values import plain_json
from airflow_model_provider.selectors import check_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from airflow_model_provider.registry.entities import (
        ArtifactRecord,
        ModelRecord,
        Relation,
        RunKey,
        StageEvent,
        VersionRecord,
    )
    from airflow_model_provider.registry.transfer import Contents

FORMAT: Final = "airflow-model-provider export"
#: The version of the format that is written, and the newest that is read.
VERSION: Final = 1


class Unreadable(ValueError):
    """
    A manifest that is none.

    :param advice: what to do, where it isn't to export the model once more.
    """

    def __init__(self, problem: str, advice: str = "") -> None:
        super().__init__(problem)
        self.problem, self.advice = problem, advice


# --- writing ---------------------------------------------------------------------------------------------


def write(
    registry_id: str,
    model: ModelRecord,
    versions: Iterable[tuple[VersionRecord, Contents]],
    history: Iterable[StageEvent],
) -> bytes:
    """Return the manifest of an export."""
    said = {
        "format": FORMAT,
        "format_version": VERSION,
        "written_by": __version__,
        "registry": registry_id,
        "model": {
            "name": model.name,
            "card": model.card,
            "tags": model.tags,
            "created_at": model.created_at.isoformat(),
        },
        "versions": [_version(record, contents) for record, contents in versions],
        "history": [
            {**event._asdict(), "at": event.at.isoformat(), "run": _run(event.run)} for event in history
        ],
    }
    return json.dumps(said).encode()


def _version(record: VersionRecord, contents: Contents) -> dict[str, Any]:
    return {
        "number": record.number,
        "name": record.version_name,
        "description": record.description,
        "tags": record.tags,
        "state": record.state.value,
        "archived": record.archived,
        "stages": record.stages,
        "created_at": record.created_at.isoformat(),
        "sealed_at": record.sealed_at.isoformat() if record.sealed_at else None,
        "run": _run(record.run),
        "environment": record.environment,
        "metadata": {"sealed": contents.sealed, "later": contents.later},
        "artifacts": [_artifact(item, relation) for item, relation in contents.artifacts],
    }


def _artifact(record: ArtifactRecord, relation: Relation) -> dict[str, Any]:
    return {
        "name": record.name,
        "number": record.number,
        "kind": record.kind.value,
        "relation": relation.value,
        "map_index": record.map_index,
        "created_at": record.created_at.isoformat(),
        "metadata": record.metadata,
        **record.payload._asdict(),
    }


def _run(run: RunKey | None) -> dict[str, str] | None:
    return run._asdict() if run else None


# --- reading ---------------------------------------------------------------------------------------------


def _is_json(value: Any) -> Any:
    try:
        return plain_json(value, "a value")
    except NotSerializable as err:  # nested deeper than it can be written again
        raise ValueError(err.reason) from None


def _is_small(value: Any) -> Any:
    """Return what one call could have logged; several may have, so it holds for each value of metadata."""
    if (size := len(json.dumps(value))) > LARGEST_METADATA:
        raise ValueError(f"it has {size:,} bytes as JSON, and at most {LARGEST_METADATA:,} are kept")
    return value


def _is_card(card: dict[str, Any]) -> dict[str, Any]:
    if unknown := set(card) - set(CARD):
        raise ValueError(f"{min(unknown)!r} is not part of a model's card")
    for key, text in card.items():
        if text is not None:  # which the registry leaves out
            _is_text(text, f"{key}: ")
    return card


def _is_text(text: object, where: str = "") -> str:
    try:
        return check_text("a text", text)
    except InvalidDefinition as err:
        raise ValueError(f"{where}{err.problem}") from None


def _is_time(text: str) -> str:
    datetime.fromisoformat(text)
    return text


_Name = Annotated[str, AfterValidator(partial(check_name, "artifact"))]
_Time = Annotated[str, AfterValidator(_is_time)]
_Number = Annotated[int, Field(ge=1, lt=2**63)]
_Json = Annotated[dict[str, Any], AfterValidator(_is_json)]
_Tags = list[Annotated[str, AfterValidator(partial(check_key, what="tag"))]]
_Text = Annotated[str, AfterValidator(_is_text)]
_Small = AfterValidator(_is_small)
_Value = Annotated[Any, AfterValidator(_is_json), _Small]
_Metadata = dict[Annotated[str, AfterValidator(check_key)], _Value]


class _Part(BaseModel):
    """A part of a manifest: nothing may be missing, of another type, or more than is known."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Run(_Part):
    """A Dag run."""

    deployment: Annotated[str, AfterValidator(partial(check_id, "deployment"))]
    dag_id: Annotated[str, AfterValidator(partial(check_id, "dag_id"))]
    run_id: Annotated[str, AfterValidator(partial(check_id, "run_id"))]


class Artifact(_Part):
    """An artifact of a version; ``signature`` is the schema of a model's inputs."""

    name: _Name
    number: _Number
    kind: Literal["model", "data", "deployment"]
    relation: Literal["output", "linked"]
    map_index: Annotated[int, Field(ge=-1, lt=2**31)]
    created_at: _Time
    metadata: _Metadata
    digest: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    size: Annotated[int, Field(ge=0, lt=2**63)]
    materializer: Annotated[str, Field(min_length=1, max_length=100)]
    format_version: Annotated[int, Field(ge=1, lt=2**31)]
    type_names: Annotated[list[str], Field(min_length=1), _Small]
    attributes: _Json
    signature: _Json | None
    environment: Annotated[_Json, _Small]


class Metadata(_Part):
    """Metadata that a version had when it was first promoted, and what came later; all of it, if it never was."""

    sealed: _Metadata
    later: _Metadata


class Version(_Part):
    """A version that was ready."""

    number: _Number
    name: Annotated[str, AfterValidator(partial(check_name, "version"))] | None
    description: _Text | None
    tags: _Tags
    state: Literal["ready"]
    archived: bool
    stages: Annotated[list[Annotated[str, AfterValidator(partial(check_name, "stage"))]], _Small]
    created_at: _Time
    sealed_at: _Time | None
    run: Run | None
    environment: Annotated[_Json, _Small]
    metadata: Metadata
    artifacts: list[Artifact]

    @model_validator(mode="after")
    def _each_once(self) -> Version:
        if twice := _twice((item.name, item.map_index) for item in self.artifacts):
            raise ValueError(f"artifact {twice[0]!r} stands in it twice")
        if set(self.metadata.sealed) & set(self.metadata.later):
            raise ValueError("a key of its metadata is both sealed and later")
        return self


class Model(_Part):
    """The model, as its registry knows it."""

    name: Annotated[str, AfterValidator(partial(check_name, "model"))]
    card: Annotated[_Json, AfterValidator(_is_card)]
    tags: _Tags
    created_at: _Time


class Manifest(_Part):
    """An export. ``history`` is for readers: who held which stage when, as far as the registry knows."""

    format: Literal["airflow-model-provider export"]
    format_version: Literal[1]
    written_by: str
    registry: Annotated[str, Field(pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    model: Model
    versions: Annotated[list[Version], Field(min_length=1)]
    history: list[dict[str, Any]]

    @model_validator(mode="after")
    def _consistent(self) -> Manifest:
        if twice := _twice(item.number for item in self.versions):
            raise ValueError(f"version {twice} stands in it twice")
        if twice := _twice(item.name for item in self.versions if item.name is not None):
            raise ValueError(f"two versions are called {twice!r}")
        if twice := _twice(digest for digest, _ in {(item.digest, item.size) for item in self._artifacts()}):
            raise ValueError(f"sha256:{twice} is said to be of two sizes")
        return self

    def payloads(self) -> dict[str, int]:
        """Return the bytes that the artifacts are made of: their size by digest."""
        return {item.digest: item.size for item in self._artifacts()}

    def _artifacts(self) -> Iterator[Artifact]:
        return (item for version in self.versions for item in version.artifacts)


def read(text: bytes) -> Manifest:
    """
    Return what a manifest says.

    :raises Unreadable: naming the first thing that is wrong.
    """
    try:
        said = json.loads(text, object_pairs_hook=_object)
    except (ValueError, RecursionError) as err:
        raise Unreadable(f"its manifest is not JSON ({err})") from None
    if not isinstance(said, dict) or said.get("format") != FORMAT:
        raise Unreadable("it is no export of a model", "Name what airflow model-registry export has written.")
    version = said.get("format_version")
    if isinstance(version, int) and version > VERSION:
        writer = str(said.get("written_by"))[:40]
        problem = f"its format is version {version}, and this release reads up to {VERSION}"
        raise Unreadable(
            problem, f"Import it with airflow-model-provider {writer!r}, which wrote it, or a later one."
        )
    try:
        return Manifest.model_validate(said)
    except ValidationError as err:
        first = err.errors(include_input=False, include_url=False)[0]
        where = "".join(f", at {'.'.join(map(str, first['loc']))[:200]!r}" for _ in first["loc"][:1])
        problem = first["msg"].removeprefix("Value error, ").removesuffix(".")
        raise Unreadable(f"its manifest can't be read{where}: {problem[:300]}") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def _twice(items: Iterable[Any]) -> Any:
    """The first of some items that comes a second time, or None."""
    seen = set()
    for item in items:
        if item in seen:
            return item
        seen.add(item)
    return None
