"""The record of what tasks got and made: questions to a registry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_model_provider.registry import lineage, pins

if TYPE_CHECKING:
    from datetime import timedelta

    from airflow_model_provider.registry.database import Database
    from airflow_model_provider.registry.entities import (
        Attempt,
        Made,
        ResolutionRecord,
        RunKey,
        VersionRecord,
    )


class Records:
    """The part of a registry that answers who used what. Every rule stands in the module it delegates to."""

    _database: Database

    def resolutions(
        self,
        *,
        model: str | None = None,
        number: int | None = None,
        dag_id: str | None = None,
        run_id: str | None = None,
        attempt_id: str | None = None,
        belongs: bool | None = None,
        limit: int | None = 100,
    ) -> list[ResolutionRecord]:
        """Return recorded resolutions, newest first. See :func:`lineage.resolutions`."""
        asked = lineage.Asked(model, number, dag_id, run_id, attempt_id, belongs)
        return lineage.resolutions(self._database, asked, limit)

    def used_versions(self, attempt_id: str) -> list[VersionRecord]:
        """Return the versions that a try of a task got. See :func:`lineage.used_versions`."""
        return lineage.used_versions(self._database, attempt_id)

    def made_in(self, run: RunKey) -> list[Made]:
        """Return what tasks of a Dag run have made. See :func:`lineage.made_in`."""
        return lineage.made_in(self._database, run)

    def producer_of(self, artifact_version_id: int) -> Attempt | None:
        """Return the try of the task that made an artifact version. See :func:`lineage.producer_of`."""
        return lineage.producer_of(self._database, artifact_version_id)

    def release_pins(self, silent_for: timedelta, **chosen: Any) -> int:
        """Forget what runs have pinned that are over. See :func:`pins.release_pins`."""
        return pins.release_pins(self._database, silent_for, **chosen)
