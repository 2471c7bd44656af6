"""What the database refuses by itself, whatever a program asks of it."""

from __future__ import annotations

import hashlib

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from airflow_model_provider.registry.artifacts import NewArtifact
from airflow_model_provider.registry.entities import Link, Payload, Relation, RunKey
from airflow_model_provider.registry.registry import Registry
from airflow_model_provider.selectors import ArtifactType
from tests.support.databases import PostgresServer
from tests.support.reading import Read, read_by

DIGEST = hashlib.sha256(b"model").hexdigest()
FORBIDDEN = {
    "an event is edited": "UPDATE mr_stage_event SET who = 'nobody'",
    "an event is deleted": "DELETE FROM mr_stage_event WHERE sequence = 1",
    "an event jumps the line": (
        "INSERT INTO mr_stage_event (sequence, model_id, stage, version_id, at) "
        "SELECT 9, model_id, stage, version_id, at FROM mr_stage_event WHERE sequence = 1"
    ),
    "the line goes back": "UPDATE mr_registry SET last_sequence = 1",
    "a pointer moves without an event": "UPDATE mr_stage SET version_id = 1",
    "a pointer goes back to an older event": "UPDATE mr_stage SET version_id = 1, sequence = 1",
    "a pointer is made without an event": (
        "INSERT INTO mr_stage (model_id, stage, version_id, sequence) VALUES (1, 'staging', 1, 1)"
    ),
    "a stage is left without an event": "DELETE FROM mr_stage",
    "a number changes": "UPDATE mr_version SET number = 9 WHERE id = 2",
    "a version changes its model": "UPDATE mr_version SET model_id = 2 WHERE id = 2",
    "a version is there twice": (
        "INSERT INTO mr_version (model_id, number, state, created_at, tags, environment) "
        "SELECT model_id, number, state, created_at, tags, environment FROM mr_version WHERE id = 1"
    ),
    "a seal is broken": "UPDATE mr_version SET sealed_at = NULL WHERE id = 1",
    "a version in a stage is deleted": "UPDATE mr_version SET state = 'deleted' WHERE id = 2",
    "a version that a run has pinned is deleted": "UPDATE mr_version SET state = 'deleted' WHERE id = 1",
    "a tombstone comes back": "UPDATE mr_version SET state = 'ready' WHERE id = 3",
    "a version goes without a tombstone": "DELETE FROM mr_version WHERE id = 1",
    "numbers begin again": "UPDATE mr_model SET last_number = 0",
    "a model goes": "DELETE FROM mr_model WHERE id = 2",
    "what is sealed is taken out": "DELETE FROM mr_link WHERE sealed",
    "what is sealed is renamed": "UPDATE mr_link SET name = 'other' WHERE sealed",
    "sealed metadata change": "UPDATE mr_metadata SET value = '1' WHERE sealed",
    "an artifact points to other bytes": "UPDATE mr_artifact_version SET digest = 'x'",
    "an artifact becomes of another format": "UPDATE mr_artifact_version SET format_version = 2",
    "bytes that are used are condemned": "UPDATE mr_blob SET state = 'condemned'",
    "bytes that are used are forgotten": "DELETE FROM mr_blob",
    "an artifact points to bytes that aren't stored": (
        "INSERT INTO mr_artifact_version (artifact_id, number, digest, kind, materializer, format_version, type_names, "
        "attributes, signature, environment, metadata, map_index, created_at) "
        "SELECT artifact_id, 9, 'intended', kind, materializer, format_version, type_names, attributes, signature, "
        "environment, metadata, map_index, created_at FROM mr_artifact_version"
    ),
}


@pytest.fixture
def used(registry: Registry) -> Registry:
    """Two models; of iris version 1 was in production and is pinned, 2 is in production, 3 is deleted."""
    for _ in range(3):
        version = registry.create_version("iris")
    registry.create_version("rose")
    registry.delete_version("iris", 3)
    life = registry.intend_blob(DIGEST, 5).life
    links = [Link(number, Relation.OUTPUT) for number in (1, 2)]
    payload = Payload(DIGEST, 5, "python.bytes", 1, ("builtins.bytes",))
    registry.register_artifact(NewArtifact("trained_model", payload, ArtifactType.DATA, life, links=links))
    registry.log_version_metadata(1, {"accuracy": 0.9})
    registry.set_stage("iris", 1, "production")
    pin = {**RunKey("default", "dag", "run")._asdict(), "at": version.created_at.replace(tzinfo=None)}
    with registry._database.engine.begin() as connection:
        words = (
            "INSERT INTO mr_run_pin (deployment, dag_id, run_id, model_id, selector, version_id, at) "
            "VALUES (:deployment, :dag_id, :run_id, 1, 'production', 1, :at)"
        )
        connection.execute(text(words), pin)
    registry.set_stage("iris", 2, "production", force=True)
    registry.intend_blob("intended", 1)
    return registry


@pytest.mark.parametrize("what", FORBIDDEN)
def test_it_is_refused_by_the_database(used: Registry, what: str) -> None:
    """A bug in a program leaves the promises of the registry true."""
    with pytest.raises(IntegrityError), used._database.engine.begin() as connection:
        connection.execute(text(FORBIDDEN[what]))

    assert [event.version for event in used.history("iris")] == [2, 1]
    assert [version.number for version in used.list_versions("iris")] == [2, 1]


def test_the_pointer_is_made_of_the_event(used: Registry) -> None:
    """An event that a program writes is followed by its pointer, and one that leaves a stage removes it."""
    with used._database.engine.begin() as connection:
        for sequence, version in ((3, 1), (4, None)):
            connection.execute(text("UPDATE mr_registry SET last_sequence = last_sequence + 1"))
            words = (
                "INSERT INTO mr_stage_event (sequence, model_id, stage, version_id, at) "
                "SELECT :sequence, model_id, stage, CAST(:version AS integer), at FROM mr_stage_event "
                "WHERE sequence = 2"
            )
            connection.execute(text(words), {"sequence": sequence, "version": version})
            holders = connection.execute(text("SELECT version_id, sequence FROM mr_stage")).all()
            assert [tuple(row) for row in holders] == ([(1, 3)] if version else [])


@pytest.mark.parametrize("is_counted", [False, True], ids=["new", "counted while small"])
def test_what_a_promotion_reads_does_not_grow_with_the_history(
    postgres: PostgresServer, *, is_counted: bool
) -> None:
    """
    Nor with what was changed since the last vacuum: rows are changed in place.

    PostgreSQL plans a trigger's statements once for a connection, from what it knows of the tables then: nothing of a
    new one; and one that was small when its rows were counted, it reads whole.
    """
    with Registry.open(postgres.new_database()) as registry:
        registry.create_version("iris")
        registry.create_version("iris")
        read(registry, promotions=40)
        if is_counted:
            with registry._database.engine.connect() as connection:
                connection.execute(text("ANALYZE"))
            registry._database.engine.dispose()
        first, _, last = (read(registry, promotions=count) for count in (40, 800, 40))

    assert 0 < last.rows < 1.2 * first.rows
    assert 0 < last.pages < 1.2 * first.pages


def read(registry: Registry, *, promotions: int) -> Read:
    """Promote so many times, and return what was read for it."""

    def promote() -> None:
        for turn in range(promotions):
            registry.set_stage("iris", 1 + turn % 2, "production", force=True)

    return read_by(registry._database, promote)
