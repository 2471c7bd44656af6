"""Values, bytes and formats."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_model_provider.exceptions.base import ModelRegistryError, an, did_you_mean, listing, quoted

if TYPE_CHECKING:
    from collections.abc import Sequence


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


class NotJson(NotSerializable):
    """A value of metadata has no JSON form, or is too large. A retry cannot help."""

    def __init__(self, what: str, type_name: str, reason: str, advice: str) -> None:
        super(NotSerializable, self).__init__(what, type_name, reason, advice)
        self.what, self.type_name, self.reason, self.advice = what, type_name, reason, advice

    def __str__(self) -> str:
        return f"{self.what} of type {self.type_name} cannot be saved: {self.reason}. {self.advice}"


class UnknownFormat(ModelRegistryError, LookupError):
    """
    No materializer for this key and format version. Install what provides it; a retry cannot help.

    ``broken`` are those of other packages that could not be imported: each may have been the one.
    """

    def __init__(
        self, key: str, format_version: int, existing: Sequence[str] = (), broken: Sequence[str] = ()
    ) -> None:
        super().__init__(key, format_version, existing, broken)
        self.key, self.format_version, self.existing, self.broken = key, format_version, existing, broken

    def __str__(self) -> str:
        broken = f" Could not be imported: {listing(self.broken)}." if self.broken else ""
        if not self.format_version:  # somebody has chosen it
            hint, known = did_you_mean(self.key, self.existing), listing(self.existing, limit=30)
            return f"format={quoted(self.key)} does not exist.{hint} Formats: {known}.{broken}"
        return (
            f"No materializer here reads format {quoted(self.key)} version {self.format_version}. "
            f"Known: {listing(self.existing, limit=30)}.{broken} Install the package or release that provides it."
        )


class MaterializerUnusable(ModelRegistryError, ImportError):
    """The materializer that packages provide for a type or format cannot be used. A retry cannot help."""

    def __init__(self, what: str, providers: Sequence[str], reason: str) -> None:
        super().__init__(what, providers, reason)
        self.what, self.providers, self.reason = what, providers, reason

    def __str__(self) -> str:
        advice = "Uninstall all but one" if len(self.providers) > 1 else "Upgrade or uninstall that package"
        return (
            f"The materializer of {self.what} cannot be used: {self.reason}. "
            f"Provided by: {listing(self.providers)}. {advice}."
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


class NotSigned(ModelRegistryError, PermissionError):
    """A file that can execute code bears no valid signature; it was not loaded. A retry cannot help."""

    def __init__(self, what: str, problem: str) -> None:
        super().__init__(what, problem)
        self.what, self.problem = what, problem

    def __str__(self) -> str:
        command = self.command("sign", "--model", "MODEL", "--version", "NUMBER")
        return (
            f"{self.what} is of a format that can execute code, and {self.problem}. Nothing was loaded. If you trust "
            f"it: sign the version that holds it ({command}), add the key that signed it to "
            "[model_registry] signing_keys, or set require_signature = False."
        )


class VersionNotSigned(ModelRegistryError, PermissionError):
    """Consumers could not load artifacts of the version that was to be promoted. A retry cannot help; sign them."""

    def __init__(self, version: str, stage: str, artifacts: Sequence[str]) -> None:
        super().__init__(version, stage, artifacts)
        self.version, self.stage, self.artifacts = version, stage, artifacts

    def __str__(self) -> str:
        model, _, number = self.version.rpartition("@")
        command = self.command("sign", "--model", model, "--version", number)
        return (
            f"{self.version} was not promoted to {self.stage!r}: consumers could not load {listing(self.artifacts)}, "
            "which can execute code and bears no signature of a key in [model_registry] signing_keys. "
            f"If you trust it, sign it: {command}. Nothing was changed."
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


class FileMissing(ModelRegistryError, FileNotFoundError):
    """The file that is to be kept is not there. A retry cannot help unless somebody puts it there."""

    def __init__(self, artifact: str, path: str, problem: str = "does not exist") -> None:
        super().__init__(artifact, path, problem)
        self.artifact, self.path, self.problem = artifact, path, problem

    def __str__(self) -> str:
        return f"{self.artifact} cannot be saved: {self.path!r} {self.problem}. Pass the path of a file."


class PayloadReplaced(PayloadMissing):
    """A link, a folder or a pipe stands where the registered bytes should be. A retry cannot help."""

    def __str__(self) -> str:
        return (
            f"The bytes of {self.artifact} are not in the store: {self.uri} is not a file. Nothing was loaded. "
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


class WrongType(ModelRegistryError, TypeError):
    """An input does not fit the annotation of its parameter. A retry cannot help."""

    def __init__(self, step: str, parameter: str, expected: str, found: str, what: str) -> None:
        super().__init__(step, parameter, expected, found, what)
        self.step, self.parameter, self.expected, self.found, self.what = (
            step,
            parameter,
            expected,
            found,
            what,
        )

    def __str__(self) -> str:
        what = "it" if self.what == self.found else self.what
        return (
            f"Parameter {self.parameter!r} of step {self.step!r} must be {self.expected}, but {what} is "
            f"{an(self.found)}. Pass another value, or correct the annotation."
        )


class WrongOutput(ModelRegistryError, TypeError):
    """A step's result does not fit its return annotation; no output was saved. A retry cannot help."""

    def __init__(self, step: str, output: str | None, expected: str, found: str) -> None:
        super().__init__(step, output, expected, found)
        self.step, self.output, self.expected, self.found = step, output, expected, found

    def __str__(self) -> str:
        if self.output is None:
            return (
                f"Step {self.step!r} declares to return nothing (-> None), and returned {an(self.found)}, "
                f"which was not saved. Return nothing, or annotate it: -> Annotated[..., 'name']."
            )
        return (
            f"Step {self.step!r} declares output {self.output!r} as {self.expected}, and returned "
            f"{an(self.found)}. None of its outputs was saved. Return another value, or "
            "correct the annotation."
        )


class InputNotFound(ModelRegistryError, KeyError):
    """A step's parameter did not come from an artifact. A retry cannot help."""

    def __init__(self, step: str, parameter: str, existing: Sequence[str] = ()) -> None:
        super().__init__(step, parameter, existing)
        self.step, self.parameter, self.existing = step, parameter, existing

    def __str__(self) -> str:
        return (
            f"Step {self.step!r} has no artifact for parameter {self.parameter!r}. Parameters that came from "
            f"artifacts: {listing(self.existing)}."
        )
