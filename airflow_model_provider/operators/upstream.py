"""Tasks around a task: those it waits for, those that are over when it runs, those that it keeps from running."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from airflow_model_provider.pipelines.trigger_rules import SUCCESS
from airflow_model_provider.pipelines.values import references_in

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from airflow.sdk import DAG

#: Under these nothing runs behind a task that failed, or that never ran because another one failed.
_STRICT = frozenset({"all_success", "all_skipped", "none_failed", "none_failed_min_one_success"})
#: Under these nothing runs behind a task that was skipped.
_NOT_BEHIND_SKIPPED = frozenset({"all_success", "none_skipped"})
#: Of a task that has succeeded, or never runs.
_WELL_OVER = frozenset({"success", "skipped", "removed"})
OVER = _WELL_OVER | {"failed", "upstream_failed"}
#: Of a task that does not run this time.
PASSED_OVER = frozenset({"skipped", "removed", "upstream_failed"})
#: How Airflow calls an instance of a mapped task where it tells states.
_INSTANCE = re.compile(r".+_\d+")
#: Ids stand in the address that is asked, which has an end.
_ASKED_AT_ONCE = 100
_PARTS = {"success": "committed", "skipped": "skipped", "removed": "removed", "ended": "ended"}


def part_state(state: object) -> str:
    """Return what a state of Airflow's means for a version, of a task that runs no more."""
    return _PARTS.get(str(state), "failed")


def parts_in(states: Mapping[str, Mapping[int, str | None]], wanted: Collection[str]) -> list[str]:
    """Return what is in one of some states of Airflow's, by the names in a version."""
    from airflow_model_provider.registry.entities import part_of

    found = ((part_of(task, index), state) for task, by in states.items() for index, state in by.items())
    return [part for part, state in found if state in wanted]


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


def stopped_behind(task: Any, state: str, map_index: int = -1) -> set[str]:
    """
    Return what can no longer run once a task was ``skipped``, or has ``failed``, by the names in a version.

    :param map_index: of an instance; in its own mapped task group it keeps those of the same index from running.
    """
    rules = _NOT_BEHIND_SKIPPED if state == "skipped" else _STRICT
    stopped: set[str] = set()
    before = [task]
    while before:
        new = before.pop().downstream_task_ids - stopped
        reached = [one for one in map(task.dag.get_task, new) if rule_of(one) in rules]
        stopped |= {one.task_id for one in reached}
        before += reached
    group = task.get_closest_mapped_task_group() if map_index >= 0 else None
    beside = set() if group is None else {one.task_id for one in group.iter_tasks()}
    return (stopped - beside) | {f"{one}[{map_index}]" for one in stopped & beside}


def states_in_run(ti: Any, tasks: Iterable[str]) -> dict[str, dict[int, str | None]]:
    """Return the states of tasks in the run of a task instance, by map index; -1 where one is not mapped."""
    found: dict[str, dict[int, str | None]] = {}
    for asked in _told_apart(set(tasks)):
        answer = ti.get_task_states(dag_id=ti.dag_id, task_ids=sorted(asked), run_ids=[ti.run_id])
        for key, state in dict(answer).get(ti.run_id, {}).items():
            task, index = (key, -1) if key in asked else _of_an_instance(key)
            found.setdefault(task, {})[index] = state and str(getattr(state, "value", state))
    return found


def removed_in_run(ti: Any, dag: DAG, parts: Collection[str], empty: Iterable[str]) -> list[str]:
    """
    Return, of the mapped instances that a version waits for, those that Airflow has removed from the run, or will.

    :param empty: tasks and task groups that are mapped over a list that is empty now.
    """
    from airflow_model_provider.registry.entities import part_of, task_of

    states = states_in_run(ti, {task_of(part) for part in parts})
    removed = {
        part_of(task, index)
        for task, found in states.items()
        for index, state in found.items()
        if state == "removed"
    }
    never = _without_instances(dag, empty)
    return sorted(part for part in parts if part in removed or task_of(part) in never)


def succeeded_in_run(ti: Any, parts: Collection[str]) -> list[str]:
    """Return, of the parts of a version, those whose task or instance Airflow calls successful."""
    from airflow_model_provider.registry.entities import place_of, task_of

    states = states_in_run(ti, {task_of(part) for part in parts})
    return [part for part in parts if states.get(place_of(part)[0], {}).get(place_of(part)[1]) == SUCCESS]


def _without_instances(dag: DAG, empty: Iterable[str]) -> set[str]:
    found: set[str] = set()
    for name in empty:
        group = dag.task_group_dict.get(name)
        tasks = [dag.get_task(name)] if group is None else list(group.iter_tasks())
        for task in tasks:
            found |= {task.task_id, *stopped_behind(task, "skipped")}
    return found


def _told_apart(tasks: set[str]) -> Iterator[set[str]]:
    """Yield tasks of which none is called as Airflow calls an instance of another one: ``train_1`` beside ``train``."""
    apart = {task for task in tasks if _INSTANCE.fullmatch(task) and _of_an_instance(task)[0] in tasks}
    rest = sorted(tasks - apart)
    yield from ({task} for task in apart)
    yield from (set(rest[first : first + _ASKED_AT_ONCE]) for first in range(0, len(rest), _ASKED_AT_ONCE))


def _of_an_instance(key: str) -> tuple[str, int]:
    task, _, index = key.rpartition("_")
    return task, int(index)


def settled_in_run(task: Any, ti: Any, tasks: Iterable[str]) -> set[str]:
    """
    Return the tasks of which nothing is to come any more when a task of a run acts.

    Each is over, with all its instances: of the task itself the others count. One that has succeeded has told so; if a
    version still waits for it, a person has marked it: this can be told of instances by their names in the version,
    which come along.

    :param tasks: those that are asked for.
    """
    from airflow_model_provider.registry.entities import part_of

    states = states_in_run(ti, tasks) if hasattr(ti, "get_task_states") else {}
    states.get(ti.task_id, {}).pop(ti.map_index, None)
    over = {name for name, found in states.items() if set(found.values()) <= _WELL_OVER}
    well = {(name, at) for name, found in states.items() for at, state in found.items() if state == "success"}
    instances = {part_of(name, at) for name, at in well if at >= 0}
    return ((settled_before(task) | over) - {name for name, at in well if at < 0}) | instances
