"""Airflow's trigger rules for a local run: what becomes of a step, given what became of those right before it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection

_RUN: Final = "success"
#: By rule: what becomes of the step if these are among the states before it; of several, the first one that fits.
_IF_ANY: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "all_success": (("failed", "upstream_failed"), ("skipped", "skipped")),
    "all_failed": (("success", "skipped"), ("skipped", "skipped")),
    "all_skipped": (("success", "skipped"), ("failed", "skipped")),
    "none_failed": (("failed", "upstream_failed"),),
    "none_skipped": (("skipped", "skipped"),),
    "one_success": (("success", _RUN), ("failed", "upstream_failed"), ("skipped", "skipped")),
    "one_failed": (("failed", _RUN), ("success", "skipped"), ("skipped", "skipped")),
    "one_done": (("failed", _RUN), ("success", _RUN), ("skipped", "skipped")),
    "none_failed_min_one_success": (
        ("failed", "upstream_failed"),
        ("success", _RUN),
        ("skipped", "skipped"),
    ),
    "all_done_min_one_success": (("skipped", "skipped"), ("success", _RUN), ("failed", "upstream_failed")),
}


def state_before(rule: str, before: Collection[str]) -> str:
    """
    Return ``success`` if a step is to run, else what becomes of it: ``skipped`` or ``upstream_failed``.

    :param rule: the step's trigger rule; ``all_done`` and ``always`` wait for nothing but the end.
    :param before: the states of all steps and mapped instances right before it, which are over.
    """
    there = {"failed" if state == "upstream_failed" else state for state in before}
    return next((then for state, then in _IF_ANY.get(rule, ()) if state in there), _RUN)
