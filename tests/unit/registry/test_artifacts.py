"""Rows of artifacts and metadata (R17-R19, R24)."""

from __future__ import annotations

import pickle
from threading import Thread
from typing import Any

import numpy as np
import pytest
from sqlalchemy import event
from sqlalchemy.exc import IntegrityError

from airflow_model_provider.exceptions import (
    AmbiguousArtifact,
    ArtifactNotFound,
    InvalidName,
    MetadataConflict,
    NotSerializable,
    VersionNotFound,
    VersionSealed,
)
from airflow_model_provider.named_artifacts import NamedArtifact
from airflow_model_provider.references import Reference, Wanted
from airflow_model_provider.registry.artifacts import NewArtifact
from airflow_model_provider.registry.entities import ArtifactRecord, Attempt, Link, Payload, Relation, RunKey
from airflow_model_provider.registry.registry import Registry
from airflow_model_provider.selectors import ArtifactType, Selector

RUN = RunKey("default", "training", "manual__1")
DIGEST = "0" * 64


def save(
    registry: Registry,
    version_id: int,
    name: str = "model",
    relation: Relation = Relation.OUTPUT,
    **more: object,
) -> ArtifactRecord:
    """Register an artifact of a version."""
    payload = Payload(DIGEST, 3, "json", 1, ("builtins.dict",), environment={"python": "3.11"})
    links = [Link(version_id, relation)]
    life = registry.intend_blob(payload.digest, payload.size).life
    new = NewArtifact(name, payload, ArtifactType.DATA, life, links=links, **more)  # type: ignore[arg-type]
    return registry.register_artifact(new)


def found(registry: Registry, name: str, number: int | None = None) -> ArtifactRecord | None:
    """Return what an artifact's own name stands for."""
    (resolution,) = registry.resolve([NamedArtifact(name, number)])
    return resolution.artifact


def test_an_intent_is_noted_before_bytes_are_stored(registry: Registry) -> None:
    """Asked again after the artifact was registered, the bytes are there already."""
    version = registry.create_version("iris")
    first = registry.intend_blob(DIGEST, 3)
    assert not first.stored
    assert registry.intend_blob(DIGEST, 3) == first
    save(registry, version.id)

    assert registry.intend_blob(DIGEST, 3) == first._replace(stored=True)


def test_only_the_note_does_not_wait_for_the_disk(registry: Registry) -> None:
    """What follows over the same connection, also after a note that failed, waits again."""
    database = registry._database
    words = "PRAGMA synchronous" if database.is_sqlite else "SHOW synchronous_commit"

    def waiting() -> object:
        return database.read(lambda connection: connection.exec_driver_sql(words).scalar())

    before = waiting()
    registry.intend_blob(DIGEST, 3)
    assert waiting() == before
    with pytest.raises(IntegrityError):
        registry.intend_blob("1" * 64, -3)

    assert waiting() == before
    assert not registry.intend_blob("1" * 64, 3).stored


def test_artifacts_are_numbered_by_name(registry: Registry) -> None:
    """Each name counts from 1; the newest is found by name alone."""
    version = registry.create_version("iris")
    made = [save(registry, version.id).number for _ in range(2)]

    assert made == [1, 2]
    assert found(registry, "model").number == 2
    assert found(registry, "model", 1).payload.environment == {"python": "3.11"}
    with pytest.raises(ArtifactNotFound, match="'model@3'"):
        found(registry, "model", 3)
    with pytest.raises(ArtifactNotFound, match="It has: model"):
        found(registry, "scaler")


def test_a_try_keeps_the_artifact_that_it_was_given_by_name(registry: Registry) -> None:
    """Recorded under its name, also if a newer one has come; another try gets the newest."""
    version = registry.create_version("iris")
    first = save(registry, version.id, map_index=3)
    asked = [NamedArtifact("model"), NamedArtifact("model", map_index=3, attribute="number")]
    one, two = (Attempt(RUN, "train", f"ti-{number}", try_number=number) for number in (1, 2))
    registry.record(registry.resolve(asked, one), one)
    second = save(registry, version.id)

    assert [item.artifact for item in registry.resolve(asked, one)] == [first, first]
    assert [(item.artifact, item.value) for item in registry.resolve(asked, two)] == [
        (second, None),
        (first, 1),
    ]
    assert {record.wanted for record in registry.resolutions()} == {
        "artifact model",
        "artifact model[3].number",
    }


def test_the_same_output_of_the_same_try_is_registered_once(registry: Registry) -> None:
    """A repeated registration after a lost answer gives the first record; another try makes a new version."""
    version = registry.create_version("iris")
    first = save(registry, version.id, output="model", attempt=Attempt(RUN, "train", "ti-1"))
    again = save(registry, version.id, output="model", attempt=Attempt(RUN, "train", "ti-1"))
    retried = save(registry, version.id, output="model", attempt=Attempt(RUN, "train", "ti-2", try_number=2))

    assert again == first
    assert retried.number == 2
    assert registry.producer_of(first.id) == Attempt(RUN, "train", "ti-1")
    assert registry.producer_of(save(registry, version.id).id) is None


def test_registering_is_all_or_nothing(registry: Registry) -> None:
    """A version that isn't there: no artifact, no number is used."""
    version = registry.create_version("iris")
    with pytest.raises(VersionNotFound):
        save(registry, version.id + 99)
    with pytest.raises(NotSerializable, match="metadata 'when' of artifact 'model'"):
        save(registry, version.id, metadata={"when": object()})
    with pytest.raises(InvalidName):
        save(registry, version.id, name="../model")

    assert save(registry, version.id).number == 1


def test_a_sealed_artifact_stays(registry: Registry) -> None:
    """Before the promotion it can be taken out, after it no more."""
    version = registry.create_version("iris")
    save(registry, version.id, "draft")
    save(registry, version.id)
    registry.delete_artifact(version.id, "draft")
    with pytest.raises(ArtifactNotFound, match="It has: model"):
        registry.delete_artifact(version.id, "draft")
    registry.set_stage("iris", 1, "production")
    with pytest.raises(VersionSealed, match="artifact 'model'"):
        registry.delete_artifact(version.id, "model")

    assert [item.name for item in registry.list_artifacts(version.id)] == ["model"]


def test_an_artifact_can_be_linked_to_several_versions(registry: Registry) -> None:
    """Linking again changes nothing."""
    one, two = registry.create_version("iris"), registry.create_version("iris")
    record = save(registry, one.id)
    for _ in range(2):
        registry.link_artifact(two.id, record.id, Relation.LINKED)
    with pytest.raises(ArtifactNotFound):
        registry.link_artifact(two.id, record.id + 99, Relation.LINKED)

    assert registry.list_artifacts(two.id) == [record]


def test_the_outputs_of_a_task_of_a_run_are_found(registry: Registry) -> None:
    """Newest first, of each attempt and map index; not those of other tasks, runs or outputs."""
    version = registry.create_version("iris")

    def made(task: str, output: str = "size", run: RunKey = RUN, index: int = -1) -> int:
        attempt = Attempt(run, task, attempt_id=f"{run.run_id}{task}{output}{index}", map_index=index)
        return save(registry, version.id, attempt=attempt, output=output).id

    first, second = made("count"), made("count", index=2)
    made("other"), made("count", "other"), made("count", run=RunKey("default", "training", "manual__2"))

    assert [record.id for record in registry.outputs_of(RUN, "count", "size")] == [second, first]
    assert registry.outputs_of(RUN, "never", "size") == []


def test_metadata_is_json_and_comes_back_as_it_was(registry: Registry) -> None:
    """NumPy's scalars become Python's; what is no JSON value is refused as a whole."""
    version = registry.create_version("iris")
    registry.log_version_metadata(version.id, {"f": np.float64(0.5), "i": np.int64(3), "t": (1, "a")})
    with pytest.raises(NotSerializable, match="metadata 'when'"):
        registry.log_version_metadata(version.id, {"ok": 1, "when": object()})
    with pytest.raises(InvalidName):
        registry.log_version_metadata(version.id, {"": 1})

    assert registry.get_metadata(version.id) == {"f": 0.5, "i": 3, "t": [1, "a"]}


def test_one_key_from_several_map_indexes_is_refused(registry: Registry) -> None:
    """The error says to attach it to the artifact instead; a retry of the same index overwrites."""
    version = registry.create_version("iris")
    first, second = (Attempt(RUN, "fold", f"ti-{index}", map_index=index) for index in (0, 1))
    registry.log_version_metadata(version.id, {"loss": 0.5}, first)
    with pytest.raises(MetadataConflict, match="infer_artifact=True"):
        registry.log_version_metadata(version.id, {"loss": 0.4}, second)
    registry.log_version_metadata(version.id, {"loss": 0.3}, first)

    assert registry.get_metadata(version.id) == {"loss": 0.3}


def test_metadata_of_an_artifact_is_sealed_with_its_version(registry: Registry) -> None:
    """New keys can still be added beside the sealed ones."""
    version = registry.create_version("iris")
    record = save(registry, version.id, metadata={"rows": 150})
    registry.log_artifact_metadata(record.id, {"rows": 151})
    registry.set_stage("iris", 1, "production")
    with pytest.raises(VersionSealed, match="metadata 'rows'"):
        registry.log_artifact_metadata(record.id, {"rows": 152})
    registry.log_artifact_metadata(record.id, {"drift": 0.1})

    assert found(registry, "model").metadata == {"rows": 151, "drift": 0.1}


def test_what_was_made_with_a_version_stays_when_it_is_deleted(registry: Registry) -> None:
    """Its own artifact goes, and is named no more; the predictions that were made with it don't."""
    version = registry.create_version("iris")
    own = save(registry, version.id)
    predictions = save(registry, version.id, "predictions", Relation.DERIVED)
    registry.delete_version("iris", 1)

    assert found(registry, "predictions") == predictions
    with pytest.raises(ArtifactNotFound, match="It has: predictions"):
        found(registry, "model")
    with pytest.raises(ArtifactNotFound):
        registry.log_artifact_metadata(own.id, {"late": 1})


def test_metadata_that_is_changed_while_its_version_is_promoted_is_sealed_as_it_is_then(
    registry: Registry, url: str
) -> None:
    """The promotion waits for the change, or the change is refused: what was seen after it never changes."""
    version = registry.create_version("iris")
    artifact = save(registry, version.id, metadata={"rows": "old"})
    seen: list[object] = []

    def promote() -> None:
        with Registry.open(url) as other:
            other.set_stage("iris", 1, "production")
            seen.append(found(other, "model").metadata["rows"])

    promoter = Thread(target=promote)

    def while_it_is_changed(_connection: Any, _cursor: Any, words: str, *_: Any) -> None:
        if words.startswith("UPDATE mr_artifact_version") and not promoter.ident:
            promoter.start()
            promoter.join(timeout=1)  # it ends, or waits for this change

    event.listen(registry._database.engine, "before_cursor_execute", while_it_is_changed)
    registry.log_artifact_metadata(artifact.id, {"rows": "new"})
    promoter.join()

    assert seen == [found(registry, "model").metadata["rows"]] == ["new"]
    with pytest.raises(VersionSealed):
        registry.log_artifact_metadata(artifact.id, {"rows": "newer"})


def test_the_elements_of_a_collection_that_no_task_here_has_made_are_named(registry: Registry) -> None:
    """As of an import: the error says which ones there are, and the list which one each is (R19)."""
    version = registry.create_version("iris")
    for index in (0, 1, 5):
        save(registry, version.id, map_index=index)
    save(registry, version.id, "other")

    with pytest.raises(AmbiguousArtifact, match=r"has the elements 0, 1, 5\. .* map_index=0\.") as error:
        registry.resolve([Reference("iris", Selector.parse(1), Wanted.ARTIFACT, name="model")])
    assert error.value.indexes == pickle.loads(pickle.dumps(error.value)).indexes == (0, 1, 5)
    assert [str(item) for item in registry.list_artifacts(version.id)] == [
        *("model@1[0]", "model@2[1]", "model@3[5]", "other@1"),
    ]


def test_only_some_of_many_elements_are_shown(registry: Registry) -> None:
    """The error still has all of them."""
    version = registry.create_version("iris")
    for index in range(12):
        save(registry, version.id, map_index=index)

    with pytest.raises(AmbiguousArtifact, match=r"elements 0, 1, .*, 9 and 2 more\.") as error:
        registry.resolve([Reference("iris", Selector.parse(1), Wanted.ARTIFACT, name="model")])
    assert error.value.indexes == tuple(range(12))


@pytest.mark.parametrize(
    ("asked", "existing"),
    [
        ({"map_index": 7}, ("model[0]", "model[5]")),
        ({"map_index": 7, "number": 2}, ("model@2[5]",)),
    ],
)
def test_a_wrong_map_index_names_those_that_exist(
    registry: Registry, asked: dict[str, int], existing: tuple[str, ...]
) -> None:
    """In a version, and by the artifact's own name."""
    version = registry.create_version("iris")
    for index in (0, 5):
        save(registry, version.id, map_index=index)
    index, number = asked["map_index"], asked.get("number")
    of_version = Reference(
        *("iris", Selector.parse(1), Wanted.ARTIFACT), name="model", map_index=index, artifact_version=number
    )

    for reference in (of_version, NamedArtifact("model", number, index)):
        with pytest.raises(ArtifactNotFound) as error:
            registry.resolve([reference])
        assert sorted(error.value.existing) == list(existing)


def test_what_an_instance_saves_into_a_version_of_its_own_is_no_element(registry: Registry) -> None:
    """Nor is it listed as one, though a mapped task has made it."""
    version = registry.create_version("iris")
    save(registry, version.id, attempt=Attempt(RUN, "fold", "ti-3", map_index=3))
    (asked,) = registry.resolve([Reference("iris", Selector.parse(1), Wanted.ARTIFACT, name="model")])
    (held,) = registry.list_artifacts(version.id)

    assert asked.artifact == held
    assert (held.map_index, registry.labels_of(DIGEST)) == (-1, ["iris@1/model"])


def test_elements_are_registered_with_their_output(registry: Registry) -> None:
    """Once in a try, whatever is repeated; no version holds them, and they are deleted with the output."""
    version = registry.create_version("iris")
    life = registry.intend_blob(DIGEST, 3).life
    attempt = Attempt(RUN, "train", attempt_id="ti")
    payload = Payload(DIGEST, 3, "json", 1, ("builtins.dict",), environment={})
    links = [Link(version.id, Relation.OUTPUT)]
    rows = NewArtifact("rows", payload, ArtifactType.DATA, life, "rows", attempt, links)
    parts = [
        rows._replace(name="rows.elements", output="rows[]", links=(), map_index=index)
        for index in range(150)
    ]

    whole, *elements = registry.register_artifacts(rows, parts)
    assert registry.register_artifacts(rows, parts) == [whole, *elements]
    assert [element.map_index for element in elements] == list(range(150))
    assert registry.list_artifacts(version.id) == [whole]
    assert [made.artifact for made in registry.made_in(RUN)] == [whole]
    assert found(registry, "rows.elements", 150) == elements[-1]
    with pytest.raises(ArtifactNotFound) as error:
        found(registry, "row", None)
    assert "rows.elements" not in str(error.value)
    registry.delete_version("iris", version.number)
    for name in ("rows", "rows.elements"):
        with pytest.raises(ArtifactNotFound):
            found(registry, name, 1)
