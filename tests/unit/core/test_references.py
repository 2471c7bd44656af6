from __future__ import annotations

import copy
import json
import pickle
import re
import subprocess
import sys
from datetime import datetime, timedelta, timezone

import pytest

from airflow_model_provider import Model, ModelStages
from airflow_model_provider.exceptions import InvalidDefinition, InvalidName, UnknownStage
from airflow_model_provider.named_artifacts import read_reference
from airflow_model_provider.references import OutputReference, Reference
from airflow_model_provider.selectors import Selector, SelectorKind

IRIS = Model("iris_classifier", version=ModelStages.PRODUCTION)
REFERENCES = [
    IRIS.reference,
    IRIS.number,
    IRIS.get_artifact("scaler", 3),
    IRIS.get_artifact("fold", map_index=2),
    IRIS.get_model_artifact("trained_model"),
    IRIS.get_model_artifact("trained_model").uri,
    IRIS.get_model_artifact("trained_model").metadata["size"],
    IRIS.run_metadata["accuracy"],
    IRIS.run_metadata.get("accuracy", default=None),
    Model("iris_classifier", version="latest").get_data_artifact("rows", default=[1, 2]),
    Model("iris_classifier", version=3, conn_id="other").get_deployment_artifact("endpoint"),
    Model("m" * 100, version="v" * 100).get_model_artifact("a" * 100).digest,
    Model("iris_classifier", version="spring-model").run_metadata.get("a b", default={"x": 1}),
]


@pytest.mark.parametrize("reference", REFERENCES, ids=lambda item: repr(item)[:80])
def test_a_reference_survives_json_pickle_and_deepcopy(reference: Reference) -> None:
    """A reference comes back equal, with the same hash, from JSON, pickle and deepcopy."""
    copies = [
        Reference.from_json(json.loads(json.dumps(reference.to_json()))),
        pickle.loads(pickle.dumps(reference)),
        copy.deepcopy(reference),
        read_reference(reference.serialize()),
    ]

    assert copies == [reference] * 4
    assert {hash(item) for item in copies} == {hash(reference)}
    assert {repr(item) for item in copies} == {repr(reference)}
    assert len(json.dumps(reference.to_json())) < 500


def test_different_references_are_different() -> None:
    """References are equal by value only."""
    assert len(set(REFERENCES)) == len(REFERENCES)


def test_a_reference_prints_model_selector_and_artifact() -> None:
    """repr() is the printed form, str() the Jinja expression that means it."""
    reference = IRIS.get_model_artifact("trained_model")

    assert repr(reference) == "iris_classifier[production]/trained_model"
    assert repr(Model("iris_classifier", version=2).get_artifact("x")) == "iris_classifier@2/x"
    assert f"{reference}" == (
        '{{ macros.model_registry.version("iris_classifier", "production").artifact("trained_model", kind="model") }}'
    )
    assert str(IRIS.run_metadata["accuracy"]) == (
        '{{ macros.model_registry.version("iris_classifier", "production").metadata["accuracy"] }}'
    )


def test_a_references_json_is_the_same_bytes_in_every_process() -> None:
    """The serialized form does not depend on the process that makes it."""
    code = (
        "import json; from airflow_model_provider import Model; "
        "r = Model('iris_classifier', version='production').run_metadata.get('accuracy', default=None); "
        "print(json.dumps(r.to_json()), str(r), repr(r))"
    )
    seen = {subprocess.check_output([sys.executable, "-c", code]) for _ in range(3)}

    assert len(seen) == 1


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("production", (SelectorKind.STAGE, "production")),
        (ModelStages.STAGING, (SelectorKind.STAGE, "staging")),
        ("latest", (SelectorKind.LATEST, "latest")),
        (ModelStages.LATEST, (SelectorKind.LATEST, "latest")),
        ("12", (SelectorKind.NUMBER, 12)),
        (12, (SelectorKind.NUMBER, 12)),
        ("2026.1 rc", (SelectorKind.NAME, "2026.1 rc")),
    ],
)
def test_a_selector_is_read_from_what_users_write(
    version: object, expected: tuple[SelectorKind, object]
) -> None:
    """A string is a declared stage, latest, digits, else a version name."""
    selector = Selector.parse(version)

    assert (selector.kind, selector.value) == expected


@pytest.mark.parametrize(
    "stage", ["Production", "productoin", "produktion", "PRODUCTION ", "stagging", "lates"]
)
def test_a_near_miss_of_a_stage_fails_when_it_is_written(stage: str) -> None:
    """A misspelt stage is refused while the DAG is parsed, naming the stage that was meant."""
    with pytest.raises(UnknownStage, match=r"Did you mean '(production|staging|latest)'"):
        Model("iris_classifier", version=stage)


@pytest.mark.parametrize("stage", ["none", "archived", ModelStages.NONE, ModelStages.ARCHIVED])
def test_a_word_that_is_no_selector_is_refused(stage: str) -> None:
    """What is a state and not a pointer cannot be selected."""
    with pytest.raises(UnknownStage):
        Model("iris_classifier", version=stage)


@pytest.mark.parametrize(
    "version", [0, -1, True, 1.5, "", " x", "x" * 101, "a/b", "{nope}-1", "{date", "../x", "a\nb"]
)
def test_a_version_that_cannot_be_is_refused(version: object) -> None:
    """Numbers start at 1, names match the rule, templates hold known placeholders."""
    with pytest.raises(InvalidName):
        Model("iris_classifier", version=version)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "name", ["", " ", "../etc", "a/b", "x;drop table", "<b>", "é", "x" * 101, "a\x00b", "name "]
)
def test_a_name_outside_the_rule_is_refused(name: str) -> None:
    """No name can leave its directory, its SQL parameter or its HTML text."""
    with pytest.raises(InvalidName):
        Model(name)
    with pytest.raises(InvalidName):
        IRIS.get_artifact(name)


def test_a_team_declares_more_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    """A declared stage is a selector, and its near misses fail."""
    monkeypatch.setenv("AIRFLOW__MODEL_REGISTRY__STAGES", "champion, shadow")

    assert Model("iris", version="champion").selector.kind is SelectorKind.STAGE
    with pytest.raises(UnknownStage, match="champion"):
        Model("iris", version="champoin")


def test_a_default_that_is_not_json_is_refused() -> None:
    """A default travels in the serialized DAG, so it has to be a JSON value."""
    with pytest.raises(InvalidDefinition, match="not a JSON value"):
        IRIS.run_metadata.get("accuracy", default=object())


def test_a_model_that_makes_versions_names_none() -> None:
    """A model without a version can't be referred to; the error says what to write."""
    with pytest.raises(InvalidDefinition, match="version='production'"):
        Model("iris").get_model_artifact("trained_model")


def test_an_output_reference_survives_json() -> None:
    """What travels in XCom comes back equal, and reads well."""
    reference = OutputReference(
        "r", 7, "predictions", 3, "pandas.Series", "ab" * 32, "/s/ab", 12, ("iris@2",)
    )
    data = json.loads(json.dumps(reference.to_json()))

    assert read_reference(data) == reference
    assert data["__artifact__"] == "predictions@3"
    assert data["model_versions"] == ["iris@2"]


def test_other_values_are_not_references() -> None:
    """A user's dictionary is left alone, also one that has our keys; a broken reference is one clear error."""
    assert read_reference({"model": "x"}) is None
    assert read_reference("x") is None
    assert read_reference({"__artifact__": "x"}) is None
    assert read_reference({"__model_reference__": "x", "model": "x"}) is None
    with pytest.raises(InvalidDefinition, match="can be read"):
        read_reference({"__artifact__": "x", "registry": "r", "id": 1, "digest": "d"})
    with pytest.raises(InvalidDefinition, match="this release can read"):
        read_reference({"__model_reference__": "x", "model": "x", "version": "y", "selector": "zzz"})


@pytest.mark.parametrize("version", ["{{ 1 }}", "{% raw %}", "{{ params.version or 'production' }}"])
def test_a_template_is_never_read(version: str) -> None:
    """As data it is refused, whatever it is a template of: it can stand in DAG files only."""
    data = json.loads(json.dumps(Model("iris", version=version).get_artifact("m")))

    with pytest.raises(InvalidDefinition, match="holds a template, and it came as data"):
        read_reference(data)


def test_a_time_that_utc_does_not_know_is_refused() -> None:
    """The first day of the calendar, seen from the east, lies before it."""
    with pytest.raises(InvalidDefinition, match="cannot be converted to UTC"):
        Model("iris", version="production", as_of=datetime.min.replace(tzinfo=timezone(timedelta(hours=2))))


@pytest.mark.parametrize(
    ("option", "advice"),
    [
        ("stage", "Say which version: version='production'."),
        ("verison", "Did you mean 'version'?"),
        ("x", "It takes name, version, pin,"),
    ],
)
def test_an_argument_that_a_model_has_not_is_refused(option: str, advice: str) -> None:
    """With the one that is meant."""
    said = f"Model('iris'): it has no argument '{option}'. {advice}"
    with pytest.raises(InvalidDefinition, match=re.escape(said)):
        Model("iris", **{option: 1})  # type: ignore[arg-type]


def test_a_number_is_the_same_version_however_it_is_written() -> None:
    """As a number, or as text, such as a form or a file has it."""
    written = [Model("iris", version=version) for version in (3, "3", "03")]

    assert len({*written}) == len({repr(item.get_artifact("x")) for item in written}) == 1
    assert [item.version for item in written] == [3, 3, 3]
