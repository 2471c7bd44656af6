"""
Every error this package raises on purpose.

Raw facts go to ``super().__init__``, the sentence is built in ``__str__``: so an error survives pickling
between processes with its facts. ``transient`` says whether trying again can help; everything else fails for
good.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Sequence


def listing(names: Sequence[object], none: str = "none", limit: int = 10) -> str:
    """Join names for a message, cut after ``limit``."""
    if not names:
        return none
    shown = ", ".join(str(name) for name in names[:limit])
    return f"{shown} and {len(names) - limit} more" if len(names) > limit else shown


class ModelRegistryError(Exception):
    """Base of all errors of this package. A retry does not help unless ``transient`` is true."""

    transient: ClassVar[bool] = False


# --- what can be known wrong at parse time -----------------------------------------------------------------


class InvalidName(ModelRegistryError, ValueError):
    """A name that the registry does not accept. A retry cannot help."""

    def __init__(self, what: str, name: object, reason: str = "") -> None:
        super().__init__(what, name, reason)
        self.what, self.name, self.reason = what, name, reason

    def __str__(self) -> str:
        reason = self.reason or (
            "It must be 1 to 100 characters of letters, digits, '.', '_', '-' and space, "
            "starting with a letter or a digit."
        )
        return f"{self.name!r} is not a valid {self.what} name. {reason}"


class UnknownStage(ModelRegistryError, ValueError):
    """A stage that is not declared. A retry cannot help; declare it or correct the name."""

    def __init__(self, stage: object, declared: Sequence[str], nearest: str | None = None) -> None:
        super().__init__(stage, declared, nearest)
        self.stage, self.declared, self.nearest = stage, declared, nearest

    def __str__(self) -> str:
        hint = f" Did you mean {self.nearest!r}?" if self.nearest else ""
        return (
            f"{self.stage!r} is not a declared stage.{hint} Declared: {listing(self.declared)}. "
            "Teams declare more in [model_registry] stages (AIRFLOW__MODEL_REGISTRY__STAGES)."
        )


class InvalidDefinition(ModelRegistryError, TypeError):
    """A pipeline or step is defined wrongly. A retry cannot help; correct the definition."""

    def __init__(self, subject: str, problem: str, advice: str = "") -> None:
        super().__init__(subject, problem, advice)
        self.subject, self.problem, self.advice = subject, problem, advice

    def __str__(self) -> str:
        return f"{self.subject}: {self.problem}." + (f" {self.advice}" if self.advice else "")


class MissingModelContext(ModelRegistryError, RuntimeError):
    """A model was asked of a pipeline or step that has none, or outside of one. A retry cannot help."""

    def __init__(self, where: str, advice: str) -> None:
        super().__init__(where, advice)
        self.where, self.advice = where, advice

    def __str__(self) -> str:
        return f"There is no model in {self.where}. {self.advice}"


class DeferredValueUsed(ModelRegistryError, TypeError):
    """A value that exists only when a task runs was used while the DAG is built. A retry cannot help."""

    def __init__(self, value: str, operation: str) -> None:
        super().__init__(value, operation)
        self.value, self.operation = value, operation

    def __str__(self) -> str:
        return (
            f"{self.value} has no value while the pipeline is built, so {self.operation} is not possible here. "
            "Pass it to a step and compute there."
        )


class LoadingWhileBuilding(ModelRegistryError, RuntimeError):
    """Registry or store access was attempted in a pipeline or DAG body. A retry cannot help."""

    def __init__(self, operation: str, place: str = "") -> None:
        super().__init__(operation, place)
        self.operation, self.place = operation, place

    def __str__(self) -> str:
        at = f" ({self.place})" if self.place else ""
        return (
            f"{self.operation} reads the registry, which is not possible while a DAG is built{at}. "
            "Pass the lazy reference to a step instead; it is resolved when the task runs."
        )


# --- what the registry does not hold -----------------------------------------------------------------------


class ModelNotFound(ModelRegistryError, LookupError):
    """The registry has no such model. A retry helps only if a training run is still to come."""

    def __init__(self, model: str, existing: Sequence[str] = ()) -> None:
        super().__init__(model, existing)
        self.model, self.existing = model, existing

    def __str__(self) -> str:
        return (
            f"The registry has no model {self.model!r}. Models: {listing(self.existing)}. "
            f"A pipeline with model=Model(name={self.model!r}) makes it at its first run."
        )


class StageNotAssigned(ModelRegistryError, LookupError):
    """No version holds the stage. A retry helps only if a promotion is still to come."""

    def __init__(self, model: str, stage: str, versions: Sequence[str] = ()) -> None:
        super().__init__(model, stage, versions)
        self.model, self.stage, self.versions = model, stage, versions

    def __str__(self) -> str:
        return (
            f"No version of {self.model!r} is in stage {self.stage!r}. "
            f"Versions: {listing(self.versions)}. Promote one: "
            f"airflow model-registry promote {self.model!r} <number> {self.stage}"
        )


class VersionNotFound(ModelRegistryError, LookupError):
    """The model has no such version. A retry cannot help."""

    def __init__(self, model: str, selector: str, versions: Sequence[str] = ()) -> None:
        super().__init__(model, selector, versions)
        self.model, self.selector, self.versions = model, selector, versions

    def __str__(self) -> str:
        return (
            f"{self.model!r} has no version {self.selector!r}. Versions: {listing(self.versions)}. "
            "Name one of these, or a stage."
        )


class ArtifactNotFound(ModelRegistryError, LookupError):
    """The version holds no such artifact. A retry cannot help."""

    def __init__(self, version: str, artifact: str, existing: Sequence[str] = ()) -> None:
        super().__init__(version, artifact, existing)
        self.version, self.artifact, self.existing = version, artifact, existing

    def __str__(self) -> str:
        return f"{self.version} has no artifact {self.artifact!r}. It has: {listing(self.existing)}."


class AmbiguousArtifact(ModelRegistryError, LookupError):
    """A mapped step made several artifacts of this name, and no index was given. A retry cannot help."""

    def __init__(self, version: str, artifact: str, count: int) -> None:
        super().__init__(version, artifact, count)
        self.version, self.artifact, self.count = version, artifact, count

    def __str__(self) -> str:
        return (
            f"{version_and(self.version, self.artifact)} is a collection of {self.count} made by a mapped step. "
            "Say which one: map_index=0 and so on."
        )


def version_and(version: str, artifact: str) -> str:
    """``iris_classifier@2/trained_model``."""
    return f"{version}/{artifact}"


class MetadataNotFound(ModelRegistryError, LookupError):
    """The version or artifact has no such metadata key. A retry cannot help."""

    def __init__(self, subject: str, key: str, existing: Sequence[str] = ()) -> None:
        super().__init__(subject, key, existing)
        self.subject, self.key, self.existing = subject, key, existing

    def __str__(self) -> str:
        return (
            f"{self.subject} has no metadata {self.key!r}. It has: {listing(self.existing)}. "
            "Give default= where it may be missing."
        )


# --- refused changes ---------------------------------------------------------------------------------------


class AlreadyExists(ModelRegistryError, ValueError):
    """Something of this name exists already. A retry cannot help."""

    def __init__(self, what: str, name: str) -> None:
        super().__init__(what, name)
        self.what, self.name = what, name

    def __str__(self) -> str:
        return f"The {self.what} {self.name!r} exists already. Use it, or choose another name."


class StageOccupied(ModelRegistryError, RuntimeError):
    """Another version holds the stage and ``force`` was not given. A retry cannot help."""

    def __init__(self, model: str, stage: str, holder: int, candidate: int) -> None:
        super().__init__(model, stage, holder, candidate)
        self.model, self.stage, self.holder, self.candidate = model, stage, holder, candidate

    def __str__(self) -> str:
        return (
            f"Stage {self.stage!r} of {self.model!r} is held by version {self.holder}. "
            f"Pass force=True to replace it by version {self.candidate}."
        )


class StageConflict(ModelRegistryError, RuntimeError):
    """The stage is not held by the version that was expected. Read the holder again, then decide."""

    def __init__(self, model: str, stage: str, expected: int | None, holder: int | None) -> None:
        super().__init__(model, stage, expected, holder)
        self.model, self.stage, self.expected, self.holder = model, stage, expected, holder

    def __str__(self) -> str:
        held = f"version {self.holder}" if self.holder is not None else "no version"
        expected = f"version {self.expected}" if self.expected is not None else "no version"
        return f"Stage {self.stage!r} of {self.model!r} is held by {held}, not by {expected} as expected."


class VersionNotReady(ModelRegistryError, RuntimeError):
    """The version is still being produced, or failed. A retry helps once its tasks have committed."""

    def __init__(self, version: str, state: str, missing: Sequence[str] = ()) -> None:
        super().__init__(version, state, missing)
        self.version, self.state, self.missing = version, state, missing

    def __str__(self) -> str:
        return (
            f"{self.version} is {self.state}, not ready; tasks that have not committed their outputs: "
            f"{listing(self.missing)}. Wait for them, or pass allow_incomplete=True."
        )


class VersionSealed(ModelRegistryError, RuntimeError):
    """What the version held when it was first promoted cannot change. A retry cannot help."""

    def __init__(self, version: str, what: str) -> None:
        super().__init__(version, what)
        self.version, self.what = version, what

    def __str__(self) -> str:
        return (
            f"{self.version} was promoted, so its {self.what} cannot change any more. "
            "Use another name, or make a new version."
        )


class VersionInUse(ModelRegistryError, RuntimeError):
    """The version holds a stage, was promoted once, or is pinned by a run. A retry cannot help."""

    def __init__(self, version: str, use: str) -> None:
        super().__init__(version, use)
        self.version, self.use = version, use

    def __str__(self) -> str:
        return f"{self.version} cannot be deleted: {self.use}."


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


# --- values, bytes and formats -----------------------------------------------------------------------------


class NotSerializable(ModelRegistryError, TypeError):
    """A value could not be saved. A retry cannot help."""

    def __init__(self, what: str, type_name: str, reason: str) -> None:
        super().__init__(what, type_name, reason)
        self.what, self.type_name, self.reason = what, type_name, reason

    def __str__(self) -> str:
        return (
            f"{self.what} of type {self.type_name} cannot be saved: {self.reason}. "
            "Return a value that can be, or register a materializer for its type."
        )


class UnknownFormat(ModelRegistryError, LookupError):
    """No materializer for this key and format version. Install what provides it; a retry cannot help."""

    def __init__(self, key: str, format_version: int, existing: Sequence[str] = ()) -> None:
        super().__init__(key, format_version, existing)
        self.key, self.format_version, self.existing = key, format_version, existing

    def __str__(self) -> str:
        return (
            f"No materializer here reads format {self.key!r} version {self.format_version}. "
            f"Known: {listing(self.existing, limit=30)}. Install the package or release that provides it."
        )


class MissingDependency(ModelRegistryError, ImportError):
    """A library that a format needs is not installed. A retry cannot help."""

    def __init__(self, what: str, package: str, install: str) -> None:
        super().__init__(what, package, install)
        self.what, self.package, self.install = what, package, install

    def __str__(self) -> str:
        return f"{self.what} needs {self.package}, which is not installed. Run: pip install '{self.install}'"


class PickleForbidden(ModelRegistryError, PermissionError):
    """A pickle-based format is needed and the configuration forbids it. A retry cannot help."""

    def __init__(self, what: str, type_name: str) -> None:
        super().__init__(what, type_name)
        self.what, self.type_name = what, type_name

    def __str__(self) -> str:
        return (
            f"{self.what} ({self.type_name}) needs pickle, and [model_registry] allow_pickle is False. "
            "Use a format that executes nothing (data frames, arrays, JSON; skops for scikit-learn), or allow it."
        )


class UntrustedTypes(ModelRegistryError, PermissionError):
    """A skops file names types outside the trusted list. A retry cannot help."""

    def __init__(self, what: str, types: Sequence[str]) -> None:
        super().__init__(what, types)
        self.what, self.types = what, types

    def __str__(self) -> str:
        return (
            f"{self.what} holds types that are not trusted: {listing(self.types)}. "
            "If you know them, list them in [model_registry] skops_trusted_types."
        )


class DigestMismatch(ModelRegistryError, RuntimeError):
    """Stored bytes are not those that were registered; they were not deserialized. A retry cannot help."""

    def __init__(self, artifact: str, expected: str, found: str, uri: str = "") -> None:
        super().__init__(artifact, expected, found, uri)
        self.artifact, self.expected, self.found, self.uri = artifact, expected, found, uri

    def __str__(self) -> str:
        where = f" at {self.uri}" if self.uri else ""
        return (
            f"The stored bytes of {self.artifact}{where} were changed: registered sha256:{self.expected}, "
            f"found sha256:{self.found}. Nothing was loaded. Restore the file, or use another version."
        )


class PayloadMissing(ModelRegistryError, FileNotFoundError):
    """The registered bytes are not in the store. A retry cannot help unless the store was emptied by mistake."""

    def __init__(self, artifact: str, uri: str) -> None:
        super().__init__(artifact, uri)
        self.artifact, self.uri = artifact, uri

    def __str__(self) -> str:
        return (
            f"The bytes of {self.artifact} are not in the store: {self.uri} does not exist. Restore the file."
        )


class PayloadReplaced(PayloadMissing):
    """A link, a folder or a pipe stands where the registered bytes should be. A retry cannot help."""

    def __str__(self) -> str:
        return (
            f"The bytes of {self.artifact} are not in the store: {self.uri} is no plain file. Nothing was loaded. "
            "Restore the file."
        )


class LoadFailed(ModelRegistryError, RuntimeError):
    """The verified bytes could not be turned into an object here. A retry cannot help."""

    def __init__(self, artifact: str, reason: str, differences: Sequence[str] = ()) -> None:
        super().__init__(artifact, reason, differences)
        self.artifact, self.reason, self.differences = artifact, reason, differences

    def __str__(self) -> str:
        changed = f" Environment since it was saved: {listing(self.differences)}." if self.differences else ""
        return f"{self.artifact} could not be loaded: {self.reason}.{changed}"


# --- where the registry is, and whether it answers ---------------------------------------------------------


class InvalidConfiguration(ModelRegistryError, ValueError):
    """A setting cannot be used. A retry cannot help; correct the setting."""

    def __init__(self, setting: str, problem: str, advice: str = "") -> None:
        super().__init__(setting, problem, advice)
        self.setting, self.problem, self.advice = setting, problem, advice

    def __str__(self) -> str:
        return f"{self.setting}: {self.problem}." + (f" {self.advice}" if self.advice else "")


class RegistryUnavailable(ModelRegistryError, ConnectionError):
    """The registry's database does not answer. A retry can help."""

    transient = True

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(url, reason)
        self.url, self.reason = url, reason

    def __str__(self) -> str:
        return (
            f"The model registry at {self.url} cannot be opened: {self.reason}. "
            "Check the address (AIRFLOW_CONN_MODEL_REGISTRY_DEFAULT or [model_registry] url) and that it is up."
        )


class StoreUnavailable(ModelRegistryError, OSError):
    """The artifact store cannot be read or written. A retry can help."""

    transient = True

    def __init__(self, uri: str, operation: str, reason: str) -> None:
        super().__init__(uri, operation, reason)
        self.uri, self.operation, self.reason = uri, operation, reason

    def __str__(self) -> str:
        return (
            f"The artifact store could not {self.operation} {self.uri}: {self.reason}. "
            "Check free space, permissions and [model_registry] store; nothing was registered."
        )


class SchemaMismatch(ModelRegistryError, RuntimeError):
    """The database's schema and this release do not fit. A retry cannot help."""

    def __init__(self, url: str, found: str | None, expected: str, advice: str) -> None:
        super().__init__(url, found, expected, advice)
        self.url, self.found, self.expected, self.advice = url, found, expected, advice

    def __str__(self) -> str:
        return (
            f"The model registry at {self.url} has schema {self.found!r}; this release needs {self.expected!r}. "
            f"{self.advice}"
        )


class WrongRegistry(ModelRegistryError, RuntimeError):
    """A reference was made in another registry. A retry cannot help."""

    def __init__(self, reference: str, expected: str, found: str) -> None:
        super().__init__(reference, expected, found)
        self.reference, self.expected, self.found = reference, expected, found

    def __str__(self) -> str:
        return (
            f"{self.reference} belongs to registry {self.expected}, and this task is connected to {self.found}. "
            "Give all workers the same registry (AIRFLOW_CONN_MODEL_REGISTRY_DEFAULT)."
        )
