"""For tests of users' own code: a throw-away registry as a pytest fixture, and what is relied on of a materializer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_model_provider.testing.materializers import MaterializerContract

__all__ = ["MaterializerContract"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from airflow_model_provider.testing import materializers

    return getattr(materializers, name)
