"""References to artifacts by their own names: values, with a JSON form that is read under the rules of all."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest

from airflow_model_provider.exceptions import DeferredValueUsed, InvalidDefinition, InvalidName
from airflow_model_provider.lazy import LazyNamedArtifact
from airflow_model_provider.named_artifacts import NAMED_KEY, NamedArtifact, read_reference
from airflow_model_provider.pipelines.passing import read_result, read_whole, written

NEWEST = LazyNamedArtifact("scaler")
ONE = LazyNamedArtifact("scaler", 3, 1, conn_id="team_a")
LONGEST = LazyNamedArtifact("x" * 100, 10**9, 1000, "local_path", conn_id="c" * 200)
FORM = {NAMED_KEY: "artifact scaler@3", "name": "scaler", "version": 3}


@pytest.mark.parametrize("reference", [
    *(NEWEST, ONE, ONE.uri, NEWEST.local_path, LONGEST),
    *(LazyNamedArtifact("scaler", default=None), LazyNamedArtifact("scaler", default=[0]), NEWEST.metadata["mean"]),
    NEWEST.metadata.get("mean", {"a": 1}),
])  # fmt: skip
def test_it_is_a_value(reference: NamedArtifact) -> None:
    """Copied, pickled, hashed, and through JSON it is the same; it can't be computed with or changed."""
    back = read_reference(json.loads(json.dumps(reference)))

    assert back == pickle.loads(pickle.dumps(reference)) == copy.deepcopy(reference) == reference
    assert len({back, reference}) == 1
    assert len(json.dumps(reference)) < 500
    assert reference != NamedArtifact("other")
    with pytest.raises(DeferredValueUsed):
        reference["name"]
    with pytest.raises(TypeError, match="can't be changed"):
        reference["name"] = "other"


def test_it_is_printed_as_what_it_means() -> None:
    """In logs, and in templates."""
    assert [repr(item) for item in (NEWEST, ONE, ONE.uri)] == [
        "artifact scaler",
        "artifact scaler@3[1] in team_a",
        "artifact scaler@3[1].uri in team_a",
    ]
    assert [repr(ONE.metadata["a"]), f"{NEWEST.metadata['a']}"] == [
        "artifact scaler@3[1].metadata['a'] in team_a",
        '{{ macros.model_registry.artifact("scaler").metadata["a"] }}',
    ]
    expression = 'macros.model_registry.artifact("scaler", version=3, map_index=1, conn_id="team_a").digest'
    assert f"{ONE.digest}" == "{{ " + expression + " }}"


@pytest.mark.parametrize("changed", [
    {"name": "{{ 1 / 0 }}"}, {"name": "../x"}, {"name": 3}, {"version": "{{ 3 }}"}, {"version": 0}, {"map_index": -2},
    {"attribute": "metadata"}, {"attribute": "metadata:"}, {"attribute": ["uri"]}, {"conn_id": 3}, {"more": 1},
])  # fmt: skip
def test_what_came_as_data_is_checked(changed: dict[str, Any]) -> None:
    """Names are names, numbers are numbers; nothing in it can be a template."""
    with pytest.raises(InvalidDefinition, match="not a reference to an artifact that can be read"):
        read_whole({**FORM, **changed})


def test_data_from_outside_names_no_connection() -> None:
    """Only what a step returned, or the DAG file says, chooses the registry."""
    with pytest.raises(InvalidDefinition, match="names the connection 'team_a'"):
        read_whole({**FORM, "conn_id": "team_a"})
    assert read_result([{**FORM, "conn_id": "team_a"}]) == [NamedArtifact("scaler", 3, conn_id="team_a")]


def test_it_is_read_where_references_are() -> None:
    """A whole result of any task, and anywhere in a step's; data of the user's with our key comes back."""
    data = {"rows": [FORM], "mine": {NAMED_KEY: 1}}

    assert read_whole(FORM) == NamedArtifact("scaler", 3)
    assert read_whole([FORM]) == [FORM]
    form = written([NEWEST, data], lambda part: part.to_json() if isinstance(part, NamedArtifact) else None)
    assert read_result(json.loads(json.dumps(form))) == [NEWEST, data]


def test_a_default_is_a_json_value() -> None:
    """None is one, and no default is none; what differs in JSON is not the same."""
    given = [LazyNamedArtifact("scaler", default=value) for value in (None, 0, False, [])]

    assert len({NEWEST, *given}) == 5
    assert [item.has_default for item in (NEWEST, *given)] == [False, True, True, True, True]
    for wrong in (object(), NEWEST, float("nan")):
        with pytest.raises(InvalidDefinition, match="a JSON value"):
            LazyNamedArtifact("scaler", default=wrong)


@pytest.mark.parametrize("given", [("",), ("../x",), ("{{ params.x }}",), ("scaler", 0), ("scaler", 1.5)])
def test_what_can_be_no_artifact_is_refused_at_once(given: tuple[Any, ...]) -> None:
    """While the DAG file is parsed."""
    with pytest.raises((InvalidName, InvalidDefinition)):
        LazyNamedArtifact(*given)
