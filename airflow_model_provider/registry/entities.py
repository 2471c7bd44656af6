"""
What the registry hands out: plain, frozen records. Times are aware UTC datetimes.

Named tuples, because every task imports this: a frozen dataclass takes eight times as long to define.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from airflow_model_provider.limits import LARGEST_INDEX, check_id, check_number
from airflow_model_provider.selectors import ArtifactType, ModelStages

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from airflow_model_provider.exceptions import ModelRegistryError
    from airflow_model_provider.named_artifacts import AnyReference

NOTHING: Final[Mapping[str, Any]] = {}


_INSTANCE: Final = re.compile(r"(.+)\[([0-9]{1,10})\]", re.DOTALL)

#: What a task's part of a version can be.
PENDING: Final = "pending"
COMMITTED: Final = "committed"
FAILED: Final = "failed"
SKIPPED: Final = "skipped"
#: Of an instance that is no more: what its task is mapped over has become shorter.
REMOVED: Final = "removed"
#: Of a task that was skipped because its run was ended: what it has said itself counts, else it failed.
ENDED: Final = "ended"


class VersionState(StrEnum):
    """Where a version is in its life."""

    #: A task that writes into it is still to end.
    PRODUCING = "producing"
    #: All tasks that write into it have ended well; ``latest`` sees it, and it can be promoted.
    READY = "ready"
    #: A task that writes into it failed, or none has written anything.
    FAILED = "failed"
    #: A tombstone: the number stays taken, nothing is left of the rest.
    DELETED = "deleted"


class Relation(StrEnum):
    """How an artifact version came to a model version."""

    #: Made by a task that produces the version.
    OUTPUT = "output"
    #: Made by a task that merely used the version.
    DERIVED = "derived"
    #: Linked by hand.
    LINKED = "linked"


class _RunFields(NamedTuple):
    deployment: str
    dag_id: str
    run_id: str


class RunKey(_RunFields):
    """
    A Dag run, told apart from one of the same name in another Airflow by ``deployment``.

    :raises InvalidName: for what is not 1 to 250 printable characters.
    """

    __slots__ = ()

    def __new__(cls, deployment: str, dag_id: str, run_id: str) -> Self:  # noqa: D102 - see the class
        return super().__new__(
            cls,
            check_id("[model_registry] deployment", deployment),
            check_id("dag_id", dag_id),
            check_id("run_id", run_id),
        )


class _AttemptFields(NamedTuple):
    run: RunKey
    task_id: str
    attempt_id: str
    map_index: int = -1
    try_number: int = 1
    run_mark: str | None = None


def part_of(whole: str, map_index: int) -> str:
    """Return the printed form of an instance of a task, or of an element: ``train[3]``; ``train`` without an index."""
    return whole if map_index < 0 else f"{whole}[{map_index}]"


def place_of(part: str) -> tuple[str, int]:
    """Return the task and the map index of a part; -1 where it is a whole task's."""
    found = _INSTANCE.fullmatch(part)
    return (part, -1) if found is None else (found[1], int(found[2]))


def task_of(part: str) -> str:
    """Return the task of a part."""
    return place_of(part)[0]


class Attempt(_AttemptFields):
    """
    One try of one task.

    :param attempt_id: unique per try and stable over deferrals; Airflow's task instance id.
    :param run_mark: tells the Dag run apart from one of the same name in another Airflow: how often it was
        cleared, and when it started. None where that isn't known.
    :raises InvalidName: for ids that are not 1 to 250 printable characters, and numbers out of bounds.
    """

    __slots__ = ()

    def __new__(  # noqa: D102 - see the class
        cls,
        run: RunKey,
        task_id: str,
        attempt_id: str,
        map_index: int = -1,
        try_number: int = 1,
        run_mark: str | None = None,
    ) -> Self:
        check_id("task_id", task_id)
        check_id("attempt_id", attempt_id)
        check_number("map_index", map_index, -1, LARGEST_INDEX)
        check_number("try_number", try_number, 0, LARGEST_INDEX)
        return super().__new__(cls, run, task_id, attempt_id, map_index, try_number, run_mark)

    @property
    def producer(self) -> str:
        """How a version calls the part that this task makes."""
        return part_of(self.task_id, self.map_index)


class ModelRecord(NamedTuple):
    """A model and its card. ``last_number`` is the number of the newest version that was ever made; 0: none was."""

    id: int
    name: str
    created_at: datetime
    card: Mapping[str, Any] = NOTHING
    tags: tuple[str, ...] = ()
    last_number: int = 0


class VersionRecord(NamedTuple):
    """A version of a model. ``stages`` are those it holds, in the order in which they were assigned."""

    id: int
    model: str
    number: int
    version_name: str | None
    state: VersionState
    stages: tuple[str, ...]
    created_at: datetime
    sealed_at: datetime | None = None
    run: RunKey | None = None
    description: str | None = None
    tags: tuple[str, ...] = ()
    environment: Mapping[str, Any] = NOTHING

    @property
    def archived(self) -> bool:
        """Whether it was moved out of a stage, and holds no other: what was ever in one is sealed (R24)."""
        return self.sealed_at is not None and not self.stages

    def stage(self, declared: Sequence[str]) -> str:
        """Return the first of its stages in declared order, ``archived`` once it was moved out, else ``none``."""
        held = [stage for stage in declared if stage in self.stages]
        return held[0] if held else (ModelStages.ARCHIVED if self.archived else ModelStages.NONE).value

    def __str__(self) -> str:
        return f"{self.model}@{self.number}"


class StageEvent(NamedTuple):
    """
    One change of one stage. ``version`` is the number of the new holder, or None; events are never edited or deleted.

    ``restores`` is the sequence number of the event that a rollback went back to; None for all other changes. A
    ``quiet`` one starts no Dags.
    """

    sequence: int
    model: str
    stage: str
    version: int | None
    previous: int | None
    at: datetime
    who: str | None = None
    reason: str | None = None
    run: RunKey | None = None
    task_id: str | None = None
    restores: int | None = None
    quiet: bool = False

    def __str__(self) -> str:
        """Return it as a log line: ``Promoted iris@2 to production (was iris@1, event 5)``."""
        was = f"was {self.model}@{self.previous}, " if self.previous else ""
        if self.version is None:
            return f"Moved {self.model}@{self.previous} out of {self.stage} (event {self.sequence})"
        done = "Promoted {} to {}" if self.restores is None else "Rolled back: {} is {} again"
        return f"{done.format(f'{self.model}@{self.version}', self.stage)} ({was}event {self.sequence})"


class Payload(NamedTuple):
    """What a materializer wrote, before it is registered: everything a later load needs to know."""

    digest: str
    size: int
    materializer: str
    format_version: int
    #: ``module.Class`` of the value, then of its base classes; the first is the value's own.
    type_names: tuple[str, ...]
    attributes: Mapping[str, Any] = NOTHING
    #: The schema of a model's inputs, where it is known (R41).
    signature: Mapping[str, Any] | None = None
    environment: Mapping[str, Any] = NOTHING


class ArtifactRecord(NamedTuple):
    """A registered artifact version, complete enough to be loaded without another read."""

    id: int
    name: str
    number: int
    kind: ArtifactType
    payload: Payload
    created_at: datetime
    metadata: Mapping[str, Any] = NOTHING
    map_index: int = -1

    def __str__(self) -> str:
        return part_of(f"{self.name}@{self.number}", self.map_index)


class Made(NamedTuple):
    """An artifact version and the try of a task that made it; ``output`` is None for one saved by hand."""

    attempt: Attempt
    output: str | None
    artifact: ArtifactRecord


class Link(NamedTuple):
    """Where an artifact version belongs: to a version, as what, under its artifact's name."""

    version_id: int
    relation: Relation


class Resolution(NamedTuple):
    """
    What a reference was pinned to.

    ``value`` is the plain value for metadata and attributes; ``missing`` is the error that says what is not
    there; where the reference has a default, ``value`` is that. ``sequence`` is the end of the history of
    stages that was seen. ``belongs``: the step took nothing of the version, which is merely that of its ``model=``.
    """

    reference: AnyReference
    version: VersionRecord | None = None
    artifact: ArtifactRecord | None = None
    value: Any = None
    missing: ModelRegistryError | None = None
    sequence: int = 0
    belongs: bool = False
    #: The number that an earlier task of the run got for the same, where that is another.
    earlier: int | None = None

    @property
    def conn_id(self) -> str | None:
        """The connection of the registry in which it was found: that of a default may be another."""
        return getattr(self.reference, "conn_id", None)


class ResolutionRecord(NamedTuple):
    """
    A recorded resolution: which task, at which try, got what, and when (R11).

    ``model`` and ``selector`` are None for an artifact that came through XCom. ``belongs`` is True if the task took
    nothing of the version as an argument, which is merely the one of its ``model=``.
    """

    attempt: Attempt
    model: str | None
    selector: str | None
    wanted: str
    number: int | None
    artifact: str | None
    artifact_number: int | None
    digest: str | None
    resolved: bool
    at: datetime
    belongs: bool = False
    #: The number that the first task of the run got for the same selector, where that is another.
    earlier: int | None = None
