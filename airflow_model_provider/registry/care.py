"""Care of a registry's store: which bytes it needs, what may be forgotten, and what is signed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_model_provider.registry import artifacts, blobs, retention, signatures

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from airflow_model_provider.registry.database import Database
    from airflow_model_provider.registry.entities import RunKey


class Care:
    """The part of a registry that upkeep uses. Every rule stands in the module it delegates to."""

    _database: Database

    def needed_blobs(self) -> Iterator[blobs.Blob]:
        """Yield what artifact versions point to. See :func:`blobs.needed`."""
        return blobs.needed(self._database)

    def unneeded_blobs(
        self, older_than: float, outputs: float | None = None, alive: Collection[RunKey] = ()
    ) -> Iterator[blobs.Blob]:
        """Yield what no artifact version points to. See :func:`blobs.unneeded`."""
        return blobs.unneeded(self._database, older_than, outputs, alive)

    def stray_blobs(self, found: Sequence[blobs.Blob], *, note: bool = False) -> list[blobs.Blob]:
        """Return bytes of which no row tells. See :func:`blobs.strays`."""
        return blobs.strays(self._database, found, note=note)

    def condemn(self, chosen: Sequence[blobs.Blob], older_than: float) -> list[blobs.Blob]:
        """Mark unneeded bytes. See :func:`blobs.condemn`."""
        return blobs.condemn(self._database, chosen, older_than)

    def bury(self, blob: blobs.Blob, remove: Callable[[], None]) -> bool:
        """Remove condemned bytes. See :func:`blobs.bury`."""
        return blobs.bury(self._database, blob, remove)

    def forget_outputs(self, days: float, *, alive: Collection[RunKey] = (), dry_run: bool = False) -> int:
        """Forget outputs that no version holds, or count them. See :func:`retention.forget_outputs`."""
        work = retention.count_outputs if dry_run else retention.forget_outputs
        return work(self._database, days, alive)

    def forget_resolutions(self, days: float, *, dry_run: bool = False) -> int:
        """Forget what tasks got long ago, or count it. See :func:`retention.forget_resolutions`."""
        work = retention.count_resolutions if dry_run else retention.forget_resolutions
        return work(self._database, days)

    def held_artifacts(
        self, model: str | None = None, number: int | None = None
    ) -> Iterator[signatures.Held]:
        """Yield artifact versions. See :func:`signatures.held`."""
        return signatures.held(self._database, model, number)

    def sign(self, artifact_version_id: int, attributes: Mapping[str, Any], who: str | None) -> None:
        """Give an artifact version a signature. See :func:`signatures.sign`."""
        signatures.sign(self._database, artifact_version_id, attributes, who)

    def labels_of(self, digest: str) -> list[str]:
        """Return which artifacts have these bytes. See :func:`artifacts.labels_of`."""
        return artifacts.labels_of(self._database, digest)
