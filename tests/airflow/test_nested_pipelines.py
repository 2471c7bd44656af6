"""A pipeline in the body of another one: the same tasks, groups, order and refusals in both worlds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import pytest
from airflow.sdk import DAG, task, task_group

from airflow_model_provider import Model, get_pipeline_context, pipeline, step
from airflow_model_provider.dag_builder import build_dag
from airflow_model_provider.dag_test import dag_with_other_tasks
from airflow_model_provider.exceptions import InvalidDefinition
from airflow_model_provider.pipelines.building import build


@step
def number(value: Any = 1) -> Annotated[int, "number"]:
    return int(value)


@step
def both() -> tuple[Annotated[int, "a"], Annotated[int, "b"]]:
    return 1, 2


@step
def metrics() -> dict[str, float]:
    return {"accuracy": 0.9}


@pipeline
def one(value: Any = 1) -> Any:
    number()
    return number(value)


@pipeline
def nothing() -> None:
    number()


@pipeline
def nested() -> Any:
    return one(), both()


def chained() -> None:
    number() >> one() >> number.with_options(name="end")()


def by_after() -> None:
    first = one()
    number.after(first)()
    one.after("one", "number")(first)
    number.after(nothing.after(first)())()
    [both(), number()] >> number.with_options(name="end")()  # type: ignore[operator]


def by_lists() -> None:
    [one(), both()] >> nothing() >> [number(), nothing()]  # type: ignore[operator]


def twice_nested() -> None:
    output, (a, _) = nested()
    number.with_options(name="of_a")(a)
    number.with_options(name="of_output")(output)
    nested()
    a << number.with_options(name="before")()


def of_returned_outputs() -> None:
    _, several = nested()
    several >> number()
    number.with_options(name="of_b")(several["b"])


def by_names() -> None:
    number.with_options(name="of_named")(number()["number"])
    number.with_options(name="of_a")(both()["a"])


def with_setups() -> None:
    made = number.with_options(name="setup")()
    with number.with_options(name="teardown")(made).as_teardown(setups=made):
        one() >> nothing()


@pytest.mark.parametrize(
    "body", [chained, by_after, by_lists, twice_nested, of_returned_outputs, by_names, with_setups]
)
def test_both_worlds_build_the_same(body: Callable[[], None]) -> None:
    """Which tasks there are, and what each waits for."""
    definition = pipeline(body).definition
    there, here = build_dag(definition), build(definition).ordered()

    graph = {node.task_id: {item.task_id for item in node.upstream()} for node in here}
    assert {task.task_id: set(task.upstream_task_ids) for task in there.tasks} == graph
    assert dag_with_other_tasks(definition) is None


def test_a_group_waits_and_is_waited_for_as_a_whole() -> None:
    """Whatever of it is returned."""
    dag = build_dag(pipeline(chained).definition)

    assert dag.get_task("one.number").upstream_task_ids == {"number"}
    assert dag.get_task("one.number__1").upstream_task_ids == {"number"}
    assert dag.get_task("end").upstream_task_ids == {"one.number", "one.number__1"}
    twice = build_dag(pipeline(twice_nested).definition)
    assert {"nested.one.number__1", "nested.both", "nested__1.one.number__1"} <= set(twice.task_ids)


def test_a_group_has_its_own_model_or_the_callers() -> None:
    """In both worlds, also for references that its body asks its context for."""

    @pipeline(model=Model("inner"))
    def inner() -> None:
        number(get_pipeline_context().name)

    def outer() -> None:
        inner()
        one()

    definition = pipeline(model=Model("outer"))(outer).definition
    models = {"inner.number": "inner", "one.number": "outer", "one.number__1": "outer"}
    dag = build_dag(definition)

    assert {node.task_id: node.model and node.model.name for node in build(definition).nodes} == models
    assert {name: dag.get_task(name).step_model.name for name in models} == models
    assert dag.get_task("inner.number").op_args == ("inner",)


def test_a_group_in_a_dag_and_in_a_task_group() -> None:
    """Of Airflow's own: a called pipeline is a group there, too."""
    with DAG("stock", schedule=None) as dag:

        @task
        def report(value: Any) -> None: ...

        @task_group
        def around() -> Any:
            return one()

        report(around())

    assert dag.get_task("report").upstream_task_ids == {"around.one.number__1"}


def test_a_group_of_airflows_own_needs_dag_test() -> None:
    """In a local run there is no DAG that it could be in."""

    @task_group
    def own() -> Any:
        return number()

    assert dag_with_other_tasks(pipeline(lambda: own(), name="mixed").definition) is not None  # type: ignore[call-overload]


def itself() -> None:
    recursive()


recursive = pipeline(itself)
REFUSED: list[tuple[Callable[[], Any], str]] = [
    (
        lambda: number(metrics()["accuracy"]),
        r"step 'metrics': it has no output 'accuracy'. It has: output. Several",
    ),
    (lambda: number(one()["nothing"]), "step '.*number.*': it has no output 'nothing'. It has: number"),
    (itself, "its body calls it again"),
    (lambda: one(1, 2), "pipeline 'one': too many positional arguments"),
    (lambda: number(nothing()), "step 'number': it is given <.*nothing.*>, "),
    (lambda: number([one]), "a pipeline that was not called"),
    (lambda: number({"x": number}), "a step that was not called"),
    (lambda: one.run(), "pipeline 'one': it was run while a DAG is built"),
    (lambda: one.after("nowhere")(), "pipeline 'one': there is no step 'nowhere' to run after"),
]


@pytest.mark.parametrize(("body", "said"), REFUSED)
def test_both_worlds_refuse_the_same(body: Callable[[], Any], said: str) -> None:
    """While the pipeline is built, by one error that names it."""
    definition = pipeline(name="outer")(body).definition

    for build_it in (build, build_dag):
        with pytest.raises(InvalidDefinition, match=said):
            build_it(definition)  # type: ignore[operator]
