"""Pytest fixtures for tests of users' own code; pytest finds them by itself."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from airflow_model_provider.client import Client

#: A connection of our type, as a URI or as JSON.
_OURS = re.compile(r'^model[-_]registry:|"conn_type"\s*:\s*"model[-_]registry"')


@pytest.fixture
def model_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """
    A throw-away registry that is the default one during the test.

    Connections of type ``model_registry`` in the environment (``AIRFLOW_CONN_...``) lead to throw-away registries of
    their own. Those that only Airflow's database holds stay what they are: set their variable in the test.

    >>> def test_training_makes_a_version(model_registry):
    ...     training()
    ...     assert model_registry.get_model_version("iris_classifier", "latest").number == 1
    """
    from airflow_model_provider.addresses import CONN_TYPE, connection_variable
    from airflow_model_provider.client import Client
    from airflow_model_provider.stage_uri import DEFAULT_CONN_ID
    from airflow_model_provider.workspace import close_workspaces

    folder = tmp_path / "model_registry"
    # The variable comes before all other settings, also in the tasks of dag.test(), which ask Airflow.
    for variable in {connection_variable(DEFAULT_CONN_ID), *_connections()}:
        inside = folder if variable == connection_variable(DEFAULT_CONN_ID) else folder / variable.lower()
        extra = {"url": f"sqlite:///{inside / 'model_registry.db'}", "store": str(inside / "model_artifacts")}
        monkeypatch.setenv(variable, json.dumps({"conn_type": CONN_TYPE, "extra": extra}))
    monkeypatch.setenv("AIRFLOW__MODEL_REGISTRY__CACHE_DIR", str(folder / "cache"))
    close_workspaces()
    yield Client()
    close_workspaces()


def _connections() -> list[str]:
    """Return the variables of the connections of our type that the environment defines."""
    said = {name: text for name, text in os.environ.items() if name.startswith("AIRFLOW_CONN_")}
    return [name for name, text in said.items() if _OURS.search(text)]
