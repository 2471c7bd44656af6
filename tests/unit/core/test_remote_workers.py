"""Workers that may be elsewhere: no half of the default registry is used, whoever asks for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_model_provider import Client, Model, load_artifact, log_metadata, pipeline, save_artifact, step
from airflow_model_provider.addresses import DEFAULT_CONN_ID, connection_variable, find_address
from airflow_model_provider.exceptions import InvalidConfiguration
from airflow_model_provider.settings import variable

CONNECTION = connection_variable(DEFAULT_CONN_ID)


@step
def one() -> int:
    return 1


@pipeline
def counting() -> None:
    one()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing is configured but the executor."""
    for name in (CONNECTION, variable("url"), variable("store")):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    return tmp_path / "home"


ENTRIES: dict[str, Callable[[], Any]] = {
    "client": lambda: Client().list_models(),
    "model": lambda: Model("iris", version="production").load(),
    "save_artifact": lambda: save_artifact(1, "one"),
    "load_artifact": lambda: load_artifact("one"),
    "log_metadata": lambda: log_metadata({"a": 1}, model_name="iris", model_version=1),
    "local run": counting,
}


@pytest.mark.parametrize("entry", ENTRIES)
def test_no_entry_makes_a_registry_of_its_own(entry: str, home: Path) -> None:
    """The error names the executor and the setting, and nothing is made."""
    with pytest.raises(InvalidConfiguration, match=f"CeleryExecutor.*{CONNECTION}"):
        ENTRIES[entry]()

    assert not home.exists()


def connection(**extra: str) -> dict[str, str]:
    """The default connection, in the environment."""
    return {CONNECTION: json.dumps({"conn_type": "model_registry", "extra": extra})}


#: What is said, and the place and the advice of the error.
HALVES: list[tuple[dict[str, str], dict[str, str], str, str]] = [
    ({variable("url"): "postgresql://db/models"}, {}, "[model_registry] store", f"Set {variable('store')} to a store"),
    ({variable("store"): "s3://models"}, {}, "[model_registry] url", f"Set {variable('url')} to a database"),
    (connection(store="s3://m"), {}, f"{CONNECTION}, extra url", "Set extra.url of it to a database"),
    (connection(url="postgresql://db/m"), {}, f"{CONNECTION}, extra store", "Set extra.store of it to a store"),
    ({}, {"url": "postgresql://db/models"}, "argument store", "Pass store=, a store"),
]  # fmt: skip


@pytest.mark.parametrize("executor", ["LocalExecutor", "CeleryExecutor"])
@pytest.mark.parametrize(
    ("environment", "arguments"),
    [
        ({variable("url"): "postgresql://db/models", variable("store"): "memory://models"}, {}),
        (connection(url="postgresql://db/m", store="Memory://models"), {}),
        ({}, {"url": "postgresql://db/models", "store": "memory://models"}),
    ],
)
def test_a_store_in_memory_is_refused(
    executor: str, environment: dict[str, str], arguments: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a database in memory is: what was promoted would be gone with the process."""
    for name, value in {"AIRFLOW__CORE__EXECUTOR": executor, **environment}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InvalidConfiguration, match=r"store: .* in memory"):
        find_address(**arguments)


@pytest.mark.parametrize(("environment", "arguments", "place", "advice"), HALVES)
def test_a_half_that_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    arguments: dict[str, str],
    place: str,
    advice: str,
) -> None:
    """A registry without a store, and a store without a registry, are refused too; only what is missing is named."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InvalidConfiguration) as refused:
        find_address(**arguments)
    missing = "artifact store" if place.endswith("store") else "registry"

    assert str(refused.value) == (
        f"{place}: no {missing} is configured, and workers of CeleryExecutor may not share this machine's disk. "
        f"{advice} that all workers reach."
    )


@pytest.mark.parametrize(
    "arguments",
    [
        {"url": "sqlite:///r.db", "store": "s3://models"},
        {"url": "postgresql://db/models", "store": "models"},
    ],
)
def test_arguments_by_the_working_folder_are_refused(arguments: dict[str, str]) -> None:
    """Each worker would have a half for itself."""
    with pytest.raises(InvalidConfiguration, match=r"is relative.*Write an absolute path"):
        find_address(**arguments)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AIRFLOW_IS_K8S_EXECUTOR_POD", "True"),
        ("AIRFLOW__CORE__EXECUTOR", "LocalExecutor,KubernetesExecutor"),
        ("AIRFLOW__CORE__EXECUTOR", "LocalExecutor;team_a=CeleryExecutor"),
        ("AIRFLOW__CORE__EXECUTOR", "fast:company.executors.Remote"),
    ],
)
def test_every_way_to_have_workers_elsewhere_counts(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """A pod says LocalExecutor for itself; one remote executor of several is enough."""
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "LocalExecutor")
    monkeypatch.setenv(name, value)
    with pytest.raises(InvalidConfiguration, match="may not share this machine's disk"):
        find_address()


@pytest.mark.parametrize(
    "executor", ["LocalExecutor", "SequentialExecutor", "airflow.executors.local_executor.LocalExecutor"]
)
def test_local_executors_use_the_default(monkeypatch: pytest.MonkeyPatch, executor: str) -> None:
    """Their workers share the disk."""
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", executor)

    assert find_address().defaults == ("url", "store")


def test_both_halves_named_are_used_under_any_executor() -> None:
    """Whoever names both knows what workers reach."""
    address = find_address(url="sqlite:////mnt/shared/r.db", store="/mnt/shared/store")

    assert (address.url, address.defaults) == ("sqlite:////mnt/shared/r.db", ())


def test_a_program_on_a_worker_is_refused_too(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where only airflow.cfg says which executor there is."""
    monkeypatch.delenv("AIRFLOW__CORE__EXECUTOR")
    home.mkdir()
    (home / "airflow.cfg").write_text("[core]\nexecutor = CeleryExecutor\n")
    with pytest.raises(InvalidConfiguration, match="CeleryExecutor"):
        Client().list_models()

    assert [file.name for file in home.iterdir()] == ["airflow.cfg"]
