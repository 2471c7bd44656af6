"""What a step declares to return, read from its annotations."""

from __future__ import annotations

import inspect
import re
import types
import typing
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Final

from airflow_model_provider.exceptions import InvalidDefinition
from airflow_model_provider.exceptions.base import quoted
from airflow_model_provider.limits import check_text
from airflow_model_provider.selectors import ArtifactType, artifact_type, check_name

if typing.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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

    >>> Annotated[object, ArtifactConfig(name="trained_model", is_model_artifact=True)]  # doctest: +SKIP
    """

    name: str | None = None
    artifact_type: ArtifactType | str | None = None
    is_model_artifact: bool = False
    is_deployment_artifact: bool = False
    format: str | None = None
    run_metadata: Mapping[str, Any] = field(default_factory=dict, hash=False)

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
        config = _config(element)
        if config.name is not None:
            config = replace(config, name=_filled(function, config.name, substitutions))
        outputs.append(Output(config.name or (f"output_{index}" if several else "output"), config))
    taken = [output.name for output in outputs]
    for name in taken:
        if taken.count(name) > 1:
            raise InvalidDefinition(
                f"step {function.__name__!r}", f"two outputs are called {name!r}", "Rename one."
            )
    return tuple(outputs)


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


def return_annotation(function: Callable[..., Any]) -> Any:
    """Return what the function declares to return; ``Any`` where nothing or nothing that can be read here."""
    return read_annotation(function, "return")


def read_annotation(function: Callable[..., Any], name: str) -> Any:
    """
    Return one annotation of a function, evaluated where it is a string, with its ``Annotated`` extras.

    A name that only type checkers import can't be evaluated: then it is ``Any``.

    :raises InvalidDefinition: if such an annotation names outputs, which would be lost.
    """
    raw = getattr(function, "__annotations__", {}).get(name, Any)
    if not isinstance(raw, str):
        return raw
    holder = types.SimpleNamespace(__annotations__={name: raw})
    function = inspect.unwrap(function)
    closure = inspect.getclosurevars(function).nonlocals if function.__closure__ else {}
    try:
        return typing.get_type_hints(holder, function.__globals__, dict(closure), include_extras=True)[name]
    except (NameError, AttributeError, TypeError, ValueError) as err:
        if "Annotated[" in raw:
            raise InvalidDefinition(
                f"step {function.__name__!r}",
                f"the annotation {raw!r} can't be read ({err})",
                "Import its names outside of TYPE_CHECKING, or the output's name would be lost.",
            ) from err
        return Any


def _elements(annotation: Any) -> tuple[Any, ...] | None:
    """Return the element types of a tuple that declares several outputs, else None."""
    if typing.get_origin(annotation) is not tuple:
        return None
    elements = typing.get_args(annotation)
    return None if not elements or Ellipsis in elements else elements


def _config(annotation: Any) -> ArtifactConfig:
    if typing.get_origin(annotation) is Annotated:
        for extra in annotation.__metadata__:
            if isinstance(extra, ArtifactConfig):
                return extra
            if isinstance(extra, str):
                return ArtifactConfig(name=extra)
    return ArtifactConfig()


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
