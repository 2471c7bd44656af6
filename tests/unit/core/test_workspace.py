"""One workspace per process and address."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_model_provider import Client, workspace
from airflow_model_provider.addresses import DEFAULT_CONN_ID, Address, connection_variable, find_address
from airflow_model_provider.exceptions import InvalidConfiguration
from airflow_model_provider.settings import variable
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


CONNECTION = connection_variable(DEFAULT_CONN_ID)
ABSOLUTE = {"url": "sqlite:////folder/r.db", "store": "/folder/store"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "sqlite:///r.db"},
        {"url": "sqlite+pysqlite:///folder/r.db?timeout=1"},
        {"url": "SQLite:///./r.db"},
        {"store": "models/store"},
        {"store": "./store"},
        {"store": "{{ 1/0 }}"},
        {"url": "sqlite:////folder/{{ var.value.file }}"},
        {"store": "s3://bucket/{% if 1 %}a{% endif %}"},
    ],
    ids=str,
)
@pytest.mark.parametrize("as_connection", [True, False], ids=["connection", "configuration"])
def test_a_setting_names_one_place(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, wrong: dict[str, str], as_connection: bool
) -> None:
    """Not one by the working folder, which the command line, a notebook and a scheduler do not share; no template."""
    monkeypatch.chdir(tmp_path)
    (half,) = wrong
    said = ABSOLUTE | wrong
    monkeypatch.delenv(CONNECTION, raising=False)
    if as_connection:
        monkeypatch.setenv(CONNECTION, json.dumps({"conn_type": "model_registry", "extra": said}))
    else:
        for name, value in said.items():
            monkeypatch.setenv(variable(name), value)
    place = f"{CONNECTION}, extra {half}" if as_connection else f"[model_registry] {half}"
    with pytest.raises(InvalidConfiguration, match=r"absolute path|Write the address itself") as refused:
        Client().list_models()

    assert refused.value.setting == place
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("store", ["~/store", "file:///folder", "s3://bucket/models", "/folder/{x}"])
def test_an_absolute_setting_is_used(monkeypatch: pytest.MonkeyPatch, store: str) -> None:
    """As it stands; a home is a place."""
    monkeypatch.delenv(CONNECTION, raising=False)
    monkeypatch.setenv(variable("url"), "sqlite:///~/r.db")
    monkeypatch.setenv(variable("store"), store)

    assert find_address()[:2] == ("sqlite:///~/r.db", store)


def test_an_argument_may_be_relative(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A person types it, and means the folder where they are; no template, which would be a file's name."""
    monkeypatch.chdir(tmp_path)
    Client("sqlite:///r.db", store="store").register_model_version("iris")
    assert (tmp_path / "r.db").exists()
    assert find_address(url="sqlite:///r.db?timeout=1", store="store").absolute()[:2] == (
        f"sqlite:///{tmp_path}/r.db?timeout=1",
        f"{tmp_path}/store",
    )
    with pytest.raises(InvalidConfiguration, match="argument store: the store has a template"):
        Client("sqlite:///r.db", store="{{ ds }}").list_models()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"store": "/folder"},
            "argument store: a store alone names no registry.*Pass the registry's url= too",
        ),
        ({"store": "/folder", "conn_id": "other"}, "argument store: a store alone"),
        ({"url": "sqlite:////r.db", "conn_id": "other"}, "url and conn_id both name a registry"),
    ],
)
def test_no_argument_is_dropped(given: dict[str, Any], message: str) -> None:
    """A client of another store or registry than was asked for would write there."""
    with pytest.raises(InvalidConfiguration, match=message):
        Client(**given).list_models()
