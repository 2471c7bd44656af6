"""Jinja in the arguments of a local run's steps: what Airflow would fill in, as far as it exists here."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_model_provider.exceptions import InvalidDefinition, ModelRegistryError
from airflow_model_provider.named_artifacts import NamedArtifact
from airflow_model_provider.pinned import TaskSide, pinned, version_of
from airflow_model_provider.selectors import RUN_DATES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from airflow_model_provider.named_artifacts import AnyReference
    from airflow_model_provider.registry.entities import Attempt
    from airflow_model_provider.resolver import Resolver


class LocalTemplates:
    """
    Fills in the templates of a local run.

    :param run_id: the run's id.
    :param params: the pipeline's parameters.
    :param logical_date: the date the run is for.
    :param pull: returns what a step has returned, by task id and output name.
    """

    def __init__(
        self,
        run_id: str,
        params: Mapping[str, Any],
        conf: Mapping[str, Any],
        logical_date: datetime,
        pull: Callable[[str, str], Any],
    ) -> None:
        self._pulled, self._date, self._conf = pull, logical_date, conf
        self._context: dict[str, Any] = {
            "params": params,
            "run_id": run_id,
            "try_number": 1,
            "logical_date": logical_date,
            "data_interval_start": logical_date,
            "data_interval_end": logical_date,
            "ds": f"{logical_date:%Y-%m-%d}",
            "ds_nodash": f"{logical_date:%Y%m%d}",
            "ts": logical_date.isoformat(),
            "ts_nodash": f"{logical_date:%Y%m%dT%H%M%S}",
        }

    def context(self, attempt: Attempt) -> dict[str, Any]:
        """Return what there is of Airflow's context of a task, by Airflow's names."""
        run = SimpleNamespace(
            dag_id=attempt.run.dag_id,
            run_id=attempt.run.run_id,
            logical_date=self._date,
            conf=dict(self._conf),
        )
        task = SimpleNamespace(
            dag_id=run.dag_id,
            task_id=attempt.task_id,
            run_id=run.run_id,
            map_index=attempt.map_index,
            try_number=attempt.try_number,
            xcom_pull=self._pull,
        )
        return {**self._context, "ti": task, "task_instance": task, "dag_run": run}

    def dates(self) -> dict[str, datetime | None]:
        """Return the dates that ``as_of`` can name: in a local run all are the date that it is for."""
        return dict.fromkeys(RUN_DATES, self._date)

    def render(self, text: str, resolver: Resolver) -> str:
        """
        Fill in a template under a task's pins.

        :raises InvalidDefinition: if it can't be filled in here.
        """
        from jinja2 import StrictUndefined, TemplateError
        from jinja2.sandbox import SandboxedEnvironment

        def resolve(reference: AnyReference) -> Any:
            try:
                (found,) = resolver.resolve([reference])
            except ModelRegistryError as err:
                fail(err)
            return pinned(found, resolver, task)

        def fail(error: ModelRegistryError) -> NoReturn:
            raise _Carried(error)

        def version(model: str, version: Any, **options: Any) -> Any:
            return version_of(task, model, version, options)

        def artifact(
            name: str,
            version: int | None = None,
            map_index: int | None = None,
            conn_id: str | None = None,
            **options: Any,
        ) -> Any:
            return resolve(NamedArtifact(name, version, map_index, conn_id=conn_id, **options))

        task = TaskSide(resolve, fail, in_template=True)

        macros = SimpleNamespace(model_registry=SimpleNamespace(version=version, artifact=artifact))
        known = self.context(resolver.attempt)
        environment = SandboxedEnvironment(undefined=StrictUndefined)
        try:
            return environment.from_string(text).render({**known, "macros": macros})
        except _Carried as err:
            raise err.error from None
        except TemplateError as err:
            names = ", ".join([*known, "macros.model_registry.version", "macros.model_registry.artifact"])
            raise InvalidDefinition(
                f"template {text!r}", f"it can't be filled in ({err})", f"A local run knows: {names}."
            ) from err

    def _pull(self, task_ids: str, key: str = "return_value", **_: Any) -> Any:
        return self._pulled(task_ids, key)


class _Carried(Exception):
    """Takes an error through Jinja, which reads a lookup that fails as an undefined value."""

    def __init__(self, error: ModelRegistryError) -> None:
        super().__init__(error)
        self.error = error
