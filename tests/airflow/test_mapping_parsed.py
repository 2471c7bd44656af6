"""What can't be mapped over is refused when the file is parsed; what can is serialized the same each time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import pytest
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, task, task_group
from airflow.serialization.serialized_objects import DagSerialization

from airflow_model_provider import Artifact, Model, step
from airflow_model_provider.dag_builder import build_dag
from airflow_model_provider.exceptions import InvalidDefinition
from airflow_model_provider.operators.mapping import mapped_over
from airflow_model_provider.pipelines.building import build
from airflow_model_provider.pipelines.definition import PipelineDefinition
from airflow_model_provider.pipelines.mapping import ELEMENT
from tests.support.tasks import TaskInstance

if TYPE_CHECKING:
    from collections.abc import Callable

PRODUCTION = Model("iris", version="production")
MODEL = PRODUCTION.get_artifact("trained_model")


@task
def stock(x: Any = None) -> None:
    """Any other task."""


@task_group
def group(x: Any) -> None:
    """A group of them."""
    stock(x)


@step
def take(x: Any = None) -> None:
    """A step that is mapped."""


ANYHOW = take.with_options(trigger_rule="always")


@step
def rows() -> list[int]:
    """A list."""
    return []


@step
def split() -> tuple[Annotated[list[int], "low"], Annotated[list[int], "high"]]:
    """Two of them."""
    return [], []


@step
def nothing() -> None:
    """No list."""


def add_one(number: int) -> int:
    """What ``map()`` is given."""
    return number + 1


def bash(**mapped: Any) -> Any:
    """A classic operator."""
    return BashOperator.partial(task_id="bash").expand(**mapped)


@pytest.mark.parametrize("reference", [MODEL, PRODUCTION, PRODUCTION.run_metadata["accuracy"]], ids=repr)
@pytest.mark.parametrize("expand", [
    lambda one: stock.expand(x=one), lambda one: bash(bash_command=one), lambda one: group.expand(x=one),
    lambda one: stock.expand_kwargs([one]),
    lambda one: take.expand(x=one), lambda one: take.expand_kwargs(one), lambda one: take.expand_kwargs([one]),
])  # fmt: skip
def test_a_reference_is_one_value(expand: Callable[[Any], Any], reference: Any) -> None:
    """Not the items of its JSON form."""
    with (
        DAG("refused", schedule=None),
        pytest.raises(InvalidDefinition, match=r"one value.*Pass a list.*partial\(\)"),
    ):
        expand(reference)


def test_lists_of_references_are_mapped_over() -> None:
    """And rows that hold them."""
    with DAG("taken", schedule=None) as dag:
        stock.expand(x=[MODEL, PRODUCTION])
        stock.expand(x={"a": MODEL})
        stock.expand_kwargs([{"x": MODEL}])
        group.expand(x=[MODEL])
        bash(env=[{"MODEL": MODEL}])
        take.expand(x=[MODEL])
        take.expand_kwargs([{"x": MODEL}])

    assert len(dag.tasks) == 7


@pytest.mark.parametrize(("body", "said"), [
    (lambda n: take.expand(x=n), "given params.n, which can't be mapped over"),
    (lambda n: take.expand_kwargs(n), "given params.n, which can't be mapped over"),
    (lambda n: take.expand(x="text"), "given 'text', which can't be mapped over. Pass a list, a dict"),
    (lambda n: take.expand(x={1, 2}), "can't be mapped over"), (lambda n: take.expand(x=3), "given 3"),
    (lambda n: take.expand_kwargs([1]), r"given 1 in a list. Pass a list of dicts"),
    (lambda n: take.expand(x=split()["low"]), "step 'split': its output 'low' can't be mapped over"),
    (lambda n: split()["high"].map(add_one), "its output 'high' can't be mapped over"),
    (lambda n: split()[1].zip(rows()), "its output 'high' can't be mapped over"),
    (lambda n: split()[0].concat(rows()), "output 'low' can't be"),
    (lambda n: take.expand(x=split()), "output 'low, high' can't be"),
    (lambda n: split().map(add_one), "output 'low, high' can't be"),
    (lambda n: take.expand(x=[1, split()[0]]), "output 'low' can't be"),
    (lambda n: take.expand_kwargs([{"x": split()[0]}]), "output 'low' can't be"),
    (lambda n: rows().map(str), "<class 'str'> has no source"),
    (lambda n: take.expand(x=nothing()), "step 'nothing': .*declares to return nothing"),
    (lambda n: ANYHOW.expand(x=rows()), "given an output with trigger_rule='always'"),
    (lambda n: ANYHOW.expand_kwargs([{"x": rows().map(add_one)}]), "given an output with trigger_rule='always'"),
    (lambda n: rows().zip(rows(), fillvalue={1}), r"zip\(\): fillvalue=\{1\} is no JSON, as which Airflow keeps it"),
    (lambda n: rows().map(take), "is a step or a task, and map"), (lambda n: rows().map(3), "3 is not a function"),
])  # fmt: skip
@pytest.mark.parametrize("world", ["program", "tasks"])
def test_what_has_no_elements_is_refused(world: str, body: Callable[[Any], Any], said: str) -> None:
    """The same in a local run and in a DAG file."""

    def refused(n: int = 3) -> None:
        body(n)

    definition = PipelineDefinition(refused, "refused", None, {"schedule": None} if world == "tasks" else {})
    build_it: Callable[[PipelineDefinition], Any] = build_dag if world == "tasks" else build
    with pytest.raises(InvalidDefinition, match=said):
        build_it(definition)


def test_functions_are_serialized_the_same_each_time() -> None:
    """By their source, so that the DAG's version does not grow from parse to parse."""

    def made() -> str:
        with DAG("mapped", schedule=None) as dag:
            take.expand(x=rows().map(lambda row: row + 1).zip(rows(), fillvalue=None).concat(rows()))
            stock.expand(x=rows().map(add_one).map(lambda row: -row))
        return json.dumps(DagSerialization.to_dict(dag), sort_keys=True)

    assert made() == made()
    assert "lambda row: row + 1" in made()


def test_steps_that_get_handles_of_elements_are_known() -> None:
    """Mapped themselves, and in a task group that is mapped; nobody else has elements saved that are small."""

    @step
    def take_handle(x: Any, y: Artifact[int] | None = None) -> None:
        """A step that gets a handle."""

    @task_group
    def each(low: Any, high: Any) -> None:
        take_handle(low, high)

    def handles(expand: Callable[[Any], Any]) -> set[str]:
        with DAG("mapping", schedule=None) as dag:
            expand(rows())
        over = mapped_over(dag.get_task("rows"), TaskInstance(dag_id="mapping"))
        return set(over.handles) if over is not None else set()

    assert handles(lambda given: each.expand(low=[1], high=given)) == {ELEMENT}
    assert handles(lambda given: take_handle.partial(x=1).expand(y=given)) == {ELEMENT}
    assert handles(lambda given: take_handle.expand_kwargs(given)) == {"y"}
    assert handles(lambda given: each.expand(low=given, high=[1])) == set()
    assert handles(lambda given: take_handle.expand(x=given)) == set()
    assert handles(lambda given: stock.expand(x=given)) == set()
