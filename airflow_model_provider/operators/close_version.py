"""The closing task of a Dag whose runs make versions: where it is needed, and what it does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, partial
from itertools import count
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, TriggerRule

from airflow_model_provider.exceptions import VersionFailed
from airflow_model_provider.hooks.model_registry import ModelRegistryHook
from airflow_model_provider.model import new_version_name
from airflow_model_provider.operators.mapping import expand_input, instances
from airflow_model_provider.operators.producers import producers_of, step_of
from airflow_model_provider.operators.skips import ENDED, SAID, mapped_nodes, with_ended
from airflow_model_provider.operators.upstream import (
    OVER,
    PASSED_OVER,
    part_state,
    parts_in,
    rule_of,
    states_in_run,
)
from airflow_model_provider.pipelines.definition import makes_version_of
from airflow_model_provider.pipelines.values import references_in
from airflow_model_provider.task_context import attempt_of, hopeless_fails_at_once, resolver_for

if TYPE_CHECKING:
    from collections.abc import Collection

    from airflow_model_provider.model import Model
    from airflow_model_provider.registry.registry import Registry

#: What ``default_args`` say of the user's tasks: the runs are closed each by itself, and what failed has told so.
_NOT_BY_DEFAULT: dict[str, Any] = {
    "depends_on_past": False,
    "wait_for_downstream": False,
    "email": None,
    "on_execute_callback": None,
    "on_failure_callback": None,
    "on_retry_callback": None,
    "on_skipped_callback": None,
    "on_success_callback": None,
    "outlets": None,
    "post_execute": None,
    "pre_execute": None,
}
#: Under these it is known that a task runs, or why not, once the tasks right before it have said what became of them.
_KNOWN_RULES = frozenset({"all_success", "none_failed", "all_done", "always"})


class CloseVersionOperator(BaseOperator):
    """
    Close the version that this Dag run made: ready, or failed if a task that writes into it failed.

    It is added by itself, as a teardown, where the tasks cannot know that they were the last.

    :param step_model: the model of which the run made a version.
    """

    def __init__(self, *, step_model: Model, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.step_model = step_model

    def execute(self, context: Any) -> str | None:
        """
        Close it, and return its printed form; None if no task of the run made a part of it.

        :raises AirflowFailException: if the version failed because tasks did; that does not change the run's state.
        """
        from airflow_model_provider.registry.entities import FAILED, VersionState

        ti = context["ti"]
        registry = ModelRegistryHook(self.step_model.conn_id).get_conn().registry
        states = self._states(ti)
        self._leave_out_what_did_not_run(context, registry, parts_in(states, PASSED_OVER))
        outcomes = {part: part_state(state) for state in {*OVER, ENDED} for part in parts_in(states, {state})}
        version = registry.close_run_version(self.step_model.name, attempt_of(context).run, outcomes)
        if version is None:
            return None
        self.log.info("%s is %s", version, version.state.value)
        if version.state is not VersionState.FAILED:
            return str(version)
        failed = registry.failed_parts(version.id)  # not all that Airflow calls so: one may have ended before
        named = sorted(part for part in failed if outcomes.get(part) in (FAILED, ENDED))
        if named:
            # Who clears the failed tasks clears this one with them: it has to say again what becomes of the version.
            with hopeless_fails_at_once():
                raise VersionFailed(str(version), tuple(named))
        return str(version)

    def _leave_out_what_did_not_run(self, context: Any, registry: Registry, parts: Collection[str]) -> None:
        """In a cleared run, take out what tasks have made before that Airflow has passed over this time."""
        model, attempt = self.step_model, attempt_of(context)
        made = registry.made_in_run(model.name, attempt.run, parts)
        if made:
            registry.version_for_run(
                model.name,
                attempt.run,
                producer=made[0],
                producers=self._producers,
                again=lambda: made,
                name=new_version_name(model.version, attempt.run.run_id, resolver_for(context).logical_date),
                card=model.card,
                run_mark=attempt.run_mark,
            )

    def _producers(self) -> dict[str, bool]:
        return producers_of(self.dag, self.step_model)

    def _states(self, ti: Any) -> dict[str, dict[int, str | None]]:
        """Airflow's states of the tasks that write into the version; ``ended`` if they were skipped for no reason."""
        producers = self._producers()
        found = states_in_run(ti, producers)
        if not any("skipped" in states.values() for states in found.values()):
            return found
        before = states_in_run(ti, {*producers, *self.get_flat_relative_ids(upstream=True)})
        took = cache(partial(_durations, ti))
        believed = with_ended(
            self.dag,
            before,
            partial(_said, ti),
            partial(_length, ti),
            skips_itself=self._skips_itself,
            did_not_run=lambda task, index: not took().get((task, index)),
        )
        return {task: believed[task] for task in found}

    def _skips_itself(self, task_id: str, _index: int) -> bool:
        """Whether a task may skip itself without a word: before there is a version to tell."""
        task = self.dag.get_task(task_id)
        step = step_of(task)
        is_producer = step is not None and makes_version_of(step.model) == makes_version_of(self.step_model)
        return not is_producer or _may_skip_early(task)


def _durations(ti: Any) -> dict[tuple[str, int], float | None]:
    """How many seconds each task of the run took that is over: none if somebody else has set its state."""
    found = ti.get_task_breadcrumbs(ti.dag_id, ti.run_id)
    return {(item["task_id"], item["map_index"]): item["duration"] for item in found}


def _said(ti: Any, task_id: str) -> list[Any]:
    """What a task that skips others has kept of it, each of its instances."""
    found = ti.xcom_pull(task_ids=task_id, key=SAID, map_indexes=None)
    found = found if isinstance(found, Sequence) else [found]
    return [kept for kept in found if isinstance(kept, Mapping)]


def _length(ti: Any, node: Any) -> int | None:
    """How many instances a mapped task or task group has."""
    from airflow_model_provider.pipelines.mapping import is_mappable

    def returned(arg: Any) -> int | None:
        task = arg.operator
        which = {"map_indexes": None} if mapped_nodes(task) else {}
        found = ti.xcom_pull(task_ids=task.task_id, key=arg.key, **which)
        return len(found) if is_mappable(found) else None

    return instances(node, returned)


def closing_id(dag: Any, model: Model) -> str | None:
    """Return the id of the task of a DAG that closes the version of a model; None if there is none."""
    for task in dag.tasks:
        if isinstance(task, CloseVersionOperator) and _key(task.step_model) == _key(model):
            return str(task.task_id)
    return None


def closing_task(dag: Any, model: Model) -> CloseVersionOperator:
    """Return the task of a DAG that closes the version of a model; it is added if it is missing."""
    stem = "_".join(["close", *([model.conn_id] if model.conn_id else []), model.name.replace(" ", "_")])
    found = dag.task_dict.get(stem) or dag.task_dict.get(closing_id(dag, model))
    if isinstance(found, CloseVersionOperator) and _key(found.step_model) == _key(model):
        return found
    ids = (f"{stem}__{number}" if number else stem for number in count())
    task_id = next(task_id for task_id in ids if not dag.has_task(task_id))
    close = CloseVersionOperator(
        task_id=task_id, step_model=model, dag=dag, task_group=dag.task_group, **_NOT_BY_DEFAULT
    )
    close.as_teardown()
    # A setup that skips itself skips its own teardowns: this one is to run all the same.
    close.trigger_rule = TriggerRule.ALL_DONE
    return close


def _key(model: Model) -> tuple[str | None, str]:
    return model.conn_id, model.name


def may_stay_open(dag: Any, producers: Collection[Any]) -> bool:
    """
    Return whether the tasks that write into a version may be over without a word.

    A plain step says what became of it, and what can no longer run because of that. One behind any other task, a mapped
    one, and one that Airflow may skip by itself do not.
    """
    names = {task.task_id for task in producers}
    return bool(dag.fail_fast) or any(not _is_plain(task, names) for task in producers)


def _is_plain(task: Any, producers: Collection[str]) -> bool:
    if mapped_nodes(task) or task.is_setup or task.is_teardown or rule_of(task) not in _KNOWN_RULES:
        return False
    if not set(task.upstream_task_ids) <= set(producers):
        return False
    return not _may_skip_early(task)


def _may_skip_early(task: Any) -> bool:
    """Whether a step may skip itself before its code runs."""
    given = getattr(task, "partial_kwargs", {})
    if getattr(task, "_pre_execute_hook", None) is not None or given.get("pre_execute") is not None:
        return True
    fields = [given] if task.is_mapped else [vars(task)]
    fields += [expand_input(node).value for node in mapped_nodes(task)]
    return any(item.on_missing == "skip" for item in references_in(fields))
