"""What a new version is to hold: values and files that are stored, and artifacts that are there and are linked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_model_provider.exceptions import InvalidDefinition, WrongRegistry
from airflow_model_provider.exceptions.base import quoted
from airflow_model_provider.handles import Artifact
from airflow_model_provider.limits import check_mapping
from airflow_model_provider.pinned import PinnedArtifact
from airflow_model_provider.references import OutputReference
from airflow_model_provider.registry.entities import NOTHING
from airflow_model_provider.selectors import ArtifactType, artifact_type, check_name
from airflow_model_provider.workspace import Item, Saving, Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_model_provider.gates import Gates


class Gathered(NamedTuple):
    """What is stored, and the ids of artifact versions that are linked."""

    items: list[Item]
    linked: list[int]


def gather(
    workspace: Workspace,
    model: str,
    artifacts: Mapping[str, Any],
    files: Mapping[str, Path | str],
    formats: Mapping[str, str],
    kinds: Mapping[str, ArtifactType | str] = NOTHING,
) -> Gathered:
    """
    Return what a new version of a model is to hold.

    :param artifacts: by name; a value, or an artifact that is there: a handle, or what a step returned.
    :param files: paths by name.
    :param formats: formats by name.
    :param kinds: what artifacts are to the version, by name.
    :raises InvalidDefinition: for names that don't fit together, and what is no path.
    :raises WrongRegistry: for an artifact of another registry.
    """
    called = f"register_model_version({model!r})"
    given = {"artifacts": artifacts, "files": files, "formats": formats, "kinds": kinds}
    for argument, value in given.items():
        check_mapping(called, argument, value, f"Write {argument}={{'trained_model': ...}}.")
    if both := sorted(set(artifacts) & set(files)):
        problem = f"{quoted(both[0])} is named among the artifacts and among the files"
        raise InvalidDefinition(called, problem, "Give each artifact a name of its own.")
    there = {name: _there(workspace, called, name, value) for name, value in artifacts.items()}
    linked = {name: number for name, number in there.items() if number is not None}
    stored = {name: value for name, value in {**artifacts, **files}.items() if name not in linked}
    for option, named in (("formats", formats), ("kinds", kinds)):
        if unknown := sorted(set(named) - set(stored)):
            problem = f"{option}= names {quoted(unknown[0])}, which is not an artifact that it stores"
            raise InvalidDefinition(called, problem, f"It stores: {', '.join(stored) or 'none'}.")
    chosen = {name: artifact_type(kind) for name, kind in kinds.items()}
    items = _items(workspace, model, stored, set(files), formats, chosen)
    return Gathered(list(items), list(linked.values()))


#: What is linked is not copied.
_FROM_ELSEWHERE = (
    "Only what is in the same registry can be linked. Copy the version with airflow model-registry export and import, "
    "or load the artifact in a step, and save what it holds."
)


def _there(workspace: Workspace, called: str, name: str, value: Any) -> int | None:
    """The id of an artifact version that is there; None for a value that is to be stored."""
    if isinstance(value, PinnedArtifact):
        value = value.__pinned__
    if isinstance(value, Artifact):
        registry, number, own = value.registry_id, value.record.id, value.name
    elif isinstance(value, OutputReference):
        registry, number, own = value.registry, value.id, value.artifact
    else:
        return None
    if registry != workspace.registry.id:
        raise WrongRegistry(repr(value), registry, workspace.registry.id, advice=_FROM_ELSEWHERE)
    if isinstance(value, OutputReference):
        workspace.registry.resolve([value])
    if own != name:
        problem = f"{quoted(name)} is {value!r}, which is linked as it is"
        raise InvalidDefinition(called, problem, f"Call it {own!r}.")
    return number


def _items(
    workspace: Workspace,
    model: str,
    stored: Mapping[str, Any],
    files: set[str],
    formats: Mapping[str, str],
    kinds: Mapping[str, ArtifactType],
) -> Iterator[Item]:
    for name, value in stored.items():
        what = f"artifact {check_name('artifact', name)!r} of a new version of {model!r}"
        saving = Saving(name, what=what, kind=kinds.get(name), format=formats.get(name))
        if name not in files:
            yield workspace.value(value, saving)
        elif isinstance(value, str | Path):
            yield workspace.file(Path(value), saving)
        else:
            called = f"register_model_version({model!r})"
            raise InvalidDefinition(
                called, f"{quoted(value)} must be the path of a file", "Example: 'model.joblib'."
            )


def gates_for(model: str, stage: str | None, gates: Any) -> tuple[Gates, ...]:
    """
    Return the gates of a version that is to be made.

    :raises InvalidDefinition: if there are some, and no stage.
    """
    from airflow_model_provider.gates import Gates

    chosen = Gates.of(gates)
    if chosen and stage is None:
        called = f"register_model_version({model!r})"
        raise InvalidDefinition(called, "gates= needs stage=", "Example: stage='production'.")
    return chosen
