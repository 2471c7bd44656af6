"""
Names, stages and selectors: which version of a model is meant.

Nothing here does I/O or imports anything heavy: a DAG file is parsed with it (R1).
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Self

from airflow_model_provider.exceptions import InvalidDefinition, InvalidName, UnknownStage
from airflow_model_provider.exceptions.base import harmless, quoted
from airflow_model_provider.limits import check_key, check_number, is_shallow, whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._ -]{0,99}")
#: Characters of a template, at most; what ``str`` of another task's output gives has some hundred.
_LONGEST_TEMPLATE: Final = 4000


class ModelStages(StrEnum):
    """The stages every registry has, under ZenML's names. Teams declare more in ``[model_registry] stages``."""

    #: A version that holds no stage. Never a selector.
    NONE = "none"
    #: A candidate.
    STAGING = "staging"
    #: The version that scores.
    PRODUCTION = "production"
    #: A version that was moved out and holds no other stage. Never a selector.
    ARCHIVED = "archived"
    #: Not a stage but a query: the newest ready version.
    LATEST = "latest"


class ArtifactType(StrEnum):
    """What an artifact is to the version that holds it."""

    #: Something that predicts.
    MODEL = "model"
    #: Data that went into or came out of a version.
    DATA = "data"
    #: Where or how a version is deployed.
    DEPLOYMENT = "deployment"


#: The stages that a registry always has, in declared order.
BUILT_IN_STAGES: Final = (ModelStages.STAGING.value, ModelStages.PRODUCTION.value)
#: The selector of the version whose promotion started the run.
TRIGGERING: Final = "triggering"
#: Words that a version or a stage cannot be called.
RESERVED: Final = frozenset({"none", "archived", "latest", TRIGGERING})


def check_name(what: str, name: object) -> str:
    """
    Return ``name`` if the registry accepts it (R26).

    :param what: what is named, for the message: ``model``, ``version``, ``artifact``.
    :raises InvalidName: if it is not 1 to 100 of letters, digits, ``._ -``, starting with a letter or digit.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidName(what, name)
    if name != name.rstrip():
        raise InvalidName(what, name, "It must not end in a space.")
    if what == "version" and (name.isdigit() or name.lower() in RESERVED):
        raise InvalidName(
            what, name, f"Digits mean a number, and {', '.join(sorted(RESERVED))} something else."
        )
    return name


def check_version_name(name: object, declared: Sequence[str]) -> str:
    """
    Return the name of a version if a selector can mean it.

    :raises InvalidName: if it is no name, or reads as a stage, or nearly.
    """
    text = check_name("version", name)
    if (stage := text if text in declared else nearest_stage(text, declared)) is not None:
        raise InvalidName("version", text, f"It would be read as {stage!r}. Choose one that differs more.")
    return text


def check_conn_id(conn_id: object) -> str:
    """
    Return the id of the connection of a registry.

    :raises InvalidName: if it is not 1 to 250 printable characters, or is a template.
    """
    text = check_key(conn_id, "connection id")
    if is_template(text):
        raise InvalidName("connection id", text, "It can't be a template: give the id of a connection.")
    return text


def check_stage(stage: object, declared: Sequence[str]) -> str:
    """
    Return the declared stage that ``stage`` names.

    :raises UnknownStage: if it is not declared; the message has the nearest declared one.
    """
    text = stage.value if isinstance(stage, ModelStages) else stage
    if not isinstance(text, str) or text not in declared:
        archived = ModelStages.ARCHIVED.value
        near = _nearest(text, declared if text == archived else [*declared, archived])
        raise UnknownStage(text, tuple(declared), near)
    return text


def nearest_stage(text: object, declared: Sequence[str]) -> str | None:
    """Return the declared stage that ``text`` is a near miss of, or ``latest``, or ``triggering``, or None."""
    return _nearest(text, [*declared, ModelStages.LATEST.value, TRIGGERING])


def _nearest(text: object, stages: Sequence[str]) -> str | None:
    return nearest(text.strip().lower() if isinstance(text, str) else text, stages, cutoff=0.8)


def nearest(text: object, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the known word that ``text`` is a near miss of, or None; what is long is none of any."""
    if not isinstance(text, str) or len(text) > 100:
        return None
    close = difflib.get_close_matches(text, known, n=1, cutoff=cutoff)
    return close[0] if close else None


def artifact_type(kind: object) -> ArtifactType:
    """
    Read what a user wrote for the kind of an artifact.

    :raises InvalidDefinition: naming the kinds.
    """
    if not isinstance(kind, str) or kind not in list(ArtifactType):
        close = nearest(kind, [item.value for item in ArtifactType])
        hint = f"Did you mean {close!r}?" if close else ""
        known = f"{hint} Types: {', '.join(ArtifactType)}.".strip()
        raise InvalidDefinition("artifact type", f"{quoted(kind)} does not exist", known)
    return ArtifactType(kind)


class SelectorKind(StrEnum):
    """The ways to say which version."""

    STAGE = "stage"
    LATEST = "latest"
    NUMBER = "number"
    NAME = "name"
    #: What the promotion was of that started the run: known to its tasks only.
    TRIGGERING = "triggering"
    #: Text with Jinja in it, rendered by the task and then read as the other kinds are.
    TEMPLATE = "template"


@dataclass(frozen=True, slots=True)
class Selector:
    """
    Which version of a model: a stage, ``latest``, a number, a version name, or a template that gives one.

    >>> str(Selector.parse("production")), str(Selector.parse(3))
    ('production', '3')
    """

    kind: SelectorKind
    value: str | int

    def __post_init__(self) -> None:
        kind, value = self.kind, self.value
        if kind is SelectorKind.NUMBER:
            object.__setattr__(self, "value", check_number("version number", value))
        elif kind is SelectorKind.TEMPLATE:
            if not isinstance(value, str) or len(value) > _LONGEST_TEMPLATE:
                raise InvalidName(
                    "template", value, f"It must be text of at most {_LONGEST_TEMPLATE:,} characters."
                )
        else:
            check_name("version" if kind is SelectorKind.NAME else "stage", value)

    @classmethod
    def parse(cls, version: object, declared: Sequence[str] = BUILT_IN_STAGES) -> Self:
        """
        Read what a user wrote for ``version=``.

        :raises UnknownStage: for a near miss of a declared stage, and for ``none`` and ``archived``.
        :raises InvalidName: if it is neither a stage, ``latest``, a positive number nor a version name.
        """
        if not isinstance(version, str):
            if (number := whole(version)) is None:
                raise InvalidName("version", version, "Give a stage, 'latest', a number, or a version name.")
            return cls(SelectorKind.NUMBER, number)
        text = str(version)
        if is_template(text):
            return cls(SelectorKind.TEMPLATE, text)
        if text == TRIGGERING:
            return cls(SelectorKind.TRIGGERING, text)
        if text == ModelStages.LATEST:
            return cls(SelectorKind.LATEST, text)
        if text in declared:
            return cls(SelectorKind.STAGE, text)
        if re.fullmatch(r"[0-9]{1,100}", text):
            return cls(SelectorKind.NUMBER, int(text))
        if isinstance(version, ModelStages) or text in RESERVED or nearest_stage(text, declared):
            raise UnknownStage(text, tuple(declared), nearest_stage(text, declared))
        return cls(SelectorKind.NAME, text)

    @property
    def upstream_tasks(self) -> tuple[tuple[str, str], ...]:
        """Task and DAG id of the tasks whose output a template takes, as ``str`` of such an output writes it."""
        return pulled_outputs(str(self.value)) if self.kind is SelectorKind.TEMPLATE else ()

    def __str__(self) -> str:
        return str(self.value)


#: What ``str`` of another task's output looks like, in Airflow and in a local run.
_PULLED: Final = re.compile(r"task_instance\.xcom_pull\(task_ids='([^']+)'(?:, dag_id='([^']+)')?")


def pulled_outputs(text: str) -> tuple[tuple[str, str], ...]:
    """Return task and DAG id of the outputs in a text that ``str`` of outputs was put into."""
    return tuple(_PULLED.findall(text)) if "task_instance.xcom_pull" in text else ()


def is_template(text: str) -> bool:
    """Return whether a text has Jinja in it."""
    return "{{" in text or "{%" in text


def printed(model: str, selector: Selector, as_of: Sequence[str] = ()) -> str:
    """Return the printed form: ``name[stage]``, ``name[latest]`` or ``name@version`` (R26)."""
    if as_of:
        return f"{model}[{harmless(str(selector.value))} as of {' or '.join(as_of)}]"
    if selector.kind not in (SelectorKind.NUMBER, SelectorKind.NAME):
        return f"{model}[{harmless(str(selector.value))}]"
    return f"{model}@{selector.value}"


#: The dates of a Dag run that ``as_of`` can name.
RUN_DATES: Final = ("logical_date", "data_interval_end", "run_after")


def read_as_of(subject: str, value: object) -> tuple[str, ...]:
    """
    Read what a user wrote for ``as_of=``: times become UTC text, names of a run's dates stay.

    :raises InvalidDefinition: for a datetime without a zone, an unknown name, or anything else.
    """
    if value is None:
        return ()
    if isinstance(value, tuple | list):
        if not is_shallow(value):
            raise InvalidDefinition(subject, f"as_of={quoted(value)} is nested too deep", "Give one list.")
        return tuple(part for item in value for part in read_as_of(subject, item))
    advice = f"Pass a datetime with a time zone, or a date of the run: {', '.join(RUN_DATES)}."
    if isinstance(value, str):
        if value in RUN_DATES:
            return (value,)
        value = _time(subject, value, advice)
    if not isinstance(value, datetime):
        raise InvalidDefinition(subject, f"as_of={quoted(value)} must be a datetime", advice)
    if value.utcoffset() is None:
        raise InvalidDefinition(subject, f"as_of={quoted(value)} has no time zone", advice)
    try:
        return (value.astimezone(UTC).isoformat(),)
    except OverflowError:
        raise InvalidDefinition(subject, f"as_of={str(value)!r} cannot be converted to UTC", advice) from None


def _time(subject: str, text: str, advice: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        close = nearest(text, RUN_DATES)
        hint = f" Did you mean {close!r}?" if close else ""
        raise InvalidDefinition(
            subject,
            f"as_of={quoted(text)} must be a time in ISO format, or a date of the run",
            f"{advice}{hint}",
        ) from None
