"""The arguments of Airflow's tasks and DAGs, known without importing Airflow; a test compares them with Airflow."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from airflow_model_provider import host
from airflow_model_provider.exceptions import InvalidDefinition
from airflow_model_provider.exceptions.base import quoted
from airflow_model_provider.limits import check_mapping, is_json
from airflow_model_provider.model import Model
from airflow_model_provider.selectors import nearest

if TYPE_CHECKING:
    import inspect
    from collections.abc import Collection, Iterable

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
#: What Airflow fills in where a function has a parameter of that name.
CONTEXT: Final = frozenset(
    """
    asset_state_store conn dag dag_run data_interval_end data_interval_start ds ds_nodash exception
    expanded_ti_count inlet_events inlets logical_date macros map_index_template outlet_events outlets params
    partition_date partition_key prev_data_interval_end_success prev_data_interval_start_success
    prev_end_date_success prev_start_date_success reason run_id task task_instance task_instance_key_str
    task_reschedule_count task_state_store templates_dict test_mode ti triggering_asset_events try_number ts
    ts_nodash ts_nodash_with_tz var
    """.split()  # noqa: SIM905 - as above
)
#: What of it there is in a local run.
LOCAL_CONTEXT: Final = frozenset(
    """
    dag_run data_interval_end data_interval_start ds ds_nodash logical_date params run_id task_instance ti
    try_number ts ts_nodash
    """.split()  # noqa: SIM905 - as above
)
#: What Airflow checks of the arguments that a local run heeds too, or that are often mistaken.
_TYPES: Final[Mapping[str, tuple[tuple[type, ...], str]]] = {
    "retries": ((int,), "a whole number"),
    "retry_delay": ((timedelta, int, float), "a timedelta, or seconds"),
    "execution_timeout": ((timedelta,), "a timedelta. Example: execution_timeout=timedelta(minutes=5)"),
}
#: The texts beside cron that say when a Dag runs.
_SCHEDULES: Final = (
    *("@once", "@continuous", "@hourly", "@daily", "@weekly", "@monthly", "@quarterly", "@yearly"),
    *("@annually", "@midnight"),
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


def check_task_arguments(subject: str, given: Mapping[str, Any]) -> None:
    """
    Refuse an argument that no task takes, and a value that Airflow refuses.

    :raises InvalidDefinition: with the nearest name, or with Airflow's name for it.
    """
    _check(subject, given, TASK_ARGUMENTS, STEP, "BaseOperator")
    _check_values(subject, given)


def _check_values(subject: str, given: Mapping[str, Any]) -> None:
    for name, (types, expected) in _TYPES.items():
        value = given.get(name)
        if value is not None and (not isinstance(value, types) or isinstance(value, bool)):
            raise InvalidDefinition(subject, f"{name}={quoted(value)} must be {expected}")


def check_dag_arguments(subject: str, given: Mapping[str, Any]) -> None:
    """
    Refuse an argument that no DAG takes, and a value that Airflow refuses.

    :raises InvalidDefinition: with the nearest name, or with Airflow's name for it.
    """
    _check(subject, given, DAG_ARGUMENTS, PIPELINE, "DAG")
    if (defaults := given.get("default_args")) is not None:
        example = "Example: default_args={'retries': 2}."
        _check_values(f"default_args of {subject}", check_mapping(subject, "default_args", defaults, example))
    schedule = given.get("schedule")
    if isinstance(schedule, str):
        _check_schedule(subject, schedule)
    for item in schedule if isinstance(schedule, list | tuple) else [schedule]:
        _check_asset(subject, item)


def _check_schedule(subject: str, schedule: str) -> None:
    """Refuse a text that is neither one of Airflow's words nor looks like cron; Airflow reads the fields."""
    if schedule in _SCHEDULES or (not schedule.startswith("@") and len(schedule.split()) in (5, 6, 7)):
        return
    close = nearest(schedule, _SCHEDULES)
    hint = f"Did you mean {close!r}?" if close else f"Words: {', '.join(_SCHEDULES)}."
    problem = f"schedule={quoted(schedule)} is neither a word of Airflow's nor cron"
    raise InvalidDefinition(subject, problem, f"{hint} Cron has five fields: schedule='0 6 * * *'.")


def _check_asset(subject: str, scheduled_on: object) -> None:
    """Refuse a model in the place of its stage's asset."""
    if isinstance(scheduled_on, Model):
        said = f"schedule={scheduled_on!r} is a model, and Airflow schedules on assets"
        raise InvalidDefinition(subject, said, 'Example: schedule=Model("iris", version="production").asset.')


def check_defaults(subject: str, signature: inspect.Signature) -> None:
    """
    Refuse a pipeline's parameter whose default can't be a parameter of a Dag.

    :raises InvalidDefinition: naming it.
    """
    for name, parameter in signature.parameters.items():
        default = parameter.default
        if default is not parameter.empty and not (is_json(default) or _is_of_airflow(default)):
            raise InvalidDefinition(
                subject,
                f"its parameter {name!r} has the default {quoted(default)}, and Airflow keeps parameters as JSON",
                "Take text, a number, a list or a dict, and let a step make the object of it.",
            )


def _is_of_airflow(value: object) -> bool:
    return type(value).__module__.partition(".")[0] == "airflow"


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


def bind(
    subject: str, signature: inspect.Signature, args: Iterable[Any], kwargs: Mapping[str, Any]
) -> inspect.BoundArguments:
    """
    Return the arguments of a function by parameter.

    :param subject: the step or pipeline, for the error.
    :raises InvalidDefinition: if they don't fit.
    """
    try:
        return signature.bind(*args, **kwargs)
    except TypeError as err:
        takes = ", ".join(signature.parameters) or "nothing"
        raise InvalidDefinition(subject, str(err), f"It takes: {takes}.") from None


def check_call(
    subject: str,
    signature: inspect.Signature,
    args: Collection[Any],
    kwargs: Mapping[str, Any],
    mapped: Any = None,
) -> list[str]:
    """
    Refuse arguments of a step that don't fit, and return the parameters that only Airflow's context fills in.

    :param mapped: what it is mapped over: by parameter, rows of arguments, or None.
    :raises InvalidDefinition: if they don't fit.
    """
    expanded = mapped if isinstance(mapped, Mapping) else {}
    if both := [name for name in expanded if name in kwargs]:
        problem = f"partial() and expand() both give {', '.join(map(repr, both))}"
        raise InvalidDefinition(subject, problem, "Give it once.")
    by_name = {**kwargs, **expanded}
    filled = asked_of_context(signature, CONTEXT, args, by_name)
    own = signature.replace(
        parameters=[item for name, item in signature.parameters.items() if name not in filled]
    )
    if mapped is None or isinstance(mapped, Mapping):
        bind(subject, own, args, by_name)
    return filled


def asked_of_context(
    signature: inspect.Signature, names: Collection[str], args: Collection[Any], kwargs: Mapping[str, Any]
) -> list[str]:
    """Return the parameters that Airflow's context fills in: those called like a part of it that are not given."""
    positional = list(signature.parameters)[: len(args)]
    return [
        name
        for name, parameter in signature.parameters.items()
        if name in names
        and name not in kwargs
        and (name not in positional or parameter.kind is parameter.KEYWORD_ONLY)
        and parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
    ]


def check_parameters(subject: str, parameters: Mapping[str, inspect.Parameter]) -> None:
    """
    Refuse parameters that no task can fill in.

    :raises InvalidDefinition: for ``self``, and for a default of what Airflow's context fills in.
    """
    if "self" in parameters:
        raise InvalidDefinition(
            subject, "its function takes self, so it is a method", "Use a function, or a @staticmethod."
        )
    for name, parameter in parameters.items():
        if name in CONTEXT and parameter.default not in (None, parameter.empty):
            raise InvalidDefinition(
                subject,
                f"Airflow fills in its parameter {name!r}, so that its default {quoted(parameter.default)} is lost",
                f"Rename it, or write {name}=None.",
            )


def check_local_context(subject: str, names: Iterable[str], signature: inspect.Signature) -> None:
    """
    Refuse what a step needs of Airflow's context and a local run does not have.

    :raises InvalidDefinition: naming it.
    """
    for name in names:
        parameter = signature.parameters[name]
        if name not in LOCAL_CONTEXT and parameter.default is parameter.empty:
            raise InvalidDefinition(
                subject,
                f"its parameter {name!r} is filled in by Airflow, and a local run has no {name!r}",
                f"Write {name}=None, which a local run passes.",
            )
