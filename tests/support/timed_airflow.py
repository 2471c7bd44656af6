"""A running Airflow for what depends on time: asked through its own database, and held still."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.support.airflow_runtime import AirflowRuntime

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_model_provider import Client


class Instance(NamedTuple):
    """What Airflow knows of a task instance."""

    state: str | None
    try_number: int
    start: datetime
    end: datetime


class Airflow(AirflowRuntime):
    """A running Airflow that also tells about thousands of task instances, which its API does page by page."""

    def instances(self, dag_id: str, run_id: str, task_id: str) -> dict[int, Instance]:
        """Return the instances of a task by map index."""
        query = """SELECT map_index, state, try_number, start_date, end_date FROM task_instance
            WHERE dag_id = ? AND run_id = ? AND task_id = ?"""
        return {
            index: Instance(state, number, _time(start), _time(end))
            for index, state, number, start, end in self.rows(query, dag_id, run_id, task_id)
        }

    def returned(self, dag_id: str, run_id: str, task_id: str) -> dict[int, Any]:
        """Return what the instances of a task have returned, by map index."""
        query = """SELECT map_index, value FROM xcom
            WHERE dag_id = ? AND run_id = ? AND task_id = ? AND key = 'return_value'"""
        found = self.rows(query, dag_id, run_id, task_id)  # SQLite makes numbers of texts that are ones
        return {index: json.loads(value) if isinstance(value, str) else value for index, value in found}

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Inside the block nobody but the caller writes into Airflow's database; SQLite has one writer at a time."""
        groups = [self._processes[name].pid for name in ("scheduler", "triggerer", "dag-processor")]

        def send(number: int) -> None:
            for group in groups:
                os.killpg(group, number)

        with self.held_between_transactions(send):
            yield

    def succeed(self, dag_id: str, run_id: str, *, timeout: float = 120) -> None:
        """Wait for the end of a run, which has to be a good one."""
        assert self.wait_run(dag_id, run_id, timeout=timeout) == "success", self.failures(dag_id, run_id)


def _time(text: str | None) -> datetime:
    return datetime.fromisoformat(f"{text or '1970-01-01'}+00:00")


def make_numbered(registry: Client, model: str, count: int) -> None:
    """Make versions 1, 2, ... of a model."""
    for number in range(1, count + 1):
        with registry.new_model_version(model) as version:
            version.save_artifact("marker", number)
