"""The schema of a model's inputs, where it is known (R41)."""

from __future__ import annotations

from typing import Any


def input_schema(model: Any) -> dict[str, Any] | None:
    """
    Return the names and the number of a fitted estimator's inputs; None where it says nothing of them.

    A pipeline that does not say it itself is asked through its first step.
    """
    for candidate in (model, *_first_steps(model)):
        names, count = (
            getattr(candidate, "feature_names_in_", None),
            getattr(candidate, "n_features_in_", None),
        )
        if names is not None:
            return {"columns": [{"name": str(name)} for name in names], "count": len(names)}
        if count is not None:
            return {"count": int(count)}
    return None


def _first_steps(model: Any) -> list[Any]:
    steps = getattr(model, "steps", None)
    try:
        return [steps[0][1]] if steps else []
    except (TypeError, IndexError, KeyError):
        return []
