"""Waiting for a version: one look, then the triggerer, then another look (R31)."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    TaskDeferred,
)

from airflow_model_provider import Client, Model, host
from airflow_model_provider.exceptions import InvalidDefinition, InvalidName, UnknownStage
from airflow_model_provider.sensors.model_version import ModelVersionSensor
from airflow_model_provider.triggers.lookout import lookout
from airflow_model_provider.triggers.model_version import ModelVersionTrigger
from airflow_model_provider.triggers.shared_look import shared_look
from tests.support.tasks import TaskInstance, run, running

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def registry(model_registry: Client, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """A registry in which nothing is production; the triggerer looks often."""
    monkeypatch.setenv("AIRFLOW__MODEL_REGISTRY__POLL_INTERVAL", "0.01")
    for known in (lookout, shared_look):
        known.cache_clear()
    model_registry.register_model_version("iris")
    yield model_registry
    host._entered = False


def sensor(**given: Any) -> ModelVersionSensor:
    """The sensor in a Dag."""
    with DAG("stages", schedule=None):
        return ModelVersionSensor(**{"task_id": "act", "model": "iris"} | given)


def deferred(task: ModelVersionSensor, ti: TaskInstance | None = None, **more: Any) -> TaskDeferred:
    """How a task gives back its worker."""
    with pytest.raises(TaskDeferred) as caught:
        run(task, ti, **more)
    return caught.value


def fired(waiting: TaskDeferred) -> Any:
    """What the triggerer makes of it: the payload of the trigger's event."""
    trigger = ModelVersionTrigger(**json.loads(json.dumps(waiting.trigger.serialize()[1])))

    async def first() -> Any:
        return [event.payload async for event in trigger.run()]

    (payload,) = asyncio.run(first())
    return payload


def resumed(task: ModelVersionSensor, waiting: TaskDeferred, payload: Any, **more: Any) -> Any:
    """What Airflow does when the trigger has fired: in another process, with fields rendered again."""
    with running(task, None, **more) as context:
        return task.resume_execution(waiting.method_name, {"event": payload}, context)


def test_what_is_there_is_returned_at_once(registry: Client) -> None:
    """A reference to the very version, recorded as what the task got; the link leads to it."""
    registry.get_model_version("iris", 1).set_stage("production")
    task, ti = sensor(), TaskInstance()
    found = run(task, ti)

    assert found == registry.get_model_version("iris", 1).reference()
    (record,) = registry.list_resolutions()
    assert (record.selector, record.number, record.attempt.task_id) == ("production", 1, "act")
    (link,) = task.operator_extra_links
    assert link.get_link(task, ti_key=ti)
    assert ti.pushed == {"model_versions": ["iris@1"]}


def test_it_waits_until_a_version_is_promoted(registry: Client) -> None:
    """Nothing is recorded while it waits; what the trigger says is looked at again."""
    waiting = deferred(sensor())
    assert registry.list_resolutions() == []
    registry.get_model_version("iris", 1).set_stage("production")
    payload = fired(waiting)

    assert payload["state"] == "there"
    assert resumed(sensor(), waiting, payload).selector.value == 1


def test_a_version_that_is_gone_again_is_waited_for_on(registry: Client) -> None:
    """For the rest of the time: the trigger's event is a wake-up, not the data."""
    version = registry.get_model_version("iris", 1)
    waiting = deferred(sensor())
    version.set_stage("production")
    payload = fired(waiting)
    version.set_stage("archived")
    with pytest.raises(TaskDeferred) as caught:
        resumed(sensor(), waiting, payload)

    assert caught.value.trigger.serialize()[1]["until"] == waiting.trigger.serialize()[1]["until"]


def newer_than(registry: Client) -> dict[str, Any]:
    """The ways to say: newer than version 1."""
    return {
        "number": 1,
        "template": "{{ params.mine }}",
        "reference": Model("iris", version="staging"),
        "metadata": registry.get_model_version("iris", 1).reference(),
        "event": {"model": "iris", "stage": "staging", "version": 1, "sequence": 1},
    }


@pytest.mark.parametrize("form", ["number", "template", "reference", "metadata", "event"])
def test_newer_than_the_one_i_have(registry: Client, form: str) -> None:
    """A version of a higher number, however mine is said."""
    first, params = registry.get_model_version("iris", 1), {"mine": "1"}
    for stage in ("production", "staging"):
        first.set_stage(stage)
    given = {"newer_than": newer_than(registry)[form]}
    waiting = deferred(sensor(**given), params=params)
    registry.register_model_version("iris", stage="production", force=True)

    assert resumed(sensor(**given), waiting, fired(waiting), params=params).selector.value == 2


def test_newer_than_a_stage_is_newer_than_its_version_now(registry: Client) -> None:
    """At each look, also of one and the same try: what the stage held when the waiting began doesn't count."""
    first = registry.get_model_version("iris", 1)
    for stage in ("production", "staging"):
        first.set_stage(stage)
    given = {"newer_than": Model("iris", version="staging")}
    waiting = deferred(sensor(**given))
    with running(task := sensor(**given, deferrable=False)) as context:
        looks = [task.poke(context).is_done]
        second = registry.register_model_version("iris", stage="production", force=True)
        second.set_stage("staging", force=True)
        looks.append(task.poke(context).is_done)
        third = registry.register_model_version("iris", stage="production", force=True)
        looks.append(task.poke(context).is_done)

    assert looks == [False, False, True]
    assert waiting.trigger.serialize()[1]["newer_than_selector"] == "staging"
    assert resumed(sensor(**given), waiting, fired(waiting)).selector.value == third.number


def test_nothing_to_be_newer_than_means_any(registry: Client) -> None:
    """A stage that nobody holds, an empty field of the trigger form."""
    for mine in (Model("iris", version="production"), "{{ '' }}", None):
        assert run(sensor(version="latest", newer_than=mine)).selector.value == 1


def test_the_time_ends(registry: Client) -> None:
    """As of other sensors: failed without retries, or skipped; the sentence says what was waited for."""
    given = {"timeout": 0.05, "version": "{{ 'production' }}"}
    waiting = deferred(sensor(**given))
    payload = fired(waiting)

    assert payload["state"] == "timeout"
    with pytest.raises(
        AirflowSensorTimeout, match=r"iris\[production\] was waited for .*No version of 'iris' is"
    ):
        resumed(sensor(**given), waiting, payload)
    with pytest.raises(AirflowSkipException):
        resumed(sensor(**given, soft_fail=True), waiting, payload)


def test_it_waits_for_a_model_that_is_not_made_yet(registry: Client) -> None:
    """And says so."""
    waiting = deferred(sensor(model="{{ params.model }}", version="latest"), params={"model": "rose"})
    registry.register_model_version("rose")

    assert fired(waiting)["state"] == "there"


def test_without_deferring_it_is_a_sensor_like_others(registry: Client) -> None:
    """It pokes."""
    given = {"deferrable": False, "poke_interval": 0.01, "timeout": 0.05, "version": "staging"}
    with pytest.raises(AirflowSensorTimeout):
        run(sensor(**given))
    registry.get_model_version("iris", 1).set_stage("staging")

    assert run(sensor(**given)).selector.value == 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"version": "{{ 'prodction' }}"}, "Did you mean 'production'"),
        ({"newer_than": "{{ 'one' }}"}, "newer_than='one' must be a version number"),
        ({"version": "{{ '' }}"}, "names no version"),
        ({"newer_than": "{{ 'rose@1' }}"}, "got one of 'rose'"),
    ],
)
def test_what_can_never_come_fails_at_once(registry: Client, given: dict[str, Any], said: str) -> None:
    """Without waiting for it, and without retries."""
    with pytest.raises(AirflowFailException, match=said):
        run(sensor(**given))


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"version": "prodction"}, UnknownStage),
        ({"version": "triggering"}, InvalidDefinition),
        ({"version": "trigering"}, UnknownStage),
        ({"version": Model("iris", version="triggering")}, InvalidDefinition),
        ({"conn_id": "{{ params.registry }}"}, InvalidName),
        ({"model": "/"}, InvalidName),
        ({"newer_than": "one"}, InvalidDefinition),
        ({"version": Model("rose", version=1)}, InvalidDefinition),
        ({"version": Model("iris", version="production", as_of="logical_date")}, InvalidDefinition),
    ],
)
def test_what_can_be_known_wrong_is_an_import_error(given: dict[str, Any], error: type[Exception]) -> None:
    """While the file is parsed."""
    with pytest.raises(error):
        sensor(**given)
