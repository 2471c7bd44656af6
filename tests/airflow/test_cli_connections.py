"""Connections that Airflow's own database keeps, on the command line: real commands in a throw-away home."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from airflow_model_provider import Client
from tests.support.airflow_home import environment, make_database
from tests.support.preloaded import Preloaded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from subprocess import CompletedProcess


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An AIRFLOW_HOME."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def command(home: Path) -> Iterator[Callable[..., CompletedProcess[str]]]:
    """Run an ``airflow`` command in it."""
    with Preloaded(home, environment(home)) as python:
        yield python.airflow


def test_a_database_that_was_never_made_has_no_connection(
    home: Path, command: Callable[..., CompletedProcess[str]]
) -> None:
    """Commands work with the default registry; a connection that is named, the default one too, has to be there."""
    (home / "airflow.db").unlink(missing_ok=True)

    assert "There is no model yet." in command("model-registry", "models").stdout
    for conn_id in ("model_registry_default", "other"):
        done = command("model-registry", "models", "--conn-id", conn_id, check=False)
        assert (done.returncode, done.stdout) == (1, "")
        assert f"connection '{conn_id}': there is no such connection" in done.stderr


def test_a_command_works_where_a_task_with_a_stored_connection_does(
    home: Path, command: Callable[..., CompletedProcess[str]], tmp_path: Path
) -> None:
    """``connections add`` is enough: reading, promoting and the schema go to that registry, and make no other."""
    make_database(home / "airflow.db")
    (home / "model_registry.db").unlink(missing_ok=True)
    url, store = f"sqlite:///{tmp_path / 'stored.db'}", str(tmp_path / "stored")
    client = Client(url, store=store)
    client.create_model_version("iris")
    for conn_id in ("model_registry_default", "other"):
        extra = json.dumps({"url": url, "store": store})
        command("connections", "add", conn_id, "--conn-type", "model_registry", "--conn-extra", extra)
    read = command("model-registry", "versions", "iris", "--output", "json")
    command("model-registry", "promote", "iris", "1", "production")
    named = command("model-registry", "resolve", "iris", "production", "--conn-id", "other", "-o", "json")

    assert [row["version"] for row in json.loads(read.stdout)] == [1]
    assert [row["version"] for row in json.loads(named.stdout)] == [1]
    assert "fits this release" in command("model-registry", "db", "check").stdout
    assert client.get_model_version("iris", "production").number == 1
    assert not (home / "model_registry.db").exists()
