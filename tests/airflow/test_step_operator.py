"""The operator by itself: pinning, rendering, copying, errors (R2, R7, R12-R14)."""

from __future__ import annotations

import copy
import json
import pickle
import re
from collections import deque
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Asset, task, task_group
from airflow.sdk.exceptions import AirflowFailException, RemovedInAirflow4Warning
from airflow.serialization.serialized_objects import DagSerialization

from airflow_model_provider import Client, Model, host, step
from airflow_model_provider.exceptions import InvalidDefinition, VersionNotReady
from airflow_model_provider.operators.mapping import mapped_over
from airflow_model_provider.operators.step import StepOperator
from airflow_model_provider.operators.upstream import settled_in_run
from airflow_model_provider.registry.entities import RunKey
from tests.support.tasks import TaskInstance, predicting, running

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def registry(model_registry: Client) -> Iterator[Client]:
    """A registry with two versions; the first is production."""
    for value in (1.5, 2.5):
        with model_registry.new_model_version("iris") as version:
            version.save_artifact("trained_model", value)
    model_registry.get_model_version("iris", 1).set_stage("production")
    yield model_registry
    host._entered = False


def predict(model: float, factor: float = 1.0) -> float:
    """Something that needs a model."""
    return model * factor


def operator(**kwargs: Any) -> StepOperator:
    """A step that predicts with production."""
    reference = Model("iris", version="production").get_artifact("trained_model")
    with DAG("predictions", schedule=None):
        return StepOperator(
            task_id="predict", python_callable=predict, op_kwargs={"model": reference, **kwargs}
        )


def begin(task: StepOperator, ti: TaskInstance) -> None:
    """What Airflow does before it executes a task."""
    task.pre_execute({"ti": ti, "task": task, "dag": task.dag})


def test_rendering_and_copying_change_nothing(registry: Client) -> None:
    """However often a listener copies and renders the task, there is one pin and one record."""
    task, ti = operator(), predicting()
    for _ in range(3):
        copied = copy.deepcopy(task)
        copied.render_template_fields({"ti": ti, "task": task})
        assert copied.op_kwargs == task.op_kwargs
    task.render_template_fields({"ti": ti, "task": task})
    begin(task, ti)
    copy.deepcopy(task).render_template_fields({"ti": ti, "task": task})
    registry.get_model_version("iris", 2).set_stage("production", force=True)

    assert task.execute({"ti": ti, "task": task}) == 1.5
    (link,) = task.operator_extra_links
    assert (
        link.get_link(task, ti_key=ti)
        == "http://localhost:8080/dags/predictions/runs/manual__1/tasks/predict/xcom"
    )
    (record,) = registry.list_resolutions()
    assert (record.number, record.attempt.attempt_id) == (1, "ti-1")
    assert ti.pushed["model_versions"] == ["iris@1"]


def test_a_reference_where_nobody_looks_is_refused(registry: Client) -> None:
    """While the file is parsed; in what can be looked into it is resolved in Airflow as well."""
    with pytest.raises(InvalidDefinition, match=r"step 'predict': it is given iris\[production\] as the key"):
        operator(factor={Model("iris", version="production"): 1})

    reference = Model("iris", version="production").run_metadata.get("factor", default=2.0)
    task, ti = operator(factor=SimpleNamespace(a=deque([reference]))), predicting()
    task.python_callable = lambda model, factor: model * factor.a[0]
    begin(task, ti)

    assert task.execute({"ti": ti, "task": task}) == 3.0


def test_a_resumed_try_keeps_its_version(registry: Client) -> None:
    """After a deferral pre_execute runs again, in another process perhaps: same try, same pin (R14)."""
    ti = predicting()
    begin(operator(), ti)
    registry.get_model_version("iris", 2).set_stage("production", force=True)
    resumed, retried = operator(), operator()
    begin(resumed, replace(ti))
    begin(retried, predicting("ti-2", try_number=2))

    assert (resumed.execute({"ti": ti}), retried.execute({"ti": ti})) == (1.5, 2.5)
    assert [item.number for item in registry.list_resolutions()] == [2, 1]


def test_a_reference_survives_what_airflow_does_to_it() -> None:
    """Pickled, copied, and as the JSON of XCom it is equal; it is neither callable nor false nor a path."""
    reference = operator().op_kwargs["model"]

    assert pickle.loads(pickle.dumps(reference)) == copy.deepcopy(reference) == reference
    assert json.loads(json.dumps(reference))
    assert not callable(reference)


def test_hopeless_errors_fail_without_retries(registry: Client) -> None:
    """An empty stage, an unknown artifact: the error that Airflow does not retry, with our sentence."""
    reference = Model("iris", version="staging").get_artifact("trained_model")
    with pytest.raises(
        AirflowFailException, match=r"StageNotAssigned: No version of 'iris' is in stage 'staging'"
    ):
        begin(operator(model=reference), predicting())

    assert registry.list_resolutions() == []


def test_trouble_that_may_pass_is_retried_by_airflow(
    registry: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A registry that doesn't answer fails the try only."""
    monkeypatch.delenv("AIRFLOW_CONN_MODEL_REGISTRY_DEFAULT")
    monkeypatch.setenv("AIRFLOW__MODEL_REGISTRY__URL", "sqlite:////dev/null/registry.db")
    with pytest.raises(ConnectionError, match="/dev/null"):
        begin(operator(), predicting())


def test_a_context_variable_is_given_by_name(registry: Client) -> None:
    """As in stock decorators, a parameter called like one gets it."""

    def when(model: float, ds: str) -> str:
        return f"{ds}: {model}"

    with DAG("dates", schedule=None):
        reference = Model("iris", version=2).get_artifact("trained_model")
        task = StepOperator(task_id="when", python_callable=when, op_kwargs={"model": reference})
    context = {"ti": predicting(), "dag": task.dag, "ds": "2026-01-01"}
    task.pre_execute(context)

    assert task.execute(context) == "2026-01-01: 2.5"


@pytest.mark.parametrize("way", ["expand", "expand_kwargs"])
def test_the_version_of_mapped_instances_is_closed_behind_them(way: str) -> None:
    """In a plain DAG too; without a model there is nothing to close."""
    choice = "{{ task_instance.xcom_pull(task_ids='choose') }}"
    with DAG("training", schedule=None) as dag:
        EmptyOperator(task_id="choose")
        for name, model in (
            ("train", Model("iris")),
            ("predict", Model("iris", version=choice)),
            ("check", None),
        ):
            partial = StepOperator.partial(task_id=name, python_callable=predict, step_model=model)
            if way == "expand":
                partial.expand(op_args=[[1.0], [2.0]])
            else:
                partial.expand_kwargs([{"op_kwargs": {"model": 1.0}}])
    DagSerialization.serialize_dag(dag)

    assert dag.get_task("close_iris").upstream_task_ids == {"train"}
    assert dag.get_task("close_iris").is_teardown
    assert dag.get_task("predict").upstream_task_ids == {"choose"}
    assert len(dag.tasks) == 5


def test_the_closing_task_takes_nothing_that_is_meant_for_the_users_tasks() -> None:
    """It closes each run by itself, and what failed has told so."""
    told: dict[str, Any] = {
        "email": ["a@b.c"],
        "depends_on_past": True,
        "wait_for_downstream": True,
        "outlets": [Asset("done")],
        **{f"on_{what}_callback": print for what in ("execute", "failure", "retry", "skipped", "success")},
        **{f"{when}_execute": print for when in ("pre", "post")},
    }
    with DAG("training", schedule=None, default_args=told) as dag, pytest.warns(RemovedInAirflow4Warning):
        StepOperator(task_id="train", python_callable=predict, step_model=Model("iris"))

    train, close = dag.get_task("train"), dag.get_task("close_iris")
    held = {name: f"_{name}_hook" if name in ("pre_execute", "post_execute") else name for name in told}
    assert all(getattr(train, name) for name in held.values())
    assert not any(getattr(close, name) for name in held.values())


#: A task of which nothing tells what is over before it.
ALONE = SimpleNamespace(trigger_rule="all_done")


@dataclass
class Among(TaskInstance):
    """An instance among others, in the states that are told."""

    states: dict[str, str] = field(default_factory=dict)

    def get_task_states(self, task_ids: list[str], **_: Any) -> dict[str, dict[str, str]]:
        """Their states, as Airflow calls them."""
        mine = {key: state for key, state in self.states.items() if key.rpartition("_")[0] in task_ids}
        return {self.run_id: mine}


@pytest.mark.parametrize(
    ("others", "over"),
    [(["success", "success"], True), (["success", "removed"], True), ([], True),
     (["success", "running"], False), (["failed"], False)],
)  # fmt: skip
def test_an_instance_knows_whether_the_others_are_over(others: list[str], over: bool) -> None:
    """Itself does not count: it runs. Those that have succeeded are named: each has told so, or was marked."""
    states = {f"train_{index}": state for index, state in enumerate(["running", *others])}
    ti = Among(task_id="train", map_index=0, states=states)

    well = {f"train[{index}]" for index, state in enumerate(others, 1) if state == "success"}
    assert settled_in_run(ALONE, ti, ["train"]) == ({"train"} if over else set()) | well


def test_a_step_that_was_marked_as_succeeded_is_still_waited_for() -> None:
    """One that has succeeded by itself has committed, so that nobody asks."""
    with DAG("predictions", schedule=None) as dag:
        made = step(name="train", model=Model("iris"))(lambda: 1)()
        step(name="skipped", model=Model("iris"))(lambda: 1)().operator >> made.operator
        last = step(name="promote", model=Model("iris"))(predict)(made).operator
    ti: Any = SimpleNamespace(
        dag_id="predictions",
        run_id="r",
        task_id="promote",
        map_index=-1,
        get_task_states=lambda **_: {"r": {"train": "success", "skipped": "skipped"}},
    )

    assert dag.has_task("train")
    assert settled_in_run(last, ti, ["train", "skipped"]) == {"skipped"}


def test_a_step_that_has_ended_is_not_waited_for_until_airflow_hears_of_it(registry: Client) -> None:
    """Another step of the run is cleared before that; one that waits for its turn is waited for."""
    with DAG("predictions", schedule=None) as dag:
        for name in ("one", "two", "three"):
            step(name=name, model=Model("made"))(lambda: 1)()
    states: dict[str, str | None] = dict.fromkeys(dag.task_ids, "running")

    def run(name: str) -> str:
        ti: Any = TaskInstance(f"try of {name}", "predictions", task_id=name)
        ti.get_task_states = lambda **_: {ti.run_id: states}
        begin(dag.get_task(name), ti)
        dag.get_task(name).execute({"ti": ti, "dag": dag})
        return registry.get_model_version("made", 1).state.value

    assert [run(name) for name in ("one", "two", "three")] == ["producing", "producing", "ready"]
    assert run("one") == "ready"
    states["three"] = "queued"
    assert run("one") == "producing"
    (version,) = registry.list_model_versions("made")
    with pytest.raises(VersionNotReady, match="task 'three' can still write"):
        version.set_stage("staging")


def test_the_closing_task_names_those_that_failed(registry: Client) -> None:
    """And not one that had skipped itself before Airflow skipped all others, because one failed."""
    with DAG("predictions", schedule=None, fail_fast=True) as dag:
        for name in ("bad", "apart", "late"):
            step(name=name, model=Model("made"))(lambda: 1)()
    states = {"bad": "failed", "apart": "skipped", "late": "skipped"}
    ti: Any = TaskInstance("try", "predictions", task_id="close_made")
    ti.xcom_pull = lambda **_: None
    ti.get_task_states = lambda **_: {ti.run_id: states}
    ti.get_task_breadcrumbs = lambda *_: [
        {"task_id": name, "map_index": -1, "duration": 1 if name != "late" else None} for name in states
    ]
    making = registry.workspace.registry
    version = making.version_for_run(
        "made",
        RunKey("default", "predictions", ti.run_id),
        producer="bad",
        producers=dict.fromkeys(states, True),
    )
    making.settle_producer(version.id, "bad", "failed")
    making.settle_producer(version.id, "apart", "skipped")

    with pytest.raises(AirflowFailException, match=r"made@1 failed, because tasks 'bad', 'late' failed"):
        dag.get_task("close_made").execute({"ti": ti, "dag": dag, "task": dag.get_task("close_made")})


def test_what_is_skipped_behind_others_does_not_run_again() -> None:
    """A cleared step waits for those that are to run; Airflow skips the rest without a word."""
    with DAG("predictions", schedule=None) as dag:
        one, two, between, last = (
            step(name=name, model=Model("made"))(lambda: 1)() for name in ("one", "two", "between", "last")
        )
        [one, two] >> between.operator >> last.operator
    operator: Any = dag.get_task("two")
    operator._ti = SimpleNamespace(
        dag_id="predictions",
        run_id="r",
        get_task_states=lambda **_: {
            "r": {"one": "skipped", "two": "running", "between": "skipped", "last": None}
        },
    )

    assert operator._to_run(*operator._states()) == ["two"]


def test_a_cleared_instance_is_named_though_a_task_is_to_come_that_closes_the_version() -> None:
    """What the other instances have made is still there."""
    with DAG("predictions", schedule=None) as dag:
        step(name="train", model=Model("iris"))(predict).partial(model=1.0).expand(factor=[1.0, 2.0])
    operator: Any = dag.get_task("train").unmap({"op_kwargs": {"factor": 1.0}})
    states = {"train_0": "success", "train_1": "running", "close_iris": "success"}
    told = {"dag_id": "predictions", "run_id": "r", "get_task_states": lambda **_: {"r": states}}
    operator._ti = SimpleNamespace(**told)

    assert operator._to_run(*operator._states()) == ["train[1]"]
    states["close_iris"] = "none"
    assert operator._to_run(*operator._states()) == ["train", "train[1]"]


@task
def arguments() -> Any:
    """What gives a step all that it is called with."""


@pytest.mark.parametrize(
    ("field", "returned", "expected"),
    [
        ("op_kwargs", {"model": 2.0, "factor": 3.0}, 6.0),
        ("op_args", [2.0, 3.0], 6.0),
        ("op_kwargs", {"model": 2.0, "faktor": 3.0}, "faktor"),
        ("op_kwargs", [2.0], "op_kwargs=[2.0] must be a mapping. Example: op_kwargs={'x': 1}."),
        ("op_kwargs", None, "op_kwargs=None must be a mapping"),
        ("op_args", 2.0, "op_args=2.0 must be a list. Example: op_args=[1, 2]."),
        ("op_args", "ab", "op_args='ab' must be a list"),
        ("op_args", {"model": 2.0}, "op_args={'model': 2.0} must be a list"),
    ],
)
def test_another_task_may_return_all_arguments(
    registry: Client, field: str, returned: Any, expected: float | str
) -> None:
    """As Airflow's own PythonOperator takes them; what they can't be is one error."""
    with DAG("predictions", schedule=None):
        given: Any = {field: arguments()}
        one = StepOperator(task_id="predict", python_callable=predict, **given)
    assert one.upstream_task_ids == {"arguments"}
    with running(one, predicting(results={"arguments": returned})) as context:
        if isinstance(expected, str):
            with pytest.raises(AirflowFailException, match=re.escape(expected)):
                one.pre_execute(context)
        else:
            one.pre_execute(context)
            assert one.execute(context) == expected


def test_a_group_may_hold_a_step_that_is_given_all_arguments(registry: Client) -> None:
    """It is mapped over what a step returned, and knows no parameter by name."""
    with DAG("predictions", schedule=None) as dag:

        @task_group
        def each(x: Any) -> None:
            StepOperator(task_id="predict", python_callable=predict, op_kwargs=arguments())

        each.expand(x=step(name="listed")(lambda: [1, 2])())

    assert mapped_over(dag.get_task("listed"), None) is not None
