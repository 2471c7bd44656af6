"""References and their options: what is refused where it is written, and what they are as JSON and as text."""

from __future__ import annotations

import copy
import itertools
import json
import pickle
from dataclasses import replace
from datetime import date, datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Annotated, Any

import jinja2
import pytest

from airflow_model_provider import Model, step
from airflow_model_provider.exceptions import InvalidDefinition
from airflow_model_provider.lazy import LazyNamedArtifact
from airflow_model_provider.named_artifacts import read_reference
from airflow_model_provider.pipelines.building import build
from airflow_model_provider.pipelines.definition import PipelineDefinition
from airflow_model_provider.references import Reference, Wanted
from airflow_model_provider.selectors import SelectorKind

MARCH = datetime(2026, 3, 1, tzinfo=timezone(timedelta(hours=1)))
UTC_MARCH = "2026-02-28T23:00:00+00:00"
CHOSEN = "{{ params.version or 'production' }}"
IRIS = Model("iris", version="production")
RUN = Model("iris", version="production", pin="run", on_missing="skip", conn_id="other")
THEN = Model("iris", version="production", as_of=("logical_date", MARCH))
SCALER = IRIS.get_artifact("scaler", 3, map_index=2)
NAMED = LazyNamedArtifact("scaler", 3)
#: References, their printed form, and what a template with their text asks for.
#: P is production of iris, O where that need not be there.
PRINTED: list[tuple[Any, str, str]] = [
    (IRIS.reference, "P", "P"),
    (IRIS.number, "P.number", "P.number"),
    (Model("iris", version=3).version_name, "iris@3.version_name", "version('iris', 3).version_name"),
    (Model("iris", version="latest").stage, "iris[latest].stage", "version('iris', 'latest').stage"),
    (Model("iris", version="v-1").id, "iris@v-1.id", "version('iris', 'v-1').id"),
    (Model("iris", version=CHOSEN).number, f"iris[{CHOSEN}].number", "version('iris', '7').number"),
    (RUN.number, "P.number in other",
     "version('iris', 'production', conn_id='other', pin='run', on_missing='skip').number"),
    (THEN.number, f"iris[production as of logical_date or {UTC_MARCH}].number",
     f"version('iris', 'production', as_of=['logical_date', '{UTC_MARCH}']).number"),
    (SCALER, "P/scaler@3[2]", "P.artifact('scaler', version=3, map_index=2)"),
    (IRIS.get_model_artifact("m").uri, "P/m.uri", "P.artifact('m', kind='model').uri"),
    (IRIS.get_data_artifact("m", default=None), "P/m", "O.artifact('m', kind='data', default=None)"),
    (IRIS.get_deployment_artifact("m").metadata["a b"], "P/m.metadata['a b']",
     "P.artifact('m', kind='deployment').metadata['a b']"),
    (IRIS.get_artifact("m").metadata.get("k", default="x"), "P/m.metadata['k']",
     "O.artifact('m', attribute='metadata:k', default='x')"),
    (IRIS.run_metadata["accuracy"], "P.run_metadata['accuracy']", "P.metadata['accuracy']"),
    (IRIS.run_metadata.get("k", default=[None, {"a": True}]), "P.run_metadata['k']",
     "O.metadata.get('k', [None, {'a': True}])"),
]  # fmt: skip
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"pin": "rnu"}, "pin='rnu' is unknown. Known: 'task', 'run'. Did you mean 'run'?"),
    ({"on_missing": "skipp"}, "Known: 'fail', 'skip', 'wait'. Did you mean 'skip'?"),
    ({"as_of": datetime(2026, 3, 1)}, "has no time zone. Pass a datetime with"),
    ({"as_of": "2026-03-01"}, "has no time zone."),
    ({"as_of": "logical_dat"}, "Did you mean 'logical_date'?"),
    (
        {"as_of": ("run_after", "yesterday")},
        "as_of='yesterday' must be a time in ISO format, or a date of the run.",
    ),
    ({"as_of": "x"}, "date of the run: logical_date, data_interval_end, run_after."),
    ({"as_of": date(2026, 3, 1)}, "must be a datetime."),
    ({"as_of": MARCH, "version": 3}, "as_of needs a stage, but version=3 does not name one."),
    ({"as_of": MARCH, "version": "latest"}, "version='latest' does not name one."),
    ({"as_of": MARCH, "on_missing": "wait"}, "would wait for the past."),
    (
        {"version": None, "pin": "run"},
        "Without it every run creates a new version. Example: version='production'.",
    ),
    ({"version": None, "as_of": MARCH}, "need version=. Without it every run creates a new version."),
    (
        {"version": "{date}", "on_missing": "wait"},
        "need version=. Without it every run creates a new version.",
    ),
]


@pytest.mark.parametrize(("options", "said"), REFUSED)
def test_an_option_that_cannot_be_is_refused_where_it_stands(options: dict[str, Any], said: str) -> None:
    """The error says what there is, and a note names the file and the line."""
    with pytest.raises(InvalidDefinition) as caught:
        Model("iris", **{"version": "production", **options})

    assert said in str(caught.value)
    assert str(caught.value).startswith("Model('iris'): ")
    assert caught.value.__notes__ == [f'File "{__file__}", line {caught.traceback[0].lineno + 1}']


@pytest.mark.parametrize("as_of", [MARCH, "2026-03-01T00:00:00+01:00", [UTC_MARCH], ("run_after", [MARCH])])
def test_a_time_is_kept_in_utc(as_of: Any) -> None:
    """However it is written, the same time is the same reference."""
    model = Model("iris", version="production", as_of=as_of)

    assert model.as_of in ((UTC_MARCH,), ("run_after", UTC_MARCH))
    assert model.as_of == model.number.as_of == replace(model, pin="run").as_of


class Said:
    """Writes down what a template asks of it."""

    def __init__(self, text: str, calls: list[tuple[Any, ...]]) -> None:
        self._text, self._calls = text, calls

    def __getattr__(self, name: str) -> Said:
        if name.startswith(("_", "jinja")):
            raise AttributeError(name)
        return Said(f"{self._text}.{name}", self._calls)

    def __getitem__(self, key: Any) -> Said:
        return Said(f"{self._text}[{key!r}]", self._calls)

    def __call__(self, *args: Any, **options: Any) -> Said:
        self._calls.append(args)
        said = [*map(repr, args), *(f"{name}={value!r}" for name, value in options.items())]
        return Said(f"{self._text}({', '.join(said)})", self._calls)

    def __str__(self) -> str:
        return self._text


def rendered(template: str) -> tuple[str, list[tuple[Any, ...]]]:
    """What a template asks for, as text, and with what arguments."""
    calls: list[tuple[Any, ...]] = []
    macros = SimpleNamespace(model_registry=SimpleNamespace(version=Said("version", calls)))
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined)
    return environment.from_string(template).render(macros=macros, params={"version": " 7 "}), calls


@pytest.mark.parametrize(("reference", "printed", "asked"), PRINTED)
def test_the_text_of_a_reference_is_a_template_that_means_it(
    reference: Any, printed: str, asked: str
) -> None:
    """Jinja reads it, and asks for what the reference asks for, with the same options."""
    found, _ = rendered(f"{reference}")
    found = found.replace("version('iris', 'production', optional=True)", "O")

    assert repr(reference).replace("iris[production]", "P") == printed
    assert found.replace("version('iris', 'production')", "P") == asked


@pytest.mark.parametrize(
    "text", ['it\'s "quoted"', "back\\slash\n\t", "}} {{ %} {% #}", "{{ 1 }}", "é", "\u2028", "😀"], ids=ascii
)
def test_any_key_and_default_come_through_a_template(text: str) -> None:
    """Quotes, braces and every letter there is, in keys and inside of defaults, which may hold more."""
    default = {text: [text, None, True, -1.5, {"a": {"b": {}}}]}
    key = text if text.isprintable() else "key"
    _, calls = rendered(str(IRIS.run_metadata.get(key, default=default)))

    assert calls == [("iris", "production"), (key, default)]


@pytest.mark.parametrize("reference", [item for item, _, _ in PRINTED], ids=repr)
def test_a_reference_survives_copies(reference: Reference) -> None:
    """JSON, pickle and deepcopy, also inside of others: equal, of the same hash and text, in the same bytes."""
    nested = {"a": [reference, {"b": reference}]}
    as_data = json.loads(json.dumps(nested))["a"][1]["b"]
    copies = [
        reference if reference.selector.kind is SelectorKind.TEMPLATE else read_reference(as_data),
        pickle.loads(pickle.dumps(nested))["a"][0],
        copy.deepcopy(nested)["a"][0],
        copy.copy(reference),
        reference.but(),
    ]

    assert copies == [reference] * 5
    seen = {(hash(item), str(item), repr(item), json.dumps(item)) for item in copies}
    assert seen == {(hash(reference), str(reference), repr(reference), json.dumps(reference.to_json()))}
    assert type(reference.to_json()) is dict


def test_references_are_equal_by_value_only() -> None:
    """Each option makes a difference, to ``==`` and to ``!=``; a model and its reference are two things."""
    options = [{}, {"pin": "run"}, {"on_missing": "skip"}, {"as_of": MARCH}, {"conn_id": "c"}]
    models = [Model("iris", version="production", **item) for item in options]  # type: ignore[arg-type]
    artifacts = [model.get_artifact("x") for model in models]
    different = [*[item for item, _, _ in PRINTED], *models, *artifacts]

    for one, other in itertools.combinations(different, 2):
        assert (one == other, one != other) == (False, True)
    for one, other in zip(models, pickle.loads(pickle.dumps(models)), strict=True):
        assert (one == other, one != other, hash(one) == hash(other)) == (True, False, True)
    assert len(set(different)) == len(different)


@pytest.mark.parametrize(
    "item", [IRIS, SCALER, IRIS.number, NAMED], ids=["model", "artifact", "number", "named"]
)
@pytest.mark.parametrize(
    "change",
    ["item['a']=1", "del item['model']", "item.update(a=1)", "item.setdefault('a', 1)", "item.pop('model')",
     "item.popitem()", "item.clear()", "item |= {'a': 1}", "item.name = 'a'", "del item.name",
     "item.more = 1", "del item.more"],
)  # fmt: skip
def test_a_reference_never_changes(item: Any, change: str) -> None:
    """Neither as an object nor as the dictionary that it is to JSON."""
    before = (json.dumps(item), repr(item))
    with pytest.raises((TypeError, AttributeError), match=r"can't be changed|cannot (assign|delete)"):
        exec(change, {"item": item})

    assert (json.dumps(item), repr(item)) == before


def test_a_default_is_kept_as_it_was_given() -> None:
    """Who changes the list later does not change the reference."""
    rows = [1]
    reference = IRIS.run_metadata.get("rows", default=rows)
    rows.append(2)

    assert (reference.default, reference.to_json()["default"]) == ([1], [1])


@pytest.mark.parametrize("default", [(1, 2), {1: "x"}])
def test_a_default_is_what_json_makes_of_it(default: Any) -> None:
    """From the start, so that a reference that came through XCom equals the one that was sent."""
    reference = IRIS.run_metadata.get("rows", default=default)

    assert read_reference(json.loads(json.dumps(reference))) == reference


@pytest.mark.parametrize("default", [float("nan"), [float("inf")]])
def test_a_default_that_json_has_no_word_for_is_refused(default: Any) -> None:
    """PostgreSQL refuses NaN in the serialized DAG, and Jinja does not know it."""
    with pytest.raises(InvalidDefinition, match="is not a JSON value"):
        IRIS.run_metadata.get("accuracy", default=default)


@pytest.mark.parametrize("attribute", [None, "local_path"])
def test_a_reference_is_small_with_the_longest_names(attribute: str | None) -> None:
    """Under 500 bytes with three names of 100 characters, pinned for the run (R2)."""
    model = Model("m" * 100, version="v" * 100, pin="run", on_missing="skip")

    assert len(json.dumps(model.get_deployment_artifact("a" * 100, 12).but(attribute=attribute))) < 500


OLDER = {
    "__model_reference__": "iris[production]",
    "model": "iris",
    "version": "production",
    "selector": "stage",
}


def test_only_what_differs_from_the_defaults_is_in_the_json() -> None:
    """References without options are the bytes that older releases wrote; what these don't say has its default."""
    then = Reference.from_json({**OLDER, "as_of": ["logical_date", UTC_MARCH], "attribute": "number"})
    found = Reference.from_json({**OLDER, "wanted": "artifact", "name": "m"})

    assert IRIS.to_json() == {**OLDER, "wanted": "version"}
    assert RUN.to_json() == {
        **IRIS.to_json(),
        "__model_reference__": repr(RUN),
        "conn_id": "other",
        "pin": "run",
        "on_missing": "skip",
    }
    assert (found, found.wanted, then) == (IRIS.get_artifact("m"), Wanted.ARTIFACT, THEN.number)


@pytest.mark.parametrize(
    ("key", "value"),
    [("weight", 1), ("selector", "newest"), ("wanted", "code"), ("kind", "prompt"), ("pin", "dag"),
     ("on_missing", "retry"), ("as_of", ["queued_at"]), ("attribute", "size")],
)  # fmt: skip
def test_the_json_of_a_newer_release_is_refused(key: str, value: Any) -> None:
    """What this release does not know is not ignored: the error says what to do."""
    with pytest.raises(
        InvalidDefinition, match=r"another release.*give all workers the same release and clear"
    ):
        Reference.from_json({**OLDER, key: value})


def test_a_deferred_value_is_a_version() -> None:
    """A pipeline's parameter and a step's output become the template that gives them; the step goes first."""
    models = []

    @step
    def choose() -> tuple[Annotated[str, "one"], Annotated[str, "two"]]: ...

    @step
    def use(value: Any) -> None: ...

    def body(number: int = 3) -> None:
        models.extend(Model("iris", version=item) for item in (number, *choose()))
        use.expand(value=[{"nested": [models[2].get_artifact("m")]}])
        use([models[0].number])

    _, mapped, plain = build(PipelineDefinition(body, "body")).ordered()

    assert [model.selector.kind for model in models] == [SelectorKind.TEMPLATE] * 3
    pulled = [f"{{{{ task_instance.xcom_pull(task_ids='choose', key='{key}') }}}}" for key in ("one", "two")]
    assert [model.version for model in models] == ["{{ params.number }}", *pulled]
    assert ([item.task_id for item in mapped.upstream()], plain.upstream()) == (["choose"], set())
