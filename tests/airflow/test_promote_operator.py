"""Promoting from a Dag: which version, which gates, who did it, and what a retry does (R28-R31)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from airflow.sdk.plugins_manager import integrate_macros_plugins

from airflow_model_provider import Client, Gates, Model, host
from airflow_model_provider.exceptions import DefinitionError, InvalidDefinition, InvalidName, UnknownStage
from airflow_model_provider.operators.promote import ModelPromoteOperator
from airflow_model_provider.pipelines.passing import read_whole
from airflow_model_provider.registry.entities import RunKey
from tests.support.tasks import TaskInstance, run

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def registry(model_registry: Client) -> Iterator[Client]:
    """Version 1 is production; 2 is better, 3 is not."""
    for accuracy in (0.9, 0.95, 0.8):
        with model_registry.new_model_version("iris", f"with-{accuracy}") as version:
            version.save_artifact("trained_model", accuracy)
            version.log_metadata({"accuracy": accuracy})
    model_registry.get_model_version("iris", 1).set_stage("production")
    integrate_macros_plugins()
    yield model_registry
    host._entered = False


def promote(**given: Any) -> ModelPromoteOperator:
    """The operator in a Dag."""
    asked = {"task_id": "act", "model": "iris", "version": 2, "stage": "production"} | given
    with DAG("stages", schedule=None):
        return ModelPromoteOperator(**asked)


def holder(registry: Client, stage: str = "production") -> int:
    """Who holds a stage."""
    return int(registry.get_model_version("iris", stage).number)


def forms(registry: Client) -> dict[str, Any]:
    """The ways to say version 2, with what of the context they need."""
    second = registry.get_model_version("iris", 2)
    return {
        "number": 2,
        "text": "2",
        "name": "with-0.95",
        "jinja": "{{ params.number }}",
        "macro": '{{ macros.model_registry.version("iris", 2) }}',
        "model": Model("iris", version=2),
        "reference": Model("iris", version="with-0.95").number,
        "artifact": Model("iris", version=2).get_artifact("trained_model"),
        "output of a step": read_whole(second.get_artifact("trained_model").reference().to_json()),
        "version": read_whole(second.reference().to_json()),
        "event": {"model": "iris", "stage": "staging", "version": 2, "sequence": 1},
        "printed": "iris@2",
    }


@pytest.mark.parametrize(
    "form",
    [
        "number",
        "text",
        "name",
        "jinja",
        "macro",
        "model",
        "reference",
        "artifact",
        "output of a step",
        "version",
        "event",
        "printed",
    ],
)
def test_a_version_can_be_said_in_many_ways(registry: Client, form: str) -> None:
    """In each of them it is version 2 that comes into the stage, and the record says so."""
    told = run(promote(version=forms(registry)[form], stage="staging"), params={"number": "2"})

    assert (told["version"], holder(registry, "staging"), told["previous"], told["changed"]) == (
        2,
        2,
        None,
        True,
    )
    assert {record.number for record in registry.list_resolutions()} == {2}


def test_the_history_says_who_why_and_from_where(registry: Client) -> None:
    """The Dag run and its task; all texts are templates."""
    form = {"model": "iris", "stage": "production", "expected": "1", "reason": "better", "accuracy": 0.92}
    fields = {name: f"{{{{ params.{name} }}}}" for name in ("model", "stage", "expected", "reason")}
    gates = {"require": {"accuracy": ">= {{ params.accuracy }}"}}
    told = run(promote(**fields, gates=gates), params=form)
    event = registry.get_model("iris").history("production")[0]

    assert (event.version, event.previous, event.reason, event.who, event.task_id) == (
        2,
        1,
        "better",
        None,
        "act",
    )
    assert event.run is not None
    assert (event.run.dag_id, event.run.run_id) == ("stages", "manual__1")
    assert told == {
        "model": "iris",
        "stage": "production",
        "version": 2,
        "previous": 1,
        "sequence": event.sequence,
        "at": event.at.isoformat(),
        "who": None,
        "reason": "better",
        "changed": True,
    }


@pytest.mark.parametrize(
    "asked", [{"force": True}, {"expected": 1}, {"gates": Gates(better_than="production", metric="accuracy")}]
)
def test_a_retry_writes_no_second_event(registry: Client, asked: dict[str, Any]) -> None:
    """And returns the first one, though the holder is not the one expected any more."""
    ti = TaskInstance()
    told = [run(promote(**asked), item) for item in (ti, ti.retried())]

    assert told[0] == told[1]
    assert len(registry.get_model("iris").history("production")) == 2


def test_another_task_that_promotes_the_holder_changes_nothing(registry: Client) -> None:
    """It returns the event that made it the holder, and says that it changed nothing."""
    run(promote(force=True))
    told = run(promote(), TaskInstance("ti-2", run_id="manual__2"))

    assert (told["changed"], told["version"], told["previous"]) == (False, 2, 1)
    assert len(registry.get_model("iris").history("production")) == 2


def test_soft_gates_skip_and_others_fail(registry: Client) -> None:
    """With the objections; nothing is promoted."""
    better = {"better_than": "production", "metric": "accuracy"}
    with pytest.raises(
        AirflowSkipException, match=r"accuracy 0.8 of iris@3 is not better than 0.9 of iris@1"
    ):
        run(promote(version=3, gates=Gates(**better, soft=True)))
    with pytest.raises(AirflowFailException, match=r"PromotionRefused: .*is not better"):
        run(promote(version=3, gates=[{**better, "soft": True}, Gates(require={"accuracy": "> 0.85"})]))

    assert holder(registry) == 1
    assert run(promote(gates=better))["version"] == 2


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "StageOccupied: .*occupied by iris@1"),
        ({"expected": "3"}, "StageConflict: Expected iris@3 in .*, found iris@1"),
        ({"version": "{{ '' }}"}, "InvalidDefinition: .*version='' names no version"),
        ({"version": "{{ 9 }}"}, "VersionNotFound: 'iris' has no version '9'"),
        ({"version": "{{ 'prod' ~ 'ction' }}"}, "UnknownStage: .*Did you mean 'production'"),
        ({"version": {"a": 1}}, "InvalidDefinition: .*names no version"),
        ({"version": [1, 2]}, "InvalidName"),
        ({"version": Model("iris", version="staging")}, "StageNotAssigned: No version of 'iris' is in stage"),
        ({"stage": "{{ 'latest' }}"}, "UnknownStage: 'latest' is not a declared stage"),
        ({"gates": {"require": {"accuracy": "{{ 'good' }}"}}, "force": True}, "InvalidDefinition: gates: "),
        ({"gates": Gates(check="nowhere:to"), "force": True}, "InvalidDefinition: .*cannot be imported"),
        ({"reason": "{{ '\\0' }}", "force": True}, "InvalidDefinition: reason"),
    ],
)
def test_what_is_refused_fails_without_retries(registry: Client, given: dict[str, Any], said: str) -> None:
    """One sentence, and nothing is changed."""
    with pytest.raises(AirflowFailException, match=said):
        run(promote(**given))

    assert holder(registry) == 1


@pytest.mark.parametrize(
    ("partial", "mapped", "said"),
    [
        ({}, {"gates": {"requires": {}}}, "InvalidDefinition: gates: there is no field 'requires'"),
        ({}, {"expected": "first"}, "InvalidDefinition: .*expected='first' must be a version number"),
        ({"stage": "prodction"}, {"version": 2}, "UnknownStage: .*Did you mean 'production'"),
        ({"conn_id": ""}, {"version": 2}, "InvalidName: '' is not a valid connection id"),
    ],
)
def test_a_mapped_task_fails_without_retries_too(
    registry: Client, partial: dict[str, Any], mapped: dict[str, Any], said: str
) -> None:
    """Airflow makes its operator, and checks its arguments, only when it runs."""
    given = {"task_id": "act", "model": "iris", "version": 2, "stage": "production", "force": True} | partial
    for name in mapped:
        given.pop(name, None)
    with DAG("stages", schedule=None):
        task = ModelPromoteOperator.partial(**given).expand(
            **{name: [value] for name, value in mapped.items()}
        )
    with pytest.raises(AirflowFailException, match=said):
        run(task, TaskInstance(map_index=0))

    assert holder(registry) == 1


def test_a_version_of_another_model_is_refused(registry: Client) -> None:
    """Also if it came through XCom."""
    registry.register_model_version("rose", {"petals": 5})
    rose = registry.get_model_version("rose", 1)
    for value in (rose.reference().to_json(), rose.get_artifact("petals").reference().to_json(), "rose@1"):
        with pytest.raises((AirflowFailException, DefinitionError), match=r"'rose'|rose@1"):
            run(promote(version="{{ params.it }}" if isinstance(value, str) else value), params={"it": value})


def test_trouble_that_may_pass_is_retried(registry: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry that doesn't answer fails the try only."""
    away = '{"conn_type": "model_registry", "extra": {"url": "sqlite:////dev/null/registry.db"}}'
    monkeypatch.setenv("AIRFLOW_CONN_MODEL_REGISTRY_DEFAULT", away)
    with pytest.raises(ConnectionError, match="/dev/null"):
        run(promote())


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"stage": "prodction"}, UnknownStage),
        ({"stage": None}, UnknownStage),
        ({"version": "stagin"}, UnknownStage),
        ({"version": 0}, InvalidName),
        ({"version": True}, InvalidName),
        ({"version": Model("rose", version=1)}, InvalidDefinition),
        ({"model": "a/b"}, InvalidName),
        ({"expected": "first"}, InvalidDefinition),
        ({"gates": {"requires": {}}}, InvalidDefinition),
        ({"conn_id": ""}, InvalidName),
    ],
)
def test_what_can_be_known_wrong_is_an_import_error(given: dict[str, Any], error: type[Exception]) -> None:
    """While the file is parsed, with its line."""
    with pytest.raises(error) as caught:
        promote(**given)

    assert __file__ in caught.value.__notes__[0]


@pytest.mark.parametrize("rule", ["all_success", "none_failed", "all_done", "one_success"])
def test_a_producer_that_may_never_have_run_is_waited_for(registry: Client, rule: str) -> None:
    """A task before this one is over; one that failed before a trigger rule let the others go on may not be (R25)."""
    workspace = registry.workspace.registry
    made = workspace.version_for_run(
        "iris",
        RunKey("default", "stages", "manual__1"),
        producer="train",
        producers={"train": True, "evaluate": True},
    )
    workspace.commit_producer(made.id, "train")
    act = promote(version=made.number, force=True)
    with act.dag:
        train, evaluate = EmptyOperator(task_id="train"), EmptyOperator(task_id="evaluate")
        report = EmptyOperator(task_id="report", trigger_rule=rule)
        train >> evaluate >> report >> act

    if rule in ("all_success", "none_failed"):
        run(act)
        assert holder(registry) == made.number
    else:
        with pytest.raises(AirflowFailException, match="task 'evaluate' can still write into it"):
            run(act)
