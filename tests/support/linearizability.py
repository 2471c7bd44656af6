"""A checker of linearizability over recorded histories: the search of Wing and Gong, with Lowe's memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence


class Operation(NamedTuple):
    """
    One operation of one client.

    :param begun: when it was called.
    :param ended: when its answer was there.
    :param name: what was asked for.
    :param arguments: with what.
    :param answer: what came back.
    """

    begun: int
    ended: int
    name: str
    arguments: tuple[Any, ...]
    answer: Any


def is_linearizable(
    history: Sequence[Operation],
    state: Hashable,
    step: Callable[[Any, Operation], Hashable | None],
) -> bool:
    """
    Return whether all operations can be put into one order that explains every answer.

    In it an operation stands before all that were called after its answer was there.

    :param state: the state before the first of them.
    :param step: the state after an operation, or None where its answer can't be explained in the state before.
    """
    everything = (1 << len(history)) - 1
    seen: set[tuple[int, Hashable]] = set()
    reached: list[tuple[int, Hashable]] = [(0, state)]
    while reached:
        done, state = reached.pop()
        if done == everything:
            return True
        if (done, state) in seen:
            continue
        seen.add((done, state))
        left = [index for index in range(len(history)) if not done >> index & 1]
        first_answer = min(history[index].ended for index in left)
        for index in left:
            if history[index].begun <= first_answer:
                after = step(state, history[index])
                if after is not None:
                    reached.append((done | 1 << index, after))
    return False
