"""Connections that Airflow's own database keeps, on the command line: real commands in a throw-away home."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from airflow_model_provider import Client
from tests.support.airflow_runtime import AirflowRuntime

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path) -> AirflowRuntime:
    """An Airflow of which nothing runs, and whose database was never made."""
    (tmp_path / "home").mkdir()
    return AirflowRuntime(tmp_path / "home", tmp_path)


def test_a_command_works_where_a_task_with_a_stored_connection_does(
    home: AirflowRuntime, tmp_path: Path
) -> None:
    """``connections add`` is enough: reading, promoting and the schema go to that registry, and make no other."""
    home.make_database()
    url, store = f"sqlite:///{tmp_path / 'stored.db'}", str(tmp_path / "stored")
    client = Client(url, store=store)
    client.create_model_version("iris")
    for conn_id in ("model_registry_default", "other"):
        extra = json.dumps({"url": url, "store": store})
        home.airflow("connections", "add", conn_id, "--conn-type", "model_registry", "--conn-extra", extra)
    read = home.airflow("model-registry", "versions", "iris", "--output", "json")
    home.airflow("model-registry", "promote", "iris", "1", "production")
    named = home.airflow(
        "model-registry", "resolve", "iris", "production", "--conn-id", "other", "-o", "json"
    )

    assert [row["version"] for row in json.loads(read.stdout)] == [1]
    assert [row["version"] for row in json.loads(named.stdout)] == [1]
    assert "fits this release" in home.airflow("model-registry", "db", "check").stdout
    assert client.get_model_version("iris", "production").number == 1
    assert not (home.home / "model_registry.db").exists()


def test_a_database_that_was_never_made_has_no_connection(home: AirflowRuntime) -> None:
    """Commands work with the default registry; a connection that is named, the default one too, has to be there."""
    assert "There is no model yet." in home.airflow("model-registry", "models").stdout
    for conn_id in ("model_registry_default", "other"):
        done = home.airflow("model-registry", "models", "--conn-id", conn_id, check=False)
        assert (done.returncode, done.stdout) == (1, "")
        assert f"connection '{conn_id}': there is no such connection" in done.stderr
