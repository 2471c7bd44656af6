"""A connection pooler between the registry and PostgreSQL changes sessions between transactions."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from airflow_model_provider.exceptions import InvalidConfiguration
from airflow_model_provider.registry.registry import Registry

if TYPE_CHECKING:
    from tests.support.databases import PostgresServer

PREPARED = "SELECT count(*) FROM pg_prepared_statements"


def say_often(registry: Registry) -> int:
    """Ask the same often enough to have it prepared; return how many statements the session has."""
    for _ in range(4):
        registry.list_models()
    with registry._database.engine.connect() as connection:
        return int(connection.exec_driver_sql(PREPARED).scalar_one())


def with_threshold(url: str, threshold: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}prepare_threshold={threshold}"


def test_none_prepares_nothing(postgres: PostgresServer) -> None:
    """Under a pooler in transaction mode, the statement would be another session's."""
    url = postgres.new_database()
    with closing(Registry.open(url)) as registry:
        assert say_often(registry) > 0
    with closing(Registry.open(with_threshold(url, "none"))) as registry:
        assert say_often(registry) == 0


def test_a_lost_statement_names_the_setting(postgres: PostgresServer) -> None:
    """What a pooler does is explained, and not the driver's own error."""
    with closing(Registry.open(postgres.new_database())) as registry:
        say_often(registry)
        with registry._database.engine.connect() as connection:
            # Inside a block, so that the driver does not see it and goes on as it does behind a pooler.
            connection.exec_driver_sql("DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$")
        with pytest.raises(InvalidConfiguration, match=r"prepare_threshold=none"):
            registry.list_models()


@pytest.mark.parametrize("threshold", ["never", "-1", "1.5"])
def test_anything_else_is_refused(threshold: str) -> None:
    """The error says what it can be."""
    with pytest.raises(InvalidConfiguration, match="prepare_threshold must be a number or none"):
        Registry.open(with_threshold("postgresql://127.0.0.1/models", threshold))
