"""The schema of a model's inputs, where it is known (R41)."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral
from typing import Any


def is_model(value: Any) -> bool:
    """Return whether a value has ``predict``; a class of models has it and is none."""
    try:
        return callable(getattr(value, "predict", None)) and not isinstance(value, type)
    except Exception:  # a property's own
        return False


def input_schema(model: Any) -> dict[str, Any] | None:
    """
    Return the names and the number of a fitted estimator's inputs; None where it says nothing sensible of them.

    A pipeline that does not say it itself is asked through its first step.
    """
    return _said(model) or _said(_first_step(model))


def _said(model: Any) -> dict[str, Any] | None:
    try:
        names, count = getattr(model, "feature_names_in_", None), getattr(model, "n_features_in_", None)
        if names is not None:
            return _named(names)
        return {"count": int(count)} if isinstance(count, Integral) else None
    except Exception:  # properties are anybody's code
        return None


def _named(names: Any) -> dict[str, Any] | None:
    columns = [{"name": str(name)} for name in names if isinstance(name, str)]
    is_list = not isinstance(names, str | Mapping) and len(names) == len(columns)
    return {"columns": columns, "count": len(columns)} if is_list else None


def _first_step(model: Any) -> Any:
    try:
        return model.steps[0][1]
    except Exception:
        return None
