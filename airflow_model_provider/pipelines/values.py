"""Walking through the values that may hold references: containers, dataclasses and their kind."""

from __future__ import annotations

import copy
import dataclasses
import functools
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from types import FunctionType, MappingProxyType, ModuleType, SimpleNamespace
from typing import Any, Final

from airflow_model_provider.deferring import Uncomputed
from airflow_model_provider.exceptions import InvalidDefinition
from airflow_model_provider.exceptions.base import an, quoted
from airflow_model_provider.lazy import LazyMetadata
from airflow_model_provider.named_artifacts import NamedArtifact
from airflow_model_provider.references import JsonValue, OutputReference, Reference
from airflow_model_provider.selectors import pulled_outputs

#: Returned by a visitor that leaves a value to be walked into.
WALK: Final = object()
#: What UTF-8 or PostgreSQL's JSON has no place for.
UNSENT: Final = re.compile("[\0\ud800-\udfff]")
_LEAVES: Final = (str, int, float, bool, bytes, type(None))


def transform(value: Any, visit: Callable[[Any], Any]) -> Any:
    """
    Return ``value`` with every part replaced for which ``visit`` returns something else than ``WALK``.

    Containers without a replaced part are returned as they are, so that nothing is copied for nothing, and are walked
    through once. What holds a part in a place that can't be looked into is refused by :func:`check_arguments`.

    :raises InvalidDefinition: if a part is replaced in a container that holds itself.
    """
    return _Walk(visit).of(value)


class _Walk:
    """
    One walk through a value.

    :param visit: returns what replaces a part, or ``WALK``.
    """

    def __init__(self, visit: Callable[[Any], Any]) -> None:
        self.visit = visit
        self._path: set[int] = set()
        #: The containers that are as they were: kept, so that no other object gets their ids.
        self._unchanged: dict[int, Any] = {}
        #: Those that hold themselves.
        self.endless: dict[int, Any] = {}

    def of(self, value: Any) -> Any:
        """Return a value with its parts replaced."""
        if id(value) in self._unchanged:
            return value
        visited = self.visit(value)
        if visited is not WALK:
            return visited
        if type(value) in _LEAVES or _is_whole(value):
            return value
        if id(value) in self._path:
            self.endless[id(value)] = value
            return value
        self._path.add(id(value))
        found = self._walked(value)
        self._path.discard(id(value))
        if found is value:
            self._unchanged[id(value)] = value
        elif id(value) in self.endless:
            problem = "it holds itself, and something that has to be replaced"
            raise InvalidDefinition(an(type(value).__name__), problem, "Keep the two apart.")
        return found

    def _walked(self, value: Any) -> Any:
        if isinstance(value, dict | MappingProxyType):
            return _mapping(value, self._named(value))
        if isinstance(value, list | tuple | set | frozenset | deque):
            return _sequence(value, list(map(self.of, value)))
        if isinstance(value, functools.partial):
            return _partial(value, self.of(value.args), self.of(value.keywords))
        names = _fields(value)
        if names is None:
            return value
        old = {name: getattr(value, name, None) for name in names}
        new = self._named(old)
        return _object(value, {name: item for name, item in new.items() if item is not old[name]})

    def _named(self, items: Mapping[Any, Any]) -> dict[Any, Any]:
        return dict(zip(items, map(self.of, items.values()), strict=True))  # each frame less is a level more


def as_airflow(part: Any) -> Any:
    """Let a visitor look into the containers that Airflow looks into for templates, and into no others."""
    looks = isinstance(part, dict | list | tuple | set) and not isinstance(part, Uncomputed)
    return WALK if looks else part


def _is_whole(value: Any) -> bool:
    """Return whether nobody looks into a value: it stands for another one, or belongs to Airflow, as an operator."""
    if isinstance(value, Uncomputed | OutputReference | type | ModuleType):
        return True
    return any(kind.__module__.partition(".")[0] == "airflow" for kind in type(value).__mro__)


def _mapping(value: Any, items: dict[Any, Any]) -> Any:
    changed = {key: item for key, item in items.items() if item is not value[key]}
    if not changed:
        return value
    if type(value) is dict:
        return items
    if isinstance(value, MappingProxyType):
        return MappingProxyType(items)
    clone = copy.copy(value)  # as a defaultdict, it knows more than its items
    for key, item in changed.items():  # a Counter would add
        clone[key] = item
    return clone


def _sequence(value: Any, items: list[Any]) -> Any:
    if all(new is old for new, old in zip(items, value, strict=True)):
        return value
    if hasattr(value, "_make"):  # a named tuple
        return value._make(items)
    if isinstance(value, deque):
        return type(value)(items, value.maxlen)
    try:
        return type(value)(items)
    except TypeError as err:
        kind = type(value).__name__
        raise InvalidDefinition(
            f"a {kind}", f"it can't hold what is given to it ({err})", "Use a list."
        ) from err


def _partial(value: Any, args: Any, keywords: Any) -> Any:
    unchanged = args is value.args and keywords is value.keywords
    return value if unchanged else type(value)(value.func, *args, **keywords)


def _fields(value: Any) -> list[str] | None:
    """Return the attributes that make a value, of a dataclass, an attrs or pydantic class, a namespace; else None."""
    if dataclasses.is_dataclass(value):
        return [item.name for item in dataclasses.fields(value)]
    if hasattr(type(value), "__attrs_attrs__"):
        return [item.name for item in type(value).__attrs_attrs__]
    if isinstance(value, SimpleNamespace) or hasattr(type(value), "__pydantic_core_schema__"):
        return [*vars(value), *(getattr(value, "__pydantic_extra__", None) or ())]
    return None


def _object(value: Any, changed: Mapping[str, Any]) -> Any:
    if not changed:
        return value
    if hasattr(value, "model_copy"):  # of pydantic
        return value.model_copy(update=changed)
    clone = copy.copy(value)
    for name, new in changed.items():
        object.__setattr__(clone, name, new)  # frozen ones too
    return clone


def held_in(value: Any, is_meant: Callable[[Any], bool]) -> list[Any]:
    """Return the parts of a value that are meant, at any depth; what is in such a part is not looked at."""
    found: list[Any] = []

    def visit(part: Any) -> Any:
        if not is_meant(part):
            return WALK
        found.append(part)
        return part

    transform(value, visit)
    return found


def check_texts(subject: str, value: Any, steps: Callable[[str, str], bool]) -> None:
    """
    Refuse a text that was made of a step's output: the task would not wait for that step.

    :param steps: whether a task of this id, in the DAG of this id, is a step of what is built here.
    :raises InvalidDefinition: naming the step.
    """

    def visit(part: Any) -> Any:
        if isinstance(part, str):
            for task_id, dag_id in pulled_outputs(part):
                if steps(task_id, dag_id):
                    problem = f"it is given a text that was made of the output of step {task_id!r}"
                    raise InvalidDefinition(
                        subject, problem, "Pass the output, and make the text in the step."
                    )
        return WALK

    transform(value, visit)


def references_in(value: Any) -> list[Any]:
    """Return the references that a value holds, at any depth, their defaults and ``Model``s too."""
    found: list[Any] = []
    for reference in map(_reference_of, held_in(value, lambda part: _reference_of(part) is not None)):
        while reference is not None:
            found.append(reference)
            reference = reference.fallback
    return found


def _reference_of(part: Any) -> Reference | None:
    found = getattr(part, "reference", None) if not getattr(part, "makes_version", True) else part
    return found if isinstance(found, Reference) else None


def holds_itself(value: Any, visit: Callable[[Any], Any]) -> bool:
    """Return whether a value holds itself, or is nested without an end that anybody could reach."""
    walk = _Walk(visit)
    try:
        walk.of(value)
    except RecursionError:
        return True
    return bool(walk.endless)


def check_arguments(subject: str, value: Any) -> None:
    """
    Refuse references in places that can't be looked into: they would reach the step's code as they are.

    :param subject: the step, for the error.
    :raises InvalidDefinition: for an iterator, for a key of a dict, a closure or an object that holds one, for a key
        that UTF-8 or PostgreSQL's JSON can't hold, and for what holds itself or is nested too deep: Airflow would look
        for outputs in it without an end.
    """

    def visit(part: Any) -> Any:
        if (problem := getattr(type(part), "not_an_argument", None)) is not None:
            raise InvalidDefinition(subject, f"it is given {quoted(part)}, {problem}", "Pass an output.")
        if isinstance(part, LazyMetadata):
            advice = "Pass the version itself, or a value: run_metadata['accuracy']."
            raise InvalidDefinition(
                subject, f"it is given {part!r} as a whole, which can't be resolved", advice
            )
        if type(part) in _LEAVES or _is_whole(part):
            return part
        if isinstance(part, Iterator):
            problem = f"it is given {quoted(part)}, which can be read only once"
            raise InvalidDefinition(subject, problem, "Pass a list.")
        for problem, advice in _hidden(part):
            raise InvalidDefinition(subject, f"it is given {problem}", advice)
        return WALK

    walk = _Walk(visit)
    try:
        walk.of(value)
    except RecursionError:
        problem = "it is given a value that is nested too deep to be looked into"
        raise InvalidDefinition(subject, problem, "Make it in a step, and pass its output.") from None
    for part in walk.endless.values():
        problem = f"it is given {an(type(part).__name__)} that holds itself"
        raise InvalidDefinition(subject, problem, "Make it in a step, and pass its output.")


def _hidden(part: Any) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with a container or an object that is given to a step, and what helps."""
    for key in part if isinstance(part, dict) else ():
        if type(key) is str and UNSENT.search(key):
            problem = f"a dict with the key {quoted(key)}, which Airflow can't keep"
            yield problem, "Make the dict in a step, and pass its output."
    for held, place in _unseen_by_airflow(part):
        problem = f"{held!r} {place}, where Airflow does not look"
        yield problem, "Pass it as an argument, or in a list, tuple or dict."
    for held, place in out_of_reach(part):
        problem = f"{held!r} {place}, where it can't be resolved"
        yield problem, "Pass it as an argument, or in a list, a dict or a dataclass."


def _unseen_by_airflow(part: Any) -> Iterator[tuple[Any, str]]:
    """Find the outputs and parameters that Airflow does not come to, one object deep: it would pass them on raw."""
    inside, place = part, f"inside of a {type(part).__name__}"
    if isinstance(part, dict):
        inside, place = list(part), "as the key of a dict"
    elif isinstance(part, list | tuple | set):
        return
    elif isinstance(part, FunctionType):
        inside, place = _given(part), f"inside of function {part.__name__!r}"
    elif not _is_walked(part):
        inside = _attributes(part)
    yield from ((held, place) for held in held_in(inside, _is_late))


def _is_late(part: Any) -> bool:
    """Whether a part is an output or a parameter, of which a task knows the value."""
    if isinstance(part, JsonValue):
        return False
    return isinstance(part, Uncomputed) or hasattr(type(part), "iter_references")


def out_of_reach(
    part: Any, is_meant: Callable[[Any], bool] = lambda item: isinstance(item, JsonValue)
) -> Iterator[tuple[Any, str]]:
    """Find the references that :func:`transform` doesn't come to, one object deep, and where each is."""
    if type(part) in _LEAVES:
        return
    if isinstance(part, Mapping):
        yield from ((held, "as the key of a dict") for key in part for held in held_in(key, is_meant))
    if isinstance(part, FunctionType):
        named = [part.__globals__.get(name) for name in part.__code__.co_names]
        # A model in a function is what its code uses.
        found = held_in([_given(part), named], lambda item: isinstance(item, Reference | NamedArtifact))
        yield from ((held, f"inside of function {part.__name__!r}") for held in found)
    elif not _is_walked(part):
        kind = type(part).__name__
        yield from ((held, f"inside of a {kind}") for held in held_in(_attributes(part), is_meant))


def _is_walked(part: Any) -> bool:
    known = (dict, list, tuple, set, frozenset, deque, MappingProxyType, functools.partial)
    return isinstance(part, known) or _fields(part) is not None


def _given(function: FunctionType) -> list[Any]:
    """What a function was given when it was made: its closure and its defaults."""
    cells = [_content(cell) for cell in function.__closure__ or ()]
    return [cells, function.__defaults__, function.__kwdefaults__]


def _attributes(value: Any) -> list[Any]:
    if str(_own(value, "dtype")) == "object" and hasattr(type(value), "tolist"):  # an array of objects
        return [value.tolist()]
    slots = [name for kind in type(value).__mro__ for name in _named(vars(kind).get("__slots__", ()))]
    return [*(_own(value, "__dict__") or {}).values(), *(_own(value, name) for name in slots)]


def _own(value: Any, name: str) -> Any:
    """Return an attribute that an object has without computing it; its class may raise whatever it likes."""
    try:
        return object.__getattribute__(value, name)
    except Exception:
        return None


def _named(slots: Any) -> list[str]:
    return [slots] if isinstance(slots, str) else list(slots)


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # it is empty yet
        return None
