"""Which tasks were skipped because the Dag says so, and which because somebody ended their run."""

from __future__ import annotations

from functools import cache
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, Any, Final

from airflow_model_provider.operators.upstream import rule_of
from airflow_model_provider.pipelines import trigger_rules
from airflow_model_provider.pipelines.trigger_rules import FAILED, SKIPPED, SUCCESS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    States = Mapping[str, Mapping[int, str | None]]
    Asked = Callable[[str, int], bool]
    Said = Callable[[str], Iterable[Mapping[str, Any]]]
    #: How many instances a mapped task or task group has; None where that is not known.
    Length = Callable[[Any], int | None]

#: The state of a task that was skipped for no reason that is known.
ENDED: Final = "ended"
#: Of a branch that was not kept from deciding.
_DECIDED = frozenset({SUCCESS, SKIPPED})
#: Under this key branches and their kind keep which tasks they skip, or which they follow.
SAID: Final = "skipmixin_key"


def with_ended(
    dag: Any,
    states: States,
    said: Said,
    length: Length,
    *,
    skips_itself: Asked,
    was_stopped: Asked = lambda _task, _index: False,
    did_not_run: Asked = lambda _task, _index: False,
) -> dict[str, dict[int, str | None]]:
    """
    Return the states of tasks, with ``ended`` for those that were skipped for no reason that is known.

    A run that takes too long, or that a person ends, and ``fail_fast``, skip what has not run, and what still runs.
    Reasons are a task before it that was skipped, a branch, an empty list.

    :param dag: as it was written, or as Airflow keeps it.
    :param states: of its tasks, by map index; -1 where one is not mapped, or was not expanded.
    :param said: what a branch has kept, by its id.
    :param length: how long is what a task, or a task group, is mapped over; None where that is not known.
    :param skips_itself: whether a task of which nothing tells why it was skipped can have done that itself.
    :param was_stopped: whether it is known that something else has.
    :param did_not_run: whether it is known that it has not run since it was to run, so that it has not skipped itself.
    """
    skips = _Skips(dag, states, said, length, was_stopped, did_not_run)
    order = TopologicalSorter({task.task_id: task.upstream_task_ids for task in dag.tasks}).static_order()
    judged = {name: skips.judge(name, skips_itself) for name in order if name in states}
    return {**{name: dict(found) for name, found in states.items()}, **judged}


class _Skips:
    def __init__(
        self,
        dag: Any,
        states: States,
        said: Said,
        length: Length,
        was_stopped: Asked,
        did_not_run: Asked,
    ) -> None:
        self.dag, self.states, self.said, self.length = dag, states, cache(said), length
        self.was_stopped, self.did_not_run = was_stopped, did_not_run
        #: What the tasks behind take for the states of those that were judged.
        self.believed: dict[str, dict[int, str]] = {}
        failed = any("failed" in found.values() for found in states.values())
        self.all_were_skipped = bool(dag.fail_fast) and failed

    def judge(self, task_id: str, skips_itself: Asked) -> dict[int, str | None]:
        """Return the states of a task's instances, once those before it were judged."""
        task, found, believed = self.dag.get_task(task_id), dict(self.states[task_id]), {}
        for index, state in found.items():
            believed[index] = str(state)
            if state == SKIPPED and not self._has_reason(task, index):
                # It has skipped itself, or will be found to have failed by itself.
                may_have = self._natural(task, index) is None and not self._never_began(task, index)
                believed[index] = SKIPPED if may_have else FAILED
                if not may_have or self.all_were_skipped or not skips_itself(task_id, index):
                    found[index] = ENDED
        self.believed[task_id] = believed
        return found

    def _has_reason(self, task: Any, index: int) -> bool:
        if index >= 0 or not mapped_nodes(task):
            if self.was_stopped(task.task_id, index):
                return False
        elif self._natural(task, index) is None and any(
            self.length(node) == 0 for node in mapped_nodes(task)
        ):
            return True
        return (
            self._natural(task, index) == SKIPPED or self._is_left_out(task) or self._has_no_list(task, index)
        )

    def _never_began(self, task: Any, index: int) -> bool:
        is_whole = index < 0 and bool(mapped_nodes(task))
        return is_whole or self.was_stopped(task.task_id, index) or self.did_not_run(task.task_id, index)

    def _has_no_list(self, task: Any, index: int) -> bool:
        """Whether a task that makes what it is mapped over was skipped: Airflow skips it then whatever its rule is."""
        nodes = mapped_nodes(task) if index < 0 else []
        lists = [operator.task_id for node in nodes for operator in node.iter_mapped_dependencies()]
        return any(self.believed.get(name, {}).get(-1) == SKIPPED for name in lists)

    def _natural(self, task: Any, index: int) -> str | None:
        """What Airflow makes of a task that does not run; of several reasons the first one decides."""
        before, rule = list(self._before(task, index)), rule_of(task)
        if rule == trigger_rules.DEFAULT and SKIPPED in before:
            return SKIPPED
        setups = [
            name for name in task.get_flat_relative_ids(upstream=True) if self.dag.get_task(name).is_setup
        ]
        if any(SKIPPED in self.believed.get(name, {}).values() for name in setups):
            return SKIPPED
        return trigger_rules.state_without_running(rule, before, ())

    def _before(self, task: Any, index: int) -> Iterator[str]:
        """The states of the instances that one stands behind: in its own mapped group those of its index."""
        for name in task.upstream_task_ids:
            found = self.believed.get(name, {})
            is_beside = index in found and _group(self.dag.get_task(name)) == _group(task) is not None
            yield from [found[index]] if is_beside else found.values()

    def _is_left_out(self, task: Any) -> bool:
        """Whether a branch, or a task of its kind, has skipped a task."""
        for name in task.get_flat_relative_ids(upstream=True):
            branches = self.dag.get_task(name).inherits_from_skipmixin
            # One that is skipped in a cleared run still leaves out what it left out before.
            if branches and not _DECIDED.isdisjoint(self.believed.get(name, {}).values()):
                is_next = name in task.upstream_task_ids
                if any(_leaves_out(kept, task.task_id, is_next=is_next) for kept in self.said(name)):
                    return True
        return False


def _leaves_out(kept: Mapping[str, Any], task_id: str, *, is_next: bool) -> bool:
    followed = kept.get("followed") if is_next else None
    return task_id in kept.get("skipped", ()) or (followed is not None and task_id not in followed)


def mapped_nodes(task: Any) -> list[Any]:
    """Return what of a task makes several instances of it: itself, or the task group that it is in."""
    group = task.get_closest_mapped_task_group()
    return [*([task] if task.is_mapped else []), *([] if group is None else [group])]


def _group(task: Any) -> str | None:
    group = task.get_closest_mapped_task_group()
    return None if group is None else str(group.group_id)
