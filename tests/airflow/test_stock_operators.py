"""References in the fields of stock operators, without a scheduler: pins, records, skipping, waiting, errors."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, BaseOperator
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowRescheduleException,
    AirflowSkipException,
    TaskDeferred,
)
from airflow.sdk.plugins_manager import integrate_macros_plugins

from airflow_model_provider import Client, Model, host
from airflow_model_provider.operators.step import StepOperator
from tests.support.tasks import TaskInstance, predicting, running

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

IRIS = Model("iris", version="production")
TRAINED = IRIS.get_artifact("trained_model")
AT_PRODUCTION = 'macros.model_registry.version("iris", "production")'


@dataclass
class Variable:
    """Like Kubernetes' ``V1EnvVar`` in the hands of its operator."""

    name: str
    value: Any
    template_fields = ("value", "name")


class PodOperator(BaseOperator):
    """Like KubernetesPodOperator: a list of objects that have template fields of their own."""

    template_fields: Sequence[str] = ("env_vars", "labels")

    def __init__(self, *, env_vars: list[Variable], labels: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.env_vars, self.labels = env_vars, labels


@pytest.fixture
def registry(model_registry: Client) -> Iterator[Client]:
    """A registry with two versions; the first is production."""
    for value in (1.5, 2.5):
        with model_registry.new_model_version("iris") as version:
            version.save_artifact("trained_model", value, metadata={"seed": 7})
            version.log_metadata({"accuracy": value / 10})
    model_registry.get_model_version("iris", 1).set_stage("production")
    integrate_macros_plugins()
    yield model_registry
    host._entered = False


def render(task: Any, ti: TaskInstance | None = None) -> Any:
    """Render a task's fields as Airflow does before it runs."""
    with running(task, ti):
        return task


def python(*args: Any, **kwargs: Any) -> PythonOperator:
    """A stock task."""
    with DAG("predictions", schedule=None):
        return PythonOperator(task_id="predict", python_callable=dict, op_args=args, op_kwargs=kwargs)


def bash(command: str, **env: Any) -> BashOperator:
    """Another one."""
    with DAG("predictions", schedule=None):
        return BashOperator(task_id="predict", bash_command=command, env=env)


def fields(task: Any) -> dict[str, Any]:
    """What is in a task's template fields."""
    return {name: getattr(task, name) for name in task.template_fields}


TASKS = {
    "python": lambda: python(IRIS, model=TRAINED, nested=[({"x": TRAINED.uri},)], text=f"{IRIS.number}"),
    "bash": lambda: bash(f"echo {TRAINED} {IRIS.run_metadata['accuracy']}", MODEL=TRAINED, VERSION=IRIS),
}


@pytest.mark.parametrize("name", TASKS)
def test_a_listener_that_renders_again_changes_nothing(registry: Client, name: str) -> None:
    """Three times, before and after, on deep copies, with a promotion between: one pin, one record per try."""
    task, ti = TASKS[name](), predicting()
    before = [render(copy.deepcopy(task), ti) for _ in range(3)]
    registry.get_model_version("iris", 2).set_stage("production", force=True)
    render(task, ti)
    seen = fields(task)
    after = [render(copy.deepcopy(task), replace(ti)), *(render(copy.deepcopy(task), ti) for _ in range(2))]
    fresh = render(TASKS[name](), replace(ti))  # in another process: it finds the pins in the registry

    assert [fields(item) for item in [*before, *after, fresh]] == [seen] * 7
    assert fields(task) == seen
    records = registry.list_resolutions()
    assert set(Counter(item.wanted for item in records).values()) == {1}
    assert {(item.number, item.attempt.attempt_id) for item in records} == {(1, "ti-1")}


def test_another_try_looks_again(registry: Client) -> None:
    """A retry of a stock task gets what is production then, and records it under its own number."""
    first = render(python(model=TRAINED))
    registry.get_model_version("iris", 2).set_stage("production", force=True)
    second = render(python(model=TRAINED), predicting("ti-2", try_number=2))

    assert [task.op_kwargs["model"].load() for task in (first, second)] == [1.5, 2.5]
    records = [(item.attempt.try_number, item.number) for item in registry.list_resolutions()]
    assert sorted(records) == [(1, 1), (2, 2)]


def test_objects_with_template_fields_of_their_own(registry: Client) -> None:
    """In the variables of a pod and in the values of dicts references become texts, once."""
    with DAG("predictions", schedule=None):
        variables = [Variable("MODEL", TRAINED), Variable("VERSION", IRIS), Variable("N", f"{IRIS.number}")]
        pod = PodOperator(task_id="predict", env_vars=variables, labels={"a": {"version": IRIS}})
    copied = copy.deepcopy(pod)
    render(pod)
    render(copied)
    artifact = registry.get_model_version("iris", 1).get_artifact("trained_model")

    assert pod.labels == copied.labels == {"a": {"version": "iris@1"}}
    for task in (pod, copied, render(copy.deepcopy(pod))):
        assert [item.value for item in task.env_vars] == [artifact.uri, "iris@1", "1"]
    assert len(registry.list_resolutions()) == 2


def test_a_pinned_handle_is_plain_text_to_anybody_else(registry: Client) -> None:
    """Pickled for another environment it is the text alone; copied it stays what it is."""
    version, artifact = render(python(IRIS, TRAINED)).op_args

    for handle, text in ((version, "iris@1"), (artifact, artifact.uri)):
        plain = pickle.loads(pickle.dumps(handle))
        assert (type(plain), plain) == (str, text)
        assert copy.deepcopy(handle) is copy.copy(handle) is handle


def test_an_environment_loads_without_airflow_and_sqlalchemy(registry: Client, tmp_path: Path) -> None:
    """``handle.env("MODEL")`` is all that a container needs besides this package and the store."""
    (handle,) = render(python(TRAINED)).op_args
    code = """
import os, sys
sys.modules |= dict.fromkeys(("airflow", "sqlalchemy", "alembic"))
from airflow_model_provider import load_artifact
named = {name: os.environ[f"MODEL_{name.upper()}"] for name in ("digest", "format")}
print(load_artifact(os.environ["MODEL_URI"], **named))
"""
    variables = {"HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2]), **handle.env("MODEL")}
    done = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True)

    assert (done.stdout, done.stderr) == ("1.5\n", "")
    assert {type(value) for value in variables.values()} == {str}


def missing(**options: Any) -> dict[str, Any]:
    """Where a version is not there: a reference to it, an f-string of that, and Jinja."""
    model = Model("iris", version="staging", **options)
    said = "".join(f', {name}="{value}"' for name, value in options.items())
    jinja = '{{ macros.model_registry.version("iris", "staging"' + said + ").number }}"
    return {
        "reference": model,
        "artifact": model.get_artifact("m"),
        "text": f"{model.number}",
        "jinja": jinja,
    }


@pytest.mark.parametrize("form", missing())
def test_a_missing_version_skips_the_task(registry: Client, form: str) -> None:
    """``on_missing="skip"``, saying what is missing; nothing is recorded."""
    with pytest.raises(AirflowSkipException, match="No version of 'iris' is in stage 'staging'"):
        render(python(missing(on_missing="skip")[form]))

    assert registry.list_resolutions() == []


@pytest.mark.parametrize("form", missing())
def test_a_missing_version_is_waited_for(registry: Client, form: str) -> None:
    """``on_missing="wait"``: the task is rescheduled, at least 30 s later, however long it has waited already."""
    for waiting_since in (None, datetime.now(UTC) - timedelta(days=6)):
        task, now = python(missing(on_missing="wait")[form]), datetime.now(UTC)
        with pytest.raises(AirflowRescheduleException) as caught:
            render(task, predicting(first_reschedule=waiting_since))
        assert caught.value.reschedule_date - now >= timedelta(seconds=30)

    assert registry.list_resolutions() == []


def test_waiting_ends_with_what_was_waited_for(registry: Client) -> None:
    """Rescheduled, the same try sees the promotion that it waited for, and keeps what it had pinned before."""
    waiting = missing(on_missing="wait")["reference"]
    with pytest.raises(AirflowRescheduleException):
        render(python(IRIS, waiting))
    registry.get_model_version("iris", 2).set_stage("staging")
    registry.get_model_version("iris", 2).set_stage("production", force=True)
    first = datetime.now(UTC) - timedelta(seconds=30)

    assert render(python(IRIS, waiting), predicting(first_reschedule=first)).op_args == ("iris@1", "iris@2")


def test_a_step_with_a_template_sees_what_it_waited_for(registry: Client) -> None:
    """What its templates pinned before it was deferred doesn't hide the promotion that ends the waiting."""
    waited_for = Model("iris", version="staging", on_missing="wait").get_artifact("trained_model")

    def resume(ti: TaskInstance) -> Any:
        with DAG("predictions", schedule=None):
            given = {"text": f"{IRIS.number}", "value": waited_for}
            code = lambda text, value: {"text": text, "value": value}  # noqa: E731
            step = StepOperator(task_id="predict", python_callable=code, op_kwargs=given)
        with running(step, ti) as context:
            step.pre_execute(context)
            return step.execute(context)

    with pytest.raises(TaskDeferred):
        resume(predicting())
    registry.get_model_version("iris", 2).set_stage("staging")

    assert resume(predicting()) == {"text": "1", "value": 2.5}


@pytest.mark.parametrize("form", missing())
def test_waiting_in_vain_ends(registry: Client, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """After [model_registry] wait_timeout the task fails without a retry, and says for how long it waited."""
    monkeypatch.setenv("AIRFLOW__MODEL_REGISTRY__WAIT_TIMEOUT", "60")
    since = datetime.now(UTC) - timedelta(seconds=61)
    with pytest.raises(AirflowFailException, match=r"WaitTimedOut: .*iris\[staging\].* \d+ s .*wait_timeout"):
        render(python(missing(on_missing="wait")[form]), predicting(first_reschedule=since))


@pytest.mark.parametrize("form", ["reference", "text"])
def test_a_default_is_used_where_no_version_is_there(registry: Client, form: str) -> None:
    """Before ``on_missing`` says anything, in an f-string as in a reference, and recorded as unresolved."""
    nowhere = Model("iris", version="staging", on_missing="skip").run_metadata.get("accuracy", default="none")
    (value,) = render(python(nowhere if form == "reference" else f"{nowhere}")).op_args

    assert value == "none"
    assert [item.resolved for item in registry.list_resolutions()] == [False]


#: A typo in a template, and what the error says.
TYPOS = {
    "version": (f"{{{{ {AT_PRODUCTION}.nummber }}}}", r"'iris@1' has no 'nummber'.* number"),
    "artifact": (f'{{{{ {AT_PRODUCTION}.artifact("trained_model").digset }}}}', r"has no 'digset'.* digest"),
    "name": (
        f'{{{{ {AT_PRODUCTION}.artifact("trained_modle") }}}}',
        r"no artifact 'trained_modle'.* trained_model",
    ),
    "key": (f'{{{{ {AT_PRODUCTION}.metadata["acuracy"] }}}}', r"no metadata 'acuracy'.* accuracy"),
    "artifact key": (
        f'{{{{ {AT_PRODUCTION}.artifact("trained_model").metadata["sead"] }}}}',
        r"'sead'.* seed",
    ),
    "stage": ('{{ macros.model_registry.version("iris", "producton") }}', r"Did you mean 'production'\?"),
    "model": ('{{ macros.model_registry.version("irsi", "production") }}', r"no model 'irsi'.* iris"),
    "option": (
        '{{ macros.model_registry.version("iris", "production", pin="rum") }}',
        r"Did you mean 'run'\?",
    ),
}


@pytest.mark.parametrize("typo", TYPOS)
def test_a_typo_in_a_template_names_what_exists(registry: Client, typo: str) -> None:
    """One clear error, which Airflow does not retry."""
    template, said = TYPOS[typo]
    with pytest.raises(AirflowFailException, match=said):
        render(bash(f"echo {template}"))
