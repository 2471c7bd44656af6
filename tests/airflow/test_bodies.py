"""What a body must do is refused alike in both worlds."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Annotated, Any

import pytest
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Param, task

from airflow_model_provider import Client, Model, local_run, pipeline, step
from airflow_model_provider.dag_builder import build_dag
from airflow_model_provider.exceptions import DeferredValueUsed, DefinitionError, InvalidDefinition
from airflow_model_provider.pipelines.building import build
from airflow_model_provider.pipelines.definition import PipelineDefinition


@step
def load() -> list[int]:
    return [1]


@step
def train(rows: Any = None) -> int:
    return 1


@pipeline
def nothing() -> None: ...


@pipeline
def something() -> None:
    train()


def empty() -> None:
    _ = train


def around_an_empty_one() -> None:
    train()
    nothing()


def never_expanded() -> None:
    load()
    train.with_options(retries=2).partial(rows=1)


def options_lost() -> None:
    train.with_options(retries=3)
    train(load())


def never_ordered() -> None:
    train.after(load())


def pipeline_not_called() -> None:
    load()
    something.with_options(name="other")


def before_uncalled() -> None:
    load() >> train  # type: ignore[operator]


def behind_uncalled() -> None:
    train >> load()  # type: ignore[operator]


def behind_uncalled_ones() -> None:
    [load(), train] >> load()  # type: ignore[operator]


def after_uncalled() -> None:
    train.after(load)()


def after_an_uncalled_pipeline() -> None:
    train.after(something)()


def uncalled_in_partial() -> None:
    train.partial(rows=load).expand()


def uncalled_in_expand() -> None:
    train.expand(rows=[load, 1])


@step
def joined(left: int, right: int, ti: Any, last: int = 1) -> int:
    return left


def missing() -> None:
    joined(1)


def missing_in_expand() -> None:
    joined.expand(left=[1])


def missing_beside_partial() -> None:
    joined.partial(left=1).expand(last=[1])


def given_twice() -> None:
    joined.partial(left=1, right=2).expand(left=[1])


def too_many() -> None:
    load(1)  # type: ignore[call-arg]


def missing_in_a_group() -> None:
    taking()  # type: ignore[call-arg]


@pipeline
def taking(rows: int) -> None:
    train(rows)


MISSING = r"step 'joined': missing a required argument: 'right'. It takes: left, right, last\."


def version_of_several() -> None:
    train(Model("iris", version=train.expand(rows=[1])).number)


def made_text() -> None:
    train(f"{str(load())!s} rows")


def made_texts_deep() -> None:
    train.partial().expand(rows=[{"said": [str(load())]}])


def compared() -> None:
    _ = load() == 3


def found_in_a_list() -> None:
    _ = load() in [3]


def greater() -> None:
    _ = load() > 3


def tested() -> None:
    _ = 1 if load() else 2


def added() -> None:
    _ = 1 + load()


def looped() -> None:
    for _ in load():
        pass


UNKNOWN = r"The output of step 'load' has no value until a task runs, so {} is not possible here"
REFUSED: list[tuple[Callable[[], None], str]] = [
    (empty, "pipeline 'body': its body calls no step, so a run would do nothing"),
    (around_an_empty_one, "pipeline 'nothing': its body calls no step"),
    (
        never_expanded,
        r"step 'train': .*partial\(\), but does not call it. Call it: train.partial\(...\).expand",
    ),
    (
        options_lost,
        r"step 'train': .*'body'.*with_options\(\), but does not call it. Call it: train.with_options",
    ),
    (never_ordered, r"step 'train': .*after\(\), but does not call it"),
    (pipeline_not_called, r"pipeline 'other': .*with_options\(\), but does not call it"),
    (before_uncalled, "step 'train': it was not called, so"),
    (behind_uncalled, "step 'train': it was not called, so"),
    (behind_uncalled_ones, "step 'train': it was not called, so"),
    (after_uncalled, "step 'load': it was not called, so"),
    (after_an_uncalled_pipeline, "pipeline 'something': it was not called, so"),
    (uncalled_in_partial, "step 'train': "),
    (missing, MISSING),
    (missing_in_expand, MISSING),
    (missing_beside_partial, MISSING),
    (given_twice, r"step 'joined': partial\(\) and expand\(\) both give 'left'"),
    (too_many, "step 'load': too many positional arguments. It takes: nothing"),
    (missing_in_a_group, "pipeline 'taking': missing a required argument: 'rows'. It takes: rows"),
    (version_of_several, "version= is the output of 'train', which is mapped and gives several values"),
    (
        made_text,
        "step 'train': it is given a text that was made of the output of step 'load'. Pass the output",
    ),
    (made_texts_deep, "step 'train': it is given a text that was made of the output of step 'load'"),
    (compared, UNKNOWN.format("comparing it")),
    (found_in_a_list, UNKNOWN.format("comparing it")),
    (greater, UNKNOWN.format("comparing it")),
    (tested, UNKNOWN.format("testing it")),
    (added, UNKNOWN.format("adding")),
    (looped, UNKNOWN.format("iterating over it")),
    (uncalled_in_expand, "step 'train': it is given <step load>, a step that was not called"),
]


@pytest.mark.parametrize(("body", "said"), REFUSED, ids=lambda item: getattr(item, "__name__", ""))
@pytest.mark.parametrize("make", [build, build_dag])
def test_what_a_body_does_not_call_is_refused(
    make: Callable[[PipelineDefinition], Any], body: Callable[[], None], said: str
) -> None:
    """A run would succeed, and not do what the body looks like."""
    with pytest.raises((InvalidDefinition, DeferredValueUsed), match=said):
        make(PipelineDefinition(body, "body", None, {"schedule": None}))


def prepared_and_called() -> None:
    """What is prepared once can be called often, by another pipeline too."""
    slow = train.with_options(retries=2)
    slow(load())
    slow.partial().expand(rows=[1, 2])
    something.with_options(name="other").after("load")()

    @pipeline
    def calling() -> None:
        slow()

    calling()


@pytest.mark.parametrize("make", [build, build_dag])
def test_what_is_called_is_not_refused(make: Callable[[PipelineDefinition], Any]) -> None:
    """In what way ever."""
    made = make(PipelineDefinition(prepared_and_called, "body", None, {"schedule": None}))

    names = made.task_ids if isinstance(made, DAG) else [node.task_id for node in made.nodes]
    assert sorted(names) == ["calling.train", "load", "other.train", "train", "train__1"]


@step
def named(rows: Any = None) -> Annotated[int, "count"]:
    return 1


@step
def pair(rows: Any = None) -> tuple[Annotated[int, "low"], Annotated[int, "high"]]:
    return 1, 2


PARTS: list[tuple[Callable[[], Any], str | None]] = [
    (lambda: named()["count"], None),
    (lambda: named.expand(rows=[1])["count"], None),
    (lambda: train.expand(rows=[1])["output"], None),
    (lambda: pair()[-1], None),
    (lambda: named.expand(rows=[1])["cuont"], "no output 'cuont'. It has: count"),
    (lambda: named.expand(rows=[1])[0], "no output 0. It has: count"),
    (lambda: pair.expand(rows=[1])["middle"], "no output 'middle'. It has: low, high"),
    (lambda: pair()[2], "no output 2. It has: low, high"),
    (lambda: pair()[-3], "no output -3. It has: low, high"),
    (lambda: pair()[:1], "no output slice"),  # type: ignore[misc]
]


@pytest.mark.parametrize("number", range(len(PARTS)))
@pytest.mark.parametrize("make", [build, build_dag])
def test_outputs_are_taken_alike(make: Callable[[PipelineDefinition], Any], number: int) -> None:
    """By name or place, of a mapped step too."""
    part, problem = PARTS[number]
    definition = PipelineDefinition(lambda: train(part()), "body", None, {"schedule": None})

    if problem is None:
        make(definition)
    else:
        with pytest.raises(InvalidDefinition, match=f"it has {problem}"):
            make(definition)


def test_what_params_declare_comes_before_a_functions_default(model_registry: Client) -> None:
    """In a program, under dag.test() and in Airflow; and what the call says, before both."""
    seen: list[Any] = []

    @step
    def keep(value: Any) -> None:
        seen.append(value)

    @pipeline(params={"a": 5, "b": Param(6, type="integer"), "c": Param(type="integer")}, schedule=None)
    def taking(b: int, a: int = 1, c: int = 3) -> None:
        for value in (a, b, c):
            keep(value)

    local_run.run(taking.definition, (), {})
    local_run.run(taking.definition, (7,), {"c": 8})

    assert seen == [5, 6, 3, 5, 7, 8]
    assert build_dag(taking.definition).params.dump() == {"a": 5, "b": 6, "c": 3}


def test_an_argument_that_airflow_cannot_keep_is_named(model_registry: Client) -> None:
    """A pipeline with other tasks than steps runs in Airflow, also as a program."""

    @pipeline(schedule=None)
    def mixed(day: Any = None) -> None:
        EmptyOperator(task_id="other")

    with pytest.raises(InvalidDefinition, match=r"day=datetime.date\(2026, 1, 1\) is no JSON value"):
        mixed(day=date(2026, 1, 1))


def test_a_pipeline_of_other_tasks_is_not_empty() -> None:
    """Whatever its tasks are."""

    @task
    def stock() -> None: ...

    assert build_dag(PipelineDefinition(lambda: stock(), "body", None, {"schedule": None})).task_ids == [
        "stock"
    ]


def test_a_dag_warns_of_what_its_body_does_not_call() -> None:
    """Nobody knows its end, as of Airflow's own tasks."""
    with DAG("plain", schedule=None):
        prepared = train.partial(rows=1)
    with pytest.warns(UserWarning, match=r"step 'train': a DAG prepares it with partial\(\)"):
        del prepared


def test_a_file_that_uses_a_step_below_is_refused_by_name(tmp_path: Any) -> None:
    """With the way out, in place of Python's error."""
    with pytest.raises(
        InvalidDefinition, match="pipeline 'body': its body uses 'below', which is not defined ab"
    ):
        build_dag(PipelineDefinition(lambda: below(), "body", None, {"schedule": None}))  # type: ignore[name-defined]  # noqa: F821


def test_a_task_decorator_above_a_step_is_refused_by_name() -> None:
    """Airflow asks the step for what functions have; and the other way round."""

    def train() -> int:
        """Return a number."""
        return 1

    refused = r"step 'train': it is a task already\. Leave one of the two decorators out: @step"
    for decorated in (lambda: task(step(train)), lambda: step(task(train))):
        with pytest.raises(DefinitionError, match=refused):
            decorated()
    assert not hasattr(step(train), "__globals__")
