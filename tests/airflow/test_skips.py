"""Which skips the Dag explains, and which mean that a run was ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task

from airflow_model_provider.operators.skips import with_ended

if TYPE_CHECKING:
    from collections.abc import Mapping

KEPT: dict[str, list[Mapping[str, Any]]] = {
    "choose": [{"followed": ["after"]}],
    "stop": [{"skipped": ["after"]}],
}


def judged(dag: DAG, states: Mapping[str, str], **given: Any) -> set[str]:
    """The tasks that were skipped for no reason, of those that tell when they skip themselves."""
    asked = {name: {-1: state} for name, state in states.items()}
    given = {"skips_itself": lambda name, _: name != "after"} | given
    found = with_ended(dag, asked, lambda name: KEPT.get(name, []), **given)
    assert set(found) == set(states)
    return {name for name, by_index in found.items() if "ended" in by_index.values()}


@pytest.mark.parametrize(
    ("rule", "before", "ended"),
    [
        ("all_success", ["success", "success"], True),
        ("all_success", ["success", "failed"], True),
        ("all_success", ["failed", "skipped"], False),
        ("none_failed", ["success", "skipped"], True),
        ("none_failed_min_one_success", ["skipped", "skipped"], False),
        ("one_failed", ["success", "success"], False),
        ("none_skipped", ["failed", "skipped"], False),
        ("all_done", ["failed", "skipped"], True),
    ],
)
def test_a_trigger_rule_explains_a_skip(rule: str, before: list[str], ended: bool) -> None:
    """What it makes a task run, or fail, does not."""
    with DAG("made", schedule=None) as dag:
        one, two, after = (EmptyOperator(task_id=name) for name in ("one", "two", "after"))
        [one, two] >> after
    after.trigger_rule = rule  # type: ignore[assignment]

    assert judged(dag, dict(zip(("one", "two"), before, strict=True)) | {"after": "skipped"}) == (
        {"after"} if ended else set()
    )


def test_a_skip_behind_one_that_was_forced_is_forced() -> None:
    """All behind a failed task was skipped by whoever ended the run; one that is no more stays as it was."""
    with DAG("made", schedule=None) as dag:
        one, two, after = (EmptyOperator(task_id=name) for name in ("one", "two", "after"))
        one >> two >> after
    told = {"one": "failed", "two": "skipped", "after": "skipped", "gone": "skipped"}

    assert judged(dag, told) == {"two", "after"}
    assert judged(dag, {**told, "one": "success"}) == set(), "the second one has skipped itself"
    assert judged(dag, {**told, "one": "success"}, was_stopped=lambda name, _: name in ("two", "after")) == {
        "two",
        "after",
    }


@pytest.mark.parametrize("name", ["choose", "stop"])
def test_branches_explain_what_they_skip(name: str) -> None:
    """And not what they follow."""

    @task.branch(task_id="choose")
    def choose() -> str:
        return "after"

    @task.short_circuit(task_id="stop")
    def stop() -> bool:
        return False

    with DAG("made", schedule=None) as dag:
        first = {"choose": choose, "stop": stop}[name]()
        after, other = (EmptyOperator(task_id=name) for name in ("after", "other"))
        first >> [after, other]

    assert judged(dag, {name: "success", "after": "skipped"}) == ({"after"} if name == "choose" else set())
    assert judged(dag, {name: "success", "other": "skipped"}, skips_itself=lambda *_: False) == (
        {"other"} if name == "stop" else set()
    )


def test_once_a_task_has_failed_a_dag_may_skip_all_that_is_left() -> None:
    """Then a skip that nothing explains is none of the task's own."""
    with DAG("made", schedule=None, fail_fast=True) as dag:
        EmptyOperator(task_id="one")
        EmptyOperator(task_id="other")

    assert judged(dag, {"one": "success", "other": "skipped"}) == set()
    assert judged(dag, {"one": "failed", "other": "skipped"}) == {"other"}
