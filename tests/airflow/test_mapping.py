"""Tasks that are mapped over what steps return: the same in a local run and in Airflow, an element each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pandas as pd
import pytest
from airflow.sdk import task
from airflow.sdk.exceptions import AirflowFailException, UnmappableXComTypePushed

from airflow_model_provider import Artifact, Client, Model, get_step_context, load_artifact, step
from airflow_model_provider.exceptions import NotMappable
from airflow_model_provider.operators.step import StepOperator
from airflow_model_provider.workspace import Workspace
from tests.support.marked import Marked
from tests.support.soak import TIMES
from tests.support.worlds import Local, Tasks, World

if TYPE_CHECKING:
    from collections.abc import Callable

#: Of each kind an element by its number, and the number of an element.
KINDS: dict[str, tuple[Callable[[int], Any], Callable[[Any], int]]] = {
    "numbers": (lambda index: index, lambda number: number),
    "texts": (lambda index: f"{index} {'x' * 1500}", lambda text: int(text.split()[0])),
    "dictionaries": (lambda index: {"at": index, "of": ["x" * 1500]}, lambda found: found["at"]),
    "frames": (lambda index: pd.DataFrame({"at": [index] * 3}), lambda frame: int(frame["at"].sum() / 3)),
    "models": (Marked, lambda model: model.mark),
}
LENGTHS = [("numbers", 1000), ("texts", 200), ("frames", 90), *[(kind, 1) for kind in KINDS], ("numbers", 0)]
if TIMES > 1:
    LENGTHS = [(kind, length) for kind in KINDS for length in (0, 1, 90, 200, 1000)]
LONG = "x" * 1500

got: list[Any] = []
returned: list[Any] = []


@step
def give() -> Annotated[Any, "rows"]:
    """Return what a test wants."""
    return returned[0]


@step
def give_more() -> Annotated[Any, "more_rows"]:
    """Return something else."""
    return returned[1]


@step
def take(x: Any = None, y: Any = None) -> None:
    """Keep what it is given."""
    got.append(x if y is None else (x, y))


@task
def stock(x: Any = None) -> None:
    """Keep what it is given."""
    got.append(x)


@task
def stock_numbers() -> list[int]:
    """Numbers of a standard task."""
    return [0, 1]


@task
def hand_on(x: Any) -> Any:
    """Return what it is given."""
    return x


@step
def first(rows: list[Any]) -> Annotated[Any, "first"]:
    """Return one element."""
    return rows[0]


@pytest.fixture(params=["program", "tasks"])
def world(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, model_registry: Client) -> World:
    """Where a test's body runs."""
    return Local() if request.param == "program" else Tasks(monkeypatch)


@pytest.fixture
def tasks(monkeypatch: pytest.MonkeyPatch, model_registry: Client) -> Tasks:
    """A body's tasks, as Airflow runs them."""
    return Tasks(monkeypatch)


@pytest.fixture(autouse=True)
def _nothing_yet() -> None:
    got.clear()
    returned.clear()


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The places of the elements that are loaded; -1 for a whole."""
    places: list[int] = []
    plain = Workspace.load

    def load(self: Workspace, record: Any, **how: Any) -> Any:
        places.append(record.map_index)
        return plain(self, record, **how)

    monkeypatch.setattr(Workspace, "load", load)
    return places


def over() -> None:
    """A step that is mapped over what another one returns."""
    take.expand(x=give())


@pytest.mark.parametrize(("kind", "length"), LENGTHS)
def test_each_instance_gets_its_own_element(kind: str, length: int, world: World, loads: list[int]) -> None:
    """As many instances as elements, of whatever size and sort, and each loads one."""
    make, number = KINDS[kind]
    returned.append([make(index) for index in range(length)])
    chosen = list(range(length))
    if isinstance(world, Tasks) and length > 3:
        chosen = world.only = [0, length // 2, length - 1]

    assert world.run(over) == {"give": 1, "take": length}
    assert [number(item) for item in got] == chosen
    assert [type(item) for item in got] == [type(make(0))] * len(chosen)
    assert loads == ([] if kind == "numbers" else chosen)


def test_elements_are_of_their_own_type(world: World) -> None:
    """A tuple stays one, and what looks like a reference of ours stays data; a handle is one of the element."""
    returned.append((("a", 1), {"__artifact__": "rows@1"}, None, {1: 2}, Marked(3)))
    returned.append([Marked(4)])

    @step
    def look(x: Artifact[Any]) -> None:
        got.append((x.name, x.load().mark))

    def both() -> None:
        take.expand(x=give())
        look.expand(x=give_more())

    world.run(both)

    assert got.pop(4).mark == 3
    assert got == [("a", 1), {"__artifact__": "rows@1"}, None, {1: 2}, ("more_rows.elements", 4)]


def test_a_dict_gives_pairs(world: World, loads: list[int]) -> None:
    """Of key and value, as Airflow has it."""
    returned.append({"a": 1, "b": LONG})

    assert world.run(over) == {"give": 1, "take": 2}
    assert got == [("a", 1), ("b", LONG)]
    assert loads == [1]


def test_rows_of_arguments(world: World, loads: list[int]) -> None:
    """Each instance loads its own, whether the dicts come one by one or in a list."""
    returned.extend([[{"x": 1, "y": LONG}, {"x": LONG + "x"}], {"x": 2, "y": LONG}])

    def rows() -> None:
        take.expand_kwargs(give())
        take.expand_kwargs([give_more(), {"x": 3}])

    assert world.run(rows) == {"give": 1, "give_more": 1, "take": 2, "take__1": 2}
    assert sorted(got, key=str) == sorted([(1, LONG), LONG + "x", (2, LONG), 3], key=str)
    assert sorted(loads) == [0, 1, 1]


def test_functions_get_elements(world: World, loads: list[int]) -> None:
    """Loaded, in the instance that the result is for; two of them one after the other."""
    returned.append([pd.DataFrame({"a": [index]}) for index in range(3)])

    def mapped() -> None:
        sums = give().map(lambda frame: frame["a"].sum()).map(lambda total: int(total))
        take.expand(x=sums)
        take(x=sums)

    assert world.run(mapped) == {"give": 1, "take": 3, "take__1": 1}
    assert sorted(got, key=str) == [0, 1, 2, [0, 1, 2]]
    assert sorted(loads) == [0, 0, 1, 1, 2, 2]


def test_outputs_are_put_together(world: World, loads: list[int]) -> None:
    """Side by side up to the shorter or the longer, one after the other, and then through a function."""
    returned.extend([[1, LONG], ("a", "b", LONG)])

    def together() -> None:
        rows, more = give(), give_more()
        take.expand(x=rows.zip(more))
        take.expand(x=rows.zip(more, fillvalue="none").map(lambda pair: [len(str(item)) for item in pair]))
        take.expand(x=rows.concat(more))
        take(x=more.concat(rows).zip(more))

    lengths = {"take": 2, "take__1": 3, "take__2": 5, "take__3": 1}
    assert world.run(together) == {"give": 1, "give_more": 1, **lengths}
    pairs: list[Any] = [(1, "a"), (LONG, "b"), [1, 1], [1500, 1], [4, 1500], 1, LONG, "a", "b", LONG]
    assert sorted(got, key=str) == sorted([*pairs, [("a", "a"), ("b", "b"), (LONG, LONG)]], key=str)


def test_results_of_a_mapped_step_are_mapped_over(world: World, loads: list[int]) -> None:
    """Each is an element, whatever its size; instances that return None leave none, as in Airflow."""
    returned.append([1, 2, 3, 4])

    @step
    def double(x: int) -> Any:
        return None if x == 2 else LONG * x if x > 2 else x

    @step
    def measure(x: Any) -> int:
        return len(str(x))

    def twice() -> None:
        doubled = double.expand(x=give())
        lengths = measure.expand(x=doubled)
        take(x=lengths)
        take.expand(x=doubled.map(lambda value: str(value)[:2]).zip(lengths))

    instances = {"give": 1, "double": 4, "measure": 3, "take": 1, "take__1": 3}
    assert world.run(twice) == instances
    assert sorted(got, key=str) == [("1", 1), ("xx", 4500), ("xx", 6000), [1, 4500, 6000]]


def test_the_whole_is_as_if_nothing_were_mapped_over_it(world: World, model_registry: Client) -> None:
    """Of its own type for who takes it whole, one artifact of its version, and deleted with it are its elements."""
    returned.append((LONG, Marked(1)))

    def training() -> None:
        rows = give()
        take.expand(x=rows)
        take(x=[rows])

    world.run(training, model=Model("mapped"))

    (whole,) = [item[0] for item in got if isinstance(item, list)]
    assert type(whole) is tuple
    assert (whole[0], whole[1].mark) == (LONG, 1)
    version = model_registry.get_model_version("mapped", 1)
    assert [artifact.name for artifact in version.list_artifacts()] == ["rows"]
    assert type(version.get_artifact("rows").load()) is tuple
    assert model_registry.get_artifact("rows").number == 1
    assert model_registry.get_artifact("rows.elements").number == 2
    model_registry.delete_model_version("mapped", 1)
    with pytest.raises(LookupError, match=r"rows\.elements"):
        model_registry.get_artifact("rows.elements")


@pytest.mark.parametrize(("value", "said"), [
    ({1, 2}, "its value is a set"), (iter([1]), "its value is a list_iterator"),
    (np.arange(3), "its value is a ndarray"), (pd.Series([1]), "its value is a Series"), ("text", "is a str"),
    (None, "its value is None"), ({1: 2}, "the key 1 is an int"), ({"__type": 1}, "the key '__type' is reserved"),
], ids=lambda part: part if isinstance(part, str) else "")  # fmt: skip
def test_what_has_no_elements_is_refused(value: Any, said: str, world: World, model_registry: Client) -> None:
    """Before anything is saved, and as Airflow says it."""
    returned.append(value)
    expected: type[Exception] = UnmappableXComTypePushed if isinstance(world, Tasks) else NotMappable

    with pytest.raises(
        expected,
        match=rf"Output 'rows' of step 'give' cannot be mapped over: .*{said}.*it: take.*None of the step",
    ) as error:
        world.run(over)
    assert isinstance(world, Local) or isinstance(error.value, AirflowFailException)
    assert got == []
    with pytest.raises(LookupError):
        model_registry.get_artifact("rows")


@pytest.mark.parametrize(("value", "said"), [
    ([{"x": 1}, 2], "its element 1 is an int"), ({"x": 1}, "its value is a dict"),
    ([{2: 1}], "the key 2 is an int in its element 0"),
], ids=str)  # fmt: skip
def test_rows_that_are_no_arguments_are_refused(value: Any, said: str, world: World) -> None:
    """By the step that returns them."""
    returned.append(value)

    def rows() -> None:
        take.expand_kwargs(give())

    with pytest.raises((NotMappable, UnmappableXComTypePushed), match=said):
        world.run(rows)


def test_a_dict_is_not_composed(world: World) -> None:
    """It has no order that a function, zip() or concat() could rely on."""
    returned.append({"a": 1})

    def composed() -> None:
        take.expand(x=give().map(lambda item: item))

    with pytest.raises(
        (NotMappable, UnmappableXComTypePushed), match="need an order, and its value is a dict"
    ):
        world.run(composed)


def test_standard_tasks(tasks: Tasks, loads: list[int]) -> None:
    """They get the small element as it is and the large one's reference; functions get the large one, too."""
    returned.append([1, LONG])

    def standard() -> None:
        rows = give()
        stock.expand(x=rows)
        stock.expand(x=rows.map(lambda row: str(row)[:3]))
        stock.expand(x=stock_numbers().zip(rows).map(lambda pair: (pair[0], len(str(pair[1])))))
        stock(x=rows)

    assert tasks.run(standard)["stock__2"] == 2
    plain = [item for item in got if not isinstance(item, dict)]
    assert sorted(plain, key=str) == sorted([1, "1", "xxx", (0, 1), (1, 1500)], key=str)
    assert loads == [1, 1]
    opened = [load_artifact(item) for item in got if isinstance(item, dict)]
    assert opened == [LONG, [1, LONG]]


@pytest.mark.parametrize("of", ["step", "standard task"])
@pytest.mark.parametrize("part", [1, LONG, pd.DataFrame({"at": [1]})], ids=["small", "large", "frame"])
def test_all_arguments_come_from_another_task(part: Any, of: str, tasks: Tasks) -> None:
    """At any size, for a single step and for one instance each; a standard task hands on a reference as a whole."""
    returned.extend(([[part, 2]], [{"x": part, "y": 2}]))

    def given() -> None:
        lists, dicts = give(), give_more()
        if of == "step":
            StepOperator.partial(task_id="lists", python_callable=take.function).expand(op_args=lists)
            StepOperator.partial(task_id="dicts", python_callable=take.function).expand(op_kwargs=dicts)
        else:
            StepOperator(task_id="lists", python_callable=take.function, op_args=hand_on(first(lists)))
            StepOperator(task_id="dicts", python_callable=take.function, op_kwargs=hand_on(first(dicts)))
        StepOperator(task_id="whole", python_callable=take.function, op_args=first(lists))
        StepOperator(task_id="named", python_callable=take.function, op_kwargs=first(dicts))

    tasks.run(given)

    assert [str((x, y)) for x, y in got] == [str((part, 2))] * 4


@step
def take_handle(x: Artifact[Any], y: Any = None) -> None:
    """Keep what its handle is of."""
    got.append((x.name, get_step_context().inputs["x"].number == x.number, x.load()))


@step
def take_handles(x: tuple[Artifact[Any], Artifact[Any]]) -> None:
    """Keep what several handles are of."""
    got.append(tuple((part.name, part.load()) for part in x))


ROWS_OF = "rows.elements"
HANDLES: dict[str, tuple[Callable[[], Any], Callable[[Any], Any], Callable[[Any], Any]]] = {
    "elements": (
        lambda: take_handle.expand(x=give()),
        lambda part: [part],
        lambda part: (ROWS_OF, True, part),
    ),
    "concat": (
        lambda: take_handle.expand(x=give().concat(give_more())),
        lambda part: [part],
        lambda part: (ROWS_OF, True, part),
    ),
    "kwargs": (
        lambda: take_handle.expand_kwargs(give()),
        lambda part: [{"x": part, "y": 1}],
        lambda part: (ROWS_OF, True, part),
    ),
    "zip": (
        lambda: take_handles.expand(x=give().zip(give_more())),
        lambda part: [part],
        lambda part: ((ROWS_OF, part), ("more_rows.elements", [])),
    ),
}


@pytest.mark.parametrize("element", [1, LONG], ids=["small", "large"])
@pytest.mark.parametrize("form", HANDLES)
def test_a_handle_of_an_element_at_any_size(form: str, element: Any, world: World) -> None:
    """``Artifact[...]`` gets the handle of a number as of a long text, wherever the element is mapped."""
    body, make, expected = HANDLES[form]
    returned[:] = [make(element), [[]]]

    def handles() -> None:
        body()

    world.run(handles)

    assert expected(element) in got


def test_other_steps_get_small_elements_as_before(world: World) -> None:
    """Beside a step that gets handles, and whoever takes the whole."""
    returned[:] = [[1]]

    def beside() -> None:
        rows = give()
        take_handle.expand(x=rows)
        take.expand(x=rows)
        take(rows)

    world.run(beside)

    assert sorted(got, key=str) == [(ROWS_OF, True, 1), 1, [1]]
