"""References of one task → pinned versions: one read for all of them, one write that records what was got."""

from __future__ import annotations

import functools
import threading
from typing import TYPE_CHECKING, Any, Final, NamedTuple, overload

from airflow_model_provider import settings
from airflow_model_provider.exceptions import (
    InvalidSelector,
    ModelNotFound,
    ModelRegistryError,
    NoRunDate,
    NothingClaimed,
    StageNotAssigned,
    VersionNotFound,
)
from airflow_model_provider.exceptions.base import listing, quoted
from airflow_model_provider.named_artifacts import AnyReference, NamedArtifact
from airflow_model_provider.references import OutputReference, Reference, Wanted, in_registry_of
from airflow_model_provider.selectors import RUN_DATES, ModelStages, Selector, SelectorKind, is_template

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from airflow_model_provider.registry.entities import Attempt, Resolution, StageEvent, VersionRecord
    from airflow_model_provider.workspace import Workspace

_Pin = tuple[str | None, str, str]
#: What means the same to every task.
_Fixed = OutputReference | NamedArtifact
#: What can still come: a promotion, a training run.
_MAY_COME: Final = (ModelNotFound, StageNotAssigned, VersionNotFound)


#: Said where tasks of one run use several versions.
_MIXED: Final = (
    "%r is %s in this task, and was %s@%d in an earlier task of this Dag run. Use pin='run', or [model_registry] "
    "default_pin = run, to give all tasks of a run one version."
)


def _as_it_is(text: str) -> str:
    return text


class Claimed(NamedTuple):
    """
    What a Dag run has claimed (R32).

    :param promotions: each with the connection of its registry, in their order.
    :param stages: of the models that its Dag waits for, by connection and name, the first stage.
    """

    promotions: Sequence[tuple[str | None, StageEvent]] = ()
    stages: Mapping[tuple[str | None, str], str] = {}


class Moment(NamedTuple):
    """
    What only a running task knows.

    :param render: fills in a Jinja template with the task's context.
    :param dates: the dates of the Dag run by name; None for one that it doesn't have.
    :param claimed: the promotions that the Dag run has claimed; claims them where it has not yet.
    """

    render: Callable[[str], str] = _as_it_is
    dates: Callable[[], Mapping[str, datetime | None]] = dict
    claimed: Callable[[], Claimed] = Claimed


class VersionMissing(Exception):
    """
    Not an error: no version is there, and the reference says what to do then.

    :param error: what is missing.
    :param reference: the reference, with ``on_missing`` ``skip`` or ``wait``.
    """

    def __init__(self, error: ModelRegistryError, reference: Reference) -> None:
        super().__init__(error, reference)
        self.error, self.reference = error, reference


class Resolver:
    """
    Pins references for one try of one task: whatever is asked later sees what was pinned first (R8).

    :param attempt: the try; its pins are recorded under it.
    :param workspace: the registry of a connection id, opened when first needed.
    :param log: where each resolution is said.
    :param moment: what only a running task knows.
    """

    def __init__(
        self,
        attempt: Attempt,
        workspace: Callable[[str | None], Workspace],
        log: logging.Logger | Any,
        moment: Moment = Moment(),  # noqa: B008 - it never changes
    ) -> None:
        self.attempt, self._log, self._moment = attempt, log, moment
        self.workspace = functools.cache(workspace)  # in Airflow, asking for a connection is a round trip
        self._lock = threading.RLock()  # threads of the task see the same pins
        self._known: dict[AnyReference, Resolution] = {}
        self._pins: dict[_Pin, VersionRecord] = {}
        self._untold: list[tuple[AnyReference, Resolution]] = []

    @property
    def versions(self) -> list[tuple[str | None, VersionRecord]]:
        """The distinct versions this task uses, with the connection each came through."""
        found = {(pin[0], version.id): version for pin, version in self._pins.items()}
        return [(conn_id, version) for (conn_id, _), version in found.items()]

    @property
    def run_pins(self) -> set[str | None]:
        """The connections of the registries in which this task has pinned versions for its run."""
        asked = [reference for reference in self._known if isinstance(reference, Reference)]
        return {reference.conn_id for reference in asked if reference.pin == "run"}

    @property
    def logical_date(self) -> datetime | None:
        """The Dag run's, if it has one."""
        return self._moment.dates().get("logical_date")

    @property
    def claimed(self) -> Claimed:
        """What the Dag run has claimed; the first of its tasks that asks claims it (R32)."""
        return self._moment.claimed()

    @property
    def promotions(self) -> list[StageEvent]:
        """The promotions that the Dag run has claimed, in their order."""
        return [event for _, event in self.claimed.promotions]

    def resolve(
        self,
        references: Sequence[AnyReference],
        *,
        in_code: bool = False,
        belonging: Reference | None = None,
        tell_later: bool = False,
    ) -> list[Resolution]:
        """
        Pin references, in one read per registry, and record them in one write.

        :param in_code: the task's own code asks, so that skipping or waiting is no longer possible.
        :param belonging: the one among them that the task takes nothing of: it merely belongs to that version.
        :param tell_later: log them at :meth:`tell`: Airflow folds away what is logged before a task executes.
        :raises VersionMissing: if a version is not there, and the reference says what to do then.
        :raises ModelRegistryError: the error that says what is missing, where a reference has no default.
        """
        with self._lock:
            new = [reference for reference in dict.fromkeys(references) if reference not in self._known]
            concrete = {item: self._concrete(item, in_code=in_code) for item in new}
            for conn_id in dict.fromkeys(reference.conn_id for reference in new):
                self._resolve_in(
                    conn_id,
                    {asked: item for asked, item in concrete.items() if asked.conn_id == conn_id},
                    in_code,
                    belonging,
                )
            for reference in new:
                if (fallback := _fallback(self._known[reference])) is not None:
                    (self._known[reference],) = self.resolve([fallback], in_code=in_code)
            if not tell_later:
                self.tell()
            return [self._known[reference] for reference in references]

    def tell(self) -> None:
        """Log the resolutions that were not logged yet."""
        while self._untold:
            asked, resolution = self._untold.pop(0)
            level, text = said_of(asked, resolution)
            (self._log.warning if level == "warning" else self._log.info)("%s", text)
            if resolution.earlier is not None and resolution.version is not None:
                self._log.warning(
                    _MIXED, asked, resolution.version, resolution.version.model, resolution.earlier
                )

    def _resolve_in(
        self,
        conn_id: str | None,
        concrete: Mapping[AnyReference, AnyReference],
        in_code: bool,
        belonging: Reference | None,
    ) -> None:
        workspace = self.workspace(conn_id)
        for reference in concrete:
            if isinstance(reference, OutputReference):
                workspace.check_own(reference)
        asked = list(_same_pins(concrete.values()))
        found = workspace.registry.resolve(
            [self._under_pins(reference) for reference in asked], self.attempt, keep_missing=True
        )
        found = [
            item._replace(reference=reference, belongs=said is not None and said == belonging)
            for item, reference, said in zip(found, asked, concrete, strict=True)
        ]
        _refuse_missing(found, in_code=in_code)
        workspace.registry.record(found, self.attempt)
        for reference, resolution in zip(concrete, found, strict=True):
            self._known[reference] = resolution
            if isinstance(resolution.reference, Reference) and resolution.version is not None:
                self._pins.setdefault(_pin(resolution.reference), resolution.version)
            self._untold.append((reference, resolution))

    def concrete(self, reference: Reference) -> Reference:
        """
        Return a reference that means to any other task what it means to this one's code: a stage stays a stage.

        :raises InvalidSelector: if it holds a template.
        :raises NoRunDate: if ``as_of`` names dates that the run doesn't have.
        :raises NothingClaimed: if nothing has started the run that it could mean.
        """
        try:
            return self._concrete(reference, in_code=True)
        except VersionMissing as missing:
            raise missing.error from None

    @overload
    def _concrete(self, reference: Reference, *, in_code: bool) -> Reference: ...
    @overload
    def _concrete(self, reference: _Fixed, *, in_code: bool) -> _Fixed: ...
    def _concrete(self, reference: AnyReference, *, in_code: bool) -> AnyReference:
        """Return a reference whose selector and time are those of this task."""
        if not isinstance(reference, Reference):
            return reference
        changed: dict[str, Any] = {}
        if reference.selector.kind is SelectorKind.TEMPLATE:
            changed["selector"] = self._rendered(reference, in_code=in_code)
        if changed.get("selector", reference.selector).kind is SelectorKind.TRIGGERING:
            changed["selector"] = self._triggering(reference)
        if reference.as_of:
            changed["as_of"] = (self._time(reference),)
        reference = reference.but(**changed) if changed else reference
        if reference.as_of and reference.selector.kind is not SelectorKind.STAGE:
            raise InvalidSelector(repr(reference), str(reference.selector), "as_of needs a stage")
        return reference

    def _rendered(self, reference: Reference, *, in_code: bool) -> Selector:
        template = str(reference.selector)
        if in_code:  # which may have put any text there
            problem = (
                "it holds a template, and code that runs is given values; pass the reference as an argument"
            )
            raise InvalidSelector(reference.model, template, problem)
        text = self._moment.render(template).strip()
        if not text or text == "None" or is_template(text):
            raise InvalidSelector(
                reference.model, template, f"it gives {quoted(text)}, which names no version"
            )
        if text.startswith("{"):  # the JSON form of what a step returned
            problem = "it gives an object, not a version's number, stage or name; return an int or a str from that step"
            raise InvalidSelector(reference.model, template, problem)
        return Selector.parse(text, settings.declared_stages())

    def _triggering(self, reference: Reference) -> Selector:
        """The version whose promotion started the run, or else the one that holds the stage now."""
        claimed, model = self.claimed, reference.model
        stages = [
            stage
            for (conn_id, name), stage in claimed.stages.items()
            if name == model and self._is_same_registry(conn_id, reference.conn_id)
        ]
        if claimed.stages and not stages:
            raise InvalidSelector(repr(reference), "triggering", _waits_for_another(claimed))
        numbers = [
            event.version
            for conn_id, event in claimed.promotions
            if event.model == model and event.version and self._is_same_registry(conn_id, reference.conn_id)
        ]
        if numbers:
            return Selector(SelectorKind.NUMBER, numbers[-1])
        if reference.on_missing == "skip":
            raise VersionMissing(
                NothingClaimed(self.attempt.run.dag_id, self.attempt.run.run_id, reference.model), reference
            )
        return Selector(SelectorKind.STAGE, next(iter(stages), ModelStages.PRODUCTION.value))

    def _is_same_registry(self, one: str | None, other: str | None) -> bool:
        return one == other or self.workspace(one).registry.id == self.workspace(other).registry.id

    def _time(self, reference: Reference) -> str:
        dates = self._moment.dates()
        for item in reference.as_of:
            if item not in RUN_DATES:
                return item
            if (date := dates.get(item)) is not None:
                return date.isoformat()
        raise NoRunDate(repr(reference), tuple(name for name in RUN_DATES if dates.get(name) is not None))

    def _under_pins(self, reference: AnyReference) -> AnyReference:
        """A selector that this task has pinned already means that version, whatever was promoted since."""
        if not isinstance(reference, Reference) or reference.pin == "run":
            return reference
        version = self._pins.get(_pin(reference))
        if version is None:
            return reference
        return reference.but(selector=Selector(SelectorKind.NUMBER, version.number), as_of=())


def _waits_for_another(claimed: Claimed) -> str:
    known = [
        in_registry_of(f"{model}[{stage}]", conn_id) for (conn_id, model), stage in claimed.stages.items()
    ]
    return f"the Dag is not scheduled on a stage of this model, but on {listing(known)}"


def said_of(asked: AnyReference, resolution: Resolution) -> tuple[str, str]:
    """
    Return the level and the text of a log line: which version a reference was resolved to, or that its default is used.

    A version that is there and lacks what is wanted of it is worth a warning: the name may be mistyped.
    """
    version, artifact = resolution.version, resolution.artifact
    if resolution.missing is not None:
        text = f"{asked!r} not found; using default {quoted(resolution.value)}"
        return ("warning", f"{text}. {resolution.missing}") if version is not None else ("info", text)
    if artifact is not None and resolution.value is None:
        of = f"{version}/" if version is not None else ""
        return "info", f"Resolved {asked!r} to {of}{artifact} (sha256:{artifact.payload.digest[:12]})"
    if getattr(asked, "attribute", None) or getattr(asked, "wanted", None) is Wanted.METADATA:
        return "info", f"Resolved {asked!r} to {quoted(resolution.value)} (of {version or artifact})"
    return "info", f"Resolved {asked!r} to {version}"


def _same_pins(references: Any) -> list[AnyReference]:
    """Where one reference to a selector is pinned for the run, all of the task's are: they can't differ (R8)."""
    by_run = {_pin(item) for item in references if isinstance(item, Reference) and item.pin == "run"}
    return [
        item.but(pin="run") if isinstance(item, Reference) and _pin(item) in by_run else item
        for item in references
    ]


def _refuse_missing(found: Sequence[Resolution], *, in_code: bool) -> None:
    """Raise what has to be done about what is missing: fail before skip before wait."""
    policies: dict[str, VersionMissing] = {}
    for item in found:
        reference, error = item.reference, item.missing
        if error is None or reference.has_default:
            continue
        may_come = item.version is None and isinstance(error, _MAY_COME)
        if in_code or not may_come or not isinstance(reference, Reference) or reference.on_missing == "fail":
            raise error
        policies.setdefault(reference.on_missing, VersionMissing(error, reference))
    for policy in ("skip", "wait"):
        if policy in policies:
            raise policies[policy]


def _fallback(resolution: Resolution) -> Reference | None:
    """Return the reference that is resolved in the place of one whose version, artifact or key is missing."""
    reference = resolution.reference
    return reference.fallback if resolution.missing is not None and isinstance(reference, Reference) else None


def _pin(reference: Reference) -> _Pin:
    return reference.conn_id, reference.model, reference.pin_key
