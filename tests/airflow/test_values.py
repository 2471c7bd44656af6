"""Values of every class: as constants, outputs and elements a step gets the same in a local run and in Airflow."""

from __future__ import annotations

import enum
import json
from collections import Counter, OrderedDict, defaultdict, deque
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import pytest
from airflow.sdk import DAG, task
from airflow.sdk.exceptions import AirflowFailException
from airflow.sdk.execution_time.task_runner import _serialize_rendered_fields
from airflow.serialization.serialized_objects import DagSerialization

from airflow_model_provider import Artifact, Client, Model, load_artifact, step
from airflow_model_provider.operators.step import StepOperator
from tests.support.tasks import running
from tests.support.worlds import Local, Tasks, World

if TYPE_CHECKING:
    from pathlib import Path


class Listed(list[Any]):
    """A list with a class of its own."""


class Named(dict[str, Any]):
    """A dict with a class of its own."""


class Said(str):  # noqa: SLOT000 - as people write it
    """A text with a class of its own."""


class Several(tuple[Any, ...]):  # noqa: SLOT001 - as people write it
    """A tuple with a class of its own."""


class Point(NamedTuple):
    """A named tuple."""

    x: float
    y: float


class Colour(enum.StrEnum):
    """Texts."""

    RED = "red"


class Level(str, enum.Enum):  # noqa: UP042 - its str() differs from that of a StrEnum
    """Texts, as they were before there was StrEnum."""

    HIGH = "high"


class Size(enum.IntEnum):
    """Numbers."""

    SMALL = 1


class Day(enum.Flag):
    """What may be one, several or none: each holds itself."""

    MONDAY = 1
    TUESDAY = 2


VALUES: list[Any] = [
    *(OrderedDict(b=1, a=2), defaultdict(list, a=[1]), Counter("aab"), Named(a=1), {1: 2}, {(1, 2): None}),
    *(Listed([1]), Several((1,)), (1, 2), Point(1, 2.0), deque([1], 3), range(3), {1}, frozenset({1})),
    *(
        Said("x"),
        Colour.RED,
        Level.HIGH,
        Size.SMALL,
        b"x",
        "a\r\nb\n",
        " 1 ",
        "[1]",
        "{# x #}",
        "a\0b",
        "\ud800",
    ),
    *(float("nan"), float("-inf"), 2**70, -(2**64), -0.0, 1.0, True, None),
    *(Day.TUESDAY, Day.MONDAY | Day.TUESDAY, Day(0)),
    {"deep": [OrderedDict(a=Level.HIGH, b=[float("inf"), 2**70]), (Listed([Said("y")]),)]},
]
SMALL = (0, 1, 2, 6)
GOT: list[Any] = []


@step
def take(x: Any = None, y: Any = None) -> None:
    """Keep what it is given."""
    GOT.append(x if y is None else y)


@step
def give(index: int) -> Any:
    """Return one of them."""
    return VALUES[index]


@step
def give_all() -> list[Any]:
    """Return all of them."""
    return VALUES


def repr_of(value: Any) -> str:
    """A function that is no step."""
    return repr(value)


def constants() -> None:
    """Each of them stands in the body."""
    for value in VALUES:
        take(value)
    take(VALUES)
    take.partial(y=VALUES).expand(x=[1])
    take.expand(y=[value for value in VALUES if value is not None])


def outputs() -> None:
    """Small ones are what a step returned, and all of them together."""
    for index in SMALL:
        take(give(index))
    take({"in": [give_all()]})


EXPECTED = {
    "constants": [*VALUES, VALUES, VALUES, *(value for value in VALUES if value is not None)],
    "outputs": [*(VALUES[index] for index in SMALL), {"in": [VALUES]}],
}


def described(value: Any) -> str:
    """Tell values apart by the classes of all their parts."""
    parts = value.items() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return f"{type(value).__qualname__} {value!r} {[described(part) for part in parts]}"


def elsewhere() -> None:
    """Outputs that are saved, elements, a handle that is handed on, and one that is taken under another name."""
    made = board(600)
    take(made)
    take.expand(x=made)
    take(handed_on.with_options(model=None)(made))
    take(handed_on(made))


@step
def handed_on(x: Artifact[Any]) -> Any:
    """Return the handle."""
    return x


@pytest.mark.usefixtures("model_registry")
@pytest.mark.parametrize("world", ["program", "tasks"])
def test_steps_of_one_model_pass_values_on_in_its_registry(
    world: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is that of a named connection: what travels says so."""
    GOT.clear()
    extra = {"url": f"sqlite:///{tmp_path}/other.db", "store": str(tmp_path / "other")}
    said = json.dumps({"conn_type": "model_registry", "extra": extra})
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", said)
    here: World = Local() if world == "program" else Tasks(monkeypatch)
    here.run(elsewhere, model=Model("boards", conn_id="other"))

    whole = [[0] * 600] * 3
    assert [whole, *whole, whole, whole] == GOT


@pytest.mark.usefixtures("model_registry")
@pytest.mark.parametrize("body", [constants, outputs])
@pytest.mark.parametrize("world", ["program", "tasks"])
def test_a_step_gets_the_very_value(world: str, body: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its class, and those of its parts, at any size."""
    GOT.clear()
    here: World = Local() if world == "program" else Tasks(monkeypatch)
    here.run(body)

    assert list(map(described, GOT)) == list(map(described, EXPECTED[body.__name__]))


@step
def board(size: int) -> list[Any]:
    """A board of which each row is the same list."""
    return [[0] * size] * 3


@step
def boards() -> list[Any]:
    """Two of them, which are one."""
    return [[[0] * 3] * 3] * 2


@step
def mark(rows: Any) -> None:
    """Put a mark, and see in which rows it is."""
    rows[0][0] = 1
    GOT.append([row[0] for row in rows])


def marked(rows: Any) -> Any:
    """Put a mark in a function of ``map()``."""
    rows[1][0] += 1
    return rows


def shared_parts() -> None:
    """A small board, one that is saved, and elements."""
    mark(board(3))
    mark(board(600))
    mark.expand(rows=boards())
    each = boards()
    mark.expand(rows=each.map(marked))
    mark.expand(rows=each.map(marked))


@pytest.mark.usefixtures("model_registry")
@pytest.mark.parametrize("world", ["program", "tasks"])
def test_no_part_of_an_output_is_another_one(world: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As JSON brings it, at any size: what is done to one row is done to no other."""
    GOT.clear()
    here: World = Local() if world == "program" else Tasks(monkeypatch)
    here.run(shared_parts)

    assert GOT == [[1, 0, 0]] * 4 + [[1, 1, 0]] * 4


@step
def whole() -> float:
    """A whole number."""
    return 1


@step
def perhaps() -> Annotated[float | None, "number"]:
    """One that could be missing."""
    return 1


@step
def in_list() -> list[float]:
    """Some of them."""
    return [1, 2.0]


@step
def huge() -> float:
    """More digits than a float has."""
    return 2**60 + 1


def numbers() -> None:
    """Whole numbers where floats are declared."""
    take(whole())
    take(perhaps())
    take(in_list())
    take(huge())


@pytest.mark.usefixtures("model_registry")
@pytest.mark.parametrize("world", ["program", "tasks"])
def test_a_declared_float_is_one(world: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that returns 1 for it gives 1.0; inside of containers numbers stay as they are."""
    GOT.clear()
    here: World = Local() if world == "program" else Tasks(monkeypatch)
    here.run(numbers)

    assert list(map(repr, GOT)) == ["1.0", "1.0", "[1, 2.0]", str(2**60 + 1)]


def test_airflow_can_keep_and_show_every_constant() -> None:
    """What JSON has no word for is a text on Airflow's pages and in the serialized DAG."""
    with DAG("shown", schedule=None, render_template_as_native_obj=True) as dag:
        whole = take(VALUES).operator
        take.partial(y=VALUES).expand(x=VALUES)
        classic = StepOperator(task_id="classic", python_callable=repr_of, op_kwargs={"value": float("nan")})
    kept = json.dumps(DagSerialization.serialize_dag(dag), allow_nan=False)
    for operator in (whole, classic):
        with running(operator):
            shown = json.dumps(_serialize_rendered_fields(operator), allow_nan=False, ensure_ascii=False)
            shown.encode()

    assert "nan" in shown
    assert "nan" in kept


@pytest.mark.parametrize("value", [float("nan"), {"deep": [float("inf")]}, 2**70, "\ud800"], ids=repr)
def test_metadata_that_airflow_cannot_show_stay_out_of_fields(model_registry: Client, value: Any) -> None:
    """A standard task that is given them is refused with one error; a step gets them."""
    with model_registry.new_model_version("iris") as version:
        version.log_metadata({"loss": value})

    @task
    def report(x: Any) -> None: ...

    loss = Model("iris", version=1).run_metadata["loss"]
    with DAG("metadata", schedule=None):
        reported, taken = report(loss).operator, take(loss).operator
    with pytest.raises(AirflowFailException, match="JSON has no word for it"), running(reported):
        pass
    GOT.clear()
    with running(taken) as context:
        taken.execute(context)

    assert repr([value]) == repr(GOT)


TWO = "{{ 1 + 1 }}"
#: Containers that hold a template, and what a step gets.
TEMPLATES: list[tuple[Any, Any]] = [
    (OrderedDict(a=TWO), OrderedDict(a="2")),
    (Counter({"a": TWO}), Counter({"a": "2"})),
    (Listed([TWO]), Listed(["2"])),
    (Point(TWO, 1), Point("2", 1)),  # type: ignore[arg-type]
    *((kind([TWO]), kind([TWO])) for kind in (deque, frozenset)),
]


@pytest.mark.usefixtures("model_registry")
@pytest.mark.parametrize("world", ["program", "tasks"])
def test_templates_are_rendered_where_airflow_looks(world: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In lists, tuples, dicts and sets of any class, and nowhere else."""

    def body() -> None:
        for given, _ in TEMPLATES:
            take(given)

    GOT.clear()
    here: World = Local() if world == "program" else Tasks(monkeypatch)
    here.run(body)

    assert list(map(described, GOT)) == [described(expected) for _, expected in TEMPLATES]


def test_a_standard_task_passes_on_what_it_was_given(
    model_registry: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As text the handle itself, as a reference its JSON form; data with our keys is opened there."""
    model_registry.register_model_version("iris", {"rows": [1, 2]}, stage="production")
    iris = Model("iris", version="production")
    looks = {"__artifact__": "rows@1"}
    opened = []

    @task
    def choose(x: Any) -> Any:
        return x.to_json()

    @task
    def as_text(x: Any) -> Any:
        return x

    @task
    def open_it(x: Any) -> None:
        opened.append(load_artifact(x))

    @step
    def give_it() -> dict[str, str]:
        return looks

    def body() -> None:
        take(choose(iris.get_artifact("rows")))
        take(choose(iris))
        take(as_text(iris))
        given = give_it()
        take(given)
        open_it(given)

    GOT.clear()
    Tasks(monkeypatch).run(body)

    assert str(GOT.pop(1)) == "iris@1"
    assert [[1, 2], "iris@1", looks] == GOT
    assert opened == [looks]
