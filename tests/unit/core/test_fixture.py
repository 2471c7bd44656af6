"""The pytest fixture for users' tests keeps them out of the registries that are in use."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from airflow_model_provider import Client

if TYPE_CHECKING:
    from pathlib import Path

CONNECTIONS = {"real": "model_registry", "other": "model-registry", "mail": "smtp"}


@pytest.fixture
def in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Connections of the environment; return where they lead."""
    url = f"sqlite:///{tmp_path}/real.db"
    for conn_id, kind in CONNECTIONS.items():
        said = json.dumps({"conn_type": kind, "extra": {"url": url, "store": str(tmp_path / "real")}})
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", said)
    return url


def test_named_connections_lead_to_registries_of_the_test(
    in_use: str, model_registry: Client, tmp_path: Path
) -> None:
    """Each to its own, and none to the one that is in use."""
    clients = [model_registry, *(Client(conn_id=conn_id) for conn_id in ("real", "other"))]
    for client in clients:
        client.create_model_version("iris")

    assert len({client.workspace.registry.id for client in clients}) == 3
    assert [client.get_model_version("iris", "latest").number for client in clients] == [1, 1, 1]
    assert not (tmp_path / "real.db").exists()


def test_a_client_that_was_opened_before_leads_there_too(
    in_use: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """As one at the top of a module does, which another test has used."""
    monkeypatch.setenv("AIRFLOW__MODEL_REGISTRY__URL", in_use)
    client = Client()
    before = client.workspace.registry

    inside = request.getfixturevalue("model_registry")
    client.create_model_version("iris")

    assert client.workspace.registry.id == inside.workspace.registry.id != before.id


def test_a_client_that_was_opened_before_a_fork_is_opened_anew(model_registry: Client) -> None:
    """A child must not speak over its parent's connections."""
    model_registry.create_model_version("iris")
    opened = model_registry.workspace

    reader, writer = os.pipe()
    if not (child := os.fork()):
        os.write(writer, b"another" if model_registry.workspace is not opened else b"the same")
        os._exit(0)
    os.waitpid(child, 0)

    assert os.read(reader, 100) == b"another"
    assert model_registry.workspace is opened
