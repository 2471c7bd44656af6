"""Workers that may be elsewhere: no task, trigger or command makes a default registry of its own."""

from __future__ import annotations

import asyncio
import logging
import re
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from airflow.cli.cli_parser import get_parser
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, BaseHook
from airflow.sdk.exceptions import AirflowFailException, AirflowNotFoundException

from airflow_model_provider import Client, Model, host, save_artifact
from airflow_model_provider.addresses import DEFAULT_CONN_ID, connection_variable
from airflow_model_provider.exceptions import InvalidConfiguration
from airflow_model_provider.operators.promote import ModelPromoteOperator
from airflow_model_provider.operators.register import ModelRegisterOperator
from airflow_model_provider.operators.rollback import ModelRollbackOperator
from airflow_model_provider.operators.step import StepOperator
from airflow_model_provider.sensors.model_version import ModelVersionSensor
from airflow_model_provider.settings import variable
from airflow_model_provider.triggers.lookout import lookout
from airflow_model_provider.triggers.model_stage import ModelStageTrigger
from airflow_model_provider.triggers.model_version import ModelVersionTrigger
from airflow_model_provider.triggers.shared_look import shared_look
from tests.support.tasks import run, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CONNECTION = connection_variable(DEFAULT_CONN_ID)
REFUSED = f"CeleryExecutor.*{CONNECTION}"
AWAITED = Model("iris", version="production", on_missing="wait").get_artifact("weights")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Nothing is configured but the executor; no process has looked at a registry yet."""
    for name in (CONNECTION, variable("url"), variable("store")):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    monkeypatch.setenv(variable("poll_interval"), "0.01")
    for known in (lookout, shared_look):
        known.cache_clear()
    yield tmp_path / "home"
    for known in (lookout, shared_look):
        known.cache_clear()
    host._entered = False


def use(value: Any = None) -> Any:
    """What a task does: it must not come so far."""
    raise AssertionError(f"this must not run with {value!r}")


TASKS: dict[str, Callable[[], Any]] = {
    "step": partial(StepOperator, python_callable=use, op_args=[Model("iris", version=1).number]),
    "step that waits": partial(StepOperator, python_callable=use, op_args=[AWAITED]),
    "stock task": partial(PythonOperator, python_callable=use, op_args=[Model("iris", version=1).number]),
    "stock task that waits": partial(PythonOperator, python_callable=use, op_args=[AWAITED]),
    "sensor": partial(ModelVersionSensor, model="iris"),
    "sensor that holds its worker": partial(ModelVersionSensor, model="iris", deferrable=False),
    "promotion": partial(ModelPromoteOperator, model="iris", version=1, stage="production"),
    "rollback": partial(ModelRollbackOperator, model="iris", stage="production"),
    "registration": partial(ModelRegisterOperator, model="iris", files={"weights": "w.bin"}),
}


def made(kind: str) -> Any:
    """A task in a Dag."""
    with DAG("stages", schedule=None):
        return TASKS[kind](task_id="act")


@pytest.mark.parametrize("kind", TASKS)
def test_no_task_makes_a_registry_of_its_own(kind: str, home: Path) -> None:
    """It fails for good, and waits for nothing; the error names the executor and the setting."""
    with pytest.raises(AirflowFailException, match=REFUSED):
        run(made(kind))

    assert not home.exists()


@pytest.mark.parametrize(
    "code", [partial(save_artifact, 1, "one"), lambda: Client().list_models()], ids=["function", "client"]
)
def test_code_in_a_stock_task_is_refused_too(code: Callable[[], Any], home: Path) -> None:
    """It is not ours to say that the task must not be tried again."""
    with DAG("stages", schedule=None):
        task = PythonOperator(task_id="act", python_callable=code)
    with pytest.raises(InvalidConfiguration, match=REFUSED):
        run(task)

    assert not home.exists()


@pytest.mark.parametrize(("kind", "method"), [("sensor", "execute_complete"), ("step that waits", "resume")])
def test_a_task_that_goes_on_elsewhere_is_refused_too(kind: str, method: str, home: Path) -> None:
    """On a worker without the setting, although the one where it began to wait had it."""
    event = {"state": "there", "since": datetime.now(UTC).isoformat()}
    with pytest.raises(AirflowFailException, match=REFUSED), running(made(kind)) as context:
        made(kind).resume_execution(method, {"event": event}, context)

    assert not home.exists()


def waiting(stored: bool) -> ModelVersionTrigger:
    """The trigger of a task that has found a connection in Airflow, or none."""
    since = datetime.now(UTC)
    return ModelVersionTrigger(
        model="iris",
        selector="production",
        since=since.isoformat(),
        until=(since + timedelta(hours=1)).isoformat(),
        poll_interval=0.01,
        stored=stored,
    )


TRIGGERS: dict[str, Callable[[], Any]] = {
    "waits for a version, stored": partial(waiting, stored=True),
    "waits for a version": partial(waiting, stored=False),
    "watches a stage": partial(
        ModelStageTrigger, conn_id=None, model="iris", stage="production", dag_id="scoring"
    ),
}


@pytest.mark.parametrize("kind", TRIGGERS)
def test_no_trigger_makes_a_registry_of_its_own(
    kind: str, home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It says the error and looks again, so that it goes on once the setting is there; until then it never fires."""

    def unknown(conn_id: str) -> NoReturn:
        raise AirflowNotFoundException(conn_id)

    trigger, said = TRIGGERS[kind](), list[str]()

    def refusals() -> list[str]:
        return [
            text
            for text in [*said, *caplog.messages]
            if re.search(f"InvalidConfiguration: .*{REFUSED}", text)
        ]

    async def look() -> None:
        looking = asyncio.ensure_future(anext(trigger.run()))
        while len(refusals()) < 2 and not looking.done():
            await asyncio.sleep(0.01)
        assert not looking.done()
        looking.cancel()

    monkeypatch.setattr(BaseHook, "get_connection", unknown)
    monkeypatch.setattr(trigger.log, "warning", lambda text, *values: said.append(text % values))
    with caplog.at_level(logging.WARNING):
        asyncio.run(asyncio.wait_for(look(), 30))

    assert not home.exists()


def test_no_command_makes_a_registry_of_its_own(home: Path) -> None:
    """It ends with the error."""
    arguments = get_parser().parse_args(["model-registry", "models"])
    with pytest.raises(SystemExit, match=REFUSED):
        arguments.func(arguments)

    assert not home.exists()
