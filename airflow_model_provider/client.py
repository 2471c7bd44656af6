"""``Client``: the registry by hand. Lazy in the body of a pipeline or DAG, eager everywhere else."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_model_provider import settings
from airflow_model_provider.addresses import find_address
from airflow_model_provider.context import acting_task, refuse_io_in_definition
from airflow_model_provider.exceptions import InvalidDefinition, ModelRegistryError
from airflow_model_provider.handles import ModelVersion, Origin
from airflow_model_provider.lazy import LazyNamedArtifact, lazy_client
from airflow_model_provider.limits import check_mapping
from airflow_model_provider.model import Model
from airflow_model_provider.references import UNSET
from airflow_model_provider.registering import gates_for, gather
from airflow_model_provider.registry.entities import (
    NOTHING,
    ModelRecord,
    ResolutionRecord,
    RunKey,
    StageEvent,
    VersionState,
)
from airflow_model_provider.selectors import ArtifactType, ModelStages, Selector, check_name, check_stage
from airflow_model_provider.workspace import Workspace, open_workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from airflow_model_provider.comparing import Comparison
    from airflow_model_provider.registry.entities import VersionRecord
    from airflow_model_provider.transfer.exporting import Exported
    from airflow_model_provider.transfer.importing import Imported
    from airflow_model_provider.upkeep import Signature


class RegisteredModel:
    """
    A model in the registry.

    :param client: the client it was got through.
    :param record: its entry.
    """

    def __init__(self, client: Client, record: ModelRecord) -> None:
        self._client, self.record = client, record

    @property
    def name(self) -> str:
        """The model's name."""
        return self.record.name

    @property
    def card(self) -> Mapping[str, Any]:
        """License, description, audience, use cases, limitations, trade-offs, ethics: what was said."""
        return self.record.card

    @property
    def tags(self) -> tuple[str, ...]:
        """The model's tags."""
        return self.record.tags

    def versions(self, *, limit: int | None = None) -> list[ModelVersion]:
        """Return its versions, newest first; all, unless ``limit`` is given."""
        return self._client.list_model_versions(self.name, limit=limit)

    def history(
        self, stage: ModelStages | str | None = None, *, limit: int | None = None
    ) -> list[StageEvent]:
        """
        Return who held a stage, from when, by whom, why and from which Dag run, newest first.

        :param stage: only this stage; None for all.
        :param limit: how many events, at most; None for all.
        :raises UnknownStage: if the stage is not declared, and never was in use.
        """
        chosen = stage.value if isinstance(stage, ModelStages) else stage
        return self._client.workspace.registry.history(self.name, chosen, limit=limit)

    def rollback(
        self,
        stage: ModelStages | str,
        *,
        to: int | None = None,
        expected: int | Any | None = UNSET,
        reason: str | None = None,
    ) -> StageEvent:
        """
        Give a stage back to the version that held it before the present one; again, to the one before that.

        :param to: the number of the earlier holder that gets it back; None means the one before.
        :param expected: only if this is the holder now: its number, or None for a free stage.
        :param reason: kept in the stage's history.
        :raises NothingToRestore: if no earlier holder is left.
        :raises StageConflict: if the holder is not the one expected.

        >>> Client().get_model("iris_classifier").rollback("production")  # doctest: +SKIP
        """
        origin = self._client.origin
        return self._client.workspace.registry.rollback(
            self.name, stage, to=to, expected=expected, reason=reason, who=origin.who, attempt=origin.attempt
        )

    def __repr__(self) -> str:
        return self.name


class Client:
    """
    The registry by hand. In the body of a pipeline or DAG ``get_model_version`` and ``get_artifact`` are lazy.

    :param url: SQLAlchemy URL of a registry; None for the configured one.
    :param store: folder or fsspec URL of its artifacts.
    :param conn_id: an Airflow connection of type ``model_registry``.

    >>> Client().get_model_version("iris_classifier", "production")  # doctest: +SKIP
    iris_classifier@2
    """

    def __init__(
        self, url: str | None = None, *, store: str | None = None, conn_id: str | None = None
    ) -> None:
        self._url, self._store, self._conn_id = url, store, conn_id
        self._has_address = url is not None or store is not None
        self._opened: Workspace | None = None

    @property
    def workspace(self) -> Workspace:
        """The open registry and store."""
        refuse_io_in_definition("Client")
        if self._opened is None or not self._opened.is_open:
            task = None if self._has_address else acting_task()
            self._opened = (
                task.workspace(self._conn_id)
                if task is not None
                else open_workspace(find_address(self._conn_id, url=self._url, store=self._store))
            )
        return self._opened

    @property
    def origin(self) -> Origin:
        """Which task acts through this client, if one does."""
        task = acting_task()
        return Origin(task.attempt if task is not None else None, conn_id=self._conn_id)

    # --- models --------------------------------------------------------------------------------------------

    def create_model(self, name: str, **card: Any) -> RegisteredModel:
        """
        Make a model.

        :param card: license, description, audience, use_cases, limitations, trade_offs, ethics, tags.
        :raises AlreadyExists: if there is one of this name.
        """
        return RegisteredModel(self, self.workspace.registry.create_model(name, **card))

    def get_model(self, name: str) -> RegisteredModel:
        """
        Return a model.

        :raises ModelNotFound: naming those that exist.
        """
        return RegisteredModel(self, self.workspace.registry.get_model(name))

    def list_models(self, *, limit: int | None = None) -> list[RegisteredModel]:
        """Return models by name; all, unless ``limit`` is given."""
        return [RegisteredModel(self, record) for record in self.workspace.registry.list_models(limit=limit)]

    def update_model(self, name: str, **card: Any) -> RegisteredModel:
        """Change what is said about a model. See :meth:`create_model`."""
        return RegisteredModel(self, self.workspace.registry.update_model(name, **card))

    def delete_model(self, name: str, *, purge: bool = False, force: bool = False) -> None:
        """
        Delete a model and its versions; its history, and the numbers that are used up, stay.

        :param purge: also versions that once held a stage.
        :param force: also versions that are still being produced.
        :raises VersionInUse: if a version holds a stage, ever held one, is pinned by a run, or is being produced.
        """
        self.workspace.registry.delete_model(name, purge=purge, force=force)

    # --- versions ------------------------------------------------------------------------------------------

    def get_model_version(self, model: str, version: ModelStages | str | int) -> Any:
        """
        Return a version: a lazy reference in the body of a pipeline or DAG, the version itself elsewhere.

        :param version: a stage, ``latest``, a number, or a version name.
        :raises StageNotAssigned: if no version holds the stage (when the task runs, if it is lazy).
        :raises InvalidDefinition: in a body, if the client has a URL, which a reference can't name.
        """
        lazy = Model(model, version=version, conn_id=self._conn_id)
        if lazy_client(has_address=self._has_address):
            return lazy
        if not self._has_address and acting_task() is not None:
            return lazy.load()
        record = self.workspace.registry.get_version(model, lazy.selector)
        return ModelVersion(self.workspace, record, self.origin)

    def list_model_versions(self, model: str, *, limit: int | None = None) -> list[ModelVersion]:
        """Return the versions of a model, newest first; all, unless ``limit`` is given."""
        records = self.workspace.registry.list_versions(model, limit=limit)
        return [ModelVersion(self.workspace, record, self.origin) for record in records]

    def compare(
        self, model: str, versions: Sequence[ModelStages | str | int] | ModelStages | str | int
    ) -> Comparison:
        """
        Return the stages and the metadata of versions of a model side by side.

        :param versions: stages, ``latest``, numbers or names; one that several of them mean is there once.
        :raises InvalidDefinition: if none is named.
        :raises StageNotAssigned: if no version holds a stage.
        :raises VersionNotFound: if there is no such version.

        >>> Client().compare("iris_classifier", [3, "production"]).metadata  # doctest: +SKIP
        {'accuracy': {'iris_classifier@3': 0.97, 'iris_classifier@2': 0.95}}
        """
        from airflow_model_provider.comparing import compare

        refuse_io_in_definition("Client")
        named = [versions] if isinstance(versions, str | int) else list(versions or ())
        if not named:
            called, advice = f"compare({model!r})", "Name some: [3, 'production']."
            raise InvalidDefinition(called, "it names no versions", advice)
        return compare([self.get_model_version(model, version) for version in named])

    def create_model_version(
        self, model: str, name: str | None = None, *, description: str | None = None, tags: Sequence[str] = ()
    ) -> ModelVersion:
        """Make a version that is ready at once; the model is made if it is missing."""
        record = self.workspace.registry.create_version(model, name=name, description=description, tags=tags)
        return ModelVersion(self.workspace, record, self.origin)

    def register_model_version(
        self,
        model: str,
        artifacts: Mapping[str, Any] = NOTHING,
        *,
        files: Mapping[str, Path | str] = NOTHING,
        formats: Mapping[str, str] = NOTHING,
        kinds: Mapping[str, ArtifactType | str] = NOTHING,
        check: Callable[[str, Any], object] | None = None,
        name: str | None = None,
        description: str | None = None,
        tags: Sequence[str] = (),
        metadata: Mapping[str, Any] = NOTHING,
        stage: ModelStages | str | None = None,
        force: bool = False,
        expected: int | Any | None = UNSET,
        reason: str | None = None,
        gates: Any = None,
    ) -> ModelVersion:
        """
        Make a version with all it holds, and promote it, in one transaction: it is there whole, or not at all.

        :param artifacts: values by name; an artifact that is there already (a handle) is linked under its own name.
        :param files: existing files by name, kept byte by byte and unopened; see :meth:`ModelVersion.save_file`.
        :param formats: formats by name, for those that are not taken from the type or the file's name.
        :param kinds: ``model``, ``data`` or ``deployment`` by name, for those that are not taken from the type.
        :param check: called with the name of each that is stored, and what its bytes load as, before anything is
            visible; what it raises, or the load, keeps the version from being made.
        :param metadata: JSON values by key.
        :param stage: the stage that it is to hold from its first moment on; None promotes nothing.
        :param force: replace another holder.
        :param expected: replace exactly this holder (its number, or None for a free stage).
        :param reason: kept in the stage's history.
        :param gates: what it must show to come into the stage, without functions; see :meth:`ModelVersion.set_stage`.
        :raises NotSerializable: if no format holds a value.
        :raises StageOccupied: if another version holds the stage and neither ``force`` nor ``expected`` is given.
        :raises StageConflict: if the holder is not the one expected.
        :raises PromotionRefused: with the objections of all gates; no version is made then.

        >>> client.register_model_version(  # doctest: +SKIP
        ...     "iris_classifier", {"trained_model": clf}, metadata={"accuracy": 0.97}, stage="staging", force=True
        ... )
        iris_classifier@3
        """
        workspace, origin = self.workspace, self.origin
        if stage is not None:
            stage = check_stage(stage, workspace.registry.stages)
        chosen = () if gates is None else gates_for(model, stage, gates)
        held = gather(workspace, check_name("model", model), artifacts, files, formats, kinds)
        made = workspace.register_version(
            model,
            held.items,
            linked=held.linked,
            check=check,
            name=name,
            description=description,
            tags=tags,
            metadata=check_mapping(f"register_model_version({model!r})", "metadata", metadata),
            attempt=origin.attempt,
            stage=stage,
            force=force,
            expected=expected,
            reason=reason,
            who=origin.who,
            gates=chosen,
        )
        return ModelVersion(workspace, made.version, origin)

    @contextmanager
    def new_model_version(self, model: str, name: str | None = None) -> Iterator[ModelVersion]:
        """
        Make a version that is ready when the block ends, and failed if it raises.

        >>> with client.new_model_version("iris_classifier") as version:  # doctest: +SKIP
        ...     version.save_artifact("trained_model", clf)
        """
        registry, origin = self.workspace.registry, self.origin
        record = registry.begin_version(model, name, origin.attempt)
        version = ModelVersion(self.workspace, record, origin)

        def end(state: VersionState) -> None:
            registry.end_version(record.id, state, origin.attempt)
            version.record = version.record._replace(state=state)

        try:
            yield version
        except BaseException as err:
            try:
                end(VersionState.FAILED)
            except ModelRegistryError as trouble:  # not in place of what happened in the block
                err.add_note(f"{version} could not be marked as failed, and is never ready: {trouble}")
            raise
        end(VersionState.READY)

    def update_model_version(
        self,
        model: str,
        version: ModelStages | str | int,
        *,
        name: str | None = None,
        description: str | None = None,
        tags: Sequence[str] | None = None,
    ) -> ModelVersion:
        """Change a version's name, description or tags; what is None stays."""
        number = self.get_model_version(model, version).number
        changed = {"name": name, "description": description, "tags": tags}
        said = {key: value for key, value in changed.items() if value is not None}
        record = self.workspace.registry.update_version(model, number, **said)
        return ModelVersion(self.workspace, record, self.origin)

    def delete_model_version(
        self, model: str, version: str | int, *, purge: bool = False, force: bool = False
    ) -> None:
        """
        Delete a version; its number is never used again.

        Its artifacts go with it, unless another version holds them. What was made with it, such as predictions, stays.

        :param purge: also if it once held a stage.
        :param force: also if it is still being produced; a run that goes on makes another version.
        :raises VersionInUse: if it holds a stage, ever held one, is pinned by a run, or is being produced.
        """
        number = self._selected(model, version).number
        self.workspace.registry.delete_version(model, number, purge=purge, force=force)

    def sign_artifacts(
        self,
        model: str | None = None,
        version: ModelStages | str | int | None = None,
        *,
        dry_run: bool = False,
    ) -> list[Signature]:
        """
        Sign stored artifacts that can execute code, after their bytes were hashed once more.

        Do so once after ``[model_registry] signing_keys`` was set, for artifacts that you trust: without a signature
        they cannot be loaded any more. What bears the signature of the first key already is left alone.

        :param model: only artifacts that versions of this model hold; None for all of the registry.
        :param version: only those of this version: a stage, ``latest``, a number or a name.
        :param dry_run: return what would be signed, and sign nothing.
        :return: each artifact; ``problem`` says why one was not signed: its bytes are ``missing`` or ``changed``.
        :raises InvalidConfiguration: if no key is set.
        :raises InvalidDefinition: if a version is given without its model.

        >>> Client().sign_artifacts("iris_classifier", "production")  # doctest: +SKIP
        [Signature(artifact='iris_classifier@2/trained_model@2', digest='9f86...', problem=None)]
        """
        from airflow_model_provider.upkeep import sign

        registry, number = self.workspace.registry, None
        if model is not None:
            registry.get_model(model)
            number = None if version is None else self._selected(model, version).number
        elif version is not None:
            raise InvalidDefinition("sign_artifacts()", "version= needs model=", "Example: model='iris'.")
        return list(sign(self.workspace, model, number, who=self.origin.who, dry_run=dry_run))

    def _selected(self, model: str, version: ModelStages | str | int) -> VersionRecord:
        selector = Selector.parse(version, settings.declared_stages())
        return self.workspace.registry.get_version(model, selector)

    # --- from registry to registry -------------------------------------------------------------------------

    def export_model(
        self, name: str, path: Path | str, versions: Sequence[str | int] | None = None, *, force: bool = False
    ) -> Exported:
        """
        Write versions of a model, with all they hold of their own, into one file for another registry.

        :param versions: stages, ``latest``, numbers or names; None for all that are ready.
        :param force: replace an existing file.
        :raises NotExportable: if one that is named is not ready, or none is.
        :raises AlreadyExists: if there is such a file.
        :raises ExportFailed: if it can't be written.

        >>> Client().export_model("iris_classifier", "iris.zip", ["production"])  # doctest: +SKIP
        """
        from airflow_model_provider.transfer.exporting import export_model

        return export_model(self.workspace, name, path, versions, force=force)

    def import_model(self, path: Path | str, name: str | None = None, *, dry_run: bool = False) -> Imported:
        """
        Make versions of a file that :meth:`export_model` has written, under the next free numbers.

        All of the file is checked before anything is visible. Versions that are here already stay as they are, so that
        it is harmless to repeat. No stage is assigned.

        :param name: of the model here; None for the same as there.
        :param dry_run: only check.
        :raises InvalidExport: naming the first thing that is wrong with the file.
        :raises ImportConflict: if other versions of the model have the same names.
        :raises PickleForbidden: for a format that can execute code, where that is forbidden.

        >>> Client("postgresql://...", store="s3://...").import_model("iris.zip")  # doctest: +SKIP
        """
        from airflow_model_provider.transfer.importing import import_model

        return import_model(self.workspace, path, name, dry_run=dry_run)

    # --- artifacts and records -----------------------------------------------------------------------------

    def get_artifact(
        self, name: str, version: int | None = None, *, map_index: int | None = None, default: Any = UNSET
    ) -> Any:
        """
        Return an artifact by its own name: a lazy reference in the body of a pipeline or DAG, its handle elsewhere.

        :param version: its own version number; None for the newest one, in a body when the task runs.
        :param map_index: only those that this element of a mapped step made.
        :param default: a JSON value that is used where the artifact is missing.
        :raises ArtifactNotFound: if it is missing, unless a default is given.
        """
        named = LazyNamedArtifact(name, version, map_index, conn_id=self._conn_id, default=default)
        if lazy_client(has_address=self._has_address):
            return named
        return named.found_in(self.workspace, None if self._has_address else self.origin.attempt)

    def list_resolutions(
        self,
        *,
        model: str | None = None,
        number: int | None = None,
        dag_id: str | None = None,
        run_id: str | None = None,
        limit: int = 100,
    ) -> list[ResolutionRecord]:
        """Return which tasks got which versions, newest first: ``list_resolutions(model="iris", number=7)``."""
        return self.workspace.registry.resolutions(
            model=model, number=number, dag_id=dag_id, run_id=run_id, limit=limit
        )

    def drop_run_pins(
        self,
        dag_id: str | None = None,
        run_id: str | None = None,
        *,
        model: str | None = None,
        deployment: str | None = None,
        silent_for: timedelta = timedelta(days=1),
        dry_run: bool = False,
    ) -> int:
        """
        Forget what Dag runs have pinned with ``pin="run"``; their tasks, once cleared, get what is there then.

        :param run_id: only this run. None means all runs of which no task used the registry for ``silent_for``, also
            one that waits; ``airflow model-registry release-pins`` asks Airflow, and leaves those alone.
        :param model: only pins of this model; None for all.
        :return: how many pins there were.

        >>> Client().drop_run_pins(model="iris_classifier", silent_for=timedelta(days=7))  # doctest: +SKIP
        30
        """
        if run_id is not None:
            run = RunKey(deployment or settings.deployment(), str(dag_id), run_id)
            return self.workspace.registry.drop_run_pins(run, model)
        return self.workspace.registry.release_pins(
            silent_for, deployment=deployment, dag_id=dag_id, model=model, dry_run=dry_run
        )
