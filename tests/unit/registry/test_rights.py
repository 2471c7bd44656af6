"""A database that lets us do less than we need, or from which the tables go: one error, which says what helps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from airflow_model_provider.exceptions import RegistryUnavailable
from airflow_model_provider.registry import schema
from airflow_model_provider.registry.registry import Registry
from airflow_model_provider.selectors import Selector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.databases import PostgresServer

CALLS: dict[str, Callable[[Registry], Any]] = {
    "list": lambda registry: registry.list_models(),
    "get": lambda registry: registry.get_version("iris", Selector.parse(1)),
    "make": lambda registry: registry.create_version("iris"),
    "promote": lambda registry: registry.set_stage("iris", 1, "production"),
    "look": lambda registry: registry.last_sequence(),
}


@pytest.mark.parametrize("call", CALLS)
def test_tables_that_go_under_a_living_process_are_one_error(url: str, call: str) -> None:
    """Somebody took the schema back: the same on both databases, whatever is asked for."""
    with Registry.open(url) as registry:
        registry.create_version("iris")
        schema.downgrade(url, "base")
        with pytest.raises(RegistryUnavailable, match="airflow model-registry db check") as caught:
            CALLS[call](registry)

    assert "Nothing was changed" in str(caught.value)
    assert "running" not in str(caught.value)


@pytest.fixture(scope="module")
def readers(postgres: PostgresServer) -> str:
    """The URL of a registry, for somebody who may read it."""
    url = postgres.new_database()
    with Registry.open(url) as registry:
        registry.create_version("iris")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE ROLE reader LOGIN")
        connection.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader")
    return as_reader(url)


def as_reader(url: str) -> str:
    """The same database for another user."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"reader:@{parts.netloc.rpartition('@')[2]}"))


@pytest.fixture
def reader(readers: str) -> Iterator[Registry]:
    """The registry of somebody who may read it."""
    with Registry.open(readers) as registry:
        yield registry


def test_a_reader_is_told_which_right_is_missing(reader: Registry) -> None:
    """Not that the server is down."""
    assert [model.name for model in reader.list_models()] == ["iris"]
    for call in ("make", "promote"):
        with pytest.raises(
            RegistryUnavailable, match=r"permission denied.* lacks a right \(.*UPDATE"
        ) as caught:
            CALLS[call](reader)
        assert "running" not in str(caught.value)


def test_a_database_that_is_read_only_says_so(readers: str) -> None:
    """A standby, or a user to whom that was done."""
    with Registry.open(f"{readers}&options=-c%20default_transaction_read_only=on") as registry:
        assert registry.list_models()
        with pytest.raises(RegistryUnavailable, match=r"read-only.* name one in the URL that can be written"):
            registry.create_version("iris")


def test_nothing_is_said_to_be_made_that_is_not(
    postgres: PostgresServer, readers: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An empty database whose user may not make tables, beside the store of another registry."""
    url = postgres.new_database(empty=True)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("REVOKE CREATE ON SCHEMA public FROM public")
    with pytest.raises(RegistryUnavailable, match=r"permission denied for schema public.*\(CREATE\)"):
        Registry.open(as_reader(url), store_of_others=lambda: "/store")

    assert "Created" not in caplog.text


def test_a_file_that_cannot_be_opened_says_whose_it_must_be(tmp_path: Path) -> None:
    """Nobody runs a server for it."""
    with pytest.raises(RegistryUnavailable, match="Let the user of this process read and write the file"):
        Registry.open(f"sqlite:///{tmp_path}")
