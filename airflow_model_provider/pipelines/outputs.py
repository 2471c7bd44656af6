"""What a step declares to return, read from its annotations."""

from __future__ import annotations

import builtins
import contextlib
import inspect
import re
import types
import typing
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Final

from airflow_model_provider.exceptions import InvalidDefinition
from airflow_model_provider.exceptions.base import quoted
from airflow_model_provider.limits import check_mapping, check_text
from airflow_model_provider.selectors import ArtifactType, artifact_type, check_name

if typing.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

#: Keys in XCom that a task has besides its outputs: all that it returned, and the versions that it made or used.
RESULT_KEY: Final = "return_value"
VERSIONS_KEY: Final = "model_versions"
#: Whole numbers below this are exactly the same as floats.
_EXACT: Final = 2**53
_PLACEHOLDER: Final = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True)
class ArtifactConfig:
    """
    How an output is saved; stands in its annotation.

    :param name: the artifact's name.
    :param artifact_type: ``ArtifactType.MODEL``, ``DATA`` or ``DEPLOYMENT``; None takes it from the value's
        type.
    :param is_model_artifact: the older way to say ``artifact_type=ArtifactType.MODEL``.
    :param is_deployment_artifact: the older way to say ``artifact_type=ArtifactType.DEPLOYMENT``.
    :param format: the format to save it in, such as ``skops.file``; None for the default of the value's type.
    :param run_metadata: metadata to attach to each artifact version.
    :raises InvalidDefinition: for an unknown type, contradicting types, or metadata that are not a mapping.

    >>> Annotated[object, ArtifactConfig(name="trained_model", is_model_artifact=True)]  # doctest: +SKIP
    """

    name: str | None = None
    artifact_type: ArtifactType | str | None = None
    is_model_artifact: bool = False
    is_deployment_artifact: bool = False
    format: str | None = None
    run_metadata: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        check_mapping("ArtifactConfig", "run_metadata", self.run_metadata)
        given_format: object = self.format
        if given_format is not None and not isinstance(given_format, str):
            problem = f"format={quoted(self.format)} must be text"
            raise InvalidDefinition("ArtifactConfig", problem, "Example: format='skops.file'.")
        said = {
            "artifact_type": None if self.artifact_type is None else artifact_type(self.artifact_type),
            "is_model_artifact": ArtifactType.MODEL if self.is_model_artifact else None,
            "is_deployment_artifact": ArtifactType.DEPLOYMENT if self.is_deployment_artifact else None,
        }
        given = {name: kind for name, kind in said.items() if kind is not None}
        if len(set(given.values())) > 1:
            problem = f"{' and '.join(given)} contradict each other"
            raise InvalidDefinition("ArtifactConfig", problem, "Keep one of them.")

    @property
    def kind(self) -> ArtifactType | None:
        """The kind that was said, or None."""
        if self.artifact_type is not None:
            return artifact_type(self.artifact_type)
        if self.is_model_artifact:
            return ArtifactType.MODEL
        return ArtifactType.DEPLOYMENT if self.is_deployment_artifact else None


@dataclass(frozen=True)
class Output:
    """
    One declared output.

    :param name: how the step's result calls it.
    :param config: how it is saved; its name is None where the annotation names none.
    """

    name: str
    config: ArtifactConfig = ArtifactConfig()


def declared_outputs(function: Callable[..., Any], substitutions: Mapping[str, str]) -> tuple[Output, ...]:
    """
    Return the outputs of a step: none for ``-> None``, several for a tuple of annotated types, else one.

    :param substitutions: what placeholders in output names stand for.
    :raises InvalidDefinition: if a name is used twice or a placeholder is unknown.
    """
    annotation = return_annotation(function)
    if annotation is None or annotation is type(None):
        return ()
    elements = _elements(annotation)
    several = elements is not None
    outputs = []
    for index, element in enumerate(elements if elements is not None else (annotation,)):
        config = _config(function, element)
        if config.name is not None:
            config = replace(config, name=_filled(function, config.name, substitutions))
        outputs.append(Output(config.name or (f"output_{index}" if several else "output"), config))
    _check_names(f"step {function.__name__!r}", [output.name for output in outputs] if several else [])
    return tuple(outputs)


def _check_names(subject: str, names: list[str]) -> None:
    """Refuse names of which several outputs could not be told apart."""
    for name in names:
        if names.count(name) > 1:
            raise InvalidDefinition(subject, f"two outputs are called {name!r}", "Rename one.")
        if name in (RESULT_KEY, VERSIONS_KEY):
            problem = (
                f"one of its outputs is called {name!r}, under which a task keeps something else in XCom"
            )
            raise InvalidDefinition(subject, problem, "Rename it.")


def check_outputs(function: Callable[..., Any]) -> None:
    """
    Refuse annotations that name an output in two ways, before a step is called.

    :raises InvalidDefinition: if they do, or if a name in them can't be read.
    """
    annotation = return_annotation(function)
    for element in _elements(annotation) or (annotation,):
        _config(function, element)


def declares_tuple(function: Callable[..., Any]) -> bool:
    """Return whether the step returns a tuple of outputs rather than one value."""
    return _elements(return_annotation(function)) is not None


def output_annotations(function: Callable[..., Any]) -> tuple[Any, ...]:
    """Return the annotations of the declared outputs, in their order."""
    annotation = return_annotation(function)
    if annotation is None or annotation is type(None):
        return ()
    elements = _elements(annotation)
    return (annotation,) if elements is None else elements


def is_float(annotation: Any) -> bool:
    """Return whether an annotation means a float, and no int: also where other types are allowed beside it."""
    origin = typing.get_origin(annotation)
    if origin is Annotated:
        return is_float(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        parts = typing.get_args(annotation)
        return any(map(is_float, parts)) and not any(part in (int, Any) for part in parts)
    return getattr(annotation, "__supertype__", annotation) is float  # of a NewType


def as_declared(function: Callable[..., Any], values: Sequence[Any]) -> list[Any]:
    """Return results with a float where one was declared and a whole number returned: XCom can't tell these apart."""
    declared = output_annotations(function)
    return [
        float(value) if type(value) is int and abs(value) < _EXACT and is_float(annotation) else value
        for annotation, value in zip(declared, values, strict=True)
    ]


def return_annotation(function: Callable[..., Any]) -> Any:
    """Return what the function declares to return; ``Any`` where nothing or nothing that can be read here."""
    return read_annotation(function, "return")


def read_annotation(function: Callable[..., Any], name: str) -> Any:
    """
    Return one annotation of a function, evaluated where it is a string, with its ``Annotated`` extras.

    A name that only type checkers import stands for ``Any``; so ``tuple[pd.DataFrame, pd.Series]`` is two outputs.

    :raises InvalidDefinition: if such a name is one of this package or of Annotated, whose meaning would be lost.
    """
    raw = getattr(function, "__annotations__", {}).get(name, Any)
    if not isinstance(raw, str):
        return raw
    holder = types.SimpleNamespace(__annotations__={name: raw})
    function = inspect.unwrap(function)
    names = _Names(function)
    try:
        return typing.get_type_hints(holder, function.__globals__, names, include_extras=True)[name]
    except Exception as err:  # an annotation is code
        if isinstance(err, _Lost) or "Annotated[" in raw:
            raise _lost(function, raw, str(err)) from err
        return Any


def _lost(function: Callable[..., Any], annotation: str, reason: str) -> InvalidDefinition:
    return InvalidDefinition(
        f"step {function.__name__!r}",
        f"the annotation {annotation!r} can't be read ({reason})",
        "Import its names outside of TYPE_CHECKING, or what they say would be lost.",
    )


class _Lost(Exception):
    """A name without which an annotation would mean something else."""


class _Names(dict[str, Any]):
    """The names that an annotation can use; one that only type checkers import is unknown, and stands for Any."""

    def __init__(self, function: Any) -> None:
        cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        for name, cell in cells:
            with contextlib.suppress(ValueError):  # an empty one: its variable is assigned later
                self[name] = cell.cell_contents
        self._globals = function.__globals__

    def __missing__(self, name: str) -> Any:
        if name in self._globals:
            return self._globals[name]
        if hasattr(builtins, name):
            return getattr(builtins, name)
        if name in ("Annotated", "Artifact", "ArtifactConfig", "ArtifactType"):
            raise _Lost(f"name {name!r} is not defined")
        return _Unknown


class _UnknownType(type):
    """The type of what an unknown name stands for: whatever is taken of it is as unknown."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return cls

    def __getitem__(cls, _: Any) -> Any:
        return cls

    def __call__(cls, *_: Any, **__: Any) -> Any:
        return cls

    def __instancecheck__(cls, _: object) -> bool:
        return True


class _Unknown(metaclass=_UnknownType):
    """A type that only type checkers know; every value may be one."""


def _elements(annotation: Any) -> tuple[Any, ...] | None:
    """Return the element types of a tuple that declares several outputs, else None."""
    if typing.get_origin(annotation) is not tuple:
        return None
    elements = typing.get_args(annotation)
    return None if not elements or Ellipsis in elements else elements


def _config(function: Callable[..., Any], annotation: Any) -> ArtifactConfig:
    """Combine what the parts of one output's annotation say: a name, an :class:`ArtifactConfig`, or both."""
    extras = list(_extras(annotation))
    if _Unknown in extras:
        raise _lost(
            function, str(function.__annotations__["return"]), "a name beside the type is not defined"
        )
    configs = [extra for extra in extras if isinstance(extra, ArtifactConfig)]
    names = [extra for extra in extras if isinstance(extra, str)]
    names += [config.name for config in configs if config.name is not None]
    if len(set(names)) > 1 or len(set(map(repr, configs))) > 1:
        said = [*dict.fromkeys(map(repr, names))] if len(set(names)) > 1 else ["two different ArtifactConfig"]
        raise InvalidDefinition(
            f"step {function.__name__!r}",
            f"the annotation of one output says {' and '.join(said)}",
            "Keep one name and one ArtifactConfig.",
        )
    config = configs[0] if configs else ArtifactConfig()
    return replace(config, name=names[0]) if names else config


def _extras(annotation: Any) -> Iterator[Any]:
    """What stands beside a type in ``Annotated``, inside ``Optional`` and unions too."""
    if typing.get_origin(annotation) is Annotated:
        yield from annotation.__metadata__
        annotation = annotation.__origin__
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        for member in typing.get_args(annotation):
            yield from _extras(member)


def _filled(function: Callable[..., Any], name: str, substitutions: Mapping[str, str]) -> str:
    try:
        filled = _PLACEHOLDER.sub(
            lambda found: check_text(f"substitution {found[1]!r}", substitutions[found[1]]),
            check_text("output name", name),
        )
    except KeyError as err:
        raise InvalidDefinition(
            f"step {function.__name__!r}",
            f"the output name {quoted(name)} has a placeholder without a value",
            "Give it with step.with_options(substitutions={...}).",
        ) from err
    return check_name("artifact", filled)
