"""What the registry does not hold, and changes that it refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_model_provider.exceptions.base import ModelRegistryError, did_you_mean, listing

#: The arguments that delete a version which has been in a stage, or is being produced; the error spells them for its
#: surface.
PURGE, FORCE, ARCHIVE = "purge=True", "force=True", "set_stage('archived')"
RELEASE = "airflow model-registry release-pins"

if TYPE_CHECKING:
    from collections.abc import Sequence


class ModelNotFound(ModelRegistryError, KeyError):
    """The registry has no such model. A retry helps only if a training run is still to come."""

    def __init__(self, model: str, existing: Sequence[str] = ()) -> None:
        super().__init__(model, existing)
        self.model, self.existing = model, existing

    def __str__(self) -> str:
        return (
            f"The registry has no model {self.model!r}.{did_you_mean(self.model, self.existing)} "
            f"Models: {listing(self.existing)}. "
            f"A pipeline with model=Model(name={self.model!r}) makes it at its first run."
        )


class StageNotAssigned(ModelRegistryError, KeyError):
    """No version holds the stage, or held it then. A retry helps only if a promotion is still to come."""

    def __init__(
        self,
        model: str,
        stage: str,
        versions: Sequence[str] = (),
        as_of: str | None = None,
        first: str | None = None,
        left: str | None = None,
    ) -> None:
        super().__init__(model, stage, versions, as_of, first, left)
        self.model, self.stage, self.versions = model, stage, versions
        self.as_of, self.first, self.left = as_of, first, left

    def __str__(self) -> str:
        if self.stage == "latest":
            return (
                f"{self.model!r} has no ready version, so 'latest' selects nothing. "
                f"Versions: {listing(self.versions)}. Name a version, or train a new one."
            )
        if self.as_of is None:
            return (
                f"No version of {self.model!r} is in stage {self.stage!r}. "
                f"Versions: {listing(self.versions)}. Promote one: "
                f"{self.command('promote', self.model, 'NUMBER', self.stage)}"
            )
        if self.left:
            since = f"its last version left it at {self.left}"
        else:
            since = f"its first version came at {self.first}" if self.first else "it has never had a version"
        return (
            f"No version of {self.model!r} was in stage {self.stage!r} as of {self.as_of}: {since}. "
            f"Versions: {listing(self.versions)}. Choose a later time, or name a version."
        )


class VersionDeleted(ModelRegistryError, KeyError):
    """The version that held the stage then was deleted. A retry cannot help."""

    def __init__(self, version: str, stage: str, as_of: str) -> None:
        super().__init__(version, stage, as_of)
        self.version, self.stage, self.as_of = version, stage, as_of

    def __str__(self) -> str:
        return (
            f"{self.version} was in stage {self.stage!r} as of {self.as_of}, and was deleted since. "
            "Name another version, or ask for another time."
        )


class PinConflict(ModelRegistryError, RuntimeError):
    """A task and its Dag run have pinned different versions for one selector. A retry cannot help."""

    def __init__(self, reference: str, number: int) -> None:
        super().__init__(reference, number)
        self.reference, self.number = reference, number

    def __str__(self) -> str:
        return (
            f"{self.reference} is version {self.number} for this Dag run (pin='run'), and this task has already used "
            "another version for it (pin='task'). Use the same pin for all references of the task."
        )


class PinnedToNothing(ModelRegistryError, KeyError):
    """The Dag run found no version when it first looked, and keeps that. A retry cannot help."""

    def __init__(self, reference: str) -> None:
        super().__init__(reference)
        self.reference = reference

    def __str__(self) -> str:
        return (
            f"{self.reference} had no version when this Dag run first used it (pin='run'), and a default was used. "
            "Start a new run, or release the run's pins: Client().drop_run_pins()."
        )


class DeploymentClash(ModelRegistryError, RuntimeError):
    """Two runs of one id write at the same time. A retry cannot help; say which reading is right."""

    def __init__(self, deployment: str, dag_id: str, run_id: str) -> None:
        super().__init__(deployment, dag_id, run_id)
        self.deployment, self.dag_id, self.run_id = deployment, dag_id, run_id

    def __str__(self) -> str:
        return (
            f"Run {self.run_id!r} of DAG {self.dag_id!r} was written to this registry by a run of the same id that "
            f"started at another time and was still at work when this one started. Nothing was changed. If two Airflow "
            f"installations are both called {self.deployment!r}, give each its own [model_registry] deployment "
            "(AIRFLOW__MODEL_REGISTRY__DEPLOYMENT). If the run was deleted or queued again while its tasks ran, let it "
            f"go on: airflow model-registry take-over {self.dag_id!r} {self.run_id!r}"
        )


class VersionNotFound(ModelRegistryError, KeyError):
    """The model has no such version. A retry cannot help."""

    def __init__(self, model: str, selector: str, versions: Sequence[str] = ()) -> None:
        super().__init__(model, selector, versions)
        self.model, self.selector, self.versions = model, selector, versions

    def __str__(self) -> str:
        return (
            f"{self.model!r} has no version {self.selector!r}. Versions: {listing(self.versions)}. "
            "Name one of these, or a stage."
        )


class ArtifactNotFound(ModelRegistryError, KeyError):
    """The version has no such artifact, or one of another type. A retry cannot help."""

    def __init__(
        self,
        version: str,
        artifact: str,
        existing: Sequence[str] = (),
        wanted: str | None = None,
        found: str | None = None,
    ) -> None:
        super().__init__(version, artifact, existing, wanted, found)
        self.version, self.artifact, self.existing = version, artifact, existing
        self.wanted, self.found = wanted, found

    def __str__(self) -> str:
        if self.found is not None:
            return (
                f"Artifact {self.artifact!r} of {self.version} has the type {self.found}, not {self.wanted}. "
                f"Use get_{self.found}_artifact({self.artifact!r}), or get_artifact() for any type."
            )
        hint = did_you_mean(self.artifact, self.existing)
        return f"{self.version} has no artifact {self.artifact!r}.{hint} It has: {listing(self.existing)}."


class AmbiguousArtifact(ModelRegistryError, KeyError):
    """A mapped step made several artifacts of this name, and no index was given. A retry cannot help."""

    def __init__(self, version: str, artifact: str, indexes: Sequence[int]) -> None:
        super().__init__(version, artifact, indexes)
        self.version, self.artifact = version, artifact
        #: The map indexes of the elements that exist.
        self.indexes = tuple(indexes)

    def __str__(self) -> str:
        elements = f"element{'s' if len(self.indexes) > 1 else ''} {listing(self.indexes)}"
        return (
            f"{self.version}/{self.artifact} was made by a mapped step and has the {elements}. "
            f"Choose one, for example {self.option('map_index', min(self.indexes, default=0))}."
        )


class MetadataNotFound(ModelRegistryError, KeyError):
    """The version or artifact has no such metadata key. A retry cannot help."""

    def __init__(self, subject: str, key: str, existing: Sequence[str] = ()) -> None:
        super().__init__(subject, key, existing)
        self.subject, self.key, self.existing = subject, key, existing

    def __str__(self) -> str:
        return (
            f"{self.subject} has no metadata {self.key!r}.{did_you_mean(self.key, self.existing)} "
            f"It has: {listing(self.existing)}. Use .get({self.key!r}, default=...) if it may be missing."
        )


class AlreadyExists(ModelRegistryError, ValueError):
    """Something of this name exists already. A retry cannot help."""

    def __init__(self, what: str, name: str, state: str = "") -> None:
        super().__init__(what, name, state)
        self.what, self.name, self.state = what, name, state

    def __str__(self) -> str:
        if self.what == "file":
            return (
                f"The file {self.name!r} exists already. Nothing was written. "
                f"Pass {self.option('force')} to replace it, or choose another name."
            )
        state = f": {self.state}" if self.state else ""
        if self.what == "folder":
            return f"{self.name!r} is a folder{state}. Nothing was written."
        return f"The {self.what} {self.name!r} exists already{state}. Use it, or choose another name."


class StageOccupied(ModelRegistryError, RuntimeError):
    """Another version holds the stage and ``force`` was not given. A retry cannot help."""

    def __init__(self, model: str, stage: str, holder: int, candidate: int) -> None:
        super().__init__(model, stage, holder, candidate)
        self.model, self.stage, self.holder, self.candidate = model, stage, holder, candidate

    def __str__(self) -> str:
        return (
            f"{self.model}[{self.stage}] is occupied by {self.model}@{self.holder}. Nothing was changed. "
            f"Pass {self.option('force')} to replace it by {self.model}@{self.candidate}."
        )


class StageConflict(ModelRegistryError, RuntimeError):
    """The stage is not held by the version that was expected. A retry helps once the holder was read again."""

    def __init__(self, model: str, stage: str, expected: int | None, holder: int | None) -> None:
        super().__init__(model, stage, expected, holder)
        self.model, self.stage, self.expected, self.holder = model, stage, expected, holder

    def __str__(self) -> str:
        found, expected = (
            "no version" if number is None else f"{self.model}@{number}"
            for number in (self.holder, self.expected)
        )
        stage = () if self.stage == "archived" else (self.stage,)  # only stages have a history of their own
        return (
            f"Expected {expected} in {self.model}[{self.stage}], found {found}. Nothing was changed. "
            f"Check its history: {self.command('history', self.model, *stage)}. "
            f"Pass {self.option('expected', self.holder)} to change it anyway."
        )


class StageProtected(ModelRegistryError, RuntimeError):
    """The configuration doesn't let this caller assign the stage. A retry cannot help."""

    def __init__(self, model: str, stage: str, caller: str, rule: str) -> None:
        super().__init__(model, stage, caller, rule)
        self.model, self.stage, self.caller, self.rule = model, stage, caller, rule

    def __str__(self) -> str:
        roles = " Roles are known of users who are logged in to Airflow, not of programs, commands and tasks."
        return (
            f"{self.caller} may not change {self.model}[{self.stage}]: [model_registry] protected_stages says "
            f"{self.rule!r}. Let one of those do it, or change the setting."
            f"{roles if 'role:' in self.rule and 'role:' not in self.caller else ''}"
        )


class NothingToRestore(ModelRegistryError, LookupError):
    """A rollback has no earlier holder to give the stage back to. A retry cannot help."""

    def __init__(self, model: str, stage: str, to: int | None = None, holders: Sequence[int] = ()) -> None:
        super().__init__(model, stage, to, holders)
        self.model, self.stage, self.to, self.holders = model, stage, to, holders

    def __str__(self) -> str:
        why = (
            "no earlier version that still exists was in it"
            if self.to is None
            else f"{self.model}@{self.to} is not an earlier version in it"
        )
        left = listing([f"{self.model}@{number}" for number in self.holders])
        advice = (
            f"Choose one: {self.option('to', self.holders[0])}"
            if self.holders
            else "Promote a version instead"
        )
        return (
            f"{self.model}[{self.stage}] cannot be rolled back: {why}. Nothing was changed. "
            f"Other versions that have been in it: {left}. {advice}."
        )


class VersionNotReady(ModelRegistryError, RuntimeError):
    """
    The version is still being produced, or failed. A retry helps once its tasks have committed.

    :param own: whether a task of the run that produces it has asked.
    """

    def __init__(self, version: str, state: str, missing: Sequence[str] = (), own: bool = False) -> None:
        super().__init__(version, state, missing, own)
        self.version, self.state, self.missing, self.own = version, state, missing, own

    def __str__(self) -> str:
        tasks = listing([repr(task) for task in self.missing])
        several = "s" if len(self.missing) > 1 else ""
        if self.state == "failed":
            what = (
                f"task{several} {tasks} failed"
                if self.missing
                else "the run that made it did not complete it"
            )
            clear = (
                f"Clear the task{several} and let the run end, or run the program again"
                if self.missing
                else "Make another version"
            )
            return f"{self.version} is incomplete: {what}. {clear}. Nothing was changed."
        what = f": task{several} {tasks} can still write into it" if self.missing else ""
        ready = f"in a step behind {'these' if several else 'it'}" if self.own else "when it is ready"
        return (
            f"{self.version} is still being produced{what}. Promote it {ready}, or pass "
            f"{self.option('allow_incomplete')}. Nothing was changed."
        )


class VersionFailed(ModelRegistryError, RuntimeError):
    """Tasks failed that write into the version of their run. A retry cannot help; clear them."""

    def __init__(self, version: str, tasks: Sequence[str]) -> None:
        super().__init__(version, tasks)
        self.version, self.tasks = version, tasks

    def __str__(self) -> str:
        several = "s" if len(self.tasks) > 1 else ""
        failed = listing([repr(task) for task in self.tasks])
        return (
            f"{self.version} failed, because task{several} {failed} failed. Clear the task{several} together with this "
            "one: Airflow's 'Only failed tasks' means both."
        )


class VersionSealed(ModelRegistryError, RuntimeError):
    """What the version held when it was first promoted cannot change. A retry cannot help."""

    def __init__(self, version: str, what: str) -> None:
        super().__init__(version, what)
        self.version, self.what = version, what

    def __str__(self) -> str:
        return (
            f"{self.version} was promoted, so its {self.what} cannot be changed. "
            "Use another name, or create a new version."
        )


class VersionInUse(ModelRegistryError, RuntimeError):
    """The version holds a stage, was promoted once, is pinned by a run, or is being produced. A retry cannot help."""

    def __init__(self, version: str, use: str, advice: str = "") -> None:
        super().__init__(version, use, advice)
        self.version, self.use, self.advice = version, use, advice

    def __str__(self) -> str:
        archive = self.command("promote", *self.version.rsplit("@", 1), "archived")
        advice = self.advice.replace(PURGE, self.option("purge")).replace(FORCE, self.option("force"))
        advice = advice.replace(ARCHIVE, archive).replace(RELEASE, self.command("release-pins"))
        return f"{self.version} cannot be deleted: {self.use}. {advice}".rstrip()


class MetadataConflict(ModelRegistryError, ValueError):
    """Several map indexes wrote one metadata key onto one version. A retry cannot help."""

    def __init__(self, version: str, key: str) -> None:
        super().__init__(version, key)
        self.version, self.key = version, key

    def __str__(self) -> str:
        return (
            f"Metadata {self.key!r} of {self.version} was written by another map index of this task. "
            "Attach it to each index's output: log_metadata(..., infer_artifact=True)."
        )


class ReferenceMismatch(ModelRegistryError, ValueError):
    """A reference says something else of an artifact than the registry does. A retry cannot help."""

    def __init__(self, reference: str, said: str, found: str) -> None:
        super().__init__(reference, said, found)
        self.reference, self.said, self.found = reference, said, found

    def __str__(self) -> str:
        return (
            f"The reference to {self.reference} does not match the registry. The reference says: {self.said}. The "
            f"registry says: {self.found}. Nothing was loaded. Clear the task that returned the reference: it saves "
            "its output again. (An older copy of the registry's database may have been restored since.)"
        )
