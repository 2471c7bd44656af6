"""Registries that models move between."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_model_provider import Client
from airflow_model_provider.handles import ModelVersion
from airflow_model_provider.registry.entities import Attempt, Link, Relation
from airflow_model_provider.workspace import Saving, close_workspaces
from tests.support.databases import ready_file
from tests.support.s3 import S3Bucket, s3_server


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Bucket]:
    """An S3 protocol server of this session."""
    with s3_server("transfer") as bucket:  # moto's servers share what they hold
        yield bucket


@pytest.fixture
def registry_at(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Client]]:
    """Make an empty registry of some kind, and name it by a connection."""
    monkeypatch.setenv("AIRFLOW__MODEL_REGISTRY__CACHE_DIR", str(tmp_path / "cache"))

    def make(name: str, place: str = "sqlite, folder") -> Client:
        database, store = place.split(", ")
        extra: dict[str, Any] = {"store": str(tmp_path / f"{name} store")}
        if database == "postgresql":
            extra["url"] = request.getfixturevalue("postgres").new_database()
        else:
            extra["url"] = ready_file(tmp_path / f"{name}.db")
        if store == "s3":
            bucket = request.getfixturevalue("s3")
            extra |= {"store": f"{bucket.url}/{tmp_path.name}/{name}", "storage_options": bucket.options}
        text = json.dumps({"conn_type": "model_registry", "extra": extra})
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", text)
        return Client(conn_id=name)

    close_workspaces()
    yield make
    close_workspaces()


@pytest.fixture
def there(registry_at: Callable[..., Client]) -> Client:
    """Where a model was trained."""
    return registry_at("there")


@pytest.fixture
def here(registry_at: Callable[..., Client]) -> Client:
    """Where it is to run."""
    return registry_at("here")


def simple(client: Client, text: str, name: str | None = None, model: str = "iris") -> ModelVersion:
    """Make a version with one artifact."""
    with client.new_model_version(model, name) as version:
        version.save_artifact("text", text)
        version.log_metadata({"said": text})
    return version


def made(
    client: Client,
    version: ModelVersion,
    name: str,
    value: Any,
    attempt: Attempt | None,
    relation: Relation = Relation.OUTPUT,
) -> None:
    """Save an artifact as a task does."""
    client.workspace.save(value, Saving(name, what=name), attempt=attempt, links=[Link(version.id, relation)])
