"""Which arguments of a step in a Dag are outputs of other steps: their small values know their artifacts."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from airflow.sdk import XComArg
from airflow.sdk.definitions.xcom_arg import PlainXComArg

from airflow_model_provider.pipelines.inputs import (
    Source,
    registered,
    with_sources,
    with_sources_of_elements,
)
from airflow_model_provider.pipelines.outputs import declared_outputs, declares_tuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_model_provider.resolver import Resolver


def with_sources_of(
    task: Any, args: Sequence[Any], kwargs: Mapping[str, Any], resolver: Resolver
) -> tuple[list[Any], dict[str, Any]]:
    """
    Return the arguments of a step with the sources of its small values.

    :param task: the step as its Dag defines it: its fields are not rendered; it may be mapped.
    :param args: the positional arguments that it has received.
    :param kwargs: the keyword arguments that it has received.
    """
    fields = task.partial_kwargs if task.is_mapped else vars(task)
    source = functools.partial(_source, task=task, resolver=resolver)
    given_args, given_kwargs = (  # another task may have returned all of them
        () if isinstance(value, XComArg) else value
        for value in (fields.get("op_args"), fields.get("op_kwargs"))
    )
    found: dict[str, Any] = with_sources(dict(given_kwargs or {}), dict(kwargs), source)
    if task.is_mapped:
        mapped, index = task._get_specified_expand_input().value, resolver.attempt.map_index
        found = with_sources_of_elements(mapped, found, source, index)
    return with_sources(list(given_args or ()), list(args), source), found


def _source(part: Any, *, task: Any, resolver: Resolver) -> Source | None:
    """Return the step whose output an argument is; None for any other argument."""
    if not isinstance(part, PlainXComArg):
        return None
    step: Any = part.operator
    said = step.partial_kwargs if step.is_mapped else vars(step)
    function = getattr(step, "python_callable", None) or said.get("python_callable")
    if function is None or not hasattr(getattr(step, "operator_class", type(step)), "pins_in_pre_execute"):
        return None
    names = [output.name for output in declared_outputs(function, said.get("substitutions") or {})]
    is_whole = part.key == "return_value"
    if is_whole and (len(names) != 1 or declares_tuple(function)):
        return None
    model = said.get("step_model")
    conn_id = None if model is None else model.conn_id
    name = names[0] if is_whole else part.key
    find = registered(lambda: resolver.workspace(conn_id), resolver.attempt.run, step.task_id, name)
    group = step.get_closest_mapped_task_group()
    if group is None or not group.has_task(task):
        return Source(find, mapped=step.is_mapped or group is not None)
    return Source(
        lambda _, value: find(resolver.attempt.map_index, value)
    )  # of the same instance of the group
