"""From a task instance to the versions it used or made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.sdk import BaseOperatorLink

from airflow_model_provider import host, settings
from airflow_model_provider.pipelines.outputs import VERSIONS_KEY

if TYPE_CHECKING:
    from airflow_model_provider.registry.entities import RunKey, VersionRecord


class ModelVersionLink(BaseOperatorLink):
    """
    The Dag run that made the version a task used; for one made elsewhere, the task's own XComs, which name it.

    Airflow asks for it on the worker when the end of the task has been reported, failed tasks included. The
    XCom ``model_versions`` is pushed then too, and so costs the task no time.
    """

    name = "Model version"
    xcom_key = "_link_model_version"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return the URL, or an empty text where the task pinned nothing."""
        used = getattr(operator, "used_versions", ())
        if not used:
            return ""
        operator._ti.xcom_push(key=VERSIONS_KEY, value=[str(version) for version in used])
        return _page(used[0], operator._ti)


def _page(version: VersionRecord, ti: Any) -> str:
    run: RunKey | None = version.run
    if run is not None and run.deployment == settings.deployment() and not run.run_id.startswith("local__"):
        return _url("dags", run.dag_id, "runs", run.run_id)
    mapped = ("mapped", str(ti.map_index)) if ti.map_index is not None and ti.map_index >= 0 else ()
    return _url("dags", ti.dag_id, "runs", ti.run_id, "tasks", ti.task_id, *mapped, "xcom")


def _url(*parts: str) -> str:
    base = host.airflow_option("api", "base_url") or "http://localhost:8080"
    return "/".join([base.rstrip("/"), *(quote(part, safe="") for part in parts)])
