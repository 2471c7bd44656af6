"""References are resolved in all containers that can be looked into, and refused in all others."""

from __future__ import annotations

import functools
from collections import ChainMap, OrderedDict, UserDict, UserList, defaultdict, deque
from dataclasses import dataclass, field
from types import MappingProxyType, SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

import attrs
import numpy as np
import pydantic
import pytest

from airflow_model_provider import Client, Model, pipeline, step
from airflow_model_provider.exceptions import InvalidDefinition, NotSerializable
from airflow_model_provider.pipelines.values import WALK, check_arguments, references_in, transform

if TYPE_CHECKING:
    from collections.abc import Callable

IRIS = Model("iris", version="production")
ROWS = IRIS.get_artifact("rows")


class Pair(NamedTuple):
    """A named tuple."""

    a: Any
    b: int = 1


@dataclass(frozen=True, slots=True)
class Frozen:
    """A dataclass that nobody changes."""

    a: Any
    b: list[Any] = field(default_factory=list)


@attrs.frozen
class Attrs:
    """A class of attrs."""

    a: Any


class Pydantic(pydantic.BaseModel, extra="allow", frozen=True):
    """A class of pydantic."""

    a: Any


class Plain:
    """An object of a class that nobody knows."""

    def __init__(self, a: Any) -> None:
        self.a = a


class Slotted:
    """Likewise, without a dictionary."""

    __slots__ = ("a",)

    def __init__(self, a: Any) -> None:
        self.a = a


CONTAINERS: dict[str, Callable[[Any], Any]] = {
    "list": lambda item: [item],
    "tuple": lambda item: (1, item),
    "named tuple": Pair,
    "dict": lambda item: {"a": item},
    "ordered dict": lambda item: OrderedDict(b=1, a=item),
    "defaultdict": lambda item: defaultdict(list, a=item),
    "deque": lambda item: deque([1, item], maxlen=3),
    "proxy": lambda item: MappingProxyType({"a": item}),
    "namespace": lambda item: SimpleNamespace(a=item),
    "dataclass": lambda item: Frozen(1, [item]),
    "attrs": Attrs,
    "pydantic": lambda item: Pydantic(a=[item]),
    "pydantic, extra": lambda item: Pydantic(a=1, more=item),
    "partial": lambda item: functools.partial(Pair, item, b=2),
    "nested": lambda item: deque([OrderedDict(a=SimpleNamespace(b=Attrs([item])))]),
}
#: A partial is equal to itself only.
WITHOUT_EQUALITY = ("partial",)


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_reference_in_a_container_is_resolved(name: str) -> None:
    """In a copy of the same kind: what was given stays as it was."""
    given = CONTAINERS[name](ROWS)
    found = transform(given, lambda part: [7] if part is ROWS else WALK)
    expected = CONTAINERS[name]([7])

    assert type(found) is type(expected)
    if name in WITHOUT_EQUALITY:
        assert found() == expected()
    else:
        assert found == expected
    assert references_in(given) == [ROWS]


def closed(item: Any) -> Callable[[], Any]:
    """Return a function that holds something."""
    return lambda: item


OUT_OF_REACH: dict[str, tuple[Callable[[Any], Any], str]] = {
    "key": (lambda item: [{item: 1}], "as the key of a dict"),
    "closure": (closed, "inside of function '<lambda>'"),
    "global": (lambda _: lambda: ROWS, "inside of function '<lambda>'"),
    "default of a function": (lambda item: [lambda given=item: given], "inside of function"),
    "object": (lambda item: {"a": Plain([item])}, "inside of a Plain"),
    "slots": (Slotted, "inside of a Slotted"),
    "mapping": (lambda item: UserDict(a=item), "inside of a UserDict"),
    "array": (lambda item: np.array([None, item], dtype=object), "inside of a ndarray"),
}


@pytest.mark.parametrize("name", OUT_OF_REACH)
def test_a_reference_where_nobody_looks_is_refused_by_name(name: str) -> None:
    """While the pipeline is built, naming the step, the reference and the place."""
    make, place = OUT_OF_REACH[name]

    @step
    def use(value: Any) -> None: ...

    @pipeline
    def using() -> None:
        use(make(ROWS))

    with pytest.raises(InvalidDefinition, match=rf"step 'use': it is given iris\[production\]/rows {place}"):
        using()


@pytest.mark.parametrize(
    "make", [lambda: (item for item in [ROWS]), lambda: map(str, [1]), lambda: iter([1])]
)
def test_an_iterator_is_no_argument(make: Callable[[], Any]) -> None:
    """Whoever looked into it would leave nothing for the step."""
    with pytest.raises(
        InvalidDefinition, match=r"step 's': it is given <.*can be read only once. Pass a list"
    ):
        check_arguments("step 's'", [make()])


def test_what_holds_no_reference_is_passed_as_it_is() -> None:
    """Functions, objects and arrays too; a function may use a model, which acts when it is called."""
    given = [Plain(1), closed(IRIS), np.array([1, None], dtype=object), Plain, functools.partial(print, 1)]
    check_arguments("step 's'", given)

    assert all(new is old for new, old in zip(transform(given, lambda _: WALK), given, strict=True))


def test_metadata_as_a_whole_is_refused() -> None:
    """Its values are references, it is none."""
    with pytest.raises(
        InvalidDefinition, match=r"iris\[production\]\.metadata as a whole.*run_metadata\['acc"
    ):
        check_arguments("step 's'", {"a": IRIS.run_metadata})


def test_a_step_is_given_what_stands_in_containers(model_registry: Client) -> None:
    """In defaults too; what can't be held when it is loaded is an error that says so."""
    model_registry.register_model_version("iris", {"rows": [1, 2]}, stage="production")
    seen: list[Any] = []

    @step
    def use(value: Any, other: Any = MappingProxyType({"a": ROWS})) -> None:
        seen.append((value, other))

    @step
    def hidden(other: Any = Plain(ROWS)) -> None: ...  # noqa: B008 - what is tried

    def running(body: Callable[[], object]) -> None:
        @pipeline
        def using() -> None:
            body()

        using()

    running(lambda: use(Pydantic(a=deque([ROWS]))))
    with pytest.raises(InvalidDefinition, match=r"a set: it can't hold what is given to it.*Use a list"):
        running(lambda: use({ROWS}))
    with pytest.raises(InvalidDefinition, match=r"step 'hidden': it is given .* inside of a Plain"):
        running(hidden)

    assert seen == [(Pydantic(a=deque([[1, 2]])), MappingProxyType({"a": [1, 2]}))]


@pytest.mark.parametrize(
    "box",
    [
        *(Frozen, lambda held: deque([held]), lambda held: functools.partial(print, held), closed),
        *(
            lambda held: UserDict(a=[held]),
            lambda held: ChainMap({}, {"a": held}),
            lambda held: UserList([held]),
        ),
        *(Plain, Slotted, lambda held: {held: 1}, lambda held: [lambda given=held: given]),
    ],
)
def test_outputs_stand_where_airflow_looks(box: Callable[[Any], Any], model_registry: Client) -> None:
    """In other containers Airflow would pass them on as they are; references are resolved there."""

    @step
    def give() -> int:
        return 1

    @step
    def take(x: Any) -> None: ...

    @pipeline
    def of_output() -> None:
        take(box(give()))

    @pipeline
    def of_parameter(n: int = 1) -> None:
        take(box(n))

    for boxed in (of_output, of_parameter):
        with pytest.raises(InvalidDefinition, match="where Airflow does not look"):
            boxed()


@dataclass(eq=False)
class Node:
    """A node of a tree that knows its parent."""

    name: str
    parent: Node | None = None
    children: list[Node] = field(default_factory=list)


@attrs.define(eq=False)
class AttrsNode:
    """The same, of attrs."""

    me: Any = None


class PydanticNode(pydantic.BaseModel):
    """The same, of pydantic."""

    me: Any = None


def _tree() -> Node:
    root = Node("root")
    root.children.append(Node("leaf", root))
    return root


def _endless(value: Any, put: Callable[[Any], None]) -> Any:
    put(value)
    return value


ENDLESS: dict[str, Callable[[], Any]] = {
    "dataclass": _tree,
    "attrs": lambda: _endless(AttrsNode(), lambda node: setattr(node, "me", node)),
    "pydantic": lambda: _endless(PydanticNode(), lambda node: setattr(node, "me", [node])),
    "list": lambda: _endless([1], lambda items: items.append(items)),
    "dict": lambda: _endless({}, lambda items: items.update(me=items)),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_what_holds_itself_is_returned_and_read(name: str, model_registry: Client) -> None:
    """It is saved as it is: the next step finds the circle again."""
    seen = []

    @step
    def make() -> Any:
        return ENDLESS[name]()

    @step
    def read(value: Any) -> None:
        inside = {
            "dataclass": lambda: value.children[0].parent,
            "attrs": lambda: value.me,
            "pydantic": lambda: value.me[0],
            "list": lambda: value[1],
            "dict": lambda: value["me"],
        }
        seen.append(inside[name]() is value)

    @pipeline
    def circle() -> None:
        read(make())

    circle()

    assert seen == [True]


@pytest.mark.parametrize("name", ENDLESS)
def test_a_constant_that_holds_itself_is_refused_when_parsed(name: str) -> None:
    """Airflow would look for outputs in it without an end."""
    value = ENDLESS[name]()

    @step
    def use(value: Any) -> None:
        """Take anything."""

    @pipeline
    def circle() -> None:
        use([value])

    with pytest.raises(
        InvalidDefinition, match=r"step 'use': it is given an? \w+ that holds itself\. Make it in a step"
    ):
        circle()


def _deep() -> Any:
    found: Any = None
    for _ in range(2000):
        found = Frozen(found)
    return found


def test_what_is_too_deep_is_one_error(model_registry: Client) -> None:
    """It can't be looked into, and no pickle holds it."""

    @step
    def make() -> Any:
        return _deep()

    @step
    def use(value: Any) -> None:
        """Take anything."""

    @pipeline
    def returned() -> None:
        make()

    @pipeline
    def given() -> None:
        use(_deep())

    with pytest.raises(NotSerializable, match=r"output 'output' of step 'make' .*nested too deep"):
        returned()
    with pytest.raises(InvalidDefinition, match=r"step 'use': it is given a value that is nested too deep"):
        given()


def _doubled(value: Any, kind: Callable[[Any], Any]) -> Any:
    for _ in range(60):
        value = kind([value, value])
    return value


@pytest.mark.parametrize("kind", [list, Frozen, lambda pair: dict(zip("ab", pair, strict=True))])
def test_parts_that_are_shared_are_looked_at_once(kind: Callable[[Any], Any], model_registry: Client) -> None:
    """Sixty levels, of which each holds the next one twice."""
    seen = []

    @step
    def make() -> str | Any:
        return _doubled(0, kind)

    @step
    def read(value: Any) -> None:
        seen.append(type(value))

    @pipeline
    def shared() -> None:
        read(make())

    shared()
    check_arguments("step 'use'", _doubled(0, kind))

    assert seen == [type(kind([0, 0]))]


def test_a_reference_beside_a_circle_is_refused() -> None:
    """What holds itself can't be made again with a value in it."""
    tree = _tree()
    tree.children.append(ROWS)  # type: ignore[arg-type]

    with pytest.raises(InvalidDefinition, match="it holds itself, and something that has to be replaced"):
        transform(tree, lambda part: 1 if part is ROWS else WALK)
