"""What a person is shown, and what is done with the answer; without a scheduler (R30, R31)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.standard.operators import hitl
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Param
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowSkipException,
    DownstreamTasksSkipped,
    TaskAwaitingInput,
)

from airflow_model_provider import Client, Gates, host, settings
from airflow_model_provider.operators.approval import ModelApprovalOperator
from airflow_model_provider.operators.comparison import comparison
from airflow_model_provider.registry.registry import Registry
from tests.support.tasks import TaskInstance, running

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class Store(dict[str, Any]):
    """The task's state store: it survives tries."""

    def set(self, key: str, value: Any) -> None:
        """Keep it."""
        self[key] = value

    def delete(self, key: str) -> None:
        """Forget it."""
        self.pop(key, None)


class Scene:
    """A registry where 1 is production and 2 is the candidate, a task, and what it asks."""

    def __init__(self, registry: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        self.registry, self.store = registry, Store()
        self.asked: list[dict[str, Any]] = []
        monkeypatch.setattr(hitl, "upsert_hitl_detail", lambda **asked: self.asked.append(asked))
        for accuracy in (0.9, 0.95):
            registry.register_model_version("iris", {"m": 1}, metadata={"accuracy": accuracy})
        registry.get_model_version("iris", 1).set_stage("production")
        registry.get_model_version("iris", 2).set_stage("staging")

    def task(self, **given: Any) -> ModelApprovalOperator:
        """The operator in a Dag."""
        asked = {"task_id": "act", "model": "iris", "version": "staging", "stage": "production"} | given
        with DAG("stages", schedule=None):
            return ModelApprovalOperator(**asked)

    def ask(self, ti: TaskInstance | None = None, **given: Any) -> TaskAwaitingInput:
        """Execute until a person is asked."""
        task = self.task(**given)
        with (
            running(task, ti, task_state_store=self.store) as context,
            pytest.raises(TaskAwaitingInput) as caught,
        ):
            task.execute(context)
        return caught.value

    def answer(self, waiting: TaskAwaitingInput, option: str = "Approve", **more: Any) -> Any:
        """Resume with an answer, in another process."""
        event = answered(option, **more.pop("form", {}))
        return self.resume(waiting, more.pop("event", event), **more)

    def resume(self, waiting: TaskAwaitingInput, event: Mapping[str, Any], **given: Any) -> Any:
        """Resume with an event."""
        task = self.task(**given)
        with running(task, None, task_state_store=self.store) as context:
            return task.resume_execution(
                waiting.method_name, {**(waiting.kwargs or {}), "event": event}, context
            )

    def holder(self) -> int:
        """Who is production."""
        return int(self.registry.get_model_version("iris", "production").number)


def answered(option: str, **form: Any) -> dict[str, Any]:
    """What Airflow resumes a task with when a person has answered."""
    return {
        "chosen_options": [option],
        "params_input": form,
        "responded_at": datetime.now(UTC),
        "responded_by_user": {"id": "7", "name": "ada"},
    }


@pytest.fixture
def scene(model_registry: Client, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """Where it happens."""
    yield Scene(model_registry, monkeypatch)
    host._entered = False


def test_who_has_approved_is_in_the_history(scene: Scene) -> None:
    """With the reason of the form; the request shows both versions."""
    waiting = scene.ask(
        reason="of the Dag", body="Please **look**.", params={"reason": Param("", type="string")}
    )
    (asked,) = scene.asked

    assert asked["subject"] == "Promote iris@2 to production?"
    assert asked["options"] == ["Approve", "Reject"]
    assert asked["body"].splitlines() == [
        "Please **look**.",
        "",
        "`iris@2` is to come into `production`, which is held by `iris@1`.",
        "",
        "|  | `iris@2` | `iris@1` |",
        "| :-- | --: | --: |",
        "| `accuracy` | `0.95` | `0.9` |",
    ]
    told = scene.answer(waiting, form={"reason": "I looked"}, params={"reason": Param("", type="string")})
    event = scene.registry.get_model("iris").history("production")[0]
    assert (event.version, event.previous, event.who, event.reason, event.task_id) == (
        2,
        1,
        "ada",
        "I looked",
        "act",
    )
    assert (told["version"], told["who"], told["changed"]) == (2, "ada", True)
    assert scene.store == {}


def test_what_the_person_saw_is_what_is_promoted(scene: Scene) -> None:
    """Though the candidate's stage has moved on."""
    waiting = scene.ask()
    scene.registry.register_model_version("iris", stage="staging", force=True)

    assert scene.answer(waiting)["version"] == 2
    assert scene.holder() == 2


def test_another_holder_meanwhile_fails_the_task(scene: Scene) -> None:
    """The person has compared with one that is not there any more; another try asks anew."""
    waiting = scene.ask()
    scene.registry.register_model_version("iris", stage="production", force=True)
    with pytest.raises(AirflowFailException, match=r"StageConflict: Expected iris@1 in .*, found iris@3"):
        scene.answer(waiting)

    assert scene.holder() == 3
    assert scene.ask(TaskInstance().retried()).kwargs == {"number": 2, "holder": 3}


def test_two_may_approve_the_same(scene: Scene) -> None:
    """The second one finds that the version is there already: it changes nothing, and goes on."""
    waiting = scene.ask()
    scene.registry.get_model_version("iris", 2).set_stage("production", expected=1)
    told = scene.answer(waiting)

    assert (told["version"], told["changed"]) == (2, False)
    assert len(scene.registry.get_model("iris").history("production")) == 2
    assert scene.store == {}


def test_rejection_and_time_out_change_nothing(scene: Scene) -> None:
    """Rejected it succeeds, or fails if that is asked; a time-out fails; neither is retried."""
    waiting = scene.ask(response_timeout=timedelta(hours=1))
    assert waiting.timeout == timedelta(hours=1)
    assert scene.answer(waiting, "Reject") == {
        "model": "iris",
        "stage": "production",
        "changed": False,
        "rejected_by": "ada",
    }
    with pytest.raises(AirflowFailException, match=r"ada has rejected iris@2 for 'production'"):
        scene.answer(waiting, "Reject", fail_on_reject=True)
    timeout = {"error": "The response timeout has passed", "error_type": "timeout"}
    with pytest.raises(AirflowFailException, match=r"Nobody has decided within .* whether iris@2"):
        scene.answer(waiting, event=timeout)

    assert scene.holder() == 1
    assert len(scene.registry.get_model("iris").history("production")) == 1


def test_who_has_rejected_is_returned_though_airflow_skips_what_comes_after(scene: Scene) -> None:
    """Airflow skips by an exception, with which a task returns nothing: the answer is kept before it."""
    waiting, task, ti = scene.ask(), scene.task(), TaskInstance()
    with task.dag:
        task >> EmptyOperator(task_id="after")
    resumed = {**(waiting.kwargs or {}), "event": answered("Reject")}
    with (
        running(task, ti, task_state_store=scene.store) as context,
        pytest.raises(DownstreamTasksSkipped) as skipped,
    ):
        task.resume_execution(waiting.method_name, resumed, context)

    assert list(skipped.value.tasks) == ["after"]
    assert ti.pushed["return_value"]["rejected_by"] == "ada"


def test_a_retry_after_the_answer_asks_nobody_again(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """The registry did not answer when the person had approved: the next try promotes, with the person's name."""
    waiting, set_stage = scene.ask(), Registry.set_stage

    def away(*_: Any, **__: Any) -> Any:
        from airflow_model_provider.exceptions import RegistryUnavailable

        raise RegistryUnavailable("sqlite://", "it is restarting")

    with monkeypatch.context() as patch:
        patch.setattr(Registry, "set_stage", away)
        with pytest.raises(ConnectionError):
            scene.answer(waiting)
    assert Registry.set_stage is set_stage
    task, ti = scene.task(), TaskInstance().retried()
    with running(task, ti, task_state_store=scene.store) as context:
        told = task.execute(context)

    assert (told["version"], told["who"], len(scene.asked)) == (2, "ada", 1)
    assert scene.store == {}


def test_nobody_is_asked_about_the_holder(scene: Scene) -> None:
    """There is nothing to decide."""
    task = scene.task(version=1)
    with running(task, None, task_state_store=scene.store) as context:
        assert task.execute(context)["changed"] is False
    assert scene.asked == []


def test_gates_and_expected_hold_beside_the_person(scene: Scene) -> None:
    """A wrong holder and gates before anybody is asked; gates again when the person has approved."""
    task = scene.task(expected="{{ 'none' }}")
    with (
        running(task, None, task_state_store=scene.store) as context,
        pytest.raises(AirflowFailException, match=r"StageConflict: Expected no version in"),
    ):
        task.execute(context)
    refusing = Gates(require={"accuracy": ">= 0.99"}, soft=True)
    for gates, error in (
        ([refusing], AirflowSkipException),
        ([refusing, {"artifacts": ["trained_model"]}], AirflowFailException),
        ([refusing, Gates(check="tests.support.gate_checks:refuses")], AirflowFailException),
    ):
        task = scene.task(gates=gates)
        with (
            running(task, None, task_state_store=scene.store) as context,
            pytest.raises(error, match=r"accuracy 0.95 of iris@2 is not >= 0.99"),
        ):
            task.execute(context)
    assert scene.asked == []
    with pytest.raises(AirflowSkipException, match=r"accuracy 0.95 of iris@2 is not >= 0.99"):
        scene.answer(scene.ask(gates=Gates(better_than="production", metric="accuracy")), gates=refusing)

    assert len(scene.asked) == 1
    assert scene.holder() == 1
    assert scene.store == {}


@pytest.fixture
def protected(monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry, opened after this, where one Dag may change production, and people."""
    monkeypatch.setenv(settings.variable("protected_stages"), "production = dag:another, user:*")


def test_nobody_is_asked_about_what_can_not_be_promoted(protected: None, scene: Scene) -> None:
    """A version whose tasks have not committed; a stage that this Dag may not change."""
    task = scene.task(version="unfinished", stage="staging")
    with (
        scene.registry.new_model_version("iris", "unfinished"),
        running(task, None, task_state_store=scene.store) as context,
        pytest.raises(AirflowFailException, match=r"VersionNotReady: iris@3"),
    ):
        task.execute(context)
    task = scene.task()
    with (
        running(task, None, task_state_store=scene.store) as context,
        pytest.raises(AirflowFailException, match=r"StageProtected: .*dag:another"),
    ):
        task.execute(context)

    assert scene.asked == []


def test_execution_timeout_means_the_answer(scene: Scene) -> None:
    """As Airflow's own operator takes it, without its warning."""
    task = scene.task(execution_timeout=timedelta(minutes=5))

    assert (task.execution_timeout, task.response_timeout) == (None, timedelta(minutes=5))


HOSTILE = [
    "<script>alert(1)</script>",
    "[click](javascript:alert(1))",
    "https://evil.example/",
    "a|b\\|c",
    "```\n# heading\n| x |",
    "\u202etxt",
    "",
    "`" * 7,
    "x" * 10_000,
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_text(scene: Scene, text: str) -> None:
    """In a piece of code no markup is read; no row has more cells than others, and no cell is long."""
    record = scene.registry.get_model_version("iris", 2).record
    shown = comparison("production", (record, {text: text, "n": 1}), (record, {text: [text]}))
    rows = shown.splitlines()[2:]

    assert len(rows) == 4
    assert {row.count("|") for row in rows} == {4}
    assert max(map(len, rows)) < 600
    assert shown.replace("\n", "").isprintable()
    for cell in rows[2].strip("| ").split(" | ") + rows[3].strip("| ").split(" | "):
        assert cell == "-" or (cell.startswith("`") and cell.endswith("`"))
