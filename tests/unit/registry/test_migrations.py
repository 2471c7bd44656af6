"""Databases of released schemas, upgraded and used; two releases of the code on one database (R35)."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from airflow_model_provider.exceptions import SchemaMismatch, StageOccupied
from airflow_model_provider.registry import schema
from airflow_model_provider.registry.database import Database
from airflow_model_provider.registry.entities import VersionState
from airflow_model_provider.registry.registry import Registry
from airflow_model_provider.selectors import Selector
from tests.support import schemas
from tests.support.next_release import NEXT, NextRelease

PRODUCTION = Selector.parse("production")
UPGRADE = "schema.upgrade(url); print(schema.current(url))"


def execute(url: str, statement: str) -> list[tuple[object, ...]]:
    """What a statement returns, behind the registry's back."""
    database = Database(url)
    found = database.write(lambda connection: connection.execute(text(statement)))
    rows = [] if not found.returns_rows else [tuple(row) for row in found]
    database.close()
    return rows


@pytest.fixture
def two_urls(backend: str, request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """The URLs of two empty databases of one kind."""
    if backend == "postgresql":
        postgres = request.getfixturevalue("postgres")
        return postgres.new_database(empty=True), postgres.new_database(empty=True)
    return f"sqlite:///{tmp_path / 'one'}.db", f"sqlite:///{tmp_path / 'two'}.db"


@pytest.fixture
def released(empty_url: str) -> str:
    """The URL of a database that the newest released code has made and filled."""
    schemas.restore(empty_url, schema.REVISION)
    execute(empty_url, "CREATE TABLE migrated (times INTEGER)")
    return empty_url


@pytest.mark.parametrize("revision", schemas.REVISIONS)
def test_a_released_migration_is_never_edited(two_urls: tuple[str, str], revision: str) -> None:
    """What it builds today is what its release built: databases that are out there are not built again."""
    schemas.restore(two_urls[0], revision)
    schemas.build(two_urls[1], revision)

    advice = "Add a revision instead; before the first release: python -m tests.support.schemas"
    assert schemas.catalog(two_urls[0]) == schemas.catalog(two_urls[1]), advice


def test_every_revision_has_its_dumps() -> None:
    """With them the newest one, and none besides."""
    wanted = {f"{item}.{backend}.sql" for item in schemas.REVISIONS for backend in ("sqlite", "postgresql")}

    assert {path.name for path in schemas.FOLDER.iterdir()} == wanted
    assert schemas.REVISIONS[-1] == schema.REVISION


@pytest.mark.parametrize("revision", schemas.REVISIONS)
def test_a_released_database_is_upgraded_and_used(empty_url: str, revision: str) -> None:
    """All that it told before it tells now, and work on it goes on."""
    schemas.restore(empty_url, revision)
    schema.upgrade(empty_url)
    schema.check(empty_url)
    with Registry.open(empty_url) as registry:
        assert [
            (item.number, item.version_name, item.state.value, item.stages)
            for item in registry.list_versions("iris")
        ] == [
            (5, None, "producing", ()),
            (3, "third", "ready", ("staging",)),
            (2, None, "ready", ("production",)),
            (1, "first", "ready", ()),
        ]
        assert [
            (item.version, item.previous, item.who, item.reason) for item in registry.history("iris")
        ] == [
            (2, 3, "carol", "worse"),
            (3, 2, "bob", None),
            (3, None, "bob", None),
            (2, 1, "bob", None),
            (1, None, "alice", "the first"),
        ]
        second = registry.get_version("iris", PRODUCTION)
        assert registry.get_metadata(second.id) == {"accuracy": 0.75, "seen": 7}
        artifacts = {(item.name, item.map_index): item for item in registry.list_artifacts(second.id)}
        assert sorted(artifacts) == [("shards", 0), ("shards", 1), ("trained_model", -1)]
        assert artifacts["trained_model", -1].payload.digest == "2" * 64
        assert artifacts["trained_model", -1].payload.attributes == {"kind": "größe"}
        assert [item.number for item in registry.resolutions(model="iris")] == [2, 2]
        (pinned,) = registry.resolve([schemas.PRODUCTION], schemas.SCORING._replace(attempt_id="try 3"))
        registry.set_stage("iris", 3, "production", expected=2)
        (after,) = registry.resolve([schemas.PRODUCTION], schemas.SCORING._replace(attempt_id="try 4"))
        assert [item.version and item.version.number for item in (pinned, after)] == [2, 2]
        assert registry.rollback("iris", "production").version == 2
        assert registry.create_version("iris").number == 6
        with pytest.raises(StageOccupied):
            registry.set_stage("iris", 3, "production")


@pytest.mark.parametrize("revision", schemas.REVISIONS)
def test_an_upgraded_database_is_as_a_new_one(two_urls: tuple[str, str], revision: str) -> None:
    """With all triggers and partial indexes, which SQLite drops where a migration makes a table anew."""
    schemas.restore(two_urls[0], revision)
    schema.upgrade(two_urls[0])
    Registry.open(two_urls[1]).close()

    assert schemas.catalog(two_urls[0]) == schemas.catalog(two_urls[1])


def test_processes_that_upgrade_at_once_do_it_once(released: str, tmp_path: Path) -> None:
    """Four of the next release begin together: one migrates, all find the new schema, and nothing is lost."""
    answers = NextRelease(tmp_path / "next").run(UPGRADE, released, processes=4)

    assert answers == [NEXT] * 4
    assert execute(released, "SELECT count(*) FROM migrated") == [(1,)]
    assert execute(released, "SELECT count(*) FROM mr_stage_event") == [(5,)]


def test_workers_are_upgraded_one_by_one(released: str, tmp_path: Path) -> None:
    """The new schema lets this release work on: each sees what the other does."""
    later = NextRelease(tmp_path / "next", oldest=schema.REVISION)
    with Registry.open(released) as before:
        assert later.run(UPGRADE, released) == [NEXT]
        before.set_stage("iris", 3, "production", expected=2)
    with Registry.open(released) as registry:
        code = "later = Registry.open(url); print(later.rollback('iris', 'production').previous)"

        assert later.run(code, released) == ["3"]
        assert registry.get_version("iris", PRODUCTION).number == 2


def test_a_schema_for_newer_code_is_refused_until_it_is_taken_back(released: str, tmp_path: Path) -> None:
    """Opened, checked, upgraded or taken back by this release: refused, unchanged, and it says what to do."""
    later = NextRelease(tmp_path / "next", oldest=NEXT)
    later.run(UPGRADE, released)
    for use, said in {
        Registry.open: "install a newer airflow-model-provider",
        schema.check: "install a newer airflow-model-provider",
        schema.upgrade: "install a newer airflow-model-provider",
        lambda url: schema.downgrade(url, "base"): "with the release that brought it there",
    }.items():
        with pytest.raises(SchemaMismatch, match=said):
            use(released)

    assert later.run(f"schema.downgrade(url, {schema.REVISION!r}); print(schema.current(url))", released) == [
        schema.REVISION
    ]
    with Registry.open(released) as registry:
        assert registry.get_version("iris", PRODUCTION).state is VersionState.READY


def test_a_migration_that_fails_changes_nothing(released: str, tmp_path: Path) -> None:
    """The database is as it was, on SQLite too, and this release goes on."""
    later = NextRelease(tmp_path / "next", oldest=NEXT, then="op.execute('SELECT nonsense')")
    before = schemas.catalog(released)
    with pytest.raises(AssertionError, match="nonsense"):
        later.run(UPGRADE, released)

    assert schemas.catalog(released) == before
    with Registry.open(released) as registry:
        assert registry.create_version("iris").number == 6
