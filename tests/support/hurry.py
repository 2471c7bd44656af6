"""``dag.test()`` without what takes it long and is not ours, in the programs of tests."""

from __future__ import annotations

import functools
import time

from airflow import settings
from airflow.api_fastapi.execution_api import routes, versions
from airflow.dag_processing import dagbag
from airflow.sdk.execution_time.supervisor import InProcessTestSupervisor, in_process_api_server
from cadwyn import HeadVersion, Version, VersionBundle
from cadwyn.route_generation import _DELETED_ROUTE_TAG
from sqlalchemy import event


def hurry() -> None:
    """
    Set it aside in this process and its forks.

    Airflow makes its API for tasks in all versions that workers may speak, where those of ``dag.test()`` speak the
    newest, with a client for each task; sleeps before it looks again; reads and writes all DAG files before each run;
    and waits for the disk at each commit.
    """
    event.listen(settings.engine, "connect", lambda made, _: made.execute("PRAGMA synchronous = OFF"))
    versions.bundle = VersionBundle(HeadVersion(), Version(versions.bundle.versions[0].value))
    api = routes.execution_api_router
    api.routes[:] = [route for route in api.routes if _DELETED_ROUTE_TAG not in getattr(route, "tags", ())]
    in_process_api_server().app._cadwyn_initialize()
    client = functools.cache(InProcessTestSupervisor._api_client)
    InProcessTestSupervisor._api_client = staticmethod(client)  # type: ignore[method-assign]
    time.sleep = lambda _: None
    dagbag.BundleDagBag = functools.cache(dagbag.BundleDagBag)
    dagbag.sync_bag_to_db = functools.cache(dagbag.sync_bag_to_db)
