"""The context of a running step, for tests that call a step as the plain function it is."""

from __future__ import annotations

import logging
import uuid
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_model_provider import settings
from airflow_model_provider.addresses import find_address
from airflow_model_provider.context import running_step
from airflow_model_provider.decorators.step import Step
from airflow_model_provider.exceptions import InvalidDefinition
from airflow_model_provider.exceptions.base import quoted
from airflow_model_provider.execution import StepExecution
from airflow_model_provider.local_templates import LocalTemplates
from airflow_model_provider.pipelines.definition import check_model
from airflow_model_provider.pipelines.task import Task
from airflow_model_provider.registry.entities import Attempt, RunKey
from airflow_model_provider.resolver import Moment, Resolver
from airflow_model_provider.workspace import open_workspace

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_model_provider.context import StepContext
    from airflow_model_provider.handles import Artifact
    from airflow_model_provider.model import Model
    from airflow_model_provider.pipelines.definition import StepDefinition

log = logging.getLogger(__name__)


@contextmanager
def step_context(
    step: Step[..., Any] | None = None,
    *,
    model: Model | None = None,
    inputs: Mapping[str, Artifact[Any]] | None = None,
) -> Iterator[StepContext]:
    """
    Run the code of a block as that of a step, so that it can call ``get_step_context()``, ``log_metadata()``, ....

    A version that the step makes is ready when the block ends, and failed if it raises. What the step returns is not
    saved; metadata for outputs is in ``context.output_metadata``.

    :param step: the step that is tested, whose name, outputs and model count; None for a step without outputs.
    :param model: the model, which beats that of the step; without a version the block makes a new one.
    :param inputs: handles for ``get_step_context().inputs``, by parameter.
    :raises InvalidDefinition: if ``step`` is not a step, or ``model`` not a ``Model``.
    :raises StageNotAssigned: if the model's stage has no version.

    >>> def test_training_logs_its_accuracy(model_registry):
    ...     with step_context(train, model=Model("iris_classifier")) as context:
    ...         train(load_data(), c=1.0)
    ...     assert context.model.run_metadata["accuracy"] > 0.9
    """
    definition = _definition(step)
    check_model("step_context()", model)
    name = "step" if definition is None else definition.name
    run = RunKey(settings.deployment(), "test", f"test__{uuid.uuid4()}")
    templates = LocalTemplates(run.run_id, {}, {}, datetime.now(UTC), lambda *_: None)
    resolver = Resolver(
        Attempt(run, name, attempt_id=str(uuid.uuid4())),
        lambda conn_id: open_workspace(find_address(conn_id)),
        log,
        Moment(lambda text: templates.render(text, resolver), templates.dates),
    )
    outputs = () if definition is None else definition.outputs
    own = None if definition is None else definition.model
    task = Task(_nothing, outputs, model or own, producers=lambda: {name: bool(outputs)})
    execution = StepExecution(task, resolver, log)
    execution.pin((), {})
    context = execution.context(inputs or {})
    try:
        with running_step(context):
            yield context
    except BaseException:
        execution.ended("failed")
        raise
    else:
        execution.committed()
    finally:
        if context.has_model:
            context.model.refresh()


def _definition(step: object) -> StepDefinition | None:
    if step is None or isinstance(step, Step):
        return None if step is None else step.definition
    problem = f"it was given {quoted(step)}, which is not a step"
    raise InvalidDefinition("step_context()", problem, "Put @step above the function, or pass none.")


def _nothing() -> None:
    """Stands for the step's code, which the test calls."""
