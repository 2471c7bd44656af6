"""For tests of users' own code: a throw-away registry, the context of a step, the contract of materializers."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_model_provider.testing.materializers import MaterializerContract
    from airflow_model_provider.testing.steps import step_context

_WHERE = {"MaterializerContract": "materializers", "step_context": "steps"}

__all__ = ["MaterializerContract", "step_context"]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
