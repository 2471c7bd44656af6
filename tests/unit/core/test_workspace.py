"""One workspace per process and address."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_model_provider import Client, workspace
from airflow_model_provider.addresses import Address
from airflow_model_provider.exceptions import InvalidConfiguration
from airflow_model_provider.workspace import close_workspaces, open_workspace

SECRET = "hunter2"


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Nothing is open before and after."""
    close_workspaces()
    yield
    close_workspaces()


def address(folder: Path, source: str = "test", **options: Any) -> Address:
    """The same registry and store, reached with some arguments."""
    return Address(f"sqlite:///{folder / 'r.db'}", "memory://models", source, options)


def test_an_address_is_opened_once(tmp_path: Path) -> None:
    """Whichever setting says it, and in whatever order."""
    first = open_workspace(address(tmp_path, "one", key="me", client_kwargs={"a": [1], "b": 2}))

    assert open_workspace(address(tmp_path, "two", client_kwargs={"b": 2, "a": [1]}, key="me")) is first


def test_other_credentials_are_another_address(tmp_path: Path) -> None:
    """Those of another connection to the same store, or of this one since its secret was changed."""
    said = [{}, {"secret": SECRET}, {"secret": SECRET * 2}, {"secret": SECRET.encode()}]
    found = [open_workspace(address(tmp_path, **options)) for options in said]

    assert len(set(map(id, found))) == len(said)
    assert [dict(item.address.storage_options) for item in found] == said
    assert SECRET not in repr(workspace._open)


@pytest.mark.parametrize(
    ("said", "meant"), [("ALLOW_PICKEL", "ALLOW_PICKLE"), ("SIGNING_KEY", "SIGNING_KEYS"), ("ULR", "URL")]
)
def test_a_misspelt_setting_is_refused(
    model_registry: Client, monkeypatch: pytest.MonkeyPatch, said: str, meant: str
) -> None:
    """It would leave a rule unset without a word; a name that is like none may be a newer release's."""
    monkeypatch.setenv("AIRFLOW__MODEL_REGISTRY__OF_ANOTHER_TIME", "1")
    monkeypatch.setenv("AIRFLOW__MODEL_REGISTRY__SIGNING_KEYS_SECRET", "path")
    model_registry.list_models()
    close_workspaces()
    monkeypatch.setenv(f"AIRFLOW__MODEL_REGISTRY__{said}", "False")
    with pytest.raises(InvalidConfiguration, match=f"Did you mean AIRFLOW__MODEL_REGISTRY__{meant}"):
        Client().list_models()
