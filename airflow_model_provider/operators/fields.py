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
from airflow_model_provider.limits import check_number, check_text, whole
from airflow_model_provider.references import UNSET, JsonValue, OutputReference, Reference
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
    _check_model_of(subject, model, version)


def _check_model_of(subject: str, model: object, version: object) -> None:
    """Refuse a reference to a version of another model."""
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
        _check_model_of(subject, model, value)
        if value is not UNSET and not is_late(value):
            number(subject, name, str(model), value)


def gates_json(value: Any) -> Any:
    """
    Return gates as plain JSON, which Airflow renders and shows; they are read again when the task runs.

    :raises InvalidDefinition: for gates that can't be asked, as far as they hold no templates.
    """
    if value is None or not isinstance(value, Gates | Mapping | list | tuple):
        return (
            value if is_late(value) else Gates.of(value) or None
        )  # a template, or what another task returns
    plain = [item.to_dict() if isinstance(item, Gates) else item for item in _listed(value)]
    if not _holds_late(plain):
        Gates.of(plain)
    return plain


def checks_in(gates: Any) -> frozenset[str]:
    """Return the import paths of functions that gates ask, as they stand there; a template is none."""
    paths = [item.get("check") for item in _listed(gates) if type(item) is dict]
    return frozenset(path for path in paths if isinstance(path, str) and not is_template(path))


def asked_gates(subject: str, gates: Any, checks: frozenset[str]) -> Any:
    """
    Return rendered gates, or None where there are none.

    :param checks: the import paths that stand in the DAG file.
    :raises InvalidDefinition: for another one, which has come as data: it would be imported and called.
    """
    for item in _listed(gates or []):
        path = item.get("check") if type(item) is dict else None
        if path is not None and path not in checks:
            problem = f"its gates came with check={quoted(path)}, which does not stand in the DAG file"
            advice = (
                "A function that is called must be named there: gates=Gates(check='package.module:function')."
            )
            raise InvalidDefinition(subject, problem, f"{advice} Nothing was changed.")
    return gates or None


def gates_with(gates: Any, **given: Any) -> Any:
    """Return gates, and before them the one of which fields were given as arguments of the operator."""
    said = {name: value for name, value in given.items() if value is not None}
    return [said, *_listed(gates or ())] if said else gates


def check_by_name(subject: str, **given: object) -> None:
    """
    Refuse what is not given by artifact name, while the DAG file is parsed.

    :raises InvalidDefinition: naming the argument.
    """
    for name, value in given.items():
        if isinstance(value, list | tuple | set) or not (
            value is None or isinstance(value, Mapping) or is_late(value)
        ):
            problem = f"{name}={quoted(value)} must be a mapping by artifact name"
            raise InvalidDefinition(subject, problem, f"Example: {name}={{'trained_model': ...}}.")


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _holds_late(value: Any) -> bool:
    """Whether a template, or another task's output, stands anywhere in it."""
    if isinstance(value, Mapping):
        return any(_holds_late(item) for item in value.values())
    if isinstance(value, list | tuple):
        return any(_holds_late(item) for item in value)
    return is_late(value) and not isinstance(value, float | timedelta)


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
        subject, f"{name}={quoted(value)} must be a version number", f"Example: {name}=3."
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
    if isinstance(value, Reference):
        check_same_model(subject, model, value.model)
        conn_id = value.conn_id or conn_id
        return Reference(model, value.selector, conn_id=conn_id, pin=value.pin, as_of=value.as_of)
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
    chosen = Selector.parse(found, settings.declared_stages())
    if chosen.kind is SelectorKind.TEMPLATE:
        problem = f"version={quoted(value)} is a template, and what came as data is not rendered"
        raise InvalidDefinition(subject, problem, "Give a stage, 'latest', a number, or a version name.")
    return chosen


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
    """The version in a reference to it, or in the event of a promotion, which says no more than its number."""
    if isinstance(value, JsonValue):
        if isinstance(value, Reference) and value.selector.kind is SelectorKind.NUMBER:
            check_same_model(subject, model, value.model)
            return int(value.selector.value)
    elif "sequence" in value and isinstance(value.get("version"), int):
        check_same_model(subject, model, str(value.get("model")))
        return int(value["version"])
    raise InvalidDefinition(
        subject,
        f"{quoted(value)} names no version",
        "Give a number, or the output of a task of this provider itself: JSON within other data is data.",
    )


def number_of_output(subject: str, model: str, output: OutputReference) -> int:
    """
    Return the version of a model to which a step's output says that it belongs; whoever asks has it checked.

    :raises InvalidDefinition: if that is not one version of the model.
    """
    printed = output.versions
    numbers = [
        int(text.rpartition("@")[2])
        for text in printed
        if re.fullmatch(rf"{re.escape(model)}@[0-9]{{1,18}}", text)
    ]
    if len(numbers) == 1:
        return numbers[0]
    problem = f"{output!r} belongs to {listing(printed)}, not to one version of {model!r}"
    raise InvalidDefinition(subject, problem, "Give the output of the task that made the version.")


def check_same_model(subject: str, model: str, named: str) -> None:
    """
    Refuse a version of another model.

    :raises InvalidDefinition: naming both.
    """
    if named != model:
        problem = f"it expects a version of {model!r} but got one of {named!r}"
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
        "version": event.version,
        "previous": event.previous,
        "sequence": event.sequence,
        "at": event.at.isoformat(),
        "who": event.who,
        "reason": event.reason,
        "changed": changed,
    }
