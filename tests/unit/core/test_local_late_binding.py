"""Late binding in a local run: where references stand, what they become, which version they mean, and when."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import make_dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from airflow_model_provider import Client, Model, exceptions, local_run, pipeline, step
from airflow_model_provider.exceptions import (
    InvalidDefinition,
    InvalidSelector,
    StageNotAssigned,
    WaitTimedOut,
    WrongType,
)
from airflow_model_provider.pipelines.values import WALK, transform
from tests.support.marked import Marked, make, training

MODEL = Model("marked", version="production")
MADE = MODEL.get_model_artifact("trained_model")
SKIPPED, AWAITED = (Model("marked", version="staging", on_missing=do).number for do in ("skip", "wait"))
THEN = Model("marked", version="production", as_of=("data_interval_end", "logical_date")).number
MICROSECOND = timedelta(microseconds=1)
Config = make_dataclass("Config", ["value"], frozen=True)
#: What the steps below were given.
SEEN: list[Any] = []


@pytest.fixture(autouse=True)
def trained(model_registry: Client) -> Client:
    """Version 1 of marked is production; 2 holds no stage."""
    training(1)
    training(2, stage=None)
    return model_registry


@step
def look(value: Any, index: int = 0) -> int:
    SEEN.append(value)
    return index


@step
def look_by_default(value: Any = (MADE,)) -> None:
    SEEN.append(value)


@step
def give(what: str) -> Any:
    handle = MODEL.get_model_artifact("trained_model")
    return {"reference": MADE, "handle": handle, "list": [MADE], "model": MODEL, "new": Model("marked")}[what]


@step
def choose(version: Any) -> Any:
    return version


@step
def promote(number: int, stage: str) -> None:
    Client().get_model_version("marked", number).set_stage(stage, force=True)


def run(body: Callable[..., Any], *args: Any, **options: Any) -> list[Any]:
    """Run a pipeline of this body; return what its steps were given."""
    SEEN.clear()
    pipeline(name="local")(body).run(*args, **options)
    return list(SEEN)


@pytest.mark.parametrize("body", [
    lambda: look(MADE), lambda: look(value=MADE), lambda: look_by_default(), lambda: look([{"a": (MADE, 1)}]),
    lambda: look({"a": Config([MADE])}), lambda: look.partial(value=MADE).expand(index=[0]),
    lambda: look.expand(value=[MADE]), lambda: look.expand(value={"a": MADE}),
    lambda: look.expand_kwargs([{"value": [MADE], "index": 1}]), lambda: look(give("reference")),
    lambda: look([give("handle")]), lambda: look.expand(value=give.expand(what=["reference"])),
    lambda: look(give("list")),
])  # fmt: skip
def test_a_reference_is_loaded_wherever_it_stands(body: Callable[[], Any]) -> None:
    """Positional, keyword, default, nested, mapped, and where another step returned it, or a handle."""
    marks: list[int] = []
    transform(run(body), lambda part: marks.append(part.mark) or part if isinstance(part, Marked) else WALK)

    assert marks == [1]


def test_a_model_that_a_step_returns_is_the_version() -> None:
    """It is resolved by the step that receives it; one without a version is refused by name."""
    (found,) = run(lambda: look(give("model")))

    assert (found.number, found.load_artifact("trained_model").mark) == (1, 1)
    with pytest.raises(InvalidDefinition, match="names no version, because each run makes a new one"):
        run(lambda: look(give("new")))


def test_a_reference_becomes_what_it_asks_for_and_so_does_its_text(trained: Client) -> None:
    """Artifacts of each kind, plain values and the version itself; f-strings give the same as text."""
    with trained.new_model_version("marked", "third") as version:
        model = version.save_artifact("trained_model", Marked(3), metadata={"folds": 5})
        rows = version.save_artifact("rows", [1, 2])
        where = version.save_artifact("endpoint", {"url": "x"}, kind="deployment")
        version.log_metadata({"mark": 3, "odd key": None})
    version.set_stage("production", force=True)
    things: list[tuple[Any, Any, str]] = [
        (MODEL.get_data_artifact("rows"), [1, 2], rows.uri),
        (MODEL.get_deployment_artifact("endpoint"), {"url": "x"}, where.uri),
        (MADE.uri, model.uri, model.uri),
        (MADE.digest, model.digest, model.digest),
        (MADE.local_path, model.local_path, str(model.path())),
        (MADE.metadata["folds"], 5, "5"),
        (MODEL.number, 3, "3"),
        (MODEL.version_name, "third", "third"),
        (MODEL.stage, "production", "production"),
        (MODEL.id, version.id, str(version.id)),
        (MODEL.run_metadata["mark"], 3, "3"),
        (MODEL.run_metadata["odd key"], None, "None"),
        (Model("marked", version="{{ 1 + 1 }}", pin="run").number, 2, "2"),
        (Model("marked", version="production", as_of="run_after", on_missing="skip").number, 3, "3"),
    ]
    asked = [*(reference for reference, _, _ in things), MODEL, MADE]
    (values,), (texts,) = run(lambda: look(asked[:-2])), run(lambda: look([f"{item}" for item in asked]))

    assert values == [value for _, value, _ in things]
    assert texts == [*(text for _, _, text in things), "marked@3", model.uri]


@pytest.mark.parametrize("stage", ["production", "staging"], ids=["nothing in the version", "no version"])
@pytest.mark.parametrize("ask", [
    lambda model: model.run_metadata.get("nope", default=None),
    lambda model: model.get_artifact("nope", default="n/a"),
    lambda model: model.get_artifact("nope", default="n/a").uri,
    lambda model: model.get_artifact("nope").metadata.get("folds", default=[1]),
], ids=["metadata", "artifact", "uri", "metadata of an artifact"])  # fmt: skip
def test_a_default_counts_in_text_too(stage: str, ask: Callable[[Model], Any]) -> None:
    """Where the stage, the artifact or the key is missing, as in the reference itself."""
    reference = ask(Model("marked", version=stage))

    assert run(lambda: look(reference)) == [reference.default]
    assert run(lambda: look(value=f"{reference}")) == [str(reference.default)]


def test_each_reference_has_its_own_default() -> None:
    """Also where Python calls two of them equal, and whatever a step did to one before."""
    asked = [MODEL.run_metadata.get("nope", default=default) for default in (0, False, [])]
    run(lambda: look(asked))[0][2].append("changed")

    assert [repr(item) for item in run(lambda: look(asked))[0]] == ["0", "False", "[]"]


@pytest.mark.parametrize(("version", "number"), [(1, 1), ("latest", 2), (" production ", 1), ("v-2", 2)])
def test_a_version_is_chosen_when_the_step_runs(trained: Client, version: Any, number: int) -> None:
    """By a parameter, by a template, or by a step's output, which makes that step go first."""
    trained.update_model_version("marked", 2, name="v-2")

    def body(chosen: Any) -> None:
        late = choose(chosen)
        look([Model("marked", version=late).number, "a step's"])
        look.expand(value=[Model("marked", version=chosen).number])
        look(Model("marked", version="{{ params.chosen or 'production' }}").number)
        look(f"{Model('marked', version='{{ params.chosen }}').number}")
        late << promote(2, "staging")

    assert run(body, version) == [number, number, str(number), [number, "a step's"]]


@pytest.mark.parametrize("version", ["None", "", "productoin", "a/b", {"a": 1}])
def test_a_choice_that_names_no_version_is_refused(version: Any) -> None:
    """The error quotes what was given."""
    with pytest.raises(
        ValueError, match=r"names no version|mean 'production'|not a valid version name|gives an object"
    ):
        run(lambda: look(Model("marked", version=choose(version)).number))


def test_a_run_keeps_what_it_pinned() -> None:
    """A step in the middle promotes: pin='run' keeps the first version, pin='task' and the next run follow."""
    kept = Model("marked", version="production", pin="run")

    def body() -> None:
        promoted = promote(2, "production")
        promoted.set_upstream([look(kept.number), look(MODEL.number)])
        promoted.set_downstream([look(f"{kept.number}"), look(f"{MODEL.number}")])

    assert [run(body), run(body)] == [[1, 1, "1", "2"], [2, 2, "2", "2"]]


def test_a_run_uses_the_version_of_its_date(trained: Client) -> None:
    """Before the first promotion the error names that one's date; a date without a zone is none."""
    trained.get_model_version("marked", 2).set_stage("production", force=True)
    two, one = (event.at for event in trained.get_model("marked").history("production"))
    times = (one, two - MICROSECOND, two)

    assert [run(lambda: look(THEN), logical_date=time) for time in times] == [[1], [1], [2]]
    with pytest.raises(StageNotAssigned, match=f"first version came at {one.date()}"):
        run(lambda: look(THEN), logical_date=one - MICROSECOND)
    with pytest.raises(InvalidDefinition, match="time zone"):
        run(lambda: look(THEN), logical_date=datetime(2099, 3, 1))


@pytest.mark.parametrize("value", [SKIPPED, f"{SKIPPED}"], ids=["reference", "text"])
@pytest.mark.parametrize("mapped", [False, True])
def test_a_step_without_a_version_is_skipped(value: Any, mapped: bool) -> None:
    """With all that depends on it, on one of its instances too; the version that the run makes waits for none."""

    @pipeline(model=Model("marked"))
    def retraining() -> None:
        make(3)
        look(look.expand(value=[1, value]) if mapped else look(value))

    result = retraining.run(raise_on_failure=False)

    looked = "success" if mapped else "skipped"  # one of two instances has run
    assert [item.state for item in result.steps.values()] == ["success", looked, "skipped"]
    assert (result.state, str(result.model_version.state)) == ("success", "ready")  # type: ignore[union-attr]


@pytest.mark.parametrize("other", [MODEL.number, f"{MODEL.number}"], ids=["reference", "text"])
def test_a_step_waits_for_a_version(monkeypatch: pytest.MonkeyPatch, other: Any) -> None:
    """A thread promotes one once the step says that it waits; also where a template has pinned something before."""
    promoting, say = threading.Thread(target=promote, args=(2, "staging")), local_run.say

    def hear(text: str) -> None:
        say(text)
        if "Waiting for it" in text and promoting.ident is None:
            promoting.start()

    monkeypatch.setattr(local_run, "say", hear)
    for name, seconds in (("POLL_INTERVAL", "0.02"), ("WAIT_TIMEOUT", "10")):
        monkeypatch.setenv(f"AIRFLOW__MODEL_REGISTRY__{name}", seconds)
    ((number, _),) = run(lambda: look([AWAITED, other]))
    promoting.join()

    assert number == 2


def test_waiting_in_vain_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """With an error that says what is missing."""
    for name in ("POLL_INTERVAL", "WAIT_TIMEOUT"):
        monkeypatch.setenv(f"AIRFLOW__MODEL_REGISTRY__{name}", "0.05")
    with pytest.raises(WaitTimedOut, match=r"marked\[staging\].number was waited for .*1 \(production\)"):
        run(lambda: look(AWAITED))


def test_a_wrong_type_fails_before_it_is_loaded(trained: Client) -> None:
    """The record shows it, so bytes that are lost are not missed; the step's code does not run."""

    @step
    def score(model: dict[str, int], scale: float = 1.0) -> None:
        SEEN.append(model)

    Path(trained.get_model_version("marked", 1).get_model_artifact("trained_model").uri).unlink()
    with pytest.raises(
        WrongType, match=r"'model' of .* must be dict\[str, int\], but marked@1/.* is a .*marked.Marked"
    ):
        run(lambda: score(MADE))
    with pytest.raises(
        WrongType, match=r"'scale' of .* must be float, but marked\[production\].stage is a str"
    ):
        run(lambda: score({}, MODEL.stage))
    assert SEEN == []


@pytest.mark.parametrize(("template", "error", "said"), [
    ("P.nmber", "UnknownAttribute", "'marked@1' has no 'nmber'. It has: .*number"),
    ("P.artifact('trained_model').ur", "UnknownAttribute", "It has: .*uri"),
    ("P.artifact('trained').uri", "ArtifactNotFound", "It has: trained_model"),
    ("P.metadata['makr']", "MetadataNotFound", "marked@1 has no metadata 'makr'. Did you mean 'mark'"),
    ("P.artifact('trained_model').metadata['folds']", "MetadataNotFound", "no metadata 'folds'. It has: none"),
    ("macros.model_registry.version('marked', 'productoin')", "UnknownStage", "mean 'production'"),
    ("macros.model_registry.verison('marked', 1)", "InvalidDefinition", "knows: .*registry.version"),
    ("parms.x", "InvalidDefinition", "'parms' is undefined.*A local run knows: params, run_id"),
])  # fmt: skip
def test_a_typo_in_a_template_is_told_what_there_is(template: str, error: str, said: str) -> None:
    """Attributes, artifacts, metadata, stages, macros, variables."""
    template = template.replace("P.", "macros.model_registry.version('marked', 'production').")
    with pytest.raises(getattr(exceptions, error), match=said):
        run(lambda: look(f"{{{{ {template} }}}}"))


@pytest.mark.parametrize("one", [lambda: MADE, lambda: MODEL])
def test_one_reference_is_not_mapped_over(one: Callable[[], Any]) -> None:
    """It is a dictionary only to JSON: a step is not run once for each of its keys."""
    with pytest.raises(InvalidDefinition, match="look"):
        run(lambda: look.expand(value=one()))


def test_a_version_is_named_by_a_number_or_a_text(model_registry: Client) -> None:
    """What else a step returned travels as an artifact, which the error says."""
    model_registry.register_model_version("iris", {"w": [1]})

    @step
    def best() -> Any:
        return np.int64(1)

    @step
    def use(w: list[int]) -> None: ...

    @pipeline
    def using() -> None:
        use(Model("iris", version=best()).get_artifact("w"))

    with pytest.raises(InvalidSelector, match="it gives an object, not a version's number, stage or name"):
        using()
