"""What all tasks of a Dag run get for a selector: the first one that asks decides (R9)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import Connection, delete, select

from airflow_model_provider.exceptions import DeploymentClash
from airflow_model_provider.registry import tables
from airflow_model_provider.registry.database import Database, run
from airflow_model_provider.selectors import check_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_model_provider.registry.entities import Attempt, RunKey

_pin = tables.run_pin


class RunPin(NamedTuple):
    """A version that a Dag run is to keep for a selector of a model."""

    model_id: int
    selector: str
    version_id: int


def pin_run(database: Database, attempt: Attempt, wanted: Sequence[RunPin]) -> None:
    """Pin versions for the run of a task; where another task was faster, or the version is gone, nothing changes."""

    def work(connection: Connection) -> None:
        for pin in sorted(set(wanted)):  # in one order everywhere, so that no two tasks wait for each other
            values = {**attempt.run._asdict(), **pin._asdict(), "run_mark": attempt.run_mark}
            run(connection, _PIN, values)

    database.write(work)


def drop_run_pins(
    database: Database, deployment: str, dag_id: str, run_id: str, model: str | None = None
) -> int:
    """
    Forget what a Dag run has pinned, so that its tasks, once cleared, get what the selectors name then.

    :param model: only of this model; None for all.
    :return: how many pins there were.
    """
    if model is not None:
        check_name("model", model)
    where = (_pin.c.deployment == deployment) & (_pin.c.dag_id == dag_id) & (_pin.c.run_id == run_id)
    if model is not None:
        of_model = select(tables.model.c.id).where(tables.model.c.name == model)
        where &= _pin.c.model_id.in_(of_model)
    return database.write(lambda connection: connection.execute(delete(_pin).where(where)).rowcount)


def check_same_run(run: RunKey, mine: str | None, mark: str | None) -> None:
    """
    Refuse what another Airflow's run of the same name has written.

    A run's mark is how often it was cleared and when it started: at the same count the start is the same.

    :raises DeploymentClash: if it is not.
    """
    if mark is None or mine is None or mark == mine:
        return
    if mark.split(" ")[0] == mine.split(" ")[0]:
        raise DeploymentClash(*run)


#: FOR SHARE: a version that is being deleted is not pinned, and a pinned one not deleted (R24).
_PIN = """
INSERT INTO mr_run_pin (deployment, dag_id, run_id, model_id, selector, version_id, run_mark, at)
SELECT :deployment, :dag_id, :run_id, :model_id, :selector, v.id, :run_mark, {now} FROM mr_version v
WHERE v.id = :version_id AND v.state <> 'deleted' {share}
ON CONFLICT DO NOTHING
"""
