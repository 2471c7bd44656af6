"""Definitions of pipelines and steps: plain data, checked before anything is built or run."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from airflow_model_provider.exceptions import InvalidDefinition, InvalidName
from airflow_model_provider.exceptions.base import quoted
from airflow_model_provider.limits import check_id
from airflow_model_provider.model import Model
from airflow_model_provider.pipelines.outputs import Output, declared_outputs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True)
class StepDefinition:
    """
    A step as its decorator was given it.

    :param function: the step's code.
    :param name: the task id.
    :param model: the model of this step, which beats the pipeline's.
    :param options: task arguments, passed straight to Airflow.
    :param substitutions: values of placeholders in output names.
    """

    function: Callable[..., Any]
    name: str
    model: Model | None = None
    options: dict[str, Any] = field(default_factory=dict, hash=False)
    substitutions: Mapping[str, str] = field(default_factory=dict, hash=False)

    @cached_property
    def outputs(self) -> tuple[Output, ...]:
        """The declared outputs."""
        return declared_outputs(self.function, self.substitutions)

    @cached_property
    def signature(self) -> inspect.Signature:
        """The function's signature."""
        return _signature(self.function)


@dataclass
class Role:
    """
    What ``@setup``, ``@teardown`` and ``@result`` of Airflow say of a task, by Airflow's names for it.

    :param is_setup: whether it goes before others and has to succeed for them.
    :param is_teardown: whether it cleans up after its setup, whatever became of the tasks between them.
    :param on_failure_fail_dagrun: whether the run fails if this teardown does.
    :param returns_dag_result: whether what it returns is the Dag's result.
    """

    is_setup: bool = False
    is_teardown: bool = False
    on_failure_fail_dagrun: bool = False
    returns_dag_result: bool = False

    def check(self, subject: str, options: Mapping[str, Any]) -> None:
        """
        Refuse a trigger rule of a teardown, which Airflow sets.

        :raises InvalidDefinition: if there is one.
        """
        if self.is_teardown and "trigger_rule" in options:
            raise InvalidDefinition(
                subject, "it is a teardown and has a trigger_rule", "Leave trigger_rule out: Airflow sets it."
            )


#: Whatever letters: Airflow takes those of any language.
_AIRFLOW_ID = re.compile(r"[\w.-]+")
#: A file of a thousand tasks has a few functions.
_signature = lru_cache(maxsize=64)(inspect.signature)


@dataclass(frozen=True)
class PipelineDefinition:
    """
    A pipeline as its decorator was given it.

    :param function: the body.
    :param name: the pipeline's name, which is the DAG's id.
    :param model: the model of all its steps.
    :param options: DAG arguments, passed straight to Airflow.
    :param undefined: the names that its body uses and that were not defined above it.
    """

    function: Callable[..., Any]
    name: str
    model: Model | None = None
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    undefined: frozenset[str] = frozenset()


def makes_version_of(model: Model | None) -> tuple[str | None, str] | None:
    """Return connection and name of the model whose new version a step with this model writes into, or None."""
    return (model.conn_id, model.name) if model is not None and model.makes_version else None


def artifact_name(dag_id: str, task_id: str, output: Output) -> str:
    """
    Return what an output's artifact is called: the name in its annotation, else pipeline, step and output.

    Names that the registry would not accept are shortened with a digest, so that they stay distinct.
    """
    if output.config.name is not None:
        return output.config.name
    full = f"{dag_id}.{task_id}.{output.name}"
    name = re.sub(r"[^A-Za-z0-9._-]", "_", full)
    if name == full and len(name) <= 100 and name[0].isalnum():
        return name
    return f"{name.lstrip('._-')[:83]}.{sha256(full.encode()).hexdigest()[:16]}"


def first_id(what: str, *given: object) -> str:
    """
    Return the first id that is given, and not None.

    :raises InvalidName: if it can't be the id of a Dag or a task, in Airflow or in the registry.
    """
    found = check_id(what, next((found for found in given if found is not None), None))
    if not _AIRFLOW_ID.fullmatch(found):
        raise InvalidName(what, found, "It must be of letters, digits, '-', '_' and '.', as in Airflow.")
    return found


def check_model(subject: str, model: object) -> Model | None:
    """
    Return ``model`` if it is one.

    :raises InvalidDefinition: if it is anything else than a ``Model`` or None.
    """
    if model is None or isinstance(model, Model):
        return model
    raise InvalidDefinition(subject, f"model={quoted(model)} is not a Model", "Write model=Model(name=...).")
