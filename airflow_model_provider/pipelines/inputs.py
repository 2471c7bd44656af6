"""The inputs of one step: loaded or handed over unloaded, checked against its annotations, and its own to change."""

from __future__ import annotations

import copy
import functools
import inspect
import json
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from airflow_model_provider.exceptions import InputNotFound
from airflow_model_provider.exceptions.base import quoted
from airflow_model_provider.handles import Artifact, ModelVersion
from airflow_model_provider.materializers.json import is_small_json
from airflow_model_provider.model import Model
from airflow_model_provider.named_artifacts import AnyReference
from airflow_model_provider.pipelines.outputs import read_annotation
from airflow_model_provider.pipelines.values import WALK, transform
from airflow_model_provider.typecheck import check_recorded, check_value

if typing.TYPE_CHECKING:
    from airflow_model_provider.registry.entities import RunKey
    from airflow_model_provider.workspace import Workspace


class SmallOutput:
    """
    A step's output that travelled as the value it is; its artifact is looked up only if it is asked for.

    :param value: the value.
    :param find: looks the artifact up; None if it is not there any more.
    """

    def __init__(self, value: Any, find: Callable[[], Artifact[Any] | None]) -> None:
        self.value, self._find = value, find

    def __deepcopy__(self, memo: object) -> SmallOutput:
        return SmallOutput(copy.deepcopy(self.value), self._find)

    def handle(self) -> Artifact[Any] | None:
        """Return the handle of its artifact."""
        return self._find()


class Source(NamedTuple):
    """
    The step whose output an argument is.

    :param find: looks up the output's artifact, by map index and value.
    :param mapped: whether the argument is the list of the outputs of all instances.
    """

    find: Callable[[int, Any], Artifact[Any] | None]
    mapped: bool = False


def with_sources(given: Any, value: Any, source_of: Callable[[Any], Source | None]) -> Any:
    """
    Return an argument whose small values know which artifacts they are.

    :param given: the argument as it stands in the definition.
    :param value: the argument as the task has received it.
    :param source_of: the step whose output a part of the definition is; None for any other part.
    """
    source = source_of(given)
    if source is not None and source.mapped and isinstance(value, list):
        return [_small(item, source, index) for index, item in enumerate(value)]
    if source is not None:
        return _small(value, source, -1)
    if isinstance(given, dict) and type(value) is dict:
        return {name: with_sources(given.get(name), item, source_of) for name, item in value.items()}
    if isinstance(given, list | tuple) and type(value) in (list, tuple) and len(given) == len(value):
        pairs = zip(given, value, strict=True)
        return type(value)(with_sources(part, item, source_of) for part, item in pairs)
    return value


def with_sources_of_elements(
    mapped: Any, values: Mapping[str, Any], source_of: Callable[[Any], Source | None], index: int
) -> dict[str, Any]:
    """
    Return the arguments of an instance whose small values know of which instance of a mapped step they are the output.

    :param mapped: what the step is mapped over, by argument; anything else knows nothing.
    :param values: the arguments as the instance has received them.
    :param index: the instance's.
    """
    found = dict(values)
    given = mapped if isinstance(mapped, Mapping) else {}
    for name in given.keys() & values.keys():
        source = source_of(given[name])
        if source is not None and source.mapped:
            found[name] = _small(values[name], source, index)
    return found


def _small(value: Any, source: Source, index: int) -> Any:
    return SmallOutput(value, lambda: source.find(index, value)) if is_small_json(value) else value


def registered(
    workspace: Callable[[], Workspace], run: RunKey, task_id: str, output: str
) -> Callable[[int, Any], Artifact[Any] | None]:
    """
    Return what finds the artifact of a step's output in the registry.

    :param workspace: opens the registry that the step saves its outputs in.
    :param run: the run that the step is a task of.
    """

    @functools.cache
    def handles() -> list[Artifact[Any]]:
        return [
            Artifact(workspace(), record) for record in workspace().registry.outputs_of(run, task_id, output)
        ]

    return lambda index, value: that_holds(value, handles(), index)


def that_holds(value: Any, handles: Iterable[Artifact[Any]], index: int) -> Artifact[Any] | None:
    """
    Return the handle of the artifact that holds a small value, of this map index if there is one.

    In Airflow a list of the outputs of a mapped step leaves out instances that were skipped.
    """
    said = json.dumps(value)
    for handle in sorted(handles, key=lambda handle: handle.record.map_index != index):
        if json.dumps(handle.load()) == said:
            return handle
    return None


class InputHandles(Mapping[str, Any]):
    """The handles of the artifacts that a step's parameters came from, by parameter."""

    def __init__(self, step: str) -> None:
        self._step = step
        self._found: dict[str, list[Artifact[Any] | SmallOutput]] = {}

    def note(self, parameter: str, found: list[Artifact[Any] | SmallOutput]) -> None:
        """Note what a parameter came from."""
        if found:
            self._found[parameter] = found

    def __getitem__(self, parameter: str) -> Any:
        if parameter not in self._found:
            raise InputNotFound(self._step, parameter, tuple(self._found))
        found = (part.handle() if isinstance(part, SmallOutput) else part for part in self._found[parameter])
        handles = [handle for handle in found if handle is not None]
        if not handles:
            raise InputNotFound(
                self._step, parameter, tuple(name for name in self._found if name != parameter)
            )
        return handles[0] if len(handles) == 1 else handles

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def __contains__(self, parameter: object) -> bool:
        return parameter in self._found


class Inputs:
    """
    Turns the arguments of a step into what its code is given.

    :param step: the step's name, for errors.
    :param bound: its arguments; references, handles and small outputs stand in them at any depth.
    :param resolved: returns what a reference is pinned to.
    """

    def __init__(
        self,
        step: str,
        bound: inspect.BoundArguments,
        resolved: Callable[[AnyReference], Any],
    ) -> None:
        self._step, self._bound, self._resolved = step, bound, resolved
        self.handles = InputHandles(step)

    def load(self, function: Callable[..., Any]) -> inspect.BoundArguments:
        """
        Return the arguments for a function.

        :raises WrongType: if one does not fit its annotation; the function has not run then.
        """
        arguments = {
            name: self._load(name, value, read_annotation(function, name))
            for name, value in self._bound.arguments.items()
        }
        return inspect.BoundArguments(self._bound.signature, arguments)

    def _load(self, parameter: str, value: Any, annotation: Any) -> Any:
        check = self._check(parameter, annotation)
        keep_handle = asks_for_handle(annotation)
        handles: list[Artifact[Any] | SmallOutput] = []
        labels: list[str] = []

        def visit(part: Any) -> Any:
            found = self._found(part)
            if found is WALK:
                return WALK
            if isinstance(found, SmallOutput):
                handles.append(found)
                return (found.handle() or found.value) if keep_handle else found.value
            label = part.reference if isinstance(part, Model) else part
            labels.append(repr(found if isinstance(found, Artifact | ModelVersion) else label))
            if not isinstance(found, Artifact):
                return found
            handles.append(found)
            if part is value:
                check.recorded(found)
            return found if keep_handle else found.load()

        value = own_copy(value)
        loaded = transform(value, visit)
        self.handles.note(parameter, handles)
        check.value(loaded, _called(loaded, labels))
        return loaded

    def _found(self, part: Any) -> Any:
        if isinstance(part, Artifact | SmallOutput):
            return part
        reference = part.reference if isinstance(part, Model) else part
        return self._resolved(reference) if isinstance(reference, AnyReference) else WALK

    def _check(self, parameter: str, annotation: Any) -> _Check:
        declared = self._bound.signature.parameters[parameter]
        if declared.kind is declared.VAR_POSITIONAL:
            annotation = tuple[annotation, ...]
        elif declared.kind is declared.VAR_KEYWORD:
            annotation = dict[str, annotation]
        return _Check(self._step, parameter, annotation, optional=declared.default is None)


class _Check(NamedTuple):
    """What one parameter of a step accepts."""

    step: str
    parameter: str
    annotation: Any
    optional: bool

    def recorded(self, artifact: Artifact[Any]) -> None:
        """Refuse an artifact that is known not to fit, before it is loaded."""
        names = artifact.record.payload.type_names
        check_recorded(self.annotation, names, what=repr(artifact), **self._said())

    def value(self, value: Any, what: str) -> None:
        """Refuse a value that does not fit."""
        check_value(self.annotation, value, what=what, **self._said())

    def _said(self) -> dict[str, Any]:
        return {"step": self.step, "parameter": self.parameter, "optional": self.optional}


def _called(value: Any, labels: list[str]) -> str:
    """How an error calls an input: by its references, else by its value if that is short."""
    if labels:
        return labels[0] if len(labels) == 1 else f"[{', '.join(labels)}]"
    return quoted(value) if type(value) in (str, int, float, bool, list, dict, tuple) else "its value"


def asks_for_handle(annotation: Any) -> bool:
    """Return whether a parameter is annotated ``Artifact[...]``, alone or inside a list, a dict or an optional."""
    if annotation is Artifact or typing.get_origin(annotation) is Artifact:
        return True
    return any(asks_for_handle(part) for part in typing.get_args(annotation))


def own_copy(value: Any) -> Any:
    """Return a value that a step can change without another one's seeing it; what can't be copied stays shared."""
    try:
        return copy.deepcopy(value)
    except Exception:  # a lock, a connection, a generator
        kind = type(value)
        if kind in (list, tuple, set, frozenset):
            return kind(own_copy(item) for item in value)
        return {key: own_copy(item) for key, item in value.items()} if kind is dict else value
