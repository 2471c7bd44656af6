"""Upkeep of a registry and its store: whether everything is there and signed, and what nobody needs any more."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from airflow_model_provider import settings
from airflow_model_provider.exceptions import (
    DigestMismatch,
    InvalidConfiguration,
    PayloadMissing,
    VersionNotFound,
)
from airflow_model_provider.materializers.signing import is_unsigned
from airflow_model_provider.registry.blobs import PAGE, Blob

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from airflow_model_provider.registry.entities import RunKey
    from airflow_model_provider.workspace import Workspace

    Ended = Callable[[Collection[RunKey]], Mapping[RunKey, Mapping[str, str]]]

#: Seconds that unneeded bytes are left alone: longer than a step takes to write and register an output.
DAY = 24 * 3600.0


class Damage(NamedTuple):
    """
    Bytes that are gone or changed.

    :param digest: the SHA-256 that is registered.
    :param artifacts: what has these bytes: ``iris@3/trained_model``.
    :param problem: ``missing`` or ``changed``.
    :param error: the sentence that a load would give.
    """

    digest: str
    artifacts: tuple[str, ...]
    problem: str
    error: str


class Garbage(NamedTuple):
    """
    What nobody needs.

    :param blobs: how many stored files no artifact version points to.
    :param size: their bytes.
    :param leftovers: how many files and uploads writers have begun and never finished.
    :param outputs: how many outputs that no version holds are older than ``keep_outputs``.
    :param resolutions: how many records of what tasks got are older than ``keep_resolutions``.
    :param pins: how many versions are pinned by runs that have been silent for as long.
    :param abandoned: how many versions were left while they were being made, ``abandoned_after`` days ago; these fail.
    :param ended: how many versions were still being made though their Dag run is over; these become ready, or fail.
    """

    blobs: int
    size: int
    leftovers: int
    outputs: int = 0
    resolutions: int = 0
    pins: int = 0
    abandoned: int = 0
    ended: int = 0


def _nobody(_blob: Blob) -> None:
    return None


def _unknown(_runs: Collection[RunKey]) -> Mapping[RunKey, Mapping[str, str]]:
    return {}


def verify(workspace: Workspace, told: Callable[[Blob], None] = _nobody) -> Iterator[Damage]:
    """
    Hash everything that an artifact version points to once more, and yield what is not as registered.

    :param told: called after each.
    :raises StoreUnavailable: if the store doesn't answer.
    :raises RegistryUnavailable: if the registry doesn't.
    """
    registry, store = workspace.registry, workspace.store
    for blob in registry.needed_blobs():
        try:
            store.check(blob.digest, blob.size, what=f"sha256:{blob.digest[:12]}")
        except (DigestMismatch, PayloadMissing) as err:
            problem = "changed" if isinstance(err, DigestMismatch) else "missing"
            if artifacts := tuple(registry.labels_of(blob.digest)):  # else it was deleted meanwhile
                yield Damage(blob.digest, artifacts, problem, str(err))
        told(blob)


class Signature(NamedTuple):
    """
    An artifact version that can execute code and was signed, or is to be.

    :param artifact: its printed form: ``iris@3/trained_model@1``.
    :param digest: the SHA-256 of its bytes.
    :param problem: why it was not signed: its bytes are ``missing`` or ``changed``; None if nothing is wrong.
    """

    artifact: str
    digest: str
    problem: str | None = None


def sign(
    workspace: Workspace,
    model: str | None = None,
    number: int | None = None,
    *,
    who: str | None = None,
    dry_run: bool = False,
) -> Iterator[Signature]:
    """
    Sign what can execute code and does not bear the signature of the first key; its bytes are hashed once more before.

    :param model: only what versions of this model hold; None for all that is registered.
    :param number: only what this version holds.
    :param who: who says that it can be trusted; kept beside the signature.
    :param dry_run: sign nothing.
    :raises InvalidConfiguration: if there is no key.
    """
    signing = settings.signing()
    if not signing.keys:
        problem = "no key is set, so nothing can be signed"
        advice = "Set AIRFLOW__MODEL_REGISTRY__SIGNING_KEYS where this runs, and where consumers do."
        raise InvalidConfiguration(f"[{settings.SECTION}] signing_keys", problem, advice)
    for label, artifact in workspace.registry.held_artifacts(model, number):
        payload = artifact.payload
        if not is_unsigned(payload, signing, by_first=True):
            continue
        damage = _problem(workspace, payload.digest, payload.size, label)
        if damage is None and not dry_run:
            attributes = signing.sign(payload.digest, payload.materializer, payload.format_version)
            workspace.registry.sign(artifact.id, attributes, who)
        yield Signature(label, payload.digest, damage)


def _problem(workspace: Workspace, digest: str, size: int, what: str) -> str | None:
    try:
        workspace.store.check(digest, size, what=what)
    except DigestMismatch:
        return "changed"
    except PayloadMissing:
        return "missing"
    return None


def collect(
    workspace: Workspace,
    *,
    older_than: float = DAY,
    dry_run: bool = False,
    told: Callable[[Blob], None] = _nobody,
    ended: Ended = _unknown,
    at_work: Callable[[], Collection[RunKey]] = tuple,
) -> Garbage:
    """
    Remove what no artifact version points to, and first what the settings keep for some days only.

    Writers of this registry, and others on its store, may go on.

    :param older_than: seconds that it has lain untouched, at least. What a writer is just about to register is
        stored again if it is taken, so that a small number costs time and loses nothing.
    :param dry_run: only count.
    :param told: called after each stored file.
    :param ended: returns of those Dag runs that are over what became of their tasks; asked where versions are still
        being made.
    :param at_work: returns Dag runs that are not over: their versions, outputs and pins are left alone, however long
        they wait.
    :raises StoreUnavailable: if the store doesn't answer; what is left is removed the next time.
    :raises RegistryUnavailable: if the registry doesn't.
    """
    kept = settings.retention()
    closed = _close_ended(workspace, ended, dry_run=dry_run)
    alive = at_work()
    pins = _forget(_release_pins(workspace, alive), kept.resolutions, dry_run=dry_run)
    fail_abandoned = partial(workspace.registry.fail_abandoned, alive=alive)
    abandoned = _forget(fail_abandoned, kept.abandoned, dry_run=dry_run)
    resolutions = _forget(workspace.registry.forget_resolutions, kept.resolutions, dry_run=dry_run)
    forget_outputs = partial(workspace.registry.forget_outputs, alive=alive)
    outputs = _forget(forget_outputs, kept.outputs, dry_run=dry_run)
    blobs = size = 0
    still_there = kept.outputs if dry_run else None
    for page in _pages(_unneeded(workspace, older_than, still_there, alive, note=not dry_run)):
        for blob in page if dry_run else workspace.registry.condemn(page, older_than):
            if dry_run or _bury(workspace, blob):
                blobs, size = blobs + 1, size + blob.size
            told(blob)
    leftovers = 0
    for name, age in workspace.store.iter_leftovers():
        if age >= older_than:
            leftovers += 1
            if not dry_run:
                workspace.store.remove_leftover(name)
    return Garbage(blobs, size, leftovers, outputs, resolutions, pins, abandoned, closed)


def _forget(forget: Callable[..., int], days: float | None, *, dry_run: bool) -> int:
    return 0 if days is None else forget(days, dry_run=dry_run)


def _close_ended(workspace: Workspace, ended: Ended, *, dry_run: bool) -> int:
    registry = workspace.registry
    found = registry.open_versions(settings.deployment())
    outcomes = ended({version.run for version in found}) if found else {}
    over = [version for version in found if version.run in outcomes]
    for version in () if dry_run else over:
        with suppress(VersionNotFound):  # it was deleted since
            registry.close_version(version, outcomes[version.run])
    return len(over)


def _release_pins(workspace: Workspace, alive: Collection[RunKey]) -> Callable[..., int]:
    def release(days: float, *, dry_run: bool) -> int:
        return workspace.registry.release_pins(timedelta(days), alive=alive, dry_run=dry_run)

    return release


def _unneeded(
    workspace: Workspace, older_than: float, outputs: float | None, alive: Collection[RunKey], *, note: bool
) -> Iterator[Blob]:
    yield from workspace.registry.unneeded_blobs(older_than, outputs, alive)
    registry, store = workspace.registry, workspace.store
    for page in _pages(Blob(*entry) for entry in store.iter_blobs()):
        strays = registry.stray_blobs(page, note=False)
        # A writer may be about to register those that have just come.
        if old := [blob for blob in strays if store.age(blob.digest) >= older_than]:
            yield from registry.stray_blobs(old, note=True) if note else old


def _bury(workspace: Workspace, blob: Blob) -> bool:
    return workspace.registry.bury(blob, lambda: workspace.store.delete(blob.digest))


def _pages(blobs: Iterator[Blob]) -> Iterator[list[Blob]]:
    while page := list(islice(blobs, PAGE)):
        yield page
