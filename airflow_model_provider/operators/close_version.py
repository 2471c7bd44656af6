"""The closing task of a Dag whose runs make versions: where it is needed, and what it does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, partial
from itertools import count
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airflow_model_provider import settings
from airflow_model_provider.exceptions import VersionFailed
from airflow_model_provider.hooks.model_registry import ModelRegistryHook
from airflow_model_provider.operators.mapping import expand_input, instances
from airflow_model_provider.operators.skips import ENDED, SAID, mapped_nodes, with_ended
from airflow_model_provider.operators.upstream import OVER, part_state, rule_of, states_in_run
from airflow_model_provider.pipelines.values import references_in
from airflow_model_provider.task_context import hopeless_fails_at_once

if TYPE_CHECKING:
    from collections.abc import Collection

    from airflow_model_provider.model import Model

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
        from airflow_model_provider.registry.entities import FAILED, RunKey, VersionState

        ti = context["ti"]
        registry = ModelRegistryHook(self.step_model.conn_id).get_conn().registry
        run = RunKey(settings.deployment(), ti.dag_id, ti.run_id)
        outcomes = self._outcomes(ti)
        version = registry.close_run_version(self.step_model.name, run, outcomes)
        if version is None:
            return None
        self.log.info("%s is %s", version, version.state.value)
        failed = sorted(part for part, state in outcomes.items() if state in (FAILED, ENDED))
        if failed and version.state is VersionState.FAILED:
            # Who clears the failed tasks clears this one with them: it has to say again what becomes of the version.
            with hopeless_fails_at_once():
                raise VersionFailed(str(version), tuple(failed))
        return str(version)

    def _outcomes(self, ti: Any) -> dict[str, str]:
        """What became of the tasks before it, by the names that a version has for them."""
        from airflow_model_provider.registry.entities import part_of

        found = states_in_run(ti, self.upstream_task_ids)
        if any("skipped" in states.values() for states in found.values()):
            before = states_in_run(ti, self.get_flat_relative_ids(upstream=True))
            took = cache(partial(_durations, ti))
            believed = with_ended(
                self.dag,
                before,
                partial(_said, ti),
                partial(_length, ti),
                skips_itself=self._skips_itself,
                did_not_run=lambda task, index: not took().get((task, index)),
            )
            found = {task: believed[task] for task in found}
        return {
            part_of(task, index): part_state(state)
            for task, states in found.items()
            for index, state in states.items()
            if state in {*OVER, ENDED}
        }

    def _skips_itself(self, task_id: str, _index: int) -> bool:
        """Whether a task may skip itself without a word: before there is a version to tell."""
        return task_id not in self.upstream_task_ids or _may_skip_early(self.dag.get_task(task_id))


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
