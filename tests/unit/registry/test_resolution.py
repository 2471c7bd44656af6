"""References → versions: one read, one record, one state of the registry (R7, R8, R11, R14)."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event

from airflow_model_provider.exceptions import (
    AmbiguousArtifact,
    ArtifactNotFound,
    InvalidName,
    MetadataNotFound,
    ModelNotFound,
    ModelRegistryError,
    ReferenceMismatch,
    StageNotAssigned,
)
from airflow_model_provider.named_artifacts import NamedArtifact
from airflow_model_provider.references import OutputReference, Reference, Wanted
from airflow_model_provider.registry.artifacts import NewArtifact
from airflow_model_provider.registry.entities import (
    ArtifactRecord,
    Attempt,
    Link,
    Payload,
    Relation,
    RunKey,
    VersionRecord,
)
from airflow_model_provider.registry.registry import Registry
from airflow_model_provider.selectors import ArtifactType, Selector, SelectorKind

if TYPE_CHECKING:
    from collections.abc import Iterator

RUN = RunKey("default", "predictions", "manual__1")
ATTEMPT = Attempt(RUN, "predict", "ti-1")


def artifact(name: str = "trained_model", version: object = "production", **more: Any) -> Reference:
    """A reference to an artifact."""
    return Reference("iris", Selector.parse(version), Wanted.ARTIFACT, name, **more)


def metadata(key: str, version: object = "production", **more: Any) -> Reference:
    """A reference to a metadata value."""
    return Reference("iris", Selector.parse(version), Wanted.METADATA, key, **more)


def save(
    registry: Registry,
    version: VersionRecord,
    name: str = "trained_model",
    *,
    content: str = "bytes",
    kind: ArtifactType = ArtifactType.MODEL,
    relation: Relation = Relation.OUTPUT,
    **more: Any,
) -> ArtifactRecord:
    """Register an artifact of a version; its bytes are elsewhere."""
    digest = hashlib.sha256(content.encode()).hexdigest()
    payload = Payload(digest, len(content), "sklearn.pickle", 1, ("sklearn.svm.SVC",), {"protocol": 5})
    life = registry.intend_blob(digest, len(content)).life
    links = [Link(version.id, relation)]
    return registry.register_artifact(NewArtifact(name, payload, kind, life, links=links, **more))


@pytest.fixture
def trained(registry: Registry) -> Registry:
    """Two versions of iris with a model and its accuracy; the first is production."""
    for number in (1, 2):
        version = registry.create_version("iris", name=f"v{number}")
        save(registry, version, content=f"model {number}", metadata={"folds": number})
        registry.log_version_metadata(version.id, {"accuracy": number / 10, "none": None})
    registry.set_stage("iris", 1, "production")
    return registry


@contextmanager
def statements(registry: Registry) -> Iterator[list[str]]:
    """Collect the statements that are sent to the database."""
    sent: list[str] = []

    def listen(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        sent.append(statement)

    event.listen(registry._database.engine, "before_cursor_execute", listen)
    yield sent
    event.remove(registry._database.engine, "before_cursor_execute", listen)


@pytest.mark.parametrize("count", [1, 10, 100])
def test_one_statement_reads_and_one_records(trained: Registry, count: int) -> None:
    """However many references a task has, in a text that is the same for as many others of their kinds."""
    kinds = [
        artifact(),
        metadata("accuracy"),
        Reference("iris", Selector.parse("latest")),
        artifact(version=2),
    ]
    references = [
        *kinds[:count],
        *(metadata(f"missing {index}", default=index) for index in range(count - len(kinds[:count]))),
    ]
    with statements(trained) as sent:
        found = trained.resolve([reference for reference in references if not reference.has_default], ATTEMPT)
        trained.record(found, ATTEMPT)
    assert len(sent) == 2
    others = [reference.but(model="rose") for reference in references if not reference.has_default]
    with statements(trained) as again:
        trained.resolve(others, ATTEMPT._replace(attempt_id="another"), keep_missing=True)

    assert again[0] == sent[0]
    assert len(trained.resolve(references, ATTEMPT)) == count


def test_every_selector_finds_its_version(trained: Registry) -> None:
    """A stage, latest, a number, a name."""
    asked = ["production", "latest", 2, "v1"]
    found = trained.resolve([Reference("iris", Selector.parse(selector)) for selector in asked])

    assert [item.version.number for item in found if item.version] == [1, 2, 2, 1]


def test_an_artifact_comes_complete(trained: Registry) -> None:
    """Everything a load needs is in the one answer."""
    (found,) = trained.resolve([artifact(kind=ArtifactType.MODEL)])

    assert found.version is not None
    assert found.artifact is not None
    assert (found.version.number, found.version.version_name, found.version.stages) == (
        1,
        "v1",
        ("production",),
    )
    assert found.artifact.payload.digest == hashlib.sha256(b"model 1").hexdigest()
    assert found.artifact.payload.attributes == {"protocol": 5}
    assert found.artifact.payload.type_names == ("sklearn.svm.SVC",)
    assert found.artifact.metadata == {"folds": 1}
    assert (found.artifact.name, found.artifact.number, found.artifact.payload.size) == (
        "trained_model",
        1,
        7,
    )


def test_plain_values_are_given_as_they_were_logged(trained: Registry) -> None:
    """Metadata, numbers, names, stages, digests: None and NaN included."""
    version = trained.get_version("iris", Selector.parse(2))
    trained.log_version_metadata(version.id, {"odd": float("inf"), "deep": {"b": [1, None], "a": "\x00ü"}})
    wanted = [
        metadata("accuracy"),
        metadata("none"),
        metadata("odd", 2),
        metadata("deep", 2),
        Reference("iris", Selector.parse("production"), attribute="number"),
        Reference("iris", Selector.parse("production"), attribute="stage"),
        Reference("iris", Selector.parse(2), attribute="version_name"),
        artifact(attribute="digest"),
        artifact(attribute="number", version="latest"),
        artifact(attribute="metadata:folds"),
    ]

    digest = hashlib.sha256(b"model 1").hexdigest()
    values = [item.value for item in trained.resolve(wanted)]
    assert values == [
        0.1,
        None,
        float("inf"),
        {"b": [1, None], "a": "\x00ü"},
        1,
        "production",
        "v2",
        digest,
        2,
        1,
    ]


@pytest.mark.parametrize(
    ("reference", "error", "said"),
    [
        (Reference("rose", Selector.parse("production")), ModelNotFound, "Models: iris"),
        (
            Reference("iris", Selector.parse("staging")),
            StageNotAssigned,
            r"2 'v2' \(ready\), 1 'v1' \(production\)",
        ),
        (artifact("scaler"), ArtifactNotFound, "iris@1 has no artifact 'scaler'. It has: trained_model"),
        (artifact(kind=ArtifactType.DATA), ArtifactNotFound, "has the type model, not data"),
        (artifact(artifact_version=2), ArtifactNotFound, "'trained_model@2'"),
        (artifact(map_index=0), ArtifactNotFound, r"'trained_model\[0\]'"),
        (metadata("recall"), MetadataNotFound, "It has: accuracy, none"),
        (artifact(attribute="metadata:recall"), MetadataNotFound, "It has: folds"),
    ],
)
def test_what_is_missing_is_named(
    trained: Registry, reference: Reference, error: type[ModelRegistryError], said: str
) -> None:
    """The error says what there is instead; a default is used and kept apart from a value that was found."""
    with pytest.raises(error, match=said):
        trained.resolve([reference])

    facts = {
        **{name: getattr(reference, name) for name in reference.__dataclass_fields__},
        "default": "instead",
    }
    (found,) = trained.resolve([Reference(**facts)])
    assert (found.value, type(found.missing), found.artifact) == ("instead", error, None)


@pytest.mark.parametrize("text", ["x'; DROP TABLE mr_model; --", "%s :attempt {0}", "é" * 250])
def test_hostile_text_finds_nothing(trained: Registry, text: str) -> None:
    """Whatever stands in a reference reaches the database as a value (R40)."""
    found = trained.resolve([metadata(text, default=0)], ATTEMPT)
    assert found[0].value == 0
    trained.record(found, ATTEMPT)

    assert [record.wanted for record in trained.resolutions()] == [repr(metadata(text))]
    largest = Selector(SelectorKind.NUMBER, 2**63 - 1)
    assert trained.resolve([Reference("iris", largest, default=0)])[0].value == 0


@pytest.mark.parametrize("text", ["x'; DROP TABLE mr_model; --", "\x00", "\ud800", "é" * 300, "a\n"])
def test_a_reference_holds_no_hostile_name(text: str) -> None:
    """What the registry accepts nowhere stands in no reference, however it is made."""
    latest = Selector.parse("latest")
    for made in (
        lambda: Reference(text, latest),
        lambda: Reference("iris", Selector(SelectorKind.NAME, text)),
        lambda: Reference("iris", Selector(SelectorKind.STAGE, text)),
        lambda: Reference("iris", Selector(SelectorKind.NUMBER, 10**30)),
        lambda: Reference("iris", latest, Wanted.ARTIFACT, text),
        lambda: Reference("iris", latest, Wanted.METADATA, text * 300),
    ):
        with pytest.raises(InvalidName):
            made()


def test_the_record_says_who_got_what(trained: Registry) -> None:
    """Deployment, run, task, map index, try, model, selector, version, artifact, digest, time."""
    mapped = Attempt(RUN, "score", "ti-2", map_index=3, try_number=2)
    found = trained.resolve([artifact(), metadata("recall", default=None)], mapped)
    trained.record(found, mapped)
    trained.record(found, mapped)
    missing, got = trained.resolutions(dag_id="predictions", run_id="manual__1")

    assert got.attempt == missing.attempt == mapped
    assert (got.model, got.selector, got.number) == ("iris", "production", 1)
    assert (got.artifact, got.artifact_number) == ("trained_model", 1)
    assert got.digest == hashlib.sha256(b"model 1").hexdigest()
    assert (got.resolved, missing.resolved) == (True, False)
    assert trained.resolutions(model="iris", number=1)[-1] == got
    assert trained.resolutions(model="iris", number=2) == []
    assert trained.resolutions(run_id="another") == []


def test_within_one_try_the_first_pin_stays(trained: Registry) -> None:
    """Whatever is promoted or saved in between: a resumed task gets what it recorded; another try sees the new one."""
    latest = Reference("iris", Selector.parse("latest"))
    trained.record(trained.resolve([artifact(), latest], ATTEMPT), ATTEMPT)
    trained.set_stage("iris", 2, "production", force=True)
    save(trained, trained.get_version("iris", Selector.parse(1)), content="later")
    trained.create_version("iris")

    first = trained.resolve([artifact(), latest, metadata("accuracy")], ATTEMPT)
    assert [item.version.number for item in first if item.version] == [1, 2, 1]
    assert first[0].artifact is not None
    assert first[0].artifact.payload.digest == hashlib.sha256(b"model 1").hexdigest()
    again = trained.resolve([artifact(), latest], Attempt(RUN, "predict", "ti-2", try_number=2))
    assert [item.version.number for item in again if item.version] == [2, 3]


def test_sealed_artifacts_win_over_later_ones(trained: Registry) -> None:
    """A version gives what it held when it was promoted; before that, the newest of a name."""
    one, two = (trained.get_version("iris", Selector.parse(number)) for number in (1, 2))
    save(trained, one, content="later")
    save(trained, two, content="later")
    save(trained, two, content="derived", relation=Relation.DERIVED)
    found = trained.resolve([artifact(version=1), artifact(version=2)])

    digests = [item.artifact.payload.digest for item in found if item.artifact]
    assert digests == [hashlib.sha256(text).hexdigest() for text in (b"model 1", b"later")]
    assert [item.payload.digest for item in trained.list_artifacts(one.id)] == digests[:1]


def test_a_collection_is_told_apart_by_index(trained: Registry) -> None:
    """Asked for without an index, the error says which ones there are."""
    version = trained.version_for_run("iris", RUN, producer="fold", producers={"fold": True})
    for index in range(3):
        attempt = Attempt(RUN, "fold", f"ti-{index}", map_index=index)
        save(trained, version, "fold_model", content=f"fold {index}", attempt=attempt, output="fold_model")
    with pytest.raises(AmbiguousArtifact, match="has the elements 0, 1, 2"):
        trained.resolve([artifact("fold_model", 3)])

    (found,) = trained.resolve([artifact("fold_model", 3, map_index=1)])
    assert found.artifact is not None
    assert found.artifact.payload.digest == hashlib.sha256(b"fold 1").hexdigest()


def named(registry: Registry, name: str) -> ArtifactRecord:
    """The newest artifact of a name."""
    (found,) = registry.resolve([NamedArtifact(name)])
    assert found.artifact is not None
    return found.artifact


def test_an_output_is_found_by_its_id(trained: Registry) -> None:
    """What came through XCom names an artifact version; one that isn't there is an error."""
    record = named(trained, "trained_model")
    payload = record.payload
    reference = OutputReference(
        "r", record.id, record.name, record.number, payload.type_names[0], payload.digest, "u", payload.size
    )
    (found,) = trained.resolve([reference], ATTEMPT)
    trained.record([found], ATTEMPT)
    assert found.artifact == record
    assert trained.resolutions()[0].artifact_number == record.number

    with pytest.raises(ArtifactNotFound):
        trained.resolve([OutputReference("r", 10**6, "a", 1, "t", "d", "u", 1)])


@pytest.mark.parametrize(
    ("fact", "value"),
    [("artifact", "other"), ("number", 77), ("type", "t"), ("digest", "0" * 64), ("size", 5)],
)
def test_what_an_output_says_is_compared(trained: Registry, fact: str, value: Any) -> None:
    """The id alone counts for nothing: what differs is refused, and both readings are named; a URI is not followed."""
    record = named(trained, "trained_model")
    kind = record.payload.type_names[0]
    right = OutputReference(
        "r",
        record.id,
        record.name,
        record.number,
        kind,
        record.payload.digest,
        "file:///etc/passwd",
        record.payload.size,
    )
    assert trained.resolve([right])[0].artifact == record

    with pytest.raises(ReferenceMismatch) as caught:
        trained.resolve([replace(right, **{fact: value})], ATTEMPT)
    assert not caught.value.transient
    assert str(value) in caught.value.said.replace(",", "")
    assert f"{record.name}@{record.number}" in caught.value.found


def test_a_later_time_shows_nothing_that_a_try_has_not_seen(registry: Registry) -> None:
    """After a try's first read, as_of a time to come is the stage as that read saw it (R8)."""
    first, second = registry.create_version("iris").number, registry.create_version("iris").number
    registry.set_stage("iris", first, "production")
    attempt = Attempt(RunKey("default", "dag", "run"), "task", "a try that looks twice")
    production = Reference("iris", Selector.parse("production"))
    registry.record(registry.resolve([production], attempt), attempt)
    registry.set_stage("iris", second, "production", force=True)
    (found,) = registry.resolve([production.but(as_of=("2999-01-01T00:00:00+00:00",))], attempt)

    assert found.version is not None
    assert found.version.number == first


def test_no_references_select_no_versions(registry: Registry) -> None:
    """A registry without models is listed, whatever the database."""
    assert registry.numbers([]) == []
    assert registry.resolve([]) == []
    assert registry.list_models() == []
