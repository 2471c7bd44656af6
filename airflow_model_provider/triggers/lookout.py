"""Registries as the triggerer sees them: asked over and over, for many triggers, by few threads."""

from __future__ import annotations

import asyncio
import functools
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from airflow_model_provider import host
from airflow_model_provider.addresses import find_address

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_model_provider.registry.registry import Registry
    from airflow_model_provider.workspace import Workspace

T = TypeVar("T")
#: Seconds between two looks at a registry that is in trouble, at most, unless healthy ones are looked at more rarely.
_LONGEST_PAUSE = 30.0
#: Seconds after which Airflow is asked again where a registry is; each question stops the whole triggerer a while.
_ADDRESS_HOLDS = 60.0


class Lookout:
    """
    One registry, with threads of its own: while it is in trouble nobody else's trigger waits for a thread.

    :param conn_id: the registry's connection; None means the default one.
    :param stored: whether Airflow keeps that connection, so that it has to be asked for it.
    """

    def __init__(self, conn_id: str | None, *, stored: bool) -> None:
        self._conn_id, self._stored = conn_id, stored
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="model_registry")
        self._found: tuple[float, Workspace] | None = None

    async def ask(self, question: Callable[[Registry], T]) -> T:
        """Return the answer to a question; whatever error it raises, the next one begins with the connection."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._answer, question)

    def _answer(self, question: Callable[[Registry], T]) -> T:
        try:
            return question(self._workspace().registry)
        except BaseException:
            self._found = None
            raise

    def _workspace(self) -> Workspace:
        found = self._found
        if found is None or time.monotonic() - found[0] > _ADDRESS_HOLDS:
            self._found = found = (time.monotonic(), self._open())
        return found[1]

    def _open(self) -> Workspace:
        host.enter_airflow()
        if self._stored:
            from airflow_model_provider.hooks.model_registry import ModelRegistryHook

            return ModelRegistryHook(self._conn_id).get_conn()
        from airflow_model_provider.workspace import open_workspace

        return open_workspace(find_address(self._conn_id, ask_airflow=False))


def rarer(pause: float, interval: float) -> float:
    """
    Return how long to pause after one more look at a registry that is in trouble.

    :param pause: seconds before that look.
    :param interval: seconds between two looks at a healthy one.
    """
    return min(pause * 2, max(_LONGEST_PAUSE, interval))


@functools.cache
def lookout(conn_id: str | None, *, stored: bool) -> Lookout:
    """Return the process's lookout on a registry."""
    return Lookout(conn_id, stored=stored)
