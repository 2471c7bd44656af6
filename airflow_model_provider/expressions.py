"""References as Jinja expressions: what ``str`` and f-strings of one give."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_model_provider.references import Reference


#: The variable of a template that holds a version which another template gives.
_CHOSEN: Final = "model_version_chosen"


def jinja_expression(reference: Reference) -> str:
    """Return the Jinja expression that means a reference, under the same pins."""
    options = {
        "conn_id": reference.conn_id,
        "pin": None if reference.pin == "task" else reference.pin,
        "as_of": list(reference.as_of) or None,
        "on_missing": None if reference.on_missing == "fail" else reference.on_missing,
        # A default serves where there is no version either, so the version is not asked for by itself.
        "optional": True if reference.has_default else None,
    }
    before, version = "", _literal(reference.selector.value)
    if reference.selector.kind.value == "template":  # rendered here, where it stands: a macro renders nothing
        before, version = (
            f"{{% set {_CHOSEN} %}}{reference.selector.value}{{% endset %}}",
            f"{_CHOSEN} | trim",
        )
    text = "macros.model_registry.version" + _called([_literal(reference.model), version], options)
    default = _default(reference)
    # What has a default is asked for in one call: there may be no artifact to take a part of.
    attribute = "" if reference.has_default else reference.attribute or ""
    if reference.wanted.value == "metadata":
        text += f".metadata{_item(reference.name, default)}"
    elif reference.wanted.value == "artifact":
        asked = {
            "version": reference.artifact_version,
            "kind": reference.kind.value if reference.kind else None,
            "map_index": reference.map_index,
            "attribute": reference.attribute if reference.has_default else None,
        }
        text += ".artifact" + _called([_literal(reference.name)], asked, default)
    return before + "{{ " + text + _part(attribute) + " }}"


def artifact_expression(
    name: str, attribute: str | None, options: Mapping[str, Any], default: Mapping[str, Any]
) -> str:
    """
    Return the Jinja expression that means an artifact by its own name.

    :param default: ``{"default": value}`` if a value is used where the artifact is missing; else empty.
    """
    # What has a default is asked for in one call: there may be no artifact to take a part of.
    asked = {**options, "attribute": attribute} if default else options
    text = "macros.model_registry.artifact" + _called([_literal(name)], asked, default)
    return "{{ " + text + ("" if default else _part(attribute)) + " }}"


def _part(attribute: str | None) -> str:
    if attribute and attribute.startswith("metadata:"):
        return f".metadata[{_literal(attribute.removeprefix('metadata:'))}]"
    return f".{attribute}" if attribute else ""


def _item(key: Any, default: Mapping[str, Any]) -> str:
    if not default:
        return f"[{_literal(key)}]"
    if "default" in default:
        return f".get({_literal(key)}, {_literal(default['default'])})"
    return ".get" + _called([_literal(key)], default)


def _default(reference: Reference) -> dict[str, Any]:
    """A reference is told by its JSON: as an expression of its own it would be resolved in any case."""
    if reference.fallback is not None:
        return {"default_reference": reference.fallback.to_json()}
    return {"default": reference.default} if reference.has_default else {}


def _called(
    arguments: list[str], options: Mapping[str, Any], default: Mapping[str, Any] | None = None
) -> str:
    named = {key: value for key, value in options.items() if value is not None} | dict(default or {})
    return f"({', '.join([*arguments, *(f'{key}={_literal(value)}' for key, value in named.items())])})"


def _literal(value: Any) -> str:
    """Write a JSON value as Jinja reads it: ``none`` instead of ``null``."""
    if value is None:
        return "none"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_literal(key)}: {_literal(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_literal(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False)  # Jinja would read an escaped pair as two characters
