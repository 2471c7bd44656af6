"""What a step's code calls: ``log_metadata``, ``save_artifact``, ``load_artifact``, ``link_artifact_to_model``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_model_provider import selectors
from airflow_model_provider.addresses import find_address
from airflow_model_provider.client import Client
from airflow_model_provider.context import (
    StepContext,
    acting_task,
    current_step,
    get_step_context,
    refuse_io_in_definition,
    running,
)
from airflow_model_provider.exceptions import InvalidDefinition
from airflow_model_provider.exceptions.base import quoted
from airflow_model_provider.handles import Artifact, ModelVersion, handle_of, save_or_adopt
from airflow_model_provider.lazy import resolve_now
from airflow_model_provider.named_artifacts import AnyReference
from airflow_model_provider.pipelines.passing import read_whole
from airflow_model_provider.references import OutputReference
from airflow_model_provider.registry.entities import Attempt, Link, Relation, VersionState
from airflow_model_provider.workspace import Saving, Workspace, open_workspace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_model_provider.model import Model
    from airflow_model_provider.selectors import ArtifactType, ModelStages


def log_metadata(
    metadata: Mapping[str, Any],
    *,
    infer_model: bool = False,
    infer_artifact: bool = False,
    artifact_name: str | None = None,
    artifact_version: int | None = None,
    model_name: str | None = None,
    model_version: ModelStages | str | int | None = None,
) -> None:
    """
    Log values onto a model version or an artifact.

    :param metadata: JSON values by key.
    :param infer_model: onto the version that the running step makes or uses.
    :param infer_artifact: onto the running step's output (``artifact_name`` says which, if it has several).
    :param artifact_name: onto the artifact of that name: the running step's own output if it has one called so,
        else the newest, or the version that ``artifact_version`` says, in the registry of the step's model.
    :param model_name: with ``model_version``: onto that model version.
    :raises InvalidDefinition: if the target is missing, or ``metadata`` is not a mapping.
    :raises MissingModelContext: if the target is to be inferred, and no step runs.

    >>> log_metadata({"accuracy": 0.97}, infer_model=True)  # doctest: +SKIP
    """
    refuse_io_in_definition("log_metadata()")
    if infer_artifact:
        otherwise = "To log onto an artifact from elsewhere, pass artifact_name= alone."
        running("log_metadata(infer_artifact=True)", otherwise).add_output_metadata(metadata, artifact_name)
    elif infer_model:
        otherwise = "To log onto a version from elsewhere, pass model_name= and model_version=."
        running("log_metadata(infer_model=True)", otherwise).model.log_metadata(metadata)
    elif model_name is not None and model_version is not None:
        Client().get_model_version(model_name, model_version).log_metadata(metadata)
    elif _is_made_here(artifact_name, artifact_version):
        get_step_context().add_output_metadata(metadata, artifact_name)
    elif artifact_name is not None:
        artifact = Client(conn_id=_home()).get_artifact(artifact_name, artifact_version)
        _here().registry.log_artifact_metadata(artifact.record.id, metadata)
    else:
        raise InvalidDefinition(
            "log_metadata()",
            "it needs a model version or an artifact to log onto",
            "Pass infer_model=True, infer_artifact=True, artifact_name=, or model_name= and model_version=.",
        )


def _is_made_here(artifact_name: str | None, version: int | None) -> bool:
    """Whether an artifact is an output of the running step, which is saved when its code has run."""
    step = current_step()
    return step is not None and version is None and artifact_name in step.named_outputs


def save_artifact(
    data: Any,
    name: str,
    *,
    artifact_type: ArtifactType | str | None = None,
    format: str | None = None,
    user_metadata: Mapping[str, Any] | None = None,
) -> Artifact[Any]:
    """
    Save a value under a name. In a step with a model it belongs to the version that the step makes or uses.

    :param artifact_type: model, data or deployment; None takes it from the type.
    :param format: a format's key, such as ``skops.file``; None for the default of the value's type.
    :raises NotSerializable: if no format holds the value.

    >>> save_artifact(scaler, "scaler").number  # doctest: +SKIP
    1
    """
    refuse_io_in_definition("save_artifact()")
    step = current_step()
    saving = Saving(
        name,
        what=f"artifact {selectors.check_name('artifact', name)!r}",
        kind=None if artifact_type is None else selectors.artifact_type(artifact_type),
        format=format,
        metadata=user_metadata,
    )
    workspace = _here()
    record = save_or_adopt(workspace, data, saving, attempt=_attempt(), links=_links(step))
    return Artifact(workspace, record, conn_id=_home())


def load_artifact(
    artifact: Any,
    version: int | None = None,
    *,
    map_index: int | None = None,
    digest: str | None = None,
    format: str | None = None,
    mmap: bool = False,
) -> Any:
    """
    Load an artifact: by name, from the reference that came through XCom, or by address.

    By address (``digest=``) it needs neither Airflow nor the registry: this is for tasks in a virtualenv, a
    container or a pod, which are given ``handle.env("MODEL")``.

    :param artifact: an artifact's name (in a step in the registry of its model), a handle, a lazy reference, a
        reference's JSON form, or with ``digest=`` the URI of the bytes.
    :param version: with a name: the artifact's version; None for the newest.
    :param map_index: with a name: only those that this element of a mapped step made.
    :param digest: SHA-256 that the bytes at the URI must have.
    :param format: with ``digest=``: what wrote them, as ``handle.env("MODEL")`` says; None where the bytes tell.
    :param mmap: map large arrays and frames read-only instead of copying, where the format allows.
    :raises InvalidDefinition: for any other value, and for a JSON form that names the connection of another registry.

    >>> load_artifact("scaler")  # doctest: +SKIP
    >>> load_artifact(os.environ["MODEL_URI"], digest=os.environ["MODEL_DIGEST"])  # doctest: +SKIP
    """
    refuse_io_in_definition("load_artifact()")
    if map_index is not None and (digest is not None or not isinstance(artifact, str)):
        problem = f"map_index={quoted(map_index)} needs the name of an artifact"
        advice = "Pass map_index= to get_artifact(), and its result to load_artifact()."
        raise InvalidDefinition("load_artifact()", problem, advice)
    if digest is not None:
        from airflow_model_provider import isolated

        return isolated.load(artifact, digest, format, mmap=mmap)
    if isinstance(artifact, str):
        found = Client(conn_id=_home()).get_artifact(artifact, version, map_index=map_index)
        return found.load(mmap=mmap)
    if isinstance(artifact, Artifact):
        return artifact.load(mmap=mmap)
    reference = artifact if isinstance(artifact, AnyReference) else _read(artifact)
    if isinstance(reference, OutputReference):
        workspace = _here()
        if workspace.registry.id != reference.registry:  # of a step without a model, or with another one
            workspace = _workspace(reference.conn_id)
        workspace.check_own(reference)
        (found,) = workspace.registry.resolve([reference])
        assert found.artifact is not None
        return Artifact(workspace, found.artifact).load(mmap=mmap)
    if reference is not None:
        found = resolve_now(reference, "load_artifact()")
        return found.load(mmap=mmap) if isinstance(found, Artifact) else found
    raise InvalidDefinition(
        "load_artifact()",
        f"{quoted(artifact)} is neither an artifact's name nor a reference to one",
        "See its documentation.",
    )


def _read(form: Any) -> AnyReference | None:
    """Return the reference that data is, which must not choose the registry that is read."""
    found = read_whole(form)
    return found if isinstance(found, AnyReference) else None


def link_artifact_to_model(artifact: Artifact[Any], model: Model | ModelVersion | None = None) -> None:
    """
    Link a saved artifact to a model version, without a copy of its bytes.

    :param artifact: the handle of the artifact.
    :param model: the version, or a reference to it; None for the one that the running step makes or uses.
    :raises InvalidDefinition: if the artifact is no handle, or the model no version.

    >>> link_artifact_to_model(older.get_artifact("vectorizer"), version)  # doctest: +SKIP
    """
    refuse_io_in_definition("link_artifact_to_model()")
    handle = handle_of(artifact)
    if handle is None:
        problem = f"{quoted(artifact)} is not the handle of an artifact"
        raise InvalidDefinition("link_artifact_to_model()", problem, "Pass version.get_artifact(name).")
    if model is None:
        version = running("link_artifact_to_model()", "To link it elsewhere, pass model=.").model
    elif isinstance(model, ModelVersion):
        version = model
    elif hasattr(model, "load"):
        version = model.load()
    else:
        problem = f"model={quoted(model)} is not a version of a model"
        raise InvalidDefinition("link_artifact_to_model()", problem, "Pass Model(name, version=...).")
    version.link_artifact(handle)


def _home() -> str | None:
    """The connection of the registry that the running step's model is in."""
    step = current_step()
    return step.model._origin.conn_id if step is not None and step.has_model else None


def _here() -> Workspace:
    """The registry that the running step's model is in; else the default one."""
    step = current_step()
    return step.model._workspace if step is not None and step.has_model else _workspace(None)


def _workspace(conn_id: str | None) -> Workspace:
    task = acting_task()
    return task.workspace(conn_id) if task is not None else open_workspace(find_address(conn_id))


def _attempt() -> Attempt | None:
    task = acting_task()
    return task.attempt if task is not None else None


def _links(step: StepContext | None) -> list[Link]:
    if step is None or not step.has_model:
        return []
    made_here = step.model.state is VersionState.PRODUCING
    return [Link(step.model.id, Relation.OUTPUT if made_here else Relation.DERIVED)]
