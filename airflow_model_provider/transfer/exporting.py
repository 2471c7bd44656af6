"""Versions of a model → one file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from airflow_model_provider import settings
from airflow_model_provider.artifacts.scratch import check_target
from airflow_model_provider.exceptions import NotExportable
from airflow_model_provider.references import Reference, Wanted
from airflow_model_provider.registry.entities import VersionState
from airflow_model_provider.selectors import Selector
from airflow_model_provider.transfer import manifest
from airflow_model_provider.transfer.archive import new_archive

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow_model_provider.registry.entities import VersionRecord
    from airflow_model_provider.registry.registry import Registry
    from airflow_model_provider.workspace import Workspace


class Exported(NamedTuple):
    """
    What an export holds.

    :param path: the file.
    :param versions: its versions: ``iris@1``.
    :param left_out: those that are not in it, because they are not ready: ``iris@2 (failed)``.
    :param payloads: how many files of the store are in it, each once.
    :param size: their bytes.
    """

    path: Path
    versions: tuple[str, ...]
    left_out: tuple[str, ...]
    payloads: int
    size: int


def export_model(
    workspace: Workspace,
    name: str,
    path: Path | str,
    versions: Sequence[str | int] | None = None,
    *,
    force: bool = False,
    told: Callable[[int], None] = lambda _size: None,
) -> Exported:
    """
    Write versions of a model into one file. See :meth:`Client.export_model`.

    :param told: called with the bytes of each payload.
    """
    path = Path(path)
    check_target(path, f"{name}.zip", force=force)
    registry, store = workspace.registry, workspace.store
    model = registry.get_model(name)
    chosen, left_out = (
        _all(registry, name, model.last_number) if versions is None else _named(registry, name, versions)
    )
    held = [(version, registry.contents(version.id)) for version in chosen]
    said = manifest.write(registry.id, model, held, reversed(registry.history(name)))
    payloads = {
        record.payload.digest: (record.payload.size, f"{version}/{record}")
        for version, contents in held
        for record, _ in contents.artifacts
    }
    with new_archive(path, said, force=force) as archive:
        for digest, (size, what) in payloads.items():
            archive.add(store.source(digest, size, what=what))
            told(size)
    total = sum(size for size, _ in payloads.values())
    return Exported(path, tuple(map(str, chosen)), left_out, len(payloads), total)


def _all(registry: Registry, model: str, last_number: int) -> tuple[list[VersionRecord], tuple[str, ...]]:
    """All versions that are ready, by number; and what the others are."""
    there = {version.number: version for version in registry.list_versions(model)}
    others = []
    for number in range(1, last_number + 1):
        state = there[number].state if number in there else VersionState.DELETED
        if state is not VersionState.READY:
            others.append(f"{model}@{number} ({state.value})")
            there.pop(number, None)
    if not there:
        raise NotExportable(model, tuple(others))
    return [there[number] for number in sorted(there)], tuple(others)


def _named(
    registry: Registry, model: str, versions: Sequence[str | int]
) -> tuple[list[VersionRecord], tuple[str, ...]]:
    """The versions that were named, by number."""
    declared = settings.declared_stages()
    named = [versions] if isinstance(versions, str | int) else versions
    references = [Reference(model, Selector.parse(item, declared), Wanted.VERSION) for item in named]
    found = {item.version.number: item.version for item in registry.resolve(references) if item.version}
    chosen = [found[number] for number in sorted(found)]
    others = [
        f"{version} ({version.state.value})" for version in chosen if version.state is not VersionState.READY
    ]
    if others or not chosen:
        raise NotExportable(model, others)
    return chosen, ()
