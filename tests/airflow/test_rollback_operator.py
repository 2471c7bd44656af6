"""Rolling back from a Dag: once per run and task, whatever is retried (R29, R31)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException

from airflow_model_provider import Client, host
from airflow_model_provider.exceptions import InvalidDefinition, InvalidName, UnknownStage
from airflow_model_provider.operators.rollback import ModelRollbackOperator
from tests.support.tasks import TaskInstance, run

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def registry(model_registry: Client) -> Iterator[Client]:
    """A registry where versions 1, 2, 3 have been production, one after the other."""
    for _ in range(3):
        model_registry.register_model_version("iris", stage="production", force=True)
    yield model_registry
    host._entered = False


def rollback(**given: Any) -> ModelRollbackOperator:
    """The operator in a Dag."""
    with DAG("stages", schedule=None):
        return ModelRollbackOperator(**{"task_id": "act", "model": "iris", "stage": "production"} | given)


def holder(registry: Client) -> int:
    """Who is production."""
    return int(registry.get_model_version("iris", "production").number)


def test_a_retry_after_success_goes_no_further_back(registry: Client) -> None:
    """Two tries, one event, which says which task of which run it was; another run goes one further."""
    first = TaskInstance()
    told = [run(rollback(reason="it drifts"), ti) for ti in (first, first.retried())]

    assert holder(registry) == 2
    assert told[0] == told[1]
    assert {name: told[0][name] for name in ("model", "stage", "version", "previous", "reason", "who")} == {
        "model": "iris",
        "stage": "production",
        "version": 2,
        "previous": 3,
        "reason": "it drifts",
        "who": None,
    }
    event = registry.get_model("iris").history("production")[0]
    assert (event.sequence, event.task_id, event.run and event.run.run_id) == (
        told[0]["sequence"],
        "act",
        "manual__1",
    )
    assert run(rollback(), TaskInstance(run_id="manual__2"))["version"] == 1


def test_a_retry_does_not_undo_what_others_have_done_since(registry: Client) -> None:
    """What was promoted after the rollback stays, and ``expected`` is not asked again."""
    first = TaskInstance()
    told = run(rollback(expected=3), first)
    registry.register_model_version("iris", stage="production", force=True)

    assert run(rollback(expected=3), first.retried()) == told
    assert holder(registry) == 4


def test_fields_are_templates(registry: Client) -> None:
    """The trigger form gives texts: a number, or nothing."""
    fields = {name: f"{{{{ params.{name} }}}}" for name in ("model", "stage", "to", "expected", "reason")}
    form = {"model": "iris", "stage": "production", "to": "1", "expected": "", "reason": ""}

    assert run(rollback(**fields), params=form)["version"] == 1
    form |= {"to": "3", "expected": "1", "reason": "again"}
    told = run(rollback(**fields), TaskInstance(run_id="manual__2"), params=form)
    assert (told["version"], told["previous"], told["reason"]) == (3, 1, "again")


def test_the_link_leads_to_the_version(registry: Client) -> None:
    """It is read after the end of the task."""
    task, ti = rollback(), TaskInstance()
    run(task, ti)
    (link,) = task.operator_extra_links

    assert link.get_link(task, ti_key=ti).endswith("/dags/stages/runs/manual__1/tasks/act/xcom")
    assert ti.pushed == {"model_versions": ["iris@2"]}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"to": 7}, "NothingToRestore: .*iris@7 is not an earlier version in it"),
        ({"expected": 1}, "StageConflict: Expected iris@1 in .*, found iris@3"),
        ({"expected": "none"}, "StageConflict: Expected no version in"),
        ({"model": "rose"}, "ModelNotFound: The registry has no model 'rose'"),
        ({"stage": "{{ 'prod' ~ 'ction' }}"}, "UnknownStage: .*Did you mean 'production'"),
        ({"to": "{{ 'latest' }}"}, "InvalidDefinition: .*to='latest' must be a version number"),
        ({"model": "{{ '../x' }}"}, "InvalidName: '../x' is not a valid model name"),
    ],
)
def test_what_is_refused_fails_without_retries(registry: Client, given: dict[str, Any], said: str) -> None:
    """One sentence, and nothing is changed."""
    with pytest.raises(AirflowFailException, match=said):
        run(rollback(**given))

    assert holder(registry) == 3


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"stage": "prodction"}, UnknownStage),
        ({"model": "../x"}, InvalidName),
        ({"to": "one"}, InvalidDefinition),
        ({"expected": -1}, InvalidName),
    ],
)
def test_what_can_be_known_wrong_is_an_import_error(given: dict[str, Any], error: type[Exception]) -> None:
    """Without a registry, with the line of the Dag file."""
    with pytest.raises(error) as caught:
        rollback(**given)

    assert __file__ in caught.value.__notes__[0]
