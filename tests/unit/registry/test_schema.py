"""First use, checks and changes of the schema (R34, R35)."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, create_engine, text

from airflow_model_provider.exceptions import (
    InvalidConfiguration,
    ModelRegistryError,
    RegistryUnavailable,
    SchemaMismatch,
)
from airflow_model_provider.registry import schema, tables
from airflow_model_provider.registry.database import Database
from airflow_model_provider.registry.registry import Registry
from tests.support.processes import FORK

if TYPE_CHECKING:
    from pathlib import Path

OPEN = "import sys; from airflow_model_provider.registry.registry import Registry; print(Registry.open(sys.argv[1]).id)"


def execute(url: str, statement: str) -> None:
    """Change a database behind the registry's back."""
    database = Database(url)
    database.write(lambda connection: connection.execute(text(statement)))
    database.close()


def id_of_registry(url: str, ready: Any) -> str:
    """Open a registry at the same time as others do."""
    ready.wait()
    with Registry.open(url) as opened:
        return opened.id


def test_any_number_of_processes_make_one_registry(empty_url: str) -> None:
    """Eight processes that open an empty database at once all get the same registry."""
    with FORK.Manager() as manager, FORK.Pool(8) as pool:
        ready = manager.Barrier(8, None, 60)
        answers = pool.starmap(id_of_registry, [(empty_url, ready)] * 8, chunksize=1)

    assert len(set(answers)) == 1


def test_a_schema_made_between_two_looks_is_used(empty_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first look finds no tables; another process makes them before the second one asks whether there are any."""
    look, made = schema.inspect, []

    def later(connection: Connection) -> Any:
        if not made:
            monkeypatch.setattr(schema, "inspect", look)
            with Registry.open(empty_url) as other:
                made.append(other.id)
        return look(connection)

    monkeypatch.setattr(schema, "inspect", later)
    with Registry.open(empty_url) as registry:
        assert [registry.id] == made


def test_migrations_and_tables_say_the_same(url: str) -> None:
    """Nothing that the code reads differs from what the migrations made."""
    Registry.open(url).close()
    database = Database(url)

    def difference(connection: object) -> list[object]:
        options = {"compare_type": True, "compare_server_default": True}
        context = MigrationContext.configure(
            connection, opts={"version_table": schema.VERSION_TABLE, **options}
        )
        return list(compare_metadata(context, tables.metadata))

    assert database.read(difference) == []
    database.close()


def test_a_schema_goes_down_and_up_again(empty_url: str) -> None:
    """Downgraded to nothing and upgraded, the database is a new registry."""
    first = Registry.open(empty_url)
    first.close()
    schema.downgrade(empty_url, "base")
    assert schema.current(empty_url) is None

    schema.upgrade(empty_url)
    schema.check(empty_url)
    with Registry.open(empty_url) as second:
        assert second.id != first.id


def test_an_unknown_revision_changes_nothing(url: str) -> None:
    """A downgrade to a revision that isn't there is refused and names it."""
    Registry.open(url).close()
    with pytest.raises(InvalidConfiguration, match="'0000'"):
        schema.downgrade(url, "0000")

    schema.check(url)


def test_an_older_schema_names_the_command(url: str) -> None:
    """A database of an older release is not changed by opening it."""
    Registry.open(url).close()
    execute(url, f"UPDATE {schema.VERSION_TABLE} SET version_num = '0000'")

    with pytest.raises(SchemaMismatch, match="airflow model-registry db upgrade"):
        Registry.open(url)


@pytest.mark.parametrize(("oldest", "opens"), [(schema.REVISION, True), ("9999", False)])
def test_a_newer_schema_says_who_may_use_it(url: str, oldest: str, opens: bool) -> None:
    """Workers can be upgraded one by one as long as the newer schema allows this release."""
    Registry.open(url).close()
    execute(url, f"UPDATE {schema.VERSION_TABLE} SET version_num = '9999'")
    execute(url, f"UPDATE mr_registry SET oldest_code = '{oldest}'")

    if opens:
        Registry.open(url).close()
    else:
        with pytest.raises(SchemaMismatch, match="install a newer airflow-model-provider"):
            Registry.open(url)


def test_a_database_of_somebody_else_is_left_alone(empty_url: str) -> None:
    """Tables of others stay; ours are made beside them."""
    execute(empty_url, "CREATE TABLE theirs (id INTEGER)")
    Registry.open(empty_url).close()

    execute(empty_url, "INSERT INTO theirs VALUES (1)")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("no url", "not a database URL"),
        ("mysql://host/db", "neither SQLite nor PostgreSQL"),
        ("sqlite://", "in memory"),
        ("sqlite:///:memory:", "in memory"),
    ],
)
def test_a_url_that_cannot_be_used_is_named(url: str, said: str) -> None:
    """Nonsense, another database or one in memory: one error with examples."""
    with pytest.raises(InvalidConfiguration, match=said):
        Registry.open(url)


def test_a_password_is_never_shown() -> None:
    """A server that isn't there: the error has the address without the password."""
    with pytest.raises(RegistryUnavailable) as caught:
        Database("postgresql://me:s3cret@localhost:1/db", patience=0).read(lambda connection: None)

    assert "s3cret" not in str(caught.value)
    assert "me:***@localhost" in str(caught.value)


def test_a_folder_that_cannot_be_made_is_one_error(tmp_path: Path) -> None:
    """A file stands where the folder should be: nothing is left behind."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelRegistryError, match="cannot be made"):
        Registry.open(f"sqlite:///{tmp_path / 'file' / 'registry.db'}")

    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_file_that_is_no_database_is_one_error(tmp_path: Path) -> None:
    """Something else lies there: it is named and left as it is."""
    path = tmp_path / "registry.db"
    path.write_bytes(b"not a database, but more than a header's worth of other bytes" * 100)
    before = path.read_bytes()
    with pytest.raises(RegistryUnavailable, match=r"registry\.db"):
        Registry.open(f"sqlite:///{path}")

    assert path.read_bytes() == before


def test_alembic_is_not_imported_for_a_schema_that_is_current(url: str) -> None:
    """Opening an existing registry costs one SELECT, not a migration tool."""
    Registry.open(url).close()
    code = f"{OPEN}; print('alembic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, url], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[1] == "False"


def test_the_engine_speaks_to_a_plain_driver(url: str) -> None:
    """The file or database is an ordinary one that other tools can read."""
    with Registry.open(url) as opened:
        engine = create_engine(opened._database.address)
        with engine.connect() as connection:
            assert connection.execute(text("SELECT id FROM mr_registry")).scalar() == opened.id
        engine.dispose()
