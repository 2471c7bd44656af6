"""Pytest fixtures for tests of users' own code; pytest finds them by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from airflow_model_provider.client import Client


@pytest.fixture
def model_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """
    A throw-away registry that is the default one during the test.

    >>> def test_training_makes_a_version(model_registry):
    ...     training()
    ...     assert model_registry.get_model_version("iris_classifier", "latest").number == 1
    """
    from airflow_model_provider.client import Client
    from airflow_model_provider.workspace import close_workspaces

    folder = tmp_path / "model_registry"
    monkeypatch.delenv("AIRFLOW_CONN_MODEL_REGISTRY_DEFAULT", raising=False)
    monkeypatch.setenv("AIRFLOW__MODEL_REGISTRY__URL", f"sqlite:///{folder / 'model_registry.db'}")
    monkeypatch.setenv("AIRFLOW__MODEL_REGISTRY__STORE", str(folder / "model_artifacts"))
    monkeypatch.setenv("AIRFLOW__MODEL_REGISTRY__CACHE_DIR", str(folder / "cache"))
    close_workspaces()
    yield Client()
    close_workspaces()
