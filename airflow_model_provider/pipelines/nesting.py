"""A pipeline that is called in the body of another one, or of a DAG: a group of its steps."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from airflow_model_provider.context import PipelineContext, current_pipeline
from airflow_model_provider.exceptions import InvalidDefinition
from airflow_model_provider.pipelines.arguments import bind

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from airflow_model_provider.pipelines.definition import PipelineDefinition


def bound_arguments(
    pipeline: PipelineDefinition, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> inspect.BoundArguments:
    """
    Return the arguments of a pipeline's call by parameter, defaults included: those of ``params=`` come first.

    :raises InvalidDefinition: if they don't fit.
    """
    subject, signature = f"pipeline {pipeline.name!r}", inspect.signature(pipeline.function)
    declared = declared_params(pipeline.options.get("params") or {})
    names = list(signature.parameters)[len(args) :]
    by_params = {name: declared[name] for name in names if name in declared}
    bound = bind(subject, signature, args, {**by_params, **kwargs})
    bound.apply_defaults()
    return bound


def given_arguments(
    bound: inspect.BoundArguments, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """Return those of a pipeline's arguments that its call gives: what ``dag_run.conf`` holds."""
    return bound.signature.bind_partial(*args, **kwargs).arguments


def declared_params(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the defaults of params that are declared to Airflow, some as its ``Param``, which may have none."""
    plain = {name: item.value if type(item).__name__ == "Param" else item for name, item in params.items()}
    return {name: value for name, value in plain.items() if type(value).__name__ != "ArgNotSet"}


def nested(
    pipeline: PipelineDefinition, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[PipelineContext, inspect.BoundArguments]:
    """
    Return the context in which a called pipeline's body runs, and its arguments.

    Its steps belong to its own model, or to that of the pipeline that calls it.

    :raises InvalidDefinition: if the arguments don't fit, or the pipeline calls itself.
    """
    subject, outer = f"pipeline {pipeline.name!r}", current_pipeline()
    bound = bound_arguments(pipeline, args, kwargs)
    bodies = () if outer is None else outer._bodies
    if pipeline.function in bodies:
        raise InvalidDefinition(subject, "its body calls it again", "Call another pipeline.")
    model = pipeline.model or (None if outer is None else outer._model)
    uncalled = {} if outer is None else outer._uncalled
    return PipelineContext(pipeline.name, model, (*bodies, pipeline.function), uncalled), bound


def group_id(pipeline: PipelineDefinition, prefix: str, taken: Collection[str]) -> str:
    """
    Return the id of a called pipeline's group, without its prefix: its name, with a number if that is taken.

    :param prefix: the ids of the groups around it, each with a dot.
    :param taken: the full ids of all tasks and groups.
    """
    name = pipeline.name.replace(".", "_")  # in the ids of groups a dot parts the inner from the outer
    ids = (f"{name}__{number}" if number else name for number in range(len(taken) + 1))
    return next(found for found in ids if f"{prefix}{found}" not in taken)
