"""Artifacts by their own names: lazy in a body, pinned when a task runs, in a local run and in Airflow."""

from __future__ import annotations

import copy
from collections import OrderedDict
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, task
from airflow.sdk.exceptions import AirflowFailException
from airflow.sdk.plugins_manager import integrate_macros_plugins

from airflow_model_provider import Artifact, Client, host, load_artifact, save_artifact, step
from airflow_model_provider.exceptions import (
    ArtifactNotFound,
    InvalidDefinition,
    LoadingWhileBuilding,
    MetadataNotFound,
)
from airflow_model_provider.named_artifacts import NamedArtifact
from tests.support.tasks import TaskInstance, predicting, running
from tests.support.worlds import Local, Tasks, World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

got: list[Any] = []


@step
def take(x: Any = None, index: int = 0) -> None:
    """Keep what it is given."""
    got.append(x)


@step
def take_handle(x: Artifact[float]) -> None:
    """Keep the number of the handle that it is given."""
    got.append((x.name, x.number, x.load()))


@step
def pass_on(x: Any) -> Any:
    """Return references, read in another task."""
    return [TOP[0]] if x == "reference" else x


@task
def stock(x: Any) -> None:
    """Keep what a standard task is given."""
    got.append((str(x), x.number, x.load()))


#: What stands at the top of a DAG file.
TOP: list[Any] = []


@pytest.fixture(autouse=True)
def registry(model_registry: Client) -> Iterator[Client]:
    """A scaler of two versions."""
    got.clear()
    save_artifact(1.5, "scaler")
    save_artifact(2.5, "scaler", user_metadata={"mean": 0.5})
    TOP[:] = [NamedArtifact("scaler", 1)]
    yield model_registry
    host._entered = False


@pytest.fixture(params=["program", "tasks"])
def world(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, registry: Client) -> World:
    """Where a test's body runs."""
    return Local() if request.param == "program" else Tasks(monkeypatch)


def scaler(*args: Any, **options: Any) -> Any:
    """The lazy reference."""
    return Client().get_artifact("scaler", *args, **options)


@pytest.mark.parametrize(("body", "expected"), [
    (lambda: take(scaler()), 2.5),
    (lambda: take(x=scaler(1)), 1.5),
    (lambda: take([{"a": (scaler(version=1), scaler())}]), [{"a": (1.5, 2.5)}]),
    (lambda: take(OrderedDict(a=SimpleNamespace(b=scaler()))), OrderedDict(a=SimpleNamespace(b=2.5))),
    (lambda: take.partial(x=scaler()).expand(index=[0]), 2.5),
    (lambda: take.expand(x=[scaler(map_index=-1)]), 2.5),
    (lambda: take([scaler().number, scaler(1).number]), [2, 1]),
    (lambda: take(pass_on("reference")), [1.5]),
    (lambda: take(pass_on(scaler())), 2.5),
    (lambda: take_handle(scaler()), ("scaler", 2, 2.5)),
    (lambda: take(f"{scaler(1).number} {scaler().number}"), "1 2"),
    (lambda: take([scaler().metadata["mean"], scaler().metadata.get("max", 1)]), [0.5, 1]),
    (lambda: take([scaler(1).metadata.get("mean"), scaler(9, default=[0])]), [None, [0]]),
    (lambda: take(scaler(default=0)), 2.5),
    (lambda: take(f"{scaler().metadata['mean']} {scaler().metadata.get('max', 1)}"), "0.5 1"),
    (lambda: take(f"{scaler(9, default='none')} {scaler(9, default=7).number}"), "none 7"),
    (lambda: take(pass_on(scaler(9, default=4))), 4),
])  # fmt: skip
def test_it_is_loaded_wherever_it_stands(world: World, body: Callable[[], Any], expected: Any) -> None:
    """Positional, keyword, nested, mapped, returned by a step, in an f-string; nothing is read before."""
    integrate_macros_plugins()

    def named() -> None:
        body()

    world.run(named)

    assert got == [expected]


def test_what_is_missing_without_a_default_is_an_error(registry: Client) -> None:
    """Of a key the error names those that exist; a running program gets the default, too."""

    def missing() -> None:
        take(scaler().metadata["maen"])

    with pytest.raises(
        MetadataNotFound, match=r"artifact scaler@2 has no metadata 'maen'. Did you mean 'mean'"
    ):
        Local().run(missing)
    assert registry.get_artifact("nothing", default=3) == 3
    with pytest.raises(ArtifactNotFound):
        registry.get_artifact("nothing")


def test_a_task_records_what_it_got(world: World, registry: Client) -> None:
    """The reference and the version of the artifact, once; code that asks and loads is recorded too."""

    @step
    def ask(x: Any) -> float:
        return float(load_artifact("scaler")) + float(load_artifact("scaler", 1)) + x

    def recorded() -> None:
        ask([scaler(), scaler()][0])

    world.run(recorded)
    records = registry.list_resolutions()

    assert sorted((item.wanted, item.artifact_number) for item in records) == [
        ("artifact scaler", 2),
        ("artifact scaler@1", 1),
        ("artifact scaler@2", 2),
    ]
    assert {(item.attempt.task_id, item.artifact, item.resolved) for item in records} == {
        ("ask", "scaler", True)
    }


def test_a_try_sees_one_version_and_the_next_the_newest(registry: Client) -> None:
    """Pinned once per try, also in another process of the same try; the next try finds what is newest then."""
    integrate_macros_plugins()
    with DAG("predictions", schedule=None):
        one = PythonOperator(
            task_id="predict", python_callable=print, op_args=[scaler(), f"{scaler().number}", scaler().uri]
        )
    seen = []
    for ti in (predicting("ti-1"), predicting("ti-1"), predicting("ti-2", try_number=2)):
        with running(copy.copy(one), ti) as context:
            handle, number, uri = context["task"].op_args
            seen.append((handle.load(), number, handle.uri == str(handle) == uri))
        save_artifact(3.5, "scaler")

    assert seen == [(2.5, "2", True), (2.5, "2", True), (3.5, "4", True)]
    assert {item.attempt.task_id for item in registry.list_resolutions()} == {"predict"}


def test_a_stock_task_gets_the_pinned_handle_also_from_another_task(registry: Client) -> None:
    """In its fields, and as what a step returned; the JSON form is small and of plain names."""
    with DAG("predictions", schedule=None):
        output = stock(scaler(1))
    with running(output.operator) as context:
        context["task"].execute(context)

    assert got == [(registry.get_artifact("scaler", 1).uri, 1, 1.5)]
    assert load_artifact(NamedArtifact("scaler", 1).to_json()) == 1.5


@pytest.mark.parametrize("asked", [("scalar",), ("scaler", 7)])
def test_what_is_missing_fails_at_once_and_names_what_there_is(
    registry: Client, asked: tuple[Any, ...]
) -> None:
    """In a step, and in a template field."""
    with DAG("predictions", schedule=None):
        output, other = take(Client().get_artifact(*asked)), stock(Client().get_artifact(*asked))
    step_task = output.operator
    with running(step_task) as context, pytest.raises(AirflowFailException, match="Did you mean 'scaler'"):
        step_task.pre_execute(context)
    with (
        pytest.raises(AirflowFailException, match=r"ArtifactNotFound.*It has: scaler"),
        running(other.operator, TaskInstance("ti-9")),
    ):
        pass


def test_a_body_reads_nothing(registry: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading in a body, at the top of a file, and a client of an address of its own are errors."""
    with DAG("predictions", schedule=None):
        with pytest.raises(LoadingWhileBuilding):
            scaler().load()
        for ask in (
            lambda client: client.get_artifact("scaler"),
            lambda client: client.get_model_version("iris", 1),
        ):
            with pytest.raises(InvalidDefinition, match=r"Use Client\(conn_id=...\)"):
                ask(Client("sqlite:///elsewhere.db"))
        assert Client(conn_id="team_a").get_artifact("scaler").conn_id == "team_a"
        with pytest.raises(InvalidDefinition, match="one value"):
            take.expand(x=scaler())
    monkeypatch.setattr(host, "airflow_is_parsing", lambda: True)
    found = Client().get_artifact("scaler", 1)

    assert found == TOP[0]
    with pytest.raises(LoadingWhileBuilding):
        found.path()


def test_code_of_a_task_reads_what_it_has_just_saved(world: World) -> None:
    """Asked by code it is the newest now, whatever an argument is pinned to."""

    @step
    def again(x: float) -> None:
        save_artifact(x + 1, "scaler")
        got.append((x, load_artifact("scaler"), Client().get_artifact("scaler").number))

    def fresh() -> None:
        again(scaler())

    world.run(fresh)

    assert got == [(2.5, 3.5, 3)]
    with pytest.raises(ArtifactNotFound, match="Did you mean 'scaler'"):
        Client().get_artifact("scalar")
