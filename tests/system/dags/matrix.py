"""Airflow dag: every place where a reference may stand, with everything that can be wanted of a version in each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import dag, task

from airflow_model_provider import Model
from airflow_model_provider.handles import ModelVersion
from airflow_model_provider.operators.step import StepOperator
from airflow_model_provider.pinned import PinnedArtifact, PinnedVersion

MODEL = Model("matrix", version="production")
ARTIFACT = MODEL.get_artifact("m")
#: Everything that can be wanted.
THINGS: dict[str, Any] = {
    "any_artifact": ARTIFACT,
    "model_artifact": MODEL.get_model_artifact("m"),
    "data_artifact": MODEL.get_data_artifact("m"),
    "deployment_artifact": MODEL.get_deployment_artifact("m"),
    "artifact_version": MODEL.get_artifact("m", 4),
    "map_index": MODEL.get_artifact("c", map_index=1),
    "metadata": MODEL.run_metadata["acc"],
    "metadata_default": MODEL.run_metadata.get("nope", default="none"),
    "stage_default": Model("matrix", version="staging").run_metadata.get("acc", default="nobody"),
    "artifact_metadata": ARTIFACT.metadata["k"],
    "artifact_default": ARTIFACT.metadata.get("nope", default=[0]),
    "number": MODEL.number,
    "name": MODEL.version_name,
    "stage": MODEL.stage,
    "id": MODEL.id,
    "version": MODEL,
    "uri": ARTIFACT.uri,
    "digest": ARTIFACT.digest,
    "artifact_number": ARTIFACT.number,
    "local_path": ARTIFACT.local_path,
}
TEXTS = {name: f"{thing}" for name, thing in THINGS.items()}
#: Variables are texts, as for any BashOperator: what isn't one is said in an f-string.
ENVIRONMENT = {
    **THINGS,
    **{name: TEXTS[name] for name in ("metadata", "artifact_default", "number", "id", "artifact_number")},
}
ASKED = {
    "number": "number",
    "uri": 'artifact("m").uri',
    "artifact_metadata": 'artifact("m").metadata["k"]',
    "metadata": 'metadata["acc"]',
    "stage": "stage",
    "name": "version_name",
}
JINJA = {
    name: '{{ macros.model_registry.version("matrix", "production").' + tail + " }}"
    for name, tail in ASKED.items()
}
#: Ways to say which version.
SELECTORS: dict[str, Any] = {
    "stage": "production",
    "latest": "latest",
    "number": 1,
    "name": "first",
    "form": "{{ params.version or 'production' }}",
}
CHOSEN = {name: Model("matrix", version=version).get_artifact("m") for name, version in SELECTORS.items()}
#: What the arguments of tasks are called.
GIVEN = {*THINGS, *SELECTORS, "upstream", "item", "box", "texts", "jinja", "one", "several", "things"}
PULLED = "{{ ti.xcom_pull(dag_id='matrix_other', task_ids='give', run_id=params.other) }}"


@dataclass(frozen=True)
class Box:
    """Something of the user's own that holds references."""

    content: Any


def nested(things: dict[str, Any]) -> list[Any]:
    """Put each thing into a tuple in a dict in a list."""
    return [{name: (1, [thing])} for name, thing in things.items()]


def tell(*args: Any, **kwargs: Any) -> Any:
    """Return what this task was given, Airflow's context aside."""
    given = {name: value for name, value in kwargs.items() if name in GIVEN}
    return {"args": shown(args), "kwargs": shown(given)}


def tell_defaults(number: Any = THINGS["number"], things: Any = THINGS, **kwargs: Any) -> Any:
    """Return what the default arguments became, and the rest, Airflow's context aside."""
    given = {name: value for name, value in kwargs.items() if name in GIVEN}
    return {"args": [number, shown(things)], "kwargs": shown(given)}


def shown(value: Any) -> Any:
    """Return a value as JSON that tells the type of what isn't plain, and what is in it."""
    if isinstance(value, list | tuple):
        return [shown(item) for item in value]
    if isinstance(value, Box):
        return {"Box": shown(value.content)}
    if isinstance(value, dict):
        return {name: shown(item) for name, item in value.items()}
    if isinstance(value, PinnedArtifact):
        return ["PinnedArtifact", value, value.load()]
    if isinstance(value, PinnedVersion):
        return ["PinnedVersion", value, value.number]
    if isinstance(value, ModelVersion):
        return ["ModelVersion", str(value), value.number]
    return ["Path", str(value)] if isinstance(value, Path) else value


Maker = Callable[..., Any]


def decorators(kind: str) -> tuple[Maker, Maker, Maker, Maker]:
    """Return what makes a task, and the three kinds of mapped tasks, with a decorator."""
    decorated: Any = {"step": task.step, "stock": task}[kind]

    def call(task_id: str, *args: Any, function: Any = tell, options: Any = {}, **kwargs: Any) -> Any:  # noqa: B006
        return decorated(task_id=f"{task_id}_decorator", **options)(function)(*args, **kwargs)

    def partial(task_id: str, things: dict[str, Any], item: list[Any]) -> Any:
        return decorated(task_id=f"{task_id}_decorator")(tell).partial(things=things).expand(item=item)

    def expand(task_id: str, items: list[Any]) -> Any:
        return decorated(task_id=f"{task_id}_decorator")(tell).expand(item=items)

    def expand_kwargs(task_id: str, things: dict[str, Any]) -> Any:
        return decorated(task_id=f"{task_id}_decorator")(tell).expand_kwargs([things])

    return call, partial, expand, expand_kwargs


def operators(kind: str) -> tuple[Maker, Maker, Maker, Maker]:
    """Return the same with an operator."""
    operator: Any = {"step": StepOperator, "stock": PythonOperator}[kind]

    def call(task_id: str, *args: Any, function: Any = tell, options: Any = {}, **kwargs: Any) -> Any:  # noqa: B006
        name = f"{task_id}_operator"
        return operator(task_id=name, python_callable=function, op_args=args, op_kwargs=kwargs, **options)

    def mapped(task_id: str, **kwargs: Any) -> Any:
        return operator.partial(task_id=f"{task_id}_operator", python_callable=tell, **kwargs)

    def partial(task_id: str, things: dict[str, Any], item: list[Any]) -> Any:
        return mapped(task_id, op_kwargs={"things": things}).expand(op_args=[[one] for one in item])

    def expand(task_id: str, items: list[Any]) -> Any:
        return mapped(task_id).expand(op_kwargs=[{"item": item} for item in items])

    def expand_kwargs(task_id: str, things: dict[str, Any]) -> Any:
        return mapped(task_id).expand_kwargs([{"op_kwargs": things}])

    return call, partial, expand, expand_kwargs


def add_both(kind: str, makers: tuple[Maker, Maker, Maker, Maker]) -> Maker:
    """Add what steps and stock operators have in common."""
    call, partial, expand, _ = makers
    call("direct", *THINGS.values(), **THINGS)
    partial("partial", THINGS, [THINGS["number"]])
    expand("expand", [THINGS["any_artifact"], list(THINGS.values())])
    return call


@task
def give() -> Any:
    return dict(THINGS)


@dag(schedule=None)
def matrix_other():
    give()


@dag(schedule=None, params={"version": "", "other": ""})
def matrix_steps():
    @task.step
    def give_two() -> tuple[Annotated[Any, "matrix_one"], Annotated[Any, "matrix_several"]]:
        return THINGS["any_artifact"], dict(THINGS)

    @task
    def choose() -> str:
        return "first"

    given, (one, several), version = give(), give_two(), choose()
    for makers in (decorators("step"), operators("step")):
        call = add_both("step", makers)
        makers[3]("expand_kwargs", THINGS)
        call("nested", nested(THINGS), box=Box([{"deep": THINGS}]))
        call("default", function=tell_defaults, texts=TEXTS, jinja=JINJA)
        call("received", given, one=one, several=several)
        call("other", things=PULLED, options={"render_template_as_native_obj": True})
        call("selectors", **CHOSEN, upstream=Model("matrix", version=version).get_artifact("m"))


@dag(schedule=None, params={"version": ""})
def matrix_stock():
    for makers in (decorators("stock"), operators("stock")):
        call = add_both("stock", makers)
        call("nested", nested(THINGS), texts=TEXTS, jinja=JINJA)
    call("selectors", **CHOSEN)
    said = [*(f"${name}" for name in THINGS), *TEXTS.values(), *JINJA.values()]
    BashOperator(task_id="bash", env=ENVIRONMENT, bash_command=f'echo "{"|".join(said)}"')


for each in (matrix_other, matrix_steps, matrix_stock):
    each()
