"""What stands in the fields of operators: checked where it is written, and read once Airflow has rendered it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_model_provider import settings
from airflow_model_provider.exceptions import InvalidDefinition
from airflow_model_provider.exceptions.base import listing, quoted
from airflow_model_provider.gates import Gates
from airflow_model_provider.limits import check_key, check_number, check_text, whole
from airflow_model_provider.references import OUTPUT_KEY, UNSET, OutputReference, Reference, read_reference
from airflow_model_provider.selectors import Selector, SelectorKind, check_name, check_stage, is_template

if TYPE_CHECKING:
    from airflow_model_provider.registry.entities import StageEvent


def is_late(value: object) -> bool:
    """Whether a field has its value only when the task runs: a template, a reference, another task's output."""
    if isinstance(value, str):
        return is_template(value)
    return value is not None and not isinstance(value, bool) and whole(value) is None


# --- where it is written -----------------------------------------------------------------------------------


def check_fields(subject: str, model: object, *, stage: object = "{{ }}", version: object = None) -> None:
    """
    Refuse names that can be known to be wrong, while the DAG file is parsed (R5).

    :raises InvalidName: for a model or a version of an impossible name.
    :raises UnknownStage: for a stage that is not declared.
    :raises InvalidDefinition: for a reference to a version of another model.
    """
    if not is_late(model):
        check_name("model", model)
    if not is_late(stage):
        check_stage(stage, settings.declared_stages())
    if version is not None and not is_late(version):
        selector(subject, str(model), version)
    named = version if isinstance(version, Reference) else getattr(version, "name", None)
    meant = named.model if isinstance(named, Reference) else named
    if isinstance(version, Mapping) and isinstance(meant, str) and not is_late(model):
        check_same_model(subject, str(model), meant)


def check_numbers(subject: str, model: object, *, expected: object = UNSET, **others: object) -> None:
    """
    Refuse what can be no version number, while the DAG file is parsed.

    :raises InvalidDefinition: naming the field.
    """
    for name, value in {"expected": expected, **others}.items():
        if value is not UNSET and not is_late(value):
            number(subject, name, str(model), value)


def gates_json(value: Any) -> Any:
    """
    Return gates as plain JSON, which Airflow renders and shows; they are read again when the task runs.

    :raises InvalidDefinition: for gates that can't be asked, as far as they hold no templates.
    """
    if value is None or isinstance(value, str) or not isinstance(value, Gates | Mapping | list | tuple):
        return value  # a template, or what another task returns
    plain = [item.to_dict() if isinstance(item, Gates) else item for item in _listed(value)]
    if not _holds_late(plain):
        Gates.of(plain)
    return plain


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _holds_late(value: Any) -> bool:
    """Whether a template, or another task's output, stands anywhere in it."""
    if isinstance(value, Mapping):
        return any(_holds_late(item) for item in value.values())
    if isinstance(value, list | tuple):
        return any(_holds_late(item) for item in value)
    return is_late(value) and not isinstance(value, float | timedelta)


def check_conn_id(conn_id: str | None) -> str | None:
    """
    Return the id of a connection.

    :raises InvalidName: if it can't be one.
    """
    return None if conn_id is None else check_key(conn_id, "connection id")


# --- once it is rendered -----------------------------------------------------------------------------------


def stage_of(value: object) -> str:
    """
    Return a declared stage.

    :raises UnknownStage: for anything else.
    """
    return check_stage(value, settings.declared_stages())


def text(name: str, value: object) -> str | None:
    """
    Return a text that people write; what is empty counts as not given.

    :raises InvalidDefinition: if it is no text, or one that no database keeps.
    """
    return check_text(name, value) if value else None


def number(subject: str, name: str, model: str, value: object) -> int | None:
    """
    Return a version's number, given as such, as text, or as a version; None where nothing is given.

    :raises InvalidDefinition: if it is none.
    """
    if value is None or (isinstance(value, str) and value.strip() in ("", "None", "none")):
        return None
    found = _of_version(subject, model, value)
    if whole(found) is not None:
        return check_number("version number", found)
    raise InvalidDefinition(
        subject, f"{name}={quoted(value)} is no version number", f"Give a number: {name}=3."
    )


def expected(subject: str, model: str, value: object) -> Any:
    """
    Return the number of the holder that is expected, None for a free stage, ``UNSET`` where nothing is.

    An empty text says nothing, as an empty field of the trigger form; ``none`` says that the stage is free.

    :raises InvalidDefinition: if it is no number.
    """
    if value is UNSET or (isinstance(value, str) and not value.strip()):
        return UNSET
    return number(subject, "expected", model, value)


def reference(subject: str, model: str, value: object, conn_id: str | None) -> Reference:
    """
    Return the reference that a rendered field means: a selector, or what another task returned.

    :raises InvalidDefinition: if it means no version of the model.
    """
    found = read_reference(value) if isinstance(value, Mapping) and OUTPUT_KEY not in value else None
    if isinstance(found, Reference):
        check_same_model(subject, model, found.model)
        conn_id = found.conn_id or conn_id
        return Reference(model, found.selector, conn_id=conn_id, pin=found.pin, as_of=found.as_of)
    return Reference(model, selector(subject, model, value), conn_id=conn_id)


def selector(subject: str, model: str, value: object) -> Selector:
    """
    Return which version a text, a number or another task's output names.

    :raises UnknownStage: for a near miss of a declared stage.
    :raises InvalidName: if it can be no version.
    :raises InvalidDefinition: if it is empty, or names no version of the model.
    """
    found = _of_version(subject, model, value)
    if found is None or (isinstance(found, str) and found.strip() in ("", "None")):
        problem = f"version={quoted(value)} names no version"
        raise InvalidDefinition(subject, problem, "Give a stage, 'latest', a number, or a version name.")
    return Selector.parse(found, settings.declared_stages())


def _of_version(subject: str, model: str, value: object) -> Any:
    """What a value says of a version: its number, where it is a version or belongs to one; else the value itself."""
    if isinstance(value, Mapping):
        return _number_in(subject, model, value)
    printed = getattr(value, "model_version", None)  # a pinned artifact is the text of its URI
    if isinstance(value, str):
        plain = printed if isinstance(printed, str) else value
        of_model = re.fullmatch(r"(.+)@([0-9]{1,18})", plain.strip())
        if of_model is not None:
            check_same_model(subject, model, of_model[1])
            return int(of_model[2])
        return int(plain) if re.fullmatch(r" *[0-9]{1,18} *", plain) else plain.strip()
    return value


def _number_in(subject: str, model: str, value: Mapping[str, Any]) -> int:
    """The version in what another task returned: an artifact of a step, a reference, or an event."""
    if OUTPUT_KEY in value:
        printed = OutputReference.from_json(value).versions
        numbers = [int(text.rpartition("@")[2]) for text in printed if text.rpartition("@")[0] == model]
        if len(numbers) == 1:
            return numbers[0]
        problem = f"{value[OUTPUT_KEY]} belongs to {listing(printed)}, not to one version of {model!r}"
        raise InvalidDefinition(subject, problem, "Give the output of the task that made the version.")
    if "sequence" in value and isinstance(value.get("version"), int):
        check_same_model(subject, model, str(value.get("model")))
        return int(value["version"])
    found = read_reference(value)
    if isinstance(found, Reference) and found.selector.kind is SelectorKind.NUMBER:
        check_same_model(subject, model, found.model)
        return int(found.selector.value)
    raise InvalidDefinition(
        subject,
        f"{quoted(value)} names no version",
        "Give a number, or what a task of this provider returned.",
    )


def check_same_model(subject: str, model: str, named: str) -> None:
    """
    Refuse a version of another model.

    :raises InvalidDefinition: naming both.
    """
    if named != model:
        problem = f"it is about {model!r}, and was given a version of {named!r}"
        raise InvalidDefinition(subject, problem, "Give a version of the same model.")


def event_json(event: StageEvent, *, changed: bool = True) -> dict[str, Any]:
    """
    Return what an operator that changes a stage returns; as ``version=`` of another one it means the holder.

    ``version`` and ``previous`` are numbers, ``previous`` None where the stage was free; ``sequence`` is the event's
    place in the history, ``at`` ISO text in UTC; ``changed`` is False where there was nothing to do.
    """
    return {
        "model": event.model,
        "stage": event.stage,
        "version": event.number,
        "previous": event.previous,
        "sequence": event.sequence,
        "at": event.at.isoformat(),
        "who": event.who,
        "reason": event.reason,
        "changed": changed,
    }
