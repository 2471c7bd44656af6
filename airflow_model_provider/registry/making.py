"""The part of :class:`Registry` that knows versions in the making."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_model_provider.registry import abandoned, pins, producing, settling, versions
from airflow_model_provider.registry.entities import COMMITTED, FAILED, NOTHING, VersionState
from airflow_model_provider.selectors import check_version_name

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from airflow_model_provider.registry.database import Database
    from airflow_model_provider.registry.entities import Attempt, RunKey, VersionRecord


class Making:
    """What runs, tasks and programs do while they make versions."""

    _database: Database
    stages: tuple[str, ...]

    def _check_name(self, name: object) -> None:
        """Refuse the name of a version that the registry would read as something else."""
        if name is not None:
            check_version_name(name, self.stages)

    def version_for_run(
        self,
        model: str,
        run: RunKey,
        *,
        producer: str,
        producers: producing.Producers = NOTHING,
        again: producing.Again = tuple,
        running: producing.Again = tuple,
        passed_over: producing.Again = tuple,
        is_first_try: bool = True,
        name: str | None = None,
        card: Mapping[str, Any] | None = None,
        run_mark: str | None = None,
    ) -> VersionRecord:
        """Return the version that a Dag run makes of a model. See :func:`producing.version_for_run`."""
        self._check_name(name)
        card = card or {}
        new = versions.NewVersion(name=name, tags=card.get("tags", ()), card=card, run_mark=run_mark)
        return producing.version_for_run(
            self._database,
            model,
            run,
            producer=producer,
            producers=producers,
            new=new,
            again=again,
            running=running,
            passed_over=passed_over,
            is_first_try=is_first_try,
        )

    def made_in_run(self, model: str, run: RunKey, parts: Collection[str]) -> list[str]:
        """Return the parts that a run's version holds. See :func:`producing.made_in_run`."""
        return producing.made_in_run(self._database, model, run, parts)

    def awaiting_version(self, model: str, run: RunKey, producer: str) -> VersionRecord | None:
        """Return the version of a Dag run that waits for a task. See :func:`producing.awaiting_version`."""
        return producing.awaiting_version(self._database, model, run, producer)

    def settle_producer(
        self,
        version_id: int,
        producer: str,
        state: str,
        *,
        declares: bool = True,
        stopped: Collection[str] = (),
    ) -> VersionState:
        """Note what became of a task's part of a version. See :func:`settling.settle_producer`."""
        return settling.settle_producer(
            self._database, version_id, producer, state, declares=declares, stopped=stopped
        )

    def pending_instances(self, version_id: int) -> list[str]:
        """Return the instances that a version waits for. See :func:`settling.pending_instances`."""
        return settling.pending_instances(self._database, version_id)

    def unskipped_instances(self, version_id: int) -> list[str]:
        """Return the instances that a version counts with. See :func:`settling.unskipped_instances`."""
        return settling.unskipped_instances(self._database, version_id)

    def failed_parts(self, version_id: int) -> dict[str, bool]:
        """Return the parts that have failed. See :func:`settling.failed_parts`."""
        return settling.failed_parts(self._database, version_id)

    def leave_out(self, version_id: int, removed: Collection[str]) -> VersionState:
        """Note that Airflow has removed mapped instances. See :func:`settling.leave_out`."""
        return settling.leave_out(self._database, version_id, removed)

    def commit_producer(self, version_id: int, producer: str) -> VersionState:
        """Note that a task has committed its part of a version. See :func:`settling.settle_producer`."""
        return self.settle_producer(version_id, producer, COMMITTED)

    def fail_producer(self, version_id: int, producer: str) -> VersionState:
        """Note that a task failed to make its part of a version. See :func:`settling.settle_producer`."""
        return self.settle_producer(version_id, producer, FAILED)

    def begin_version(self, model: str, name: str | None, attempt: Attempt | None) -> VersionRecord:
        """Begin a version that a program, or a task by itself, makes. See :func:`versions.create_version`."""
        self._check_name(name)
        new = versions.NewVersion(name=name, state=VersionState.PRODUCING)
        if attempt is not None:
            parts = {attempt.producer: True}
            new = new._replace(run=attempt.run, producers=parts, attempt_id=attempt.attempt_id)
        return versions.create_version(self._database, model, new)

    def end_version(self, version_id: int, state: VersionState, attempt: Attempt | None) -> None:
        """End what :meth:`begin_version` has begun."""
        if attempt is None:
            self.finish_version(version_id, state)
        else:
            part = COMMITTED if state is VersionState.READY else FAILED
            self.settle_producer(version_id, attempt.producer, part)

    def finish_version(self, version_id: int, state: VersionState) -> None:
        """End the making of a version. See :func:`producing.finish_version`."""
        producing.finish_version(self._database, version_id, state)

    def close_run_version(
        self, model: str, run: RunKey, outcomes: Mapping[str, str] | None = None
    ) -> VersionRecord | None:
        """End the making of a Dag run's version. See :func:`producing.close_run_version`."""
        return producing.close_run_version(self._database, model, run, outcomes)

    def open_versions(self, deployment: str) -> list[abandoned.OpenVersion]:
        """Return the versions that Dag runs are making. See :func:`abandoned.open_versions`."""
        return abandoned.open_versions(self._database, deployment)

    def close_version(self, version: abandoned.OpenVersion, outcomes: Mapping[str, str]) -> VersionState:
        """End the making of a version whose run is over. See :func:`abandoned.close_version`."""
        return abandoned.close_version(self._database, version, outcomes)

    def fail_abandoned(self, days: float, *, alive: Collection[RunKey] = (), dry_run: bool = False) -> int:
        """Fail the versions that nobody goes on making. See :func:`abandoned.fail_abandoned`."""
        return abandoned.fail_abandoned(self._database, days, alive=alive, dry_run=dry_run)

    def take_over_run(self, run: RunKey) -> int:
        """Let the next run of this id go on with what one has made and pinned. See :func:`pins.take_over_run`."""
        return pins.take_over_run(self._database, run, None)
