"""Whether a step of a local run runs, by the states of the steps before it: Airflow's trigger rules."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

SUCCESS: Final = "success"
FAILED: Final = "failed"
SKIPPED: Final = "skipped"
UPSTREAM_FAILED: Final = "upstream_failed"
DEFAULT: Final = "all_success"
#: The rule of a teardown, which nobody else may set.
TEARDOWN: Final = "all_done_setup_success"


class _States:
    """How many instances before a step ended how."""

    def __init__(self, states: Iterable[str]) -> None:
        counted = Counter(states)
        self.total = counted.total()
        self.success, self.skipped, self.failed = counted[SUCCESS], counted[SKIPPED], counted[FAILED]
        self.bad = counted[FAILED] + counted[UPSTREAM_FAILED]


def _all_success(at: _States) -> str | None:
    return UPSTREAM_FAILED if at.bad else SKIPPED if at.skipped else None


def _one_success(at: _States) -> str | None:
    if at.success:
        return None
    return SKIPPED if at.skipped == at.total else UPSTREAM_FAILED


def _none_failed_min_one_success(at: _States) -> str | None:
    return UPSTREAM_FAILED if at.bad else _one_success(at)


def _all_done_min_one_success(at: _States) -> str | None:
    if at.skipped:
        return SKIPPED
    return None if at.success else UPSTREAM_FAILED


#: By rule, the state of a step that does not run; None if it runs. Everything before it is over in a local run.
RULES: Final[Mapping[str, Callable[[_States], str | None]]] = {
    DEFAULT: _all_success,
    "all_failed": lambda at: SKIPPED if at.success or at.skipped else None,
    "all_done": lambda _: None,
    "all_done_min_one_success": _all_done_min_one_success,
    TEARDOWN: lambda _: None,  # it looks at setups only
    "one_success": _one_success,
    "one_failed": lambda at: None if at.bad else SKIPPED,
    "one_done": lambda at: None if at.success or at.failed else SKIPPED,
    "none_failed": lambda at: UPSTREAM_FAILED if at.bad else None,
    "none_skipped": lambda at: SKIPPED if at.skipped else None,
    "always": lambda _: None,
    "none_failed_min_one_success": _none_failed_min_one_success,
    "all_skipped": lambda at: SKIPPED if at.success or at.bad else None,
}


def state_without_running(
    rule: str, before: Iterable[str], setups: Iterable[str], sources: Iterable[str] = ()
) -> str | None:
    """
    Return the state of a step that does not run, or None if it runs.

    :param rule: its trigger rule.
    :param before: the states of all instances of the steps before it.
    :param setups: for a teardown the states of its setups; else those of the setups that it needs.
    :param sources: the states of the steps over whose outputs it is mapped: without all of them no rule runs it.
    """
    by_sources = _all_success(_States(sources))
    by_rule = _by_rule(rule, _States(before), _States(setups))
    return UPSTREAM_FAILED if UPSTREAM_FAILED in (by_sources, by_rule) else by_rule or by_sources


def _by_rule(rule: str, states: _States, needed: _States) -> str | None:
    if rule == TEARDOWN:
        return _one_success(needed) if needed.total else None
    if needed.total and (state := _all_success(needed)) is not None:
        return state
    return RULES[rule](states) if states.total else None


def summary(states: Iterable[str]) -> str:
    """Return the state that stands for all instances of a step; one without any was skipped."""
    found = set(states)
    return next((state for state in (FAILED, UPSTREAM_FAILED, SUCCESS) if state in found), SKIPPED)
