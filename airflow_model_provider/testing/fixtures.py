"""Pytest fixtures for tests of users' own code; pytest finds them by itself."""

from __future__ import annotations

import json
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
    from airflow_model_provider.addresses import CONN_TYPE, DEFAULT_CONN_ID, connection_variable
    from airflow_model_provider.client import Client
    from airflow_model_provider.workspace import close_workspaces

    folder = tmp_path / "model_registry"
    address = {"url": f"sqlite:///{folder / 'model_registry.db'}", "store": str(folder / "model_artifacts")}
    # The one that comes before all others, also in the tasks of dag.test(), which ask Airflow.
    monkeypatch.setenv(
        connection_variable(DEFAULT_CONN_ID), json.dumps({"conn_type": CONN_TYPE, "extra": address})
    )
    monkeypatch.setenv("AIRFLOW__MODEL_REGISTRY__CACHE_DIR", str(folder / "cache"))
    close_workspaces()
    yield Client()
    close_workspaces()
