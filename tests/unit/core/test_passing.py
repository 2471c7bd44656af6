"""What a step returns comes back as it was: references to any depth, and data that looks like them."""

from __future__ import annotations

import json
import math
from collections import OrderedDict, deque
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from airflow_model_provider import Client, Model, load_artifact, pipeline, save_artifact, step
from airflow_model_provider.exceptions import (
    InvalidConfiguration,
    InvalidDefinition,
    InvalidSelector,
    ReferenceMismatch,
)
from airflow_model_provider.execution import StepExecution
from airflow_model_provider.named_artifacts import NamedArtifact
from airflow_model_provider.pipelines.passing import read_result, read_whole, written
from airflow_model_provider.references import OutputReference, Reference

IRIS = Model("iris", version="production").get_artifact("m")
TEMPLATE = {"__model_reference__": "x", "model": "iris", "selector": "template", "version": "{{ 1 / 0 }}"}
NUMBER = {"__model_reference__": "x", "model": "iris", "selector": "number", "version": 1}
OUTPUT = OutputReference("r", 7, "predictions", 3, "pandas.Series", "ab" * 32, "/s/ab", 12).to_json()
LIKE_WORDS: list[Any] = [
    TEMPLATE,
    NUMBER,
    OUTPUT,
    {"__artifact__": "x"},
    {"__model_reference__": ["user data"], "a": {"b": 1}},
    {"__model_registry_data__": [["a", 1]]},
    {"__model_registry_data__": "x", "more": [NUMBER]},
    {"__classname__": "builtins.tuple", "__version__": 1, "__data__": [1]},
    {"__type": "tuple", "__var": [3]},
    {"rows": [{"__type__": "tuple", "value": 3}, {"__id__": 1}]},
]
PLACES = [lambda part: part, lambda part: [part], lambda part: {"a": [{"b": part}]}]


def form(value: Any) -> dict[str, Any] | None:
    """The JSON of a reference."""
    return value.to_json() if isinstance(value, Reference) else None


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("data", LIKE_WORDS, ids=str)
def test_data_beside_a_reference_comes_back(data: Any, place: Any) -> None:
    """Whatever keys it has, beside a reference and around one; nothing of it is read."""
    value = place({"data": data, "around": {"__artifact__": [IRIS, data]}, 3: IRIS})

    assert read_result(json.loads(json.dumps(written(value, form)))) == value


@pytest.mark.parametrize(
    "data",
    [math.nan, -math.inf, 2**64, "\ud800", "a\x00", {math.nan: 1}, {"\ud800": 1}, {(1, 2): 3}, {1: object()}],
    ids=map(str, range(9)),
)
def test_what_json_cannot_hold_travels_beside_no_reference(data: Any) -> None:
    """Airflow could not keep it, once the step's work is done."""
    with pytest.raises(TypeError, match="is no JSON value"):
        written([IRIS, {"data": data}], form)


@pytest.mark.parametrize("data", [TEMPLATE, NUMBER, OUTPUT])
def test_other_data_is_a_reference_as_a_whole_only(data: dict[str, Any]) -> None:
    """What a task that is no step has returned is not looked into."""
    assert read_whole([data]) == [data]
    assert read_whole({"rows": {"a": data}}) == {"rows": {"a": data}}
    assert isinstance(read_whole(NUMBER), Reference)


def passed(value: Any) -> Any:
    """What a step gets of what another one has returned, in a local run."""
    got: list[Any] = []

    @step
    def give() -> Any:
        return value

    @step
    def take(given: Any) -> None:
        got.append(given)

    @pipeline
    def passing() -> None:
        take(give())

    passing()
    return got[0]


class Held:
    """An object that nobody looks into."""

    def __init__(self, it: Any) -> None:
        self.it = it


class Pair(NamedTuple):
    """A container that is no plain one."""

    first: Any
    second: Any = 0.5


class Options:
    """An object of which everything can be asked."""

    def __init__(self) -> None:
        self.options = {"c": 1.0}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "options":
            raise AttributeError(name)
        return self.options[name]


def test_an_object_is_not_asked_for_what_it_has_not(model_registry: Client) -> None:
    """Its class may raise whatever it likes."""
    assert passed(Options()).c == 1.0


@pytest.mark.parametrize(("form", "said"), [
    (Held, "holds it@1 where nobody would load it"),
    (lambda it: {it: 1}, "holds it@1 where nobody would load it"),
    (lambda it: {"a": [Held(it)]}, "its value of type .*Held holds it@1 where nobody would load it"),
    (lambda it: {it}, "output 'output' of step 'give': a set: it can't hold what is given to it"),
])  # fmt: skip
def test_a_handle_that_cannot_be_replaced_is_refused(form: Any, said: str, model_registry: Client) -> None:
    """The error names it, and the output."""
    handle = save_artifact([1], "it")

    with pytest.raises(InvalidDefinition, match=said):
        passed(form(handle))


@pytest.mark.parametrize("beside", [b"x", 2**80, {1}, Pair(1), [b"x"]], ids=repr)
@pytest.mark.parametrize(
    "form", [lambda part, beside: [part, beside], lambda part, beside: {"a": (part, beside)}]
)
def test_references_beside_what_json_cannot_hold(beside: Any, form: Any, model_registry: Client) -> None:
    """They are loaded all the same, and what is beside them comes back."""
    model_registry.register_model_version("iris", {"m": 1.5}, stage="production")

    found = passed(form(IRIS, beside))

    assert found == form(1.5, beside)


def test_a_handle_in_a_container_of_its_own_kind(model_registry: Client) -> None:
    """The container comes back as what it was."""
    handle = save_artifact("it", "it")

    found = [passed(form(handle)) for form in (Pair, lambda it: OrderedDict(it=it), lambda it: deque([it]))]

    assert found == [Pair("it"), OrderedDict(it="it"), deque(["it"])]
    assert [type(item) for item in found] == [Pair, OrderedDict, deque]


@pytest.mark.parametrize("form", [
    *(Pair, Held, lambda it: {it: 1}, lambda it: SimpleNamespace(it=it), lambda it: [Pair(b"x"), Pair(it)]),
    *(lambda it: OrderedDict(it=it), lambda it: deque([it]), lambda it: [Held(it)], lambda it: [it, {it: 1}]),
])  # fmt: skip
def test_a_reference_where_nobody_would_load_it_is_refused(form: Any, model_registry: Client) -> None:
    """Nothing is saved; the error says where it can stand."""
    model_registry.register_model_version("iris", {"m": 1.5}, stage="production")
    stored = [*Path(model_registry.workspace.store.url).rglob("*")]

    said = r"holds iris\[production\]/m where .* in lists, tuples and dicts"
    with pytest.raises(InvalidDefinition, match=said):
        passed(form(IRIS))

    assert [*Path(model_registry.workspace.store.url).rglob("*")] == stored


@pytest.mark.parametrize("data", LIKE_WORDS, ids=str)
def test_what_a_step_returns_comes_back(data: Any, model_registry: Client) -> None:
    """By itself as beside a handle, which is loaded."""
    assert passed(data) == data
    assert passed([data, save_artifact("it", "it")]) == [data, "it"]


def test_large_data_beside_a_handle_is_saved_by_itself(
    model_registry: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever its place: what travels stays small, and what is small in it stays as it is."""
    large, sent = list(range(100_000)), []
    run = StepExecution.run

    def noted(self: StepExecution) -> dict[str, Any]:
        sent.append(outputs := run(self))
        return outputs

    monkeypatch.setattr(StepExecution, "run", noted)
    value = [
        save_artifact("it", "it"),
        {"rows": large, "deep": ["y" * 5000, IRIS]},
        large,
        {"__artifact__": 3},
    ]

    with model_registry.new_model_version("iris") as version:
        version.save_artifact("m", 1.5)
    version.set_stage("production")

    assert passed(value) == ["it", {"rows": large, "deep": ["y" * 5000, 1.5]}, large, {"__artifact__": 3}]
    (outputs, _) = sent
    assert len(json.dumps(outputs)) < 10_000
    assert outputs["output"][1]["rows"] == outputs["output"][2]


@pytest.mark.parametrize("data", LIKE_WORDS, ids=str)
def test_parameters_and_literals_are_data(data: Any, model_registry: Client) -> None:
    """At any depth, in arguments of any sort, mapped over or not, nothing is read or rendered."""
    got: list[Any] = []

    @step
    def look(given: Any, default: Any = data) -> None:
        got.extend([given, default])

    @step
    def several() -> list:
        return [data, "{{ 1 / 0 }}"]

    @step
    def rows() -> list:
        return [{"given": data}, {"given": "{{ 1 / 0 }}"}]

    @pipeline
    def looking(given: Any) -> None:
        look(given)
        look({"a": [given]}["a"])
        look.expand(given=several())
        look.expand_kwargs(rows())

    looking(data)

    assert got == [data, data, [data], data] + [data, data, "{{ 1 / 0 }}", data] * 2


def test_objects_of_the_program_are_references(model_registry: Client) -> None:
    """A local caller's own references and models count, at any depth."""
    with model_registry.new_model_version("iris") as version:
        version.save_artifact("m", 1.5)
    version.set_stage("production")
    got: list[Any] = []

    @step
    def look(given: Any) -> None:
        got.append(given)

    @pipeline
    def looking(given: Any) -> None:
        look(given)

    looking({"deep": [IRIS]})

    assert got == [{"deep": [1.5]}]


def test_a_template_is_not_rendered_in_code(model_registry: Client) -> None:
    """A version that a step's code names, or returns a reference to, is a value, also where it has braces."""
    text = "{{ params.clear() }}"

    @step
    def use() -> Any:
        return Model("iris", version=text).number

    @step
    def give() -> Any:
        return Model("iris", version=text)

    def run(one: Any) -> None:
        @pipeline
        def running() -> None:
            one()

        running()

    for one in (use, give):
        with pytest.raises(InvalidSelector, match="holds a template"):
            run(one)


def test_a_users_own_call_reads_what_it_is_given(model_registry: Client) -> None:
    """``load_artifact`` reads a reference that came as JSON, and no template."""
    artifact = save_artifact([1, 2], "it")

    assert load_artifact(artifact.reference().to_json()) == [1, 2]
    with pytest.raises(InvalidDefinition, match="holds a template"):
        load_artifact(TEMPLATE)


@pytest.mark.parametrize(
    "forged",
    [
        {"digest": f"sha256:{'0' * 64}"},
        {"__artifact__": "harmless@77"},
        {"__artifact__": "other@1"},
        {"size": 5},
        {"type": "builtins.dict"},
        {"id": 2},
    ],
    ids=str,
)
def test_the_id_alone_names_no_artifact(forged: dict[str, Any], model_registry: Client) -> None:
    """One error that names both readings, through a call and between steps; as after a restore from a backup."""
    artifact = save_artifact([1, 2, 3], "harmless")
    save_artifact({"salaries": [9]}, "secret_table")
    reference = {**artifact.reference().to_json(), **forged}
    elsewhere = {**artifact.reference().to_json(), "uri": "file:///etc/passwd"}

    assert load_artifact(elsewhere) == [1, 2, 3]
    with pytest.raises(ReferenceMismatch, match=r"The reference says: .*The registry says: "):
        load_artifact(reference)
    with pytest.raises(ReferenceMismatch):
        passed(OutputReference.from_json(reference))


def test_data_names_no_other_registry(model_registry: Client) -> None:
    """Whoever may write it must not choose where a task reads; a reference of the program's own may."""
    there = Model("iris", version=1, conn_id="other").get_artifact("m")
    behind = Model("iris", version=1).get_artifact("m", default=there)
    for form in (there.to_json(), behind.to_json(), NamedArtifact("it", conn_id="other").to_json()):
        with pytest.raises(InvalidDefinition, match="it names the connection 'other', and came as data"):
            load_artifact(form)

    with pytest.raises(InvalidConfiguration, match="no such connection"):
        load_artifact(there)
