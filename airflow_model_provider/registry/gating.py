"""Gates, asked of a version while nobody else can promote or change it (R30)."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from airflow_model_provider.exceptions import InvalidDefinition, PromotionOvertaken, PromotionRefused
from airflow_model_provider.exceptions.base import counted, listing, quoted
from airflow_model_provider.gates import Gates, Requirement, is_number
from airflow_model_provider.registry import promotion_sql as words
from airflow_model_provider.registry.columns import as_time
from airflow_model_provider.registry.database import run
from airflow_model_provider.registry.metadata import metadata_keys
from airflow_model_provider.selectors import ModelStages, check_stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime, timedelta

    from sqlalchemy import Connection

T = TypeVar("T")

#: How often callables are asked again because the model's history has moved.
TRIES: Final = 20


class Place(NamedTuple):
    """
    Where and when gates are asked: in the turn of one promotion, while the version's row is locked.

    :param sequence: the end of the history then: all events of the model up to it are visible, and none is newer.
    :param version: id and number of the version that is to come into the stage.
    """

    connection: Connection
    model: str
    model_id: int
    stage: str
    sequence: int
    at: datetime | str
    version: tuple[int, int]

    @property
    def label(self) -> str:
        """The printed form of the version."""
        return f"{self.model}@{self.version[1]}"


class Verdict(NamedTuple):
    """What callables have said of a version: objections by gate, and the end of the history that they saw."""

    sequence: int
    objections: dict[Gates, str]


class NotAsked(Exception):
    """Callables have to be asked before: rolls the transaction back, with what they are asked of."""

    def __init__(self, sequence: int, questions: list[tuple[Gates, int, int | None]]) -> None:
        super().__init__(sequence, questions)
        self.sequence, self.questions = sequence, questions


def check_gates(gates: Sequence[Gates], stage: str, declared: Sequence[str], ask: object) -> None:
    """
    Refuse gates that can't be asked.

    :raises UnknownStage: if a stage to compare with is not declared.
    :raises InvalidDefinition: for a callable where there is nobody to call it.
    """
    if gates and stage == ModelStages.ARCHIVED:
        raise InvalidDefinition(
            "gates for 'archived'", "they are asked of what comes into a stage", "Leave them out."
        )
    for gate in gates:
        if gate.better_than is not None:
            check_stage(gate.better_than, declared)
        if gate.check is not None and ask is None:
            raise InvalidDefinition(
                f"gates for {stage!r}",
                f"check={quoted(gate.check)} can't be called here",
                "A function is asked of a version that is there, by version.promote(...).",
            )


def with_callables(version: str, stage: str, ask: Any, attempt: Callable[[Verdict | None], T]) -> T:
    """
    Promote after callables were asked, outside of the transaction; again if the model's history moved meanwhile.

    :param ask: calls a gate's function, with numbers of the version and of a holder; gives its objection.
    :raises PromotionOvertaken: if it moved each of 20 times.
    """
    verdict = None
    for asked in range(TRIES + 1):
        try:
            return attempt(verdict)
        except NotAsked as due:
            if asked == TRIES:
                break
            questions, sequence = due.questions, due.sequence
        answers = {question[0]: ask(*question) for question in questions}
        verdict = Verdict(sequence, {gate: text for gate, text in answers.items() if text is not None})
    raise PromotionOvertaken(version, stage, TRIES)


def ask_gates(gates: Sequence[Gates], place: Place, verdict: Verdict | None) -> None:
    """
    Ask all gates of a version.

    :raises PromotionRefused: with what each of them objects to.
    :raises NotAsked: if callables have not been asked since the model's history moved.
    """
    facts = _Facts(place)
    if any(gate.check for gate in gates) and (verdict is None or facts.moved_since(verdict.sequence)):
        questions = [
            (gate, place.version[1], facts.holder(gate.better_than)[1]) for gate in gates if gate.check
        ]
        raise NotAsked(place.sequence, questions)
    objections, soft = [], True
    for gate in gates:
        found = list(_objections(gate, facts))
        if verdict is not None and gate in verdict.objections:
            found.append(verdict.objections[gate])
        objections += found
        soft = soft and (gate.soft or not found)
    if objections:
        raise PromotionRefused(place.label, place.stage, tuple(dict.fromkeys(objections)), soft)


class _Facts:
    """What gates ask of versions, each read once."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._logged: dict[tuple[int, str], tuple[Any] | None] = {}

    def moved_since(self, sequence: int) -> bool:
        """Whether a stage of the model has changed since."""
        asked = {"model_id": self.place.model_id, "sequence": sequence}
        return self._first(words.MOVED, asked) is not None

    def holder(self, stage: str | None) -> tuple[int | None, int | None]:
        """Id and number of the version that holds a stage; None is the stage that the version is to come into."""
        asked = {"model_id": self.place.model_id, "stage": stage or self.place.stage}
        row = self._first(words.HOLDER, asked)
        return (None, None) if row is None else (row.id, row.number)

    def logged(self, version_id: int, key: str) -> tuple[Any] | None:
        """The value of a metadata key; None if it was never logged."""
        if (version_id, key) not in self._logged:
            row = self._first(words.LOGGED, {"id": version_id, "key": key})
            self._logged[version_id, key] = None if row is None else (json.loads(row.value),)
        return self._logged[version_id, key]

    def keys(self, version_id: int) -> str:
        """The keys that were logged, for an objection."""
        return listing(metadata_keys(self.place.connection, version_id), none="none")

    def holds_artifact(self, name: str) -> bool:
        """Whether the version holds an artifact, its own or one that was linked to it."""
        return self._first(words.HOLDS, {"id": self.place.version[0], "name": name}) is not None

    def lacking(self, name: str) -> str | None:
        """What a collection still lacks, if it does: some of the instances that make it have not committed."""
        asked = {"id": self.place.version[0], "name": name}
        parts = run(self.place.connection, words.PARTS, asked).scalars().all()
        if not parts:
            return None
        there = dict.fromkeys(run(self.place.connection, words.ELEMENTS, asked).scalars())
        elements = listing([str(index) for index in there], none="none")
        found = counted(len(there), "element")
        return f"{found} of artifact {name!r} (indexes {elements}), and not those of {listing(parts)}"

    def artifacts(self) -> str:
        """The names of artifacts that the version holds, for an objection."""
        from airflow_model_provider.registry.artifacts import artifact_names

        return listing(artifact_names(self.place.connection, self.place.version[0]), none="none")

    def age(self) -> timedelta:
        """How long ago the version was made."""
        made = self._first(words.MADE, {"id": self.place.version[0]})
        return as_time(self.place.at) - as_time(made.created_at)

    def _first(self, text: str, values: dict[str, Any]) -> Any:
        return run(self.place.connection, text, values).one_or_none()


def _objections(gate: Gates, facts: _Facts) -> Iterator[str]:
    label, (version_id, _) = facts.place.label, facts.place.version
    for key, requirement in gate.requirements.items():
        yield from _requirement(facts, key, requirement, gate.require[key])
    if gate.better_than is not None:
        yield from _comparison(gate, facts)
    for name in gate.artifacts:
        if not facts.holds_artifact(name):
            yield f"{label} has no artifact {name!r} (it has: {facts.artifacts()})"
        elif (lacking := facts.lacking(name)) is not None:
            yield f"{label} has {lacking}"
    for key in gate.metadata:
        if facts.logged(version_id, key) is None:
            yield f"{label} has no metadata {key!r} (it has: {facts.keys(version_id)})"
    if gate.max_age is not None and (age := facts.age()) > gate.max_age:
        yield f"{label} was made {span(age)} ago, more than {span(gate.max_age)}"
    if gate.min_age is not None and (age := facts.age()) < gate.min_age:
        yield f"{label} was made {span(age)} ago, less than {span(gate.min_age)}"


def _requirement(facts: _Facts, key: str, requirement: Requirement, text: str) -> Iterator[str]:
    (version_id, _), label = facts.place.version, facts.place.label
    number, trouble = _number(facts, version_id, label, key)
    if trouble is not None:
        yield f"{trouble}; required: {text}"
    elif not requirement.holds(number):
        yield f"{key} {quoted(number)} of {label} is not {text}"


def _comparison(gate: Gates, facts: _Facts) -> Iterator[str]:
    place, key, stage = facts.place, str(gate.metric), gate.better_than
    mine, trouble = _number(facts, place.version[0], place.label, key)
    if trouble is not None:
        yield f"{trouble}; required: better than the holder of {stage!r}"
    holder_id, number = facts.holder(stage)
    if holder_id is None:
        if gate.if_vacant == "fail":
            yield f"no version of {place.model} is in {stage!r}; required: {place.label} is better than one"
        return
    other, unknown = _number(facts, holder_id, f"{place.model}@{number}", key)
    if unknown is not None:
        yield f"{unknown}, which is {stage}"
    elif trouble is None and not _better(mine, other, gate):
        terms = ["less is better"] if gate.mode == "min" else []
        terms += [f"min_delta {gate.min_delta}"] if gate.min_delta else []
        said = f" ({', '.join(terms)})" if terms else ""
        holder = f"{place.model}@{number}, which is {stage}"
        yield f"{key} {quoted(mine)} of {place.label} is not better than {quoted(other)} of {holder}{said}"


def _number(facts: _Facts, version_id: int, label: str, key: str) -> tuple[float, str | None]:
    """A number that was logged, or what is wrong with it."""
    found = facts.logged(version_id, key)
    if found is None:
        return math.nan, f"{label} has no metadata {key!r} (it has: {facts.keys(version_id)})"
    trouble = None if is_number(found[0]) else f"{key} {quoted(found[0])} of {label} is not a finite number"
    return found[0], trouble


def _better(mine: float, other: float, gate: Gates) -> bool:
    """Whether it is better, and by enough: of what people wrote, not of what binary fractions make of it."""
    if gate.mode == "min":
        mine, other = other, mine
    if not mine > other:
        return False
    return not gate.min_delta or _exact(mine) - _exact(other) >= _exact(gate.min_delta)


def _exact(number: float) -> Fraction:
    return Fraction(number) if isinstance(number, int) else Fraction(repr(float(number)))


def span(time: timedelta) -> str:
    """
    Return a length of time as people write it.

    >>> span(timedelta(days=7, hours=1))  # doctest: +SKIP
    '7d 1h'
    """
    rest, parts = time.total_seconds(), []
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        count, rest = divmod(rest, length)
        parts += [f"{count:.0f}{unit}"] if count else []
    if rest or not parts:
        parts.append(f"{rest:.6f}".rstrip("0").rstrip(".") + "s")
    return " ".join(parts)
