"""The arguments that steps and pipelines take are those of the installed Airflow's tasks and DAGs."""

from __future__ import annotations

import inspect

import pytest
from airflow.sdk import DAG, BaseOperator
from airflow.sdk.definitions.timetables._cron import CRON_PRESETS

from airflow_model_provider import pipeline, step
from airflow_model_provider.exceptions import InvalidDefinition
from airflow_model_provider.operators.step import StepOperator
from airflow_model_provider.pipelines import arguments


def test_the_known_arguments_are_those_of_airflow() -> None:
    """All of them, and no others; but several outputs are declared in annotations."""
    task = set(inspect.signature(BaseOperator.__init__).parameters) - {"self", "kwargs", "task_id"}
    dag = set(inspect.signature(DAG.__init__).parameters) - {"self", "dag_id"}

    assert task - {"multiple_outputs"} == arguments.TASK_ARGUMENTS
    assert dag == arguments.DAG_ARGUMENTS


def test_the_known_words_for_schedules_are_those_of_airflow() -> None:
    """It takes each, and a program refuses none of its own."""
    assert all(DAG("d", schedule=word, max_active_runs=1).timetable for word in arguments._SCHEDULES)
    assert set(CRON_PRESETS) < set(arguments._SCHEDULES)


def test_a_newer_airflow_may_know_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the installed one takes is accepted, what it doesn't is refused."""
    monkeypatch.setattr(arguments, "TASK_ARGUMENTS", frozenset())
    monkeypatch.setattr(arguments, "DAG_ARGUMENTS", frozenset())

    assert step(retries=1)(len).definition.options == {"retries": 1}
    assert pipeline(name="p", schedule=None)(lambda: None).definition.options == {"schedule": None}  # type: ignore[call-overload]
    for name in ("retires", "multiple_outputs", "kwargs"):
        with pytest.raises(InvalidDefinition, match=f"no argument '{name}'"):
            step(**{name: 1})(len)  # type: ignore[call-overload]


def test_an_operator_takes_no_generator() -> None:
    """As @step doesn't: its code would never run."""

    def lines():  # type: ignore[no-untyped-def]
        yield 1

    with pytest.raises(InvalidDefinition, match="generator"):
        StepOperator(task_id="lines", python_callable=lines)
