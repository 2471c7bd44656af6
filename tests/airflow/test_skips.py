"""Which skips the Dag explains, and which mean that a run was ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task, task_group

from airflow_model_provider.operators.mapping import instances
from airflow_model_provider.operators.skips import with_ended

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

KEPT: dict[str, list[Mapping[str, Any]]] = {
    "choose": [{"followed": ["after"]}],
    "stop": [{"skipped": ["after"]}],
}


def judged(dag: DAG, states: Mapping[str, str], **given: Any) -> set[str]:
    """The tasks that were skipped for no reason, of those that tell when they skip themselves."""
    asked = {name: {-1: state} for name, state in states.items()}
    given = {"skips_itself": lambda name, _: name != "after", "length": lambda _: None} | given
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


@pytest.mark.parametrize("ran", [True, False])
def test_a_task_that_did_not_run_has_not_skipped_itself(ran: bool) -> None:
    """Nor is it a reason for others."""
    with DAG("made", schedule=None) as dag:
        before, after = EmptyOperator(task_id="before"), EmptyOperator(task_id="after")
        before >> after

    states = {"before": "skipped", "after": "skipped"}
    found = judged(dag, states, did_not_run=lambda name, _: name == "before" and not ran)
    assert found == (set() if ran else {"before", "after"})


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


@pytest.mark.parametrize(("length", "ended"), [(0, False), (3, True), (None, True)])
@pytest.mark.parametrize("grouped", [False, True])
def test_an_empty_list_explains_that_a_mapped_task_was_skipped(
    length: int | None, ended: bool, grouped: bool
) -> None:
    """One that has elements does not; nor what stands behind it."""

    @task
    def rows() -> list[int]:
        return []

    @task
    def use(i: int) -> None: ...

    @task_group
    def group(i: int) -> None:
        use(i)

    with DAG("made", schedule=None) as dag:
        mapped = group.expand(i=rows()) if grouped else use.expand(i=rows())
        mapped >> EmptyOperator(task_id="after", trigger_rule="none_failed")
    name = "group.use" if grouped else "use"
    told = {"rows": "success", name: "skipped", "after": "skipped"}

    assert judged(dag, told, length=lambda _: length) == ({name, "after"} if ended else {"after"})
    assert judged(dag, {**told, "rows": "skipped"}, length=lambda _: length) == {"after"}


@pytest.mark.parametrize(
    ("lengths", "mapped", "number"),
    [
        ([2, 3], lambda one, two: {"i": one, "j": two}, 6),
        ([2, None], lambda one, two: {"i": one, "j": two}, None),
        ([0, None], lambda one, two: {"i": one, "j": two}, 0),
        ([2, 3], lambda one, two: {"i": one.map(str), "j": [1, 2, 3, 4]}, 8),
        ([2, 3], lambda one, two: {"i": one.zip(two)}, 2),
        ([2, 3], lambda one, two: {"i": one.zip(two, fillvalue=1)}, 3),
        ([2, 3], lambda one, two: {"i": one.concat(two)}, 5),
        ([2, None], lambda one, two: {"i": one.concat(two)}, None),
    ],
)
def test_instances_follow_from_what_is_mapped_over(
    lengths: list[int | None], mapped: Callable[[Any, Any], dict[str, Any]], number: int | None
) -> None:
    """However it is composed."""

    @task
    def one() -> list[int]:
        return []

    @task
    def two() -> list[int]:
        return []

    @task
    def use(i: int, j: int = 0) -> None: ...

    with DAG("made", schedule=None):
        made = use.expand(**mapped(one(), two())).operator

    known = dict(zip(("one", "two"), lengths, strict=True))
    assert instances(made, lambda arg: known[arg.operator.task_id]) == number
