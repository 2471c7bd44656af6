"""Does an operation under faults, and compares what it says with what an undisturbed observer sees."""

from __future__ import annotations

import traceback
from collections import Counter
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from sqlalchemy import Connection

from airflow_model_provider.addresses import Address
from airflow_model_provider.exceptions import (
    FileMissing,
    InvalidConfiguration,
    ModelRegistryError,
    OutcomeUnknown,
)
from airflow_model_provider.registry import schema, tables
from airflow_model_provider.registry.database import Database
from airflow_model_provider.registry.registry import Registry
from airflow_model_provider.selectors import BUILT_IN_STAGES
from airflow_model_provider.upkeep import Garbage, collect, verify
from airflow_model_provider.workspace import Workspace, with_store
from tests.support.plan import Plan
from tests.support.postgres_proxy import PASSWORD
from tests.support.s3 import CREDENTIALS
from tests.unit.faults.operations import Change, Operation, saved

DONE, NOT_DONE, UNKNOWN = "done", "not done", "not known"
#: Seconds: for faults that pass, and for those that stay.
PATIENT, IMPATIENT = 60.0, 0.1
_SECRETS = (PASSWORD, *CREDENTIALS.values())
_BLOBS = """
SELECT digest, size, state FROM mr_blob b WHERE EXISTS
(SELECT 1 FROM mr_artifact_version a WHERE a.digest = b.digest AND a.deleted_at IS NULL)
"""


class Outcome(NamedTuple):
    """What an operation said of itself, which was true."""

    said: str
    error: ModelRegistryError | None


class Scene:
    """
    A registry with its store.

    :param address: where it is, as the operations under test reach it.
    :param observer: opened at the same place, out of reach of the faults.
    """

    def __init__(self, address: Address, observer: Workspace) -> None:
        self.address, self.observer = address, observer
        self._expected: Change = {}
        self._opened: dict[float, Workspace] = {}
        saved(observer)  # the first artifact of its name

    def rehearse(self, operation: Operation, plan: Plan) -> list[str]:
        """Do an operation without faults, to learn what it changes; return its calls."""
        assert self.perform(operation, plan.failing(), rehearsal=True).said == DONE
        return plan.calls

    def perform(
        self,
        operation: Operation,
        faults: AbstractContextManager[Any],
        *,
        patience: float = PATIENT,
        rehearsal: bool = False,
    ) -> Outcome:
        """Do an operation once; what it says must be what the observer sees."""
        subject, before = operation.arrange(self.observer), self.rows()
        workspace = self._connected(patience)
        result, error = None, None
        with faults:
            try:
                result = operation.act(workspace, subject)
            except ModelRegistryError as err:
                error = err
        change = _change(before, self.rows())
        if rehearsal:
            self._expected = change
        undone = operation.is_undone(self.observer, subject, change)
        if error is None:
            assert change == self._expected, "done, but not exactly once"
            assert operation.is_done(self.observer, subject, result), "said to be done, and is not"
        elif isinstance(error, OutcomeUnknown):
            assert undone or change == self._expected, f"half done: {change}"
        else:
            assert undone, f"{error!r}, and yet: {change}"
        if error is not None:
            _check(error)
        _check_recovery(workspace)
        said = DONE if error is None else UNKNOWN if isinstance(error, OutcomeUnknown) else NOT_DONE
        return Outcome(said, error)

    def check_end(self) -> None:
        """Everything registered is there and whole, and a collector leaves nothing else."""
        assert list(verify(self.observer)) == []
        collect(self.observer, older_than=0)
        needed = [blob.digest for blob in self.observer.registry.needed_blobs()]
        assert [digest for digest, _size in self.observer.store.iter_blobs()] == needed
        assert collect(self.observer, older_than=0) == Garbage(0, 0, 0)

    def rows(self) -> dict[str, Counter[tuple[str, ...]]]:
        """All that the database says of what is visible: what writers only intend is not."""
        words = {table.name: f"SELECT * FROM {table.name}" for table in tables.metadata.sorted_tables}
        words["mr_blob"] = _BLOBS

        def look(connection: Connection) -> dict[str, Counter[tuple[str, ...]]]:
            plain: Any = connection.connection.driver_connection  # thousands of statements
            return {
                name: Counter(tuple(map(repr, row)) for row in plain.execute(text))
                for name, text in words.items()
            }

        return self.observer.registry._database.read(look)

    def _connected(self, patience: float) -> Workspace:
        """What is under test, each time with one connection, on which nothing was said but hello."""
        if patience not in self._opened:
            self._opened[patience] = opened(self.address, patience)
        workspace = self._opened[patience]
        workspace.registry._database.engine.dispose()
        workspace.registry.list_models()
        return workspace

    def close(self) -> None:
        """Give all connections back."""
        for workspace in (self.observer, *self._opened.values()):
            workspace.close()


def _check_recovery(workspace: Workspace) -> None:
    """Once the faults are over the same process goes on, and has given everything back."""
    workspace.registry.list_models()
    assert workspace.registry._database.engine.pool.checkedout() == 0


def _check(error: ModelRegistryError) -> None:
    """A retry may help, unless it is the folder of copies or the caller's own file; no secret is shown."""
    assert error.transient or isinstance(error, InvalidConfiguration | FileMissing), error
    shown = "".join(traceback.format_exception(error))
    assert not any(secret in shown for secret in _SECRETS)


def _change(before: dict[str, Counter[Any]], after: dict[str, Counter[Any]]) -> Change:
    found = {
        name: ((after[name] - before[name]).total(), (before[name] - after[name]).total()) for name in before
    }
    return {name: counts for name, counts in found.items() if counts != (0, 0)}


def opened(address: Address, patience: float) -> Workspace:
    """A workspace as :func:`connect` makes it, with a patience of its own."""
    database = Database(address.url, patience=patience)
    return with_store(address, Registry(database, schema.ensure(database), BUILT_IN_STAGES))
