"""A grammar of JSON forms that look like references, mutated, through all that reads: nothing is rendered or loaded."""

from __future__ import annotations

import json
import random
from contextlib import suppress
from typing import Any

import pytest

from airflow_model_provider.exceptions import ModelRegistryError
from airflow_model_provider.gates import Gates
from airflow_model_provider.model import Model
from airflow_model_provider.pinned import TaskSide, version_of
from airflow_model_provider.pipelines.constants import is_unsent
from airflow_model_provider.pipelines.passing import is_plain, read_result, read_whole, written
from airflow_model_provider.pipelines.values import WALK, transform
from airflow_model_provider.references import JsonValue, OutputReference, Reference
from airflow_model_provider.registry.entities import Attempt, Resolution, RunKey
from airflow_model_provider.resolver import Moment, Resolver
from airflow_model_provider.selectors import SelectorKind
from tests.support.soak import TIMES

#: Forms in the ordinary tests, in parts that run at once; the long form has a hundred times as many.
FORMS, PARTS = 10_000, 4
ATTEMPT = Attempt(RunKey("d", "dag", "run"), "task", "try")
NAMED = OutputReference("r", 7, "predictions", 3, "builtins.list", "ab" * 32, "/s/ab", 12)
TEXTS = [
    *(
        "{{ canary }}",
        "{% set x = canary %}",
        "x{{ 7 * 7 }}",
        "{# #}",
        "production",
        "latest",
        "iris",
        "task",
        "run",
    ),
    *(
        "secret@1",
        "predictions@3",
        "@",
        "1@1",
        "template",
        "number",
        "stage",
        "name",
        "triggering",
        "logical_date",
    ),
    *(
        "os:system",
        "builtins.eval",
        "sha256:" + "0" * 64,
        "file:///etc/passwd",
        "iris[new]",
        "",
        "\ud800",
        "a" * 500,
    ),
]
KEYS = [
    *(
        "__model_reference__",
        "__artifact__",
        "__model_registry_data__",
        "__classname__",
        "__type",
        "__var",
        "__version__",
    ),
    *(
        "model",
        "selector",
        "version",
        "wanted",
        "name",
        "kind",
        "attribute",
        "default",
        "default_reference",
        "conn_id",
    ),
    *(
        "pin",
        "as_of",
        "on_missing",
        "artifact_version",
        "map_index",
        "registry",
        "id",
        "digest",
        "type",
        "uri",
        "size",
    ),
    *("model_versions", "check", "require", "sequence", "__class__", "rows", "0"),
]
WHOLE: list[dict[str, Any]] = [
    Model("iris", version="{{ canary }}").to_json(),
    Model("iris", version=1).get_artifact("m").to_json(),
    Model("iris", version="production", as_of="logical_date").run_metadata.get("k", default=[1]).to_json(),
    Model("iris").to_json(),
    NAMED.to_json(),
    {"check": "os:system", "require": {"a": "> 1"}},
]


class Grammar:
    """Makes forms: whole ones, ones with a part changed, missing or replaced, in one another at any depth."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def form(self, depth: int = 0) -> Any:
        """One form."""
        choose = self._random
        kind = choose.random()
        if depth > 3 or kind < 0.25:
            return choose.choice([*TEXTS, None, True, 0, 1, -1, 7, 2**63, 1.5, [], {}])
        if kind < 0.35:
            return [self.form(depth + 1) for _ in range(choose.randrange(4))]
        if kind < 0.5:
            return {choose.choice(KEYS): self.form(depth + 1) for _ in range(choose.randrange(5))}
        if kind < 0.6:
            pairs = [[choose.choice(KEYS), self.form(depth + 1)] for _ in range(choose.randrange(4))]
            return {"__model_registry_data__": pairs}
        whole = dict(choose.choice(WHOLE))
        for _ in range(choose.randrange(3)):
            key = choose.choice([*whole, *KEYS])
            if choose.random() < 0.3:
                whole.pop(key, None)
            else:
                whole[key] = self.form(depth + 1)
        return whole


class RecordedRegistry:
    """Notes what is looked up."""

    id = "r"

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def resolve(self, references: Any, *_: Any, **__: Any) -> list[Resolution]:
        """Nothing is there."""
        self.asked.extend(references)
        return [Resolution(reference) for reference in references]

    def record(self, *_: Any) -> None:
        """Nothing is kept."""


class RecordedWorkspace:
    """A registry whose artifacts nobody loads."""

    def __init__(self) -> None:
        self.registry = RecordedRegistry()

    def check_own(self, reference: Any) -> None:
        """All are."""


def references_in(value: Any) -> list[Any]:
    """The references that a value holds, as objects."""
    found: list[Any] = []

    def visit(part: Any) -> Any:
        if isinstance(part, JsonValue | OutputReference):
            found.append(part)
            return part
        return WALK

    transform(value, visit)
    return found


@pytest.mark.parametrize("part", range(PARTS))
def test_no_form_is_rendered_or_names_more_than_it_says(
    part: int, record_property: pytest.RecordProperty
) -> None:
    """
    What a step returned comes back as it was; what any other task returned is whole, or data; templates are refused.

    No template is rendered, and only what is read as a reference, and names a version by itself, is looked up.
    """
    rendered: list[str] = []
    workspace: Any = RecordedWorkspace()

    def render(text: str) -> str:
        rendered.append(text)
        return "1"

    counts = {"forms": 0, "whole references": 0, "refused": 0}
    grammar = Grammar(part)
    for _ in range(FORMS // PARTS * TIMES):
        counts["forms"] += 1
        form = grammar.form()
        came_back(form)
        found, refused = read(form)
        counts["refused"] += refused
        counts["whole references"] += len(found)
        for reference in found:
            resolver = Resolver(ATTEMPT, lambda _: workspace, Silent(), Moment(render))
            assert (
                not isinstance(reference, Reference) or reference.selector.kind is not SelectorKind.TEMPLATE
            )
            with suppress(ModelRegistryError):
                resolver.resolve([reference])
        macros(form)
        assert rendered == []
    asked = {repr(item) for item in workspace.registry.asked}
    for what, count in counts.items():
        record_property(what, f"{count:,}")

    assert counts["whole references"] > counts["forms"] / 1000
    assert counts["refused"] > counts["forms"] / 1000
    assert not any("{{" in item or "{%" in item for item in asked)


class Silent:
    """A log that nobody reads."""

    def info(self, *_: Any) -> None:
        """Nothing."""


def came_back(form: Any) -> None:
    """As data of a step, beside a reference: it is the very value, and no reference more than the one beside it."""
    value = {"form": form, "beside": NAMED}
    try:
        travelled = written(value, lambda part: part.to_json() if part is NAMED else None)
    except TypeError:  # it is saved instead: Airflow can't keep it
        assert holds_unsent(form)
        return
    back = read_result(through_json(travelled))

    assert back["form"] == form
    assert references_in(back) == [NAMED]
    if is_plain(form):
        assert through_json(form) == form


def holds_unsent(form: Any) -> bool:
    """Whether a part of it is one that Airflow can't keep as JSON."""
    if isinstance(form, dict):
        return any(map(holds_unsent, [*form, *form.values()]))
    return any(map(holds_unsent, form)) if isinstance(form, list) else is_unsent(form)


def through_json(value: Any) -> Any:
    """As XCom does."""
    return json.loads(json.dumps(value))


def read(form: Any) -> tuple[list[Any], int]:
    """As the result of any other task: whole, or untouched; a forged result of a step holds no template either."""
    refused = 0
    found: list[Any] = []
    try:
        whole = read_whole(form)
        found += references_in(whole) if whole is not form else []
        assert whole is form or isinstance(whole, Reference | OutputReference)
    except ModelRegistryError:
        refused = 1
    try:
        forged = references_in(read_result(form))
    except ModelRegistryError:
        return found, 1
    for reference in forged:
        assert not isinstance(reference, Reference) or reference.selector.kind is not SelectorKind.TEMPLATE
    return found, refused


def macros(form: Any) -> None:
    """As what a template gives to a macro, and as gates: values, or refused; nothing is imported."""
    side = TaskSide(lambda reference: reference, raised)
    with suppress(ModelRegistryError, TypeError):
        assert version_of(side, "iris", form, {}).selector.kind is not SelectorKind.TEMPLATE
    with suppress(ModelRegistryError, TypeError):
        Gates.of(form)


def raised(error: ModelRegistryError) -> Any:
    """As in a program."""
    raise error
