"""Tasks around a task: those it waits for, those that are over when it runs, those that it keeps from running."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from airflow_model_provider.pipelines.values import references_in

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow.sdk import DAG

#: Under these nothing runs behind a task that failed, or that never ran because another one failed.
_STRICT = frozenset({"all_success", "all_skipped", "none_failed", "none_failed_min_one_success"})
#: Under these nothing runs behind a task that was skipped.
_NOT_BEHIND_SKIPPED = frozenset({"all_success", "none_skipped"})
#: Of a task that has succeeded, or never runs.
_WELL_OVER = frozenset({"success", "skipped", "removed"})
OVER = _WELL_OVER | {"failed", "upstream_failed"}
_PARTS = {"success": "committed", "skipped": "skipped", "removed": "skipped"}


def part_state(state: object) -> str:
    """Return what a state of Airflow's means for a version, of a task that runs no more."""
    return _PARTS.get(str(state), "failed")


def rule_of(task: Any) -> str:
    """Return the name of a task's trigger rule."""
    return str(getattr(task.trigger_rule, "value", task.trigger_rule))


def upstream_in(dag: DAG, value: Any) -> list[Any]:
    """Return the tasks of a DAG whose output names a version in the references that a value holds."""
    taken = [pair for item in references_in(value) for pair in item.selector.upstream_tasks]
    found = dict.fromkeys(task_id for task_id, dag_id in taken if dag_id in ("", dag.dag_id))
    return [dag.get_task(task_id) for task_id in found if dag.has_task(task_id)]


def settled_before(task: Any) -> set[str]:
    """Return the tasks of which nothing is to come any more when a task runs: each has succeeded, or was skipped."""
    settled: set[str] = set()
    behind = [task]
    while behind:
        one = behind.pop()
        if rule_of(one) in _STRICT:
            new = one.upstream_task_ids - settled
            settled |= new
            behind += map(task.dag.get_task, new)
    return settled


def stopped_behind(task: Any, state: str) -> set[str]:
    """Return the tasks that can no longer run once a task was ``skipped``, or has ``failed``."""
    rules = _NOT_BEHIND_SKIPPED if state == "skipped" else _STRICT
    stopped: set[str] = set()
    before = [task]
    while before:
        new = before.pop().downstream_task_ids - stopped
        reached = [one for one in map(task.dag.get_task, new) if rule_of(one) in rules]
        stopped |= {one.task_id for one in reached}
        before += reached
    return stopped


def states_in_run(ti: Any, tasks: Iterable[str]) -> dict[str, dict[int, str | None]]:
    """Return the states of tasks in the run of a task instance, by map index; -1 where one is not mapped."""
    answer = ti.get_task_states(dag_id=ti.dag_id, run_ids=[ti.run_id])
    states = dict(answer).get(ti.run_id, {})
    found: dict[str, dict[int, str | None]] = {}
    for task in tasks:
        mine = re.compile(rf"{re.escape(task)}(?:_(\d+))?")
        for key, state in states.items():
            if match := mine.fullmatch(key):
                found.setdefault(task, {})[int(match[1] or -1)] = state and str(
                    getattr(state, "value", state)
                )
    return found


def over_in_run(ti: Any, tasks: Iterable[str]) -> set[str]:
    """Return the tasks that have succeeded or never run in the run of a task instance, with all their instances."""
    states = states_in_run(ti, tasks) if hasattr(ti, "get_task_states") else {}
    return {task for task, found in states.items() if set(found.values()) <= _WELL_OVER}
