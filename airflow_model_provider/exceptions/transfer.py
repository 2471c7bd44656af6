"""Models that move between registries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_model_provider.exceptions.base import ModelRegistryError, listing

if TYPE_CHECKING:
    from collections.abc import Sequence


class NotExportable(ModelRegistryError, RuntimeError):
    """Versions are not ready, or there is none. A retry helps once they are ready."""

    def __init__(self, model: str, versions: Sequence[str] = ()) -> None:
        super().__init__(model, versions)
        self.model, self.versions = model, versions

    def __str__(self) -> str:
        if not self.versions:
            return f"{self.model!r} has no version to export. Make one first."
        producing = all("(producing)" in version for version in self.versions)
        advice = "Wait until they are ready, or name" if producing else "Name"
        return (
            f"Only versions of {self.model!r} that are ready can be exported, not {listing(self.versions)}. "
            f"{advice} others: {self.option('versions', [1])}."
        )


class ExportFailed(ModelRegistryError, OSError):
    """An export could not be written, and nothing is left of it. A retry helps once there is room for it."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        return (
            f"The export could not be written to {self.path}: {self.reason}. Check the folder, free space and "
            "permissions, or name another file."
        )


class InvalidExport(ModelRegistryError, ValueError):
    """A file is no export that this release can import. A retry cannot help."""

    def __init__(self, path: str, problem: str, advice: str = "") -> None:
        super().__init__(path, problem, advice)
        self.path, self.problem, self.advice = path, problem, advice

    def __str__(self) -> str:
        advice = self.advice or "Export the model once more, and copy the file whole."
        return f"{self.path} cannot be imported: {self.problem}. Nothing was imported. {advice}"


class ImportConflict(ModelRegistryError, ValueError):
    """The model has other versions under the names of those to be imported. A retry cannot help."""

    def __init__(self, model: str, versions: Sequence[str]) -> None:
        super().__init__(model, versions)
        self.model, self.versions = model, versions

    def __str__(self) -> str:
        return (
            f"{self.model!r} has other versions of the same names: {listing(self.versions)}. Nothing was imported. "
            f"Rename those, Client().update_model_version({self.model!r}, ..., name=...), or import into another "
            "model: --model."
        )
