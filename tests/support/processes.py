"""Processes that tests start: copies of one that has imported already what all of them would import first."""

from __future__ import annotations

import multiprocessing

FORK = multiprocessing.get_context("forkserver")
FORK.set_forkserver_preload(
    [
        "airflow_model_provider.registry.registry",
        "airflow_model_provider.artifacts.store",
        "airflow_model_provider.materializers.codec",
        "airflow_model_provider.materializers.json",
        "airflow_model_provider.transfer.importing",
        "airflow_model_provider.transfer.exporting",
        "airflow_model_provider.upkeep",
        "alembic.command",
        "psycopg",
        "pytest",
        "s3fs",
        "sqlalchemy.dialects.postgresql",
        "sqlalchemy.dialects.sqlite",
        "upath",
    ]
)
