"""The arguments of Airflow's tasks and DAGs, known without importing Airflow; a test compares them with Airflow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from airflow_model_provider import host
from airflow_model_provider.exceptions import InvalidDefinition
from airflow_model_provider.exceptions.base import quoted
from airflow_model_provider.selectors import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable

#: What ``@step`` and ``@pipeline`` take by themselves.
STEP: Final = ("name", "model", "substitutions", "task_id")
PIPELINE: Final = ("name", "model", "dag_id")
TASK_ARGUMENTS: Final = frozenset(
    """
    allow_nested_operators dag default_args depends_on_past do_xcom_push doc doc_json doc_md doc_rst doc_yaml email
    email_on_failure email_on_retry end_date execution_timeout executor executor_config
    ignore_first_depends_on_past inlets logger_name map_index_template max_active_tis_per_dag
    max_active_tis_per_dagrun max_retry_delay on_execute_callback on_failure_callback on_retry_callback
    on_skipped_callback on_success_callback outlets owner params pool pool_slots post_execute pre_execute
    priority_weight queue render_template_as_native_obj resources retries retry_delay retry_exponential_backoff
    retry_policy run_as_user sla start_date task_display_name task_group trigger_rule wait_for_downstream
    wait_for_past_depends_before_skipping weight_rule
    """.split()  # noqa: SIM905 - a line each would be all one sees of this file
)
DAG_ARGUMENTS: Final = frozenset(
    """
    access_control allowed_run_types auto_register catchup dag_display_name dagrun_timeout deadline default_args
    description disable_bundle_versioning doc_md end_date fail_fast is_paused_upon_creation
    jinja_environment_kwargs max_active_runs max_active_tasks max_consecutive_failed_dag_runs on_failure_callback
    on_success_callback owner_links params render_template_as_native_obj rerun_with_latest_version schedule
    sla_miss_callback start_date tags task_group template_searchpath template_undefined user_defined_filters
    user_defined_macros
    """.split()  # noqa: SIM905 - a line each would be all one sees of this file
)
_OUTPUTS: Final = "Declare several outputs instead: -> tuple[Annotated[float, 'accuracy'], ...]."
_NO_CACHE: Final = "Airflow runs every task of a Dag run. Leave it out."
_CALLBACK: Final = "Airflow's name is {}_callback."
#: Arguments that other tools know, and what does the same here.
_HINTS: Final = {
    "cache_policy": _NO_CACHE,
    "enable_artifact_metadata": "Pass metadata to log_metadata() in the step. Leave it out.",
    "enable_cache": _NO_CACHE,
    "environment": "Set environment variables where the workers run.",
    "experiment_tracker": "Pass metadata to log_metadata() in the step. Leave it out.",
    "multiple_outputs": _OUTPUTS,
    "on_failure": _CALLBACK.format("on_failure"),
    "on_success": _CALLBACK.format("on_success"),
    "output_materializers": "Set format= in the output's ArtifactConfig, or register a materializer.",
    "retry": "Airflow's names are retries and retry_delay.",
    "schedule_interval": "Airflow's name is schedule.",
    "secrets": "Use Airflow's connections and variables in the step.",
    "settings": "Use Airflow's queue, pool, executor or executor_config.",
    "step_operator": "Use Airflow's queue, executor or executor_config.",
}


def check_task_arguments(subject: str, given: Iterable[str]) -> None:
    """
    Refuse an argument that no task takes.

    :raises InvalidDefinition: with the nearest name, or with Airflow's name for it.
    """
    _check(subject, given, TASK_ARGUMENTS, STEP, "BaseOperator")


def check_dag_arguments(subject: str, given: Iterable[str]) -> None:
    """
    Refuse an argument that no DAG takes.

    :raises InvalidDefinition: with the nearest name, or with Airflow's name for it.
    """
    _check(subject, given, DAG_ARGUMENTS, PIPELINE, "DAG")


def _check(
    subject: str, given: Iterable[str], arguments: frozenset[str], own: tuple[str, ...], owner: str
) -> None:
    for name in given:
        if name in arguments or (name != "multiple_outputs" and host.airflow_takes(owner, name)):
            continue
        close = nearest(name, sorted({*arguments, *own}))
        hint = _HINTS.get(name) or (f"Did you mean {close!r}?" if close else "")
        what = "a task" if owner == "BaseOperator" else "a DAG"
        known = f"It takes {', '.join(own[:-1])} and the arguments of {what} in Airflow."
        raise InvalidDefinition(subject, f"it has no argument {quoted(name)}", hint or known)
