from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any

import pytest

from airflow_model_provider import (
    ArtifactConfig,
    ArtifactType,
    Model,
    get_pipeline_context,
    get_step_context,
    link_artifact_to_model,
    log_metadata,
    pipeline,
    step,
)
from airflow_model_provider.context import PipelineContext, building_pipeline
from airflow_model_provider.exceptions import (
    DeferredValueUsed,
    InvalidDefinition,
    InvalidName,
    LoadingWhileBuilding,
    MissingModelContext,
)
from airflow_model_provider.handles import Artifact
from airflow_model_provider.pipelines.building import build
from airflow_model_provider.pipelines.definition import PipelineDefinition, artifact_name
from airflow_model_provider.pipelines.outputs import Output, declared_outputs

if TYPE_CHECKING:
    from decimal import Decimal


def names(function: Callable[..., Any], **substitutions: str) -> list[str]:
    return [output.name for output in declared_outputs(function, substitutions)]


def build_body(body: Callable[..., Any], model: Model | None = None, **params: Any) -> Any:
    return build(PipelineDefinition(body, "body", model), (), params)


def test_outputs_are_read_from_annotations() -> None:
    """None declares no output, a tuple several, anything else one; names come from Annotated."""

    def nothing() -> None: ...
    def one() -> int: ...
    def unknown(): ...  # type: ignore[no-untyped-def]
    def named() -> Annotated[int, "answer"]: ...
    def configured() -> Annotated[int, ArtifactConfig(name="m", is_model_artifact=True)]: ...
    def several() -> tuple[Annotated[int, "a"], str]: ...
    def sequence() -> tuple[int, ...]: ...
    def type_checked() -> Decimal: ...

    assert names(nothing) == []
    assert [names(item) for item in (one, unknown, sequence, type_checked)] == [["output"]] * 4
    assert names(named) == ["answer"]
    assert declared_outputs(configured, {})[0].config.kind is ArtifactType.MODEL
    assert names(several) == ["a", "output_1"]


def test_an_output_name_used_twice_is_refused() -> None:
    """Two outputs of one step can't have one name."""

    def twice() -> tuple[Annotated[int, "x"], Annotated[int, "x"]]: ...

    with pytest.raises(InvalidDefinition, match="'x'"):
        names(twice)


def test_what_is_wrong_in_an_artifact_config_is_refused_where_it_stands() -> None:
    """Not when the step has run."""
    for wrong, said in (
        ({"artifact_type": "modle"}, "artifact type: 'modle' does not exist. Did you mean 'model'"),
        (
            {"is_model_artifact": True, "is_deployment_artifact": True},
            "is_model_artifact and is_deployment",
        ),
        (
            {"artifact_type": "data", "is_model_artifact": True},
            "artifact_type and is_model_artifact contradict",
        ),
        ({"format": 3}, "format=3 must be text"),
        ({"run_metadata": [1]}, r"run_metadata=\[1\] must be a mapping"),
    ):
        with pytest.raises(InvalidDefinition, match=said):
            ArtifactConfig(**wrong)  # type: ignore[arg-type]
    assert ArtifactConfig(artifact_type="model", is_model_artifact=True).kind is ArtifactType.MODEL


async def asynchronous() -> None:
    """A body that nobody awaits."""


def yielding() -> Iterator[None]:
    """A body that does not run when it is called."""
    yield


@pytest.mark.parametrize("body", [asynchronous, yielding])
def test_a_body_that_would_not_run_is_refused(body: Any) -> None:
    """Where it is decorated."""
    with pytest.raises(
        InvalidDefinition, match=f"pipeline '{body.__name__}': its function is asynchronous, or"
    ):
        pipeline(body)


def test_what_is_mapped_over_has_a_name() -> None:
    """That of the parameter which gets the elements."""

    @step
    def square(number: int) -> int:
        return number**2

    for given in ((), ([1],)):
        with pytest.raises(InvalidDefinition, match=r"Example: .expand\(number=\[1, 2\]\)"):
            square.expand(*given)


@pytest.mark.parametrize("name", ["return_value", "model_versions"])
def test_an_output_name_that_a_task_uses_itself_is_refused(name: str) -> None:
    """Among several outputs: a task keeps all of its result, and its versions, under these."""

    def several() -> tuple[Annotated[int, "{name}"], int]: ...
    def one() -> Annotated[int, "{name}"]: ...

    with pytest.raises(InvalidDefinition, match=f"called '{name}', under which a task keeps something else"):
        names(several, name=name)
    assert names(one, name=name) == [name]


def test_placeholders_in_output_names_are_filled() -> None:
    """with_options(substitutions=) fills placeholders; a missing one is a clear error."""

    def scored() -> Annotated[int, "scores_{country}"]: ...

    assert names(scored, country="de") == ["scores_de"]
    with pytest.raises(InvalidDefinition, match="substitutions"):
        names(scored)


def test_an_output_name_that_would_be_lost_is_refused() -> None:
    """A name in an annotation that can't be read at run time is not dropped silently."""

    def kept() -> Annotated[Decimal, "x"]: ...
    def lost() -> tuple[int, Annotated[int, UNKNOWN] | None]: ...  # type: ignore[valid-type]  # noqa: F821
    def unread() -> Annotated[int, "x", {}["key"]]: ...

    assert names(kept) == ["x"]
    for function in (lost, unread):
        with pytest.raises(InvalidDefinition, match="TYPE_CHECKING"):
            step(function)


def test_an_unnamed_output_is_called_after_pipeline_and_step() -> None:
    """Artifact names are valid and distinct, however long or odd the ids are."""
    output = Output("output")

    assert artifact_name("daily", "predict", output) == "daily.predict.output"
    long = [artifact_name("d" * 200, task, output) for task in ("a", "b")]
    assert len(set(long)) == 2
    assert all(len(name) <= 100 for name in long)
    assert artifact_name("größe", "a", output) != artifact_name("gräße", "a", output)


def test_a_step_outside_a_pipeline_is_the_plain_function() -> None:
    """Unit tests just call a step."""

    @step(retries=3)
    def add(a: int, b: int = 2) -> int:
        "Add."
        return a + b

    assert add(1) == 3
    assert add.partial(b=5)(1) == 6
    assert (add.__name__, add.__doc__) == ("add", "Add.")
    with pytest.raises(InvalidDefinition, match="outside of a pipeline"):
        add.expand(a=[1])


def test_steps_in_a_body_are_collected_and_ordered() -> None:
    """Outputs wire steps together, after() and >> order them, names are made unique."""

    @step
    def first() -> int: ...

    @step
    def second(x: int) -> tuple[Annotated[int, "a"], Annotated[int, "b"]]: ...

    @step
    def third(values: list[Any]) -> None: ...

    def body() -> None:
        one = first()
        late = third.after("first")([])
        a, b = second(one)
        last = third([a, {"b": b}])
        last >> late
        first.with_options(name="again")()
        first.after(late)()

    order = [node.task_id for node in build_body(body).ordered()]

    assert order == ["first", "second", "third__1", "third", "again", "first__1"]


def test_an_unknown_output_is_refused() -> None:
    """Asking for an output by a wrong name names those that exist."""

    @step
    def split() -> tuple[Annotated[int, "a"], Annotated[int, "b"]]: ...

    with pytest.raises(InvalidDefinition, match=r"no output 'c'.*It has: a, b"):
        build_body(lambda: split()["c"])  # type: ignore[call-overload]


def test_arguments_that_do_not_fit_are_refused() -> None:
    """A missing or unknown argument fails when the pipeline is built."""

    @step
    def needs(a: int) -> int: ...

    with pytest.raises(InvalidDefinition, match="missing a required argument: 'a'"):
        build_body(lambda: needs())  # type: ignore[call-arg]
    with pytest.raises(InvalidDefinition, match="It takes: a"):
        build_body(lambda: needs.expand(b=[1]))


@pytest.mark.parametrize(
    "use",
    [
        lambda value: value + 1,
        lambda value: 1 + value,
        lambda value: value > 1,
        lambda value: value == 1,
        lambda value: -value,
        lambda value: f"{value}",
        lambda value: bool(value),
        lambda value: float(value),
        lambda value: list(value),
        lambda value: len(value),
        lambda value: "x" if value else "y",
    ],
)
def test_computing_with_a_parameter_in_the_body_is_refused(use: Callable[[Any], Any]) -> None:
    """A pipeline's parameter has no value while the pipeline is built."""

    def body(c: float = 1.0) -> None:
        use(c)

    with pytest.raises(DeferredValueUsed, match="Pipeline parameter 'c'"):
        build_body(body)


def test_computing_with_an_output_in_the_body_is_refused() -> None:
    """A step's output has no value while the pipeline is built."""

    @step
    def number() -> int: ...

    with pytest.raises(DeferredValueUsed, match="output of step 'number'"):
        build_body(lambda: number() + 1)


def test_a_pipeline_without_a_model_says_so() -> None:
    """get_pipeline_context().model names the argument that is missing."""
    with pytest.raises(MissingModelContext, match=r"pipeline 'body'.*@pipeline\(model="):
        build_body(lambda: get_pipeline_context().model)


def test_contexts_outside_of_their_place_say_so() -> None:
    """Each context names the other where it is asked for in the wrong place."""
    with pytest.raises(MissingModelContext, match="get_step_context"):
        get_pipeline_context()
    with pytest.raises(MissingModelContext, match="get_pipeline_context"):
        get_step_context()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (
            lambda: log_metadata({"a": 1}, infer_model=True),
            r"log_metadata\(infer_model=True\).*model_version=",
        ),
        (
            lambda: log_metadata({"a": 1}, infer_artifact=True),
            r"log_metadata\(infer_artifact=True\).*artifact_name=",
        ),
        (lambda: link_artifact_to_model(Artifact.__new__(Artifact)), r"link_artifact_to_model\(\).*model="),
    ],
)
def test_what_needs_a_running_step_says_how_else(call: Callable[[], None], said: str) -> None:
    """The error names what the user called."""
    with pytest.raises(MissingModelContext, match=said):
        call()


@pytest.mark.parametrize(
    "load",
    [
        lambda model: model.get_model_artifact("m").load(),
        lambda model: model.load_artifact("m"),
        lambda model: model.set_stage("staging"),
        lambda model: model.log_metadata({"a": 1}),
        lambda model: model.load(),
    ],
)
def test_reading_the_registry_in_a_body_is_refused_with_the_line(load: Callable[[Model], Any]) -> None:
    """I/O in a pipeline's body is an error that names file and line."""
    model = Model("iris", version="production")

    with (
        building_pipeline(PipelineContext("p", model)),
        pytest.raises(LoadingWhileBuilding, match=r"test_definitions"),
    ):
        load(model)


def test_something_else_than_a_model_is_refused() -> None:
    """model= takes a Model."""
    with pytest.raises(InvalidDefinition, match="is not a Model"):
        step(name="s", model="iris")(lambda: 1)  # type: ignore[arg-type, call-overload]


@pytest.mark.parametrize("name", ["a/b", "two words", "{{ ds }}", "<lambda>"])
def test_an_id_that_airflow_refuses_is_refused_by_a_program_too(name: str) -> None:
    """What runs as a program is a DAG as well, whatever is imported where it is defined."""
    expected = "is not a valid {}. It must be of letters, digits, '-', '_' and '.', as in Airflow."

    with pytest.raises(InvalidName, match=re.escape(expected.format("dag_id"))):
        pipeline(name=name)(lambda: None)
    with pytest.raises(InvalidName, match=re.escape(expected.format("task_id"))):
        step(name=name)(lambda: None)
    with pytest.raises(InvalidName, match=re.escape(expected.format("task_id"))):
        step(name="vorhersage_für.köln-1")(lambda: None).with_options(name=name)


class Region(Enum):
    """A class of a DAG file."""

    NORTH = "north"


@pytest.mark.parametrize(
    "default", [Region.NORTH, date(2026, 1, 1), frozenset({1}), [Region.NORTH]], ids=repr
)
def test_a_default_that_is_no_parameter_of_a_dag_is_refused(default: Any) -> None:
    """Airflow keeps parameters as JSON; a program says so too."""

    def training(region: Any = default) -> None: ...

    with pytest.raises(
        InvalidDefinition, match=r"its parameter 'region' has the default .*Airflow keeps parameters"
    ):
        pipeline(training)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"retries": "3"}, "retries='3' must be a whole number"),
        ({"retries": True}, "retries=True must be a whole number"),
        ({"retry_delay": "60"}, "retry_delay='60' must be a timedelta, or seconds"),
        ({"execution_timeout": 60}, "execution_timeout=60 must be a timedelta"),
    ],
)
def test_a_value_that_airflow_refuses_is_refused_by_a_program_too(options: dict[str, Any], said: str) -> None:
    """Where it is written, and by with_options."""
    with pytest.raises(InvalidDefinition, match=said):
        step(name="s", **options)(lambda: 1)
    with pytest.raises(InvalidDefinition, match=said):
        step(name="s")(lambda: 1).with_options(**options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"schedule": "@dayly"}, r"schedule='@dayly' is neither .*Did you mean '@daily'\?"),
        (
            {"schedule": Model("iris", version="production")},
            r"schedule=iris\[production\] is a model, .*\.asset\.",
        ),
        ({"schedule": [Model("iris", version="production")]}, r"schedule=iris\[production\] is a model"),
        ({"schedule": "at noon"}, r"schedule='at noon' is neither .*Words: @once, .*five fields"),
        (
            {"default_args": {"retries": "x"}},
            r"default_args of pipeline 'p': retries='x' must be a whole number",
        ),
        ({"default_args": [1]}, r"default_args=\[1\] must be a mapping"),
    ],
)
def test_a_value_that_a_dag_refuses_is_refused_by_a_program_too(options: dict[str, Any], said: str) -> None:
    """What Airflow alone can read, such as a field of cron, is left to it."""
    with pytest.raises(InvalidDefinition, match=said):
        pipeline(name="p", **options)(lambda: None)

    for schedule in ("@daily", "0 6 * * *", "0 6 * * MON#1", None, timedelta(1)):
        pipeline(name="p", schedule=schedule)(lambda: None)
