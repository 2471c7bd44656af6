"""References of one task → pinned versions: one read for all of them, one write that records what was got."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_model_provider.references import OutputReference, Reference, Selector, SelectorKind

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Sequence

    from airflow_model_provider.registry.entities import Attempt, Resolution, VersionRecord
    from airflow_model_provider.workspace import Workspace

_Pin = tuple[str | None, str, Selector]


class Resolver:
    """
    Pins references for one try of one task: whatever is asked later sees what was pinned first (R8).

    :param attempt: the try; its pins are recorded under it.
    :param workspace: the registry of a connection id, opened when first needed.
    :param log: where each resolution is said.
    """

    def __init__(
        self, attempt: Attempt, workspace: Callable[[str | None], Workspace], log: logging.Logger | Any
    ) -> None:
        self.attempt, self._workspace, self._log = attempt, workspace, log
        self._known: dict[Reference | OutputReference, Resolution] = {}
        self._pins: dict[_Pin, VersionRecord] = {}

    @property
    def versions(self) -> list[tuple[str | None, VersionRecord]]:
        """The distinct versions this task uses, with the connection each came through."""
        found = {(pin[0], version.id): version for pin, version in self._pins.items()}
        return [(conn_id, version) for (conn_id, _), version in found.items()]

    def resolve(self, references: Sequence[Reference | OutputReference]) -> list[Resolution]:
        """
        Pin references, in one read per registry, and record them in one write.

        :raises ModelRegistryError: the error that says what is missing, where a reference has no default.
        """
        new = [reference for reference in dict.fromkeys(references) if reference not in self._known]
        for conn_id in dict.fromkeys(_conn_id(reference) for reference in new):
            self._resolve_in(conn_id, [reference for reference in new if _conn_id(reference) == conn_id])
        return [self._known[reference] for reference in references]

    def _resolve_in(self, conn_id: str | None, references: Sequence[Reference | OutputReference]) -> None:
        workspace = self._workspace(conn_id)
        for reference in references:
            if isinstance(reference, OutputReference):
                workspace.check_own(reference)
        found = workspace.registry.resolve(
            [self._under_pins(reference) for reference in references], self.attempt
        )
        resolutions = [item._replace(reference=asked) for item, asked in zip(found, references, strict=True)]
        workspace.registry.record(resolutions, self.attempt)
        for reference, resolution in zip(references, resolutions, strict=True):
            self._known[reference] = resolution
            if isinstance(reference, Reference) and resolution.version is not None:
                self._pins.setdefault((conn_id, reference.model, reference.selector), resolution.version)
            self._say(resolution)

    def _under_pins(self, reference: Reference | OutputReference) -> Reference | OutputReference:
        """A selector that this task has pinned already means that version, whatever was promoted since."""
        if isinstance(reference, OutputReference):
            return reference
        version = self._pins.get((reference.conn_id, reference.model, reference.selector))
        if version is None:
            return reference
        return replace(reference, selector=Selector(SelectorKind.NUMBER, version.number))

    def _say(self, resolution: Resolution) -> None:
        if resolution.missing is not None:
            self._log.info("%r is not there, its default %r is used", resolution.reference, resolution.value)
        elif resolution.version is not None and resolution.artifact is not None:
            digest = resolution.artifact.payload.digest
            self._log.info(
                "%r is %s (%s, sha256:%s)",
                resolution.reference,
                resolution.version,
                resolution.artifact,
                digest[:12],
            )
        elif resolution.version is not None:
            self._log.info("%r is %s", resolution.reference, resolution.version)


def _conn_id(reference: Reference | OutputReference) -> str | None:
    return reference.conn_id if isinstance(reference, Reference) else None
