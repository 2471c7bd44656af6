"""A pipeline that holds other Airflow tasks, run here and now through Airflow's ``dag.test()``."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.exceptions import SerializationError

from airflow_model_provider import settings
from airflow_model_provider.addresses import CONN_TYPE, connection_variable
from airflow_model_provider.dag_builder import PipelineGroup, build_dag
from airflow_model_provider.exceptions import InvalidDefinition, PipelineFailed
from airflow_model_provider.exceptions.base import quoted
from airflow_model_provider.handles import Artifact, ModelVersion
from airflow_model_provider.limits import is_json
from airflow_model_provider.local_run import announce, chosen_workspace, say
from airflow_model_provider.operators.close_version import CloseVersionOperator
from airflow_model_provider.operators.step import StepOperator
from airflow_model_provider.pipelines.mapping import PART_OF_OUTPUT
from airflow_model_provider.pipelines.results import PipelineResult, StepResult
from airflow_model_provider.pipelines.trigger_rules import summary
from airflow_model_provider.registry.entities import RunKey
from airflow_model_provider.selectors import Selector
from airflow_model_provider.stage_uri import DEFAULT_CONN_ID

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow.sdk import DAG

    from airflow_model_provider.pipelines.definition import PipelineDefinition
    from airflow_model_provider.workspace import Workspace

_NO_DATABASE = (
    "It needs a database (airflow db migrate) and this file in the DAGs folder of that AIRFLOW_HOME."
)
_UNSERIALIZED = "Airflow keeps the constants of a Dag as text. Make the value in a step, and pass its output."
_CONNECTION = connection_variable(DEFAULT_CONN_ID)


def dag_with_other_tasks(pipeline: PipelineDefinition) -> DAG | None:
    """Return the pipeline's DAG if it holds tasks that aren't steps, which a local run couldn't run."""
    dag = build_dag(pipeline)
    return dag if _other_tasks(dag) else None


def _other_tasks(dag: DAG) -> list[str]:
    ours = (StepOperator, CloseVersionOperator)
    groups = dag.task_group.get_task_group_dict().values()
    others = [
        str(group.group_id) for group in groups if group.group_id and not isinstance(group, PipelineGroup)
    ]
    return others + [
        task.task_id
        for task in dag.tasks
        if not issubclass(getattr(task, "operator_class", type(task)), ours)
    ]


def run(
    pipeline: PipelineDefinition,
    dag: DAG,
    conf: Mapping[str, Any],
    *,
    logical_date: datetime | None = None,
    registry: Workspace | None = None,
    raise_on_failure: bool = True,
) -> PipelineResult:
    """
    Run a DAG through ``dag.test()`` and return what a local run returns.

    :param conf: the arguments that it is given, which Airflow keeps as JSON.
    :param registry: where its steps write, if it isn't the configured registry.
    :raises InvalidDefinition: if ``dag.test()`` can't run it: no migrated database, a file outside the DAGs folder, an
        argument that is no JSON value.
    :raises PipelineFailed: if tasks failed.
    """
    for name, value in conf.items():
        if not is_json(value):
            problem = (
                f"{name}={quoted(value)} is no JSON value, and with other tasks than steps it runs in Airflow"
            )
            advice = "Give text, numbers, lists or dicts, and let a step make the object of them."
            raise InvalidDefinition(f"pipeline {pipeline.name!r}", problem, advice)
    workspace = registry or chosen_workspace(None)
    announce(workspace)
    say(f"  through Airflow's dag.test(), for these are not steps: {', '.join(_other_tasks(dag))}")
    date = logical_date or datetime.now(UTC)
    with _as_default(workspace):
        try:
            dag_run = dag.test(run_conf=dict(conf), logical_date=date)
        except Exception as err:
            advice = _UNSERIALIZED if isinstance(err, SerializationError) else _NO_DATABASE
            said = next(iter(str(err).splitlines()), "")
            problem = f"dag.test() can't run it ({type(err).__name__}: {said})"
            raise InvalidDefinition(f"pipeline {pipeline.name!r}", problem, advice) from err
    closing = {task.task_id for task in dag.tasks if isinstance(task, CloseVersionOperator)}
    steps = _results([item for item in dag_run.get_task_instances() if item.task_id not in closing])
    key = RunKey(settings.deployment(), dag.dag_id, dag_run.run_id)
    for made in workspace.registry.made_in(key):
        artifact: Artifact[Any] = Artifact(workspace, made.artifact)
        result = steps.get(made.attempt.task_id)
        if result is not None and made.output is not None and PART_OF_OUTPUT not in made.output:
            if result.mapped:
                result.outputs.setdefault(made.output, []).append(artifact)
            else:
                result.outputs[made.output] = artifact
    failed = [name for name, result in steps.items() if result.state == "failed"]
    if failed:
        error = PipelineFailed(pipeline.name, tuple(failed))
        if raise_on_failure and str(dag_run.state) == "failed":
            raise error
        for name in failed:
            steps[name].error = error
    version = _version(pipeline, workspace, key)
    return PipelineResult(key.run_id, str(dag_run.state), date, version, steps)


def _results(task_instances: list[Any]) -> dict[str, StepResult]:
    found: dict[str, StepResult] = {}
    for task in sorted(task_instances, key=lambda item: item.map_index):
        result = found.setdefault(task.task_id, StepResult(task.task_id, mapped=task.map_index >= 0))
        result.instances.append(str(task.state))
        result.state = summary(result.instances)
    return found


def _version(pipeline: PipelineDefinition, workspace: Workspace, run: RunKey) -> ModelVersion | None:
    """The version that the run made or pinned for the pipeline's model, if it came to that."""
    model = pipeline.model
    if model is None:
        return None
    registry = workspace.registry
    if model.makes_version:
        made = [item for item in registry.list_versions(model.name) if item.run == run]
        return ModelVersion(workspace, made[0]) if made else None
    pins = registry.resolutions(model=model.name, dag_id=run.dag_id, run_id=run.run_id)
    wanted = [pin for pin in pins if pin.selector == str(model.reference.selector) and pin.number is not None]
    if not wanted:
        return None
    return ModelVersion(workspace, registry.get_version(model.name, Selector.parse(wanted[-1].number)))


@contextmanager
def _as_default(registry: Workspace) -> Iterator[None]:
    """Make a registry the default connection of the tasks, whatever Airflow keeps: they run in this process."""
    address, before = registry.address.absolute(), os.environ.get(_CONNECTION)
    extra = {"url": address.url, "store": address.store, "storage_options": dict(address.storage_options)}
    os.environ[_CONNECTION] = json.dumps({"conn_type": CONN_TYPE, "extra": extra})
    try:
        yield
    finally:
        if before is None:
            del os.environ[_CONNECTION]
        else:
            os.environ[_CONNECTION] = before
