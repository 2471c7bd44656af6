"""``Registry``: one open registry. Every rule stands in the module it delegates to."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

from airflow_model_provider.exceptions import ModelRegistryError
from airflow_model_provider.references import UNSET, Reference, Wanted
from airflow_model_provider.registry import (
    artifacts,
    blobs,
    catalog,
    claims,
    events,
    metadata,
    pins,
    promotion,
    registration,
    resolution,
    schema,
    transfer,
    versions,
)
from airflow_model_provider.registry.care import Care
from airflow_model_provider.registry.change import Change
from airflow_model_provider.registry.database import Database
from airflow_model_provider.registry.entities import (
    ArtifactRecord,
    Attempt,
    ModelRecord,
    Relation,
    Resolution,
    RunKey,
    StageEvent,
    VersionRecord,
    VersionState,
)
from airflow_model_provider.registry.making import Making
from airflow_model_provider.registry.records import Records
from airflow_model_provider.selectors import BUILT_IN_STAGES, Selector, check_stage

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from airflow_model_provider.gates import Gates
    from airflow_model_provider.named_artifacts import AnyReference

    Admission = Callable[[], Callable[[str, str, Sequence[ArtifactRecord]], None] | None]


class Registry(Making, Care, Records):
    """
    An open model registry.

    :param database: where it is.
    :param registry_id: its own id, under which its bytes lie in a store.
    :param stages: the declared stages, in order.
    :param protected: who may change a stage, where not everybody may. See :func:`settings.protected_stages`.
    :param admission: asked at each promotion for :attr:`Change.admit`.
    """

    def __init__(
        self,
        database: Database,
        registry_id: str,
        stages: Sequence[str],
        protected: Mapping[str, Sequence[str]] = MappingProxyType({}),
        admission: Admission = lambda: None,
    ) -> None:
        self._database, self.id, self.stages = database, registry_id, tuple(stages)
        self._protected, self._admission = protected, admission

    @classmethod
    def open(
        cls,
        url: str,
        *,
        stages: Sequence[str] = BUILT_IN_STAGES,
        protected: Mapping[str, Sequence[str]] = MappingProxyType({}),
        admission: Admission = lambda: None,
        conn_id: str | None = None,
        store_of_others: Callable[[], str | None] = lambda: None,
    ) -> Self:
        """
        Open a registry; in an empty database it is made.

        :param url: SQLAlchemy URL of a SQLite file or a PostgreSQL database.
        :param conn_id: the connection that commands in errors name; None for the default one.
        :param store_of_others: see :func:`schema.ensure`.
        :raises InvalidConfiguration: if the URL can't be used.
        :raises RegistryUnavailable: if the database can't be opened.
        :raises SchemaMismatch: if it has a schema that this release can't use.
        """
        database = Database(url)
        database.conn_id = conn_id
        try:
            return cls(database, schema.ensure(database, store_of_others), stages, protected, admission)
        except BaseException as err:
            if isinstance(err, ModelRegistryError):
                err.conn_id = conn_id
            database.close()
            raise

    @property
    def url(self) -> str:
        """The database's URL without its password."""
        return self._database.url

    @property
    def was_replaced(self) -> bool:
        """Whether another file stands where the one that was opened stood."""
        return self._database.was_replaced

    def close(self) -> None:
        """Close all connections."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Registry({self.url})"

    # --- models --------------------------------------------------------------------------------------------

    def create_model(self, name: str, **card: Any) -> ModelRecord:
        """Make a model. See :func:`catalog.create_model`."""
        return catalog.create_model(self._database, name, card)

    def get_model(self, name: str) -> ModelRecord:
        """Return a model. See :func:`catalog.get_model`."""
        return catalog.get_model(self._database, name)

    def list_models(self, *, limit: int | None = None) -> list[ModelRecord]:
        """Return models by name."""
        return catalog.list_models(self._database, limit)

    def update_model(self, name: str, **card: Any) -> ModelRecord:
        """Change what is said about a model. See :func:`catalog.update_model`."""
        return catalog.update_model(self._database, name, card)

    def delete_model(self, name: str, *, purge: bool = False, force: bool = False) -> None:
        """Delete a model. See :func:`catalog.delete_model`."""
        catalog.delete_model(self._database, name, purge=purge, force=force)

    # --- versions ------------------------------------------------------------------------------------------

    def create_version(
        self,
        model: str,
        *,
        name: str | None = None,
        description: str | None = None,
        tags: Sequence[str] = (),
        state: VersionState = VersionState.READY,
    ) -> VersionRecord:
        """Make a version. See :func:`versions.create_version`."""
        self._check_name(name)
        new = versions.NewVersion(name=name, description=description, tags=tags, state=state)
        return versions.create_version(self._database, model, new)

    def register_version(
        self,
        model: str,
        contents: registration.NewContents,
        *,
        name: str | None = None,
        description: str | None = None,
        tags: Sequence[str] = (),
        stage: str | None = None,
        force: bool = False,
        expected: Any = UNSET,
        reason: str | None = None,
        who: str | None = None,
        attempt: Attempt | None = None,
        roles: Sequence[str] = (),
        gates: Sequence[Gates] = (),
    ) -> registration.Registered:
        """Make a version whole, and promote it. See :func:`registration.register_version`."""
        self._check_name(name)
        made_by = contents.attempt if contents.once else None
        new = versions.NewVersion(name, description, tags, run=made_by.run if made_by else None)
        change = Change(
            *(force, expected, reason, who, attempt),
            protected=self._protected,
            roles=roles,
            gates=gates,
            admit=self._admission(),
        )
        asked = None if stage is None else (stage, self.stages, change)
        return registration.register_version(self._database, model, new, contents, asked)

    def get_version(self, model: str, selector: Selector) -> VersionRecord:
        """
        Return the version that a selector means now.

        :raises ModelNotFound: if there is no such model.
        :raises StageNotAssigned: if no version holds the stage.
        :raises VersionNotFound: if there is no such version.
        """
        (found,) = self.resolve([Reference(model, selector, Wanted.VERSION)])
        assert found.version is not None
        return found.version

    def list_versions(self, model: str, *, limit: int | None = None, offset: int = 0) -> list[VersionRecord]:
        """Return versions of a model, newest first. See :func:`versions.list_versions`."""
        return versions.list_versions(self._database, model, limit=limit, offset=offset)

    def update_version(self, model: str, number: int, **changes: Any) -> VersionRecord:
        """Change a version's name, description or tags. See :func:`versions.update_version`."""
        self._check_name(changes.get("name"))
        return versions.update_version(self._database, model, number, changes)

    def delete_version(self, model: str, number: int, *, purge: bool = False, force: bool = False) -> None:
        """Delete a version. See :func:`versions.delete_version`."""
        versions.delete_version(self._database, model, number, purge=purge, force=force)

    # --- stages --------------------------------------------------------------------------------------------

    def set_stage(
        self,
        model: str,
        number: int,
        stage: str,
        *,
        force: bool = False,
        expected: Any = UNSET,
        reason: str | None = None,
        who: str | None = None,
        attempt: Attempt | None = None,
        allow_incomplete: bool = False,
        settled: Collection[str] | Callable[[], Collection[str]] = (),
        roles: Sequence[str] = (),
        gates: Sequence[Gates] = (),
        ask: Callable[[Gates, int, int | None], str | None] | None = None,
        once: bool = False,
        quiet: bool | None = None,
        dry_run: bool = False,
    ) -> StageEvent | None:
        """Move a version into a stage. See :func:`promotion.set_stage`."""
        change = Change(
            *(force, expected, reason, who, attempt, allow_incomplete, settled, self._protected, roles),
            gates=gates,
            ask=ask,
            once=once,
            quiet=quiet,
            dry_run=dry_run,
            admit=self._admission(),
        )
        return promotion.set_stage(self._database, model, number, stage, self.stages, change)

    def rollback(
        self,
        model: str,
        stage: str,
        *,
        to: int | None = None,
        expected: Any = UNSET,
        reason: str | None = None,
        who: str | None = None,
        attempt: Attempt | None = None,
        roles: Sequence[str] = (),
        once: bool = False,
    ) -> StageEvent:
        """Give a stage back to an earlier holder. See :func:`promotion.rollback`."""
        change = Change(
            *(False, expected, reason, who, attempt),
            protected=self._protected,
            roles=roles,
            once=once,
            admit=self._admission(),
        )
        return promotion.rollback(self._database, model, stage, self.stages, change, to)

    def holders(self, model: str | None = None) -> dict[str, dict[str, int]]:
        """Return who holds which stage. See :func:`promotion.holders`."""
        return promotion.holders(self._database, model)

    def history(self, model: str, stage: str | None = None, *, limit: int | None = None) -> list[StageEvent]:
        """
        Return the changes of a model's stages, newest first. See :func:`promotion.history`.

        :raises UnknownStage: if the stage is not declared, and never was in use.
        """
        found = promotion.history(self._database, model, stage, limit)
        if stage is not None and not found:
            check_stage(stage, self.stages)
        return found

    def last_event(self, model: str, stage: str) -> StageEvent | None:
        """Return the last change of a stage. See :func:`events.last_of`."""
        return events.last_of(self._database, model, stage)

    # --- Dags that wait for promotions ---------------------------------------------------------------------

    def last_sequence(self) -> int:
        """Return the number of the last change of a stage. See :func:`claims.last_sequence`."""
        return claims.last_sequence(self._database)

    def enroll(self, deployment: str, consumers: Collection[claims.Consumer]) -> None:
        """Note Dags that wait for stages. See :func:`claims.enroll`."""
        claims.enroll(self._database, deployment, consumers)

    def standings(self, deployment: str) -> list[claims.Standing]:
        """Return how far all Dags are that wait for stages. See :func:`claims.standings`."""
        return claims.standings(self._database, deployment)

    def deliver(
        self, deployment: str, written: Mapping[claims.Consumer, int], *, settles: bool = False
    ) -> set[claims.Consumer]:
        """Note that Airflow has written wake-ups. See :func:`claims.deliver`."""
        return claims.deliver(self._database, deployment, written, settles=settles)

    def claiming_runs(self, deployment: str, dag_id: str, limit: int) -> list[str]:
        """Return the last runs of a Dag that have claimed. See :func:`claims.claiming_runs`."""
        return claims.claiming_runs(self._database, deployment, dag_id, limit)

    def event(self, sequence: int) -> StageEvent:
        """Return a change of a stage. See :func:`claims.event`."""
        return claims.event(self._database, sequence)

    def claim(self, run: RunKey, stages: Collection[claims.StageKey]) -> list[StageEvent]:
        """Claim promotions for a run. See :func:`claims.claim`."""
        return claims.claim(self._database, run, stages)

    # --- artifacts -----------------------------------------------------------------------------------------

    def intend_blob(self, digest: str, size: int) -> blobs.Intent:
        """Note that bytes are about to be stored. See :func:`blobs.intend_blob`."""
        return blobs.intend_blob(self._database, digest, size)

    def register_artifact(self, new: artifacts.NewArtifact) -> ArtifactRecord:
        """Make stored bytes visible. See :func:`artifacts.register_artifacts`."""
        return self.register_artifacts(new)[0]

    def register_artifacts(
        self, new: artifacts.NewArtifact, parts: Sequence[artifacts.NewArtifact] = ()
    ) -> list[ArtifactRecord]:
        """Make stored bytes visible, and those of elements. See :func:`artifacts.register_artifacts`."""
        return artifacts.register_artifacts(self._database, new, parts)

    def outputs_of(self, run: RunKey, task_id: str, output: str) -> list[ArtifactRecord]:
        """See :func:`artifacts.outputs_of`."""
        return artifacts.outputs_of(self._database, run, task_id, output)

    def link_artifact(
        self, version_id: int, artifact_version_id: int, relation: Relation, attempt: Attempt | None = None
    ) -> None:
        """Link an artifact version to a version. See :func:`artifacts.link_artifact`."""
        artifacts.link_artifact(self._database, version_id, artifact_version_id, relation, attempt)

    def delete_artifact(self, version_id: int, name: str) -> None:
        """Take an artifact out of a version. See :func:`artifacts.unlink_artifact`."""
        artifacts.unlink_artifact(self._database, version_id, name)

    def list_artifacts(self, version_id: int) -> list[ArtifactRecord]:
        """Return the artifacts of a version. See :func:`artifacts.list_artifacts`."""
        return artifacts.list_artifacts(self._database, version_id)

    # --- from registry to registry -------------------------------------------------------------------------

    def contents(self, version_id: int) -> transfer.Contents:
        """Return what a version holds of its own. See :func:`transfer.contents`."""
        return transfer.contents(self._database, version_id)

    def find_imported(self, model: str, incoming: Sequence[transfer.Incoming]) -> list[int | None]:
        """Return which versions some incoming ones are already. See :func:`transfer.find_imported`."""
        return transfer.find_imported(self._database, transfer.Place(self.id, model), incoming)

    def import_version(self, model: str, incoming: transfer.Incoming) -> tuple[int, bool]:
        """Make a version as it was elsewhere. See :func:`transfer.import_version`."""
        return transfer.import_version(self._database, transfer.Place(self.id, model), incoming)

    # --- metadata ------------------------------------------------------------------------------------------

    def log_version_metadata(
        self, version_id: int, values: Mapping[str, Any], attempt: Attempt | None = None
    ) -> None:
        """Log values onto a version. See :func:`metadata.log_version_metadata`."""
        metadata.log_version_metadata(self._database, version_id, values, attempt)

    def log_artifact_metadata(self, artifact_version_id: int, values: Mapping[str, Any]) -> None:
        """Log values onto an artifact version. See :func:`metadata.log_artifact_metadata`."""
        metadata.log_artifact_metadata(self._database, artifact_version_id, values)

    def get_metadata(self, version_id: int) -> dict[str, Any]:
        """Return the metadata of a version."""
        return metadata.get_metadata(self._database, version_id)

    # --- references ----------------------------------------------------------------------------------------

    def resolve(
        self,
        references: Sequence[AnyReference],
        attempt: Attempt | None = None,
        *,
        keep_missing: bool = False,
    ) -> list[Resolution]:
        """
        Return what references stand for, in one read. See :func:`resolution.resolve`.

        :param keep_missing: say in the result what is missing, instead of raising the first such error.
        :raises ModelRegistryError: the error that says what is missing, where there is no default.
        """
        found = resolution.resolve(self._database, references, attempt, self.stages)
        for item in found:
            if item.missing is not None:
                item.missing.conn_id = self._database.conn_id
        for item in [] if keep_missing else found:
            if item.missing is not None and not item.reference.has_default:
                raise item.missing
        return found

    def numbers(self, references: Sequence[Reference]) -> list[int | None]:
        """Return the numbers of the versions that references select. See :func:`resolution.numbers`."""
        return resolution.numbers(self._database, references)

    def drop_run_pins(self, run: RunKey, model: str | None = None) -> int:
        """Forget what a Dag run has pinned. See :func:`pins.drop_run_pins`."""
        return pins.drop_run_pins(self._database, *run, model)

    def record(self, resolutions: Sequence[Resolution], attempt: Attempt) -> None:
        """Record what a try of a task got, in one write. See :func:`resolution.record`."""
        resolution.record(self._database, resolutions, attempt)
