"""From Airflow's context of a task to what the core asks: which try it is, its dates, its pins, its errors."""

from __future__ import annotations

import functools
import logging
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from airflow.sdk import get_current_context
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from airflow_model_provider import claiming, host, settings
from airflow_model_provider.exceptions import ModelRegistryError
from airflow_model_provider.hooks.model_registry import ModelRegistryHook
from airflow_model_provider.selectors import RUN_DATES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from airflow_model_provider.registry.entities import Attempt
    from airflow_model_provider.resolver import Resolver

log = logging.getLogger("airflow.task")
#: The task instance that runs in this process, and its resolver: all that is asked in it shares its pins.
_current: list[tuple[Any, Resolver]] = []


def resolver_for(context: Mapping[str, Any]) -> Resolver:
    """Return the resolver of a task's try: one for its templates, its references and its code (R8)."""
    from airflow_model_provider.resolver import Moment, Resolver

    host.enter_airflow()
    if not _current or _current[0][0] is not context["ti"]:
        resolver = Resolver(
            attempt_of(context),
            lambda conn_id: ModelRegistryHook(conn_id).get_conn(),
            log,
            Moment(
                lambda text: str(context["task"].render_template(text, context)),
                lambda: _dates(context),
                functools.cache(lambda: claiming.claim(context, resolver.attempt, resolver.workspace)),
            ),
        )
        _current[:] = [(context["ti"], resolver)]
    return _current[0][1]


def claim_promotions(context: Mapping[str, Any]) -> None:
    """
    Claim for a task's run the promotions that started it, before its code runs.

    :raises AirflowSkipException: if other runs have claimed all of them.
    """
    if claiming.is_idle(context, resolver_for(context).claimed):
        raise AirflowSkipException(
            "Other runs of this Dag have claimed the promotions that started this run."
        )


def attempt_of(context: Mapping[str, Any]) -> Attempt:
    """Return which try of which task this is."""
    from airflow_model_provider.registry.entities import Attempt, RunKey

    ti = context["ti"]
    return Attempt(
        RunKey(settings.deployment(), ti.dag_id, ti.run_id),
        ti.task_id,
        attempt_id=str(ti.id),
        map_index=-1 if ti.map_index is None else ti.map_index,
        try_number=ti.try_number,
        run_mark=_run_mark(context),
    )


def _run_mark(context: Mapping[str, Any]) -> str | None:
    """How often the Dag run was cleared, and when it started: the same for all its tasks, another for another run."""
    run = context.get("dag_run")
    start = getattr(run, "start_date", None)
    return None if start is None else f"{getattr(run, 'clear_number', 0) or 0} {start.isoformat()}"


def _dates(context: Mapping[str, Any]) -> dict[str, datetime | None]:
    run = context.get("dag_run")
    return {name: getattr(run, name, None) for name in RUN_DATES}


@contextmanager
def hopeless_fails_at_once() -> Iterator[None]:
    """The one place where errors that a retry cannot help fail the task without burning its retries (R13)."""
    try:
        yield
    except ModelRegistryError as err:
        if err.transient:
            raise
        raise AirflowFailException(f"{type(err).__name__}: {err}") from err


def hopeless_fails_a_running_task() -> AbstractContextManager[None]:
    """
    Return what an operator's ``__init__`` checks its arguments in.

    Airflow makes the operator of a mapped task when it runs. While a DAG file is parsed errors stay what they are.
    """
    try:
        get_current_context()
    except RuntimeError:
        return nullcontext()
    return hopeless_fails_at_once()
