"""What Airflow sees of the provider: connection type, configuration, commands, task decorator."""

from __future__ import annotations

import json
from contextlib import contextmanager
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers_manager import ProvidersManager
from airflow.sdk.providers_manager_runtime import ProvidersManagerTaskRuntime
from airflow.triggers.base import BaseTrigger

from airflow_model_provider import Client, host, triggers
from airflow_model_provider.exceptions import InvalidConfiguration, MissingDependency
from airflow_model_provider.get_provider_info import get_provider_info
from airflow_model_provider.hooks.model_registry import ModelRegistryHook
from airflow_model_provider.workspace import close_workspaces

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _outside_afterwards() -> Iterator[None]:
    """A hook says that this process belongs to Airflow; other tests are programs."""
    yield
    close_workspaces()
    host._entered = False


def test_airflow_knows_the_connection_type() -> None:
    """With a form that has fields of its own and a hook that tests it."""
    manager = ProvidersManager()
    hook = ProvidersManagerTaskRuntime().hooks["model_registry"]
    assert hook is not None
    assert hook.hook_name == "Model registry"
    assert hook.connection_testable
    fields = set(manager.connection_form_widgets)

    assert {"extra__model_registry__url", "extra__model_registry__store"} <= fields
    assert "model_registry" in manager.field_behaviours


def test_airflow_knows_the_configuration() -> None:
    """Each option has a description, and the defaults are those that count where nothing is set."""
    section = dict(ProvidersManager().provider_configs)["airflow-model-provider"]["model_registry"]

    assert {option["version_added"] for option in section["options"].values()} == {"0.1.0"}
    assert all(option["description"].strip() for option in section["options"].values())
    assert section["options"]["sklearn_format"]["default"] == "pickle"
    assert section["options"]["url"]["sensitive"] is True


def test_airflow_knows_each_trigger() -> None:
    """Every module that has one."""
    listed = {name for item in get_provider_info()["triggers"] for name in item["python-modules"]}
    modules = [import_module(f"{triggers.__name__}.{item.name}") for item in iter_modules(triggers.__path__)]
    own = {
        kind.__module__
        for module in modules
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, BaseTrigger) and kind.__module__ == module.__name__
    }

    assert listed == own


def test_airflow_knows_the_task_decorator() -> None:
    """@task.step is @step."""
    from airflow.sdk import task

    from airflow_model_provider.decorators.step import Step

    assert isinstance(task.step(name="nothing")(lambda: None), Step)


def connection(monkeypatch: pytest.MonkeyPatch, **extra: str) -> None:
    """Define the default connection."""
    text = json.dumps({"conn_type": "model_registry", "extra": extra})
    monkeypatch.setenv("AIRFLOW_CONN_MODEL_REGISTRY_DEFAULT", text)


def test_a_connection_is_tested_by_using_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Registry opened; a probe written, read and removed in the store."""
    connection(monkeypatch, url=f"sqlite:///{tmp_path / 'r.db'}", store=str(tmp_path / "store"))
    works, said = ModelRegistryHook().test_connection()

    assert works, said
    assert "r.db" in said
    assert [path for path in (tmp_path / "store").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ({"url": "sqlite:////dev/null/r.db"}, "cannot be"),
        ({"url": "mysql://host/db"}, "neither SQLite nor PostgreSQL"),
        ({"url": "sqlite:///{folder}/r.db", "store": "/dev/null/store"}, "/dev/null/store"),
    ],
)
def test_a_connection_that_does_not_work_says_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, extra: dict[str, str], expected: str
) -> None:
    """The test action gives the one sentence of the error."""
    connection(monkeypatch, **{key: value.format(folder=tmp_path) for key, value in extra.items()})
    works, said = ModelRegistryHook().test_connection()

    assert not works
    assert expected in said


def test_a_mistyped_extra_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It names the nearest; so does a scheme in which Airflow itself finds no type."""
    connection(monkeypatch, url=f"sqlite:///{tmp_path / 'r.db'}", strore=str(tmp_path))
    works, said = ModelRegistryHook().test_connection()
    monkeypatch.setenv("AIRFLOW_CONN_MODEL_REGISTRY_DEFAULT", "model_registry://me:hunter2@host/models")
    _, of_scheme = ModelRegistryHook().test_connection()

    assert (works, "the extra 'strore' does not exist. Did you mean 'store'?" in said) == (False, True)
    assert "cannot have an underscore. Write model-registry:// instead." in of_scheme
    assert "hunter2" not in of_scheme


def test_the_command_that_tests_connections_shows_all_of_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It prints rich markup, in which ``[postgres]`` would be a style; of a success it shows what is logged."""
    import airflow.cli.commands.connection_command  # noqa: F401 - as that command does
    from rich.text import Text

    missing = MissingDependency("A registry", "psycopg", "airflow-model-provider[postgres]")

    def fail(*_args: object) -> None:
        raise missing

    connection(monkeypatch, url=f"sqlite:///{tmp_path / 'r.db'}", store=str(tmp_path / "store"))
    with caplog.at_level("INFO"):
        _, connected = ModelRegistryHook().test_connection()
    with monkeypatch.context() as broken:
        broken.setattr("airflow_model_provider.workspace.connect", fail)
        _, said = ModelRegistryHook().test_connection()

    assert Text.from_markup(said).plain == str(missing)
    assert "[postgres]" in str(missing)
    assert f"r.db, artifact store {tmp_path / 'store'}" in connected


def test_the_default_is_refused_where_workers_may_be_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under Celery or Kubernetes a file would be a registry per worker ."""
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    with pytest.raises(InvalidConfiguration, match="AIRFLOW_CONN_MODEL_REGISTRY_DEFAULT"):
        ModelRegistryHook().get_address()
    connection(monkeypatch, url="postgresql://db/models", store="s3://models")

    assert ModelRegistryHook().get_address().store == "s3://models"


def test_a_callback_is_refused_the_default_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where no task runs any more, as in a Dag's callback in the DAG processor, Airflow's own settings count still."""
    from airflow.sdk.configuration import conf
    from airflow.sdk.exceptions import ErrorType
    from airflow.sdk.execution_time import task_runner
    from airflow.sdk.execution_time.comms import ErrorResponse

    class Supervisor:
        def send(self, message: object) -> ErrorResponse:
            return ErrorResponse(error=ErrorType.CONNECTION_NOT_FOUND)

    monkeypatch.delenv("AIRFLOW__CORE__EXECUTOR", raising=False)
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    monkeypatch.setattr(host, "_entered", False)
    with conf_value(conf, "core", "executor", "CeleryExecutor"):
        assert host.remote_executor() is None
        monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", Supervisor(), raising=False)

        with pytest.raises(InvalidConfiguration, match="CeleryExecutor"):
            Client().list_models()
    assert not (tmp_path / "model_registry.db").exists()


@contextmanager
def conf_value(conf: Any, section: str, name: str, value: str) -> Iterator[None]:
    """As airflow.cfg would say it."""
    before = conf.get(section, name, fallback=None)
    conf.set(section, name, value)
    try:
        yield
    finally:
        conf.remove_option(section, name) if before is None else conf.set(section, name, before)


def test_a_connection_that_does_not_exist_is_named() -> None:
    """A wrong conn_id is one error."""
    with pytest.raises(InvalidConfiguration, match="'typo'"):
        ModelRegistryHook("typo").get_address()
