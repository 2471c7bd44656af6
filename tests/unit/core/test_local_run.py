"""A pipeline as a program: what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import pytest

from airflow_model_provider import (
    Artifact,
    Client,
    Model,
    get_step_context,
    link_artifact_to_model,
    load_artifact,
    log_metadata,
    pipeline,
    save_artifact,
    step,
)
from airflow_model_provider.exceptions import InvalidDefinition, StageOccupied, VersionNotReady
from tests.support.marked import Marked, make, scoring, training


def test_training_twice_makes_two_versions(model_registry: Client) -> None:
    """Each run makes exactly one new version, ready when its steps have committed."""
    first, second = training(1), training(2)

    assert [first.model_version.number, second.model_version.number] == [1, 2]  # type: ignore[union-attr]
    assert [str(item.state) for item in model_registry.list_model_versions("marked")] == ["ready", "ready"]
    assert model_registry.get_model_version("marked", "production").number == 2
    history = model_registry.get_model("marked").history("production")
    assert [(event.version, event.previous, event.reason) for event in history] == [
        (2, 1, "mark 2"),
        (1, None, "mark 1"),
    ]
    assert history[0].run is not None
    assert history[0].run.dag_id == "training"
    assert history[0].task_id == "promote"


def test_a_stage_is_bound_when_the_step_runs(model_registry: Client) -> None:
    """The version is the one that holds the stage when the run happens, and the record names it."""
    training(1)
    one = scoring()
    training(2)
    two = scoring()

    assert one.steps["use"].output.load() == [1, 2]
    assert two.steps["use"].output.load() == [2, 4]
    used = model_registry.list_resolutions(model="marked", number=2)
    assert {(item.attempt.run.dag_id, item.attempt.task_id, item.number) for item in used} == {
        ("scoring", "use", 2)
    }
    loaded = model_registry.get_model_version("marked", 2).get_model_artifact("trained_model")
    assert loaded.digest in {item.digest for item in used}
    assert all(item.attempt.run.run_id.startswith("local__") for item in used)


def test_a_default_is_used_where_something_is_missing(model_registry: Client) -> None:
    """A missing model, stage, artifact or key gives the default, and the record says unresolved."""
    seen: list[Any] = []

    @step
    def look(a: Any, b: Any, c: Any) -> None:
        seen.append((a, b, c))

    @pipeline
    def defaults() -> None:
        production = Model("marked", version="production")
        look(
            Model("nothing", version=1).run_metadata.get("x", default=0),
            production.run_metadata.get("y", default=None),
            production.get_artifact("z", default=[1]),
        )

    defaults()
    training(1)
    defaults()

    assert seen == [(0, None, [1])] * 2
    records = [item for item in model_registry.list_resolutions() if item.attempt.task_id == "look"]
    assert [item.resolved for item in records] == [False] * 6


def test_references_stand_anywhere_in_arguments(model_registry: Client) -> None:
    """Nested in lists, tuples, dicts and dataclasses, as defaults and as whole versions."""
    training(3)
    iris = Model("marked", version="production")
    seen: dict[str, Any] = {}

    @dataclass(frozen=True)
    class Config:
        model: Any
        size: int = 1

    @step
    def look(
        args: list[Any], config: Config, version: Any, mark: Any = iris.run_metadata["mark"], **more: Any
    ) -> None:
        seen.update(args=args, config=config, version=version, mark=mark, more=more)

    @pipeline
    def nested() -> None:
        model = iris.get_model_artifact("trained_model")
        look([(model, {"uri": model.uri, "digest": model.digest})], Config(model), iris, number=iris.number)

    nested()

    ((model, plain),) = seen["args"]
    assert [model.mark, seen["config"].model.mark, seen["mark"], seen["more"]["number"]] == [3, 3, 3, 1]
    assert seen["version"].number == 1
    assert plain["digest"] in plain["uri"]


def test_a_parameter_annotated_artifact_gets_the_handle(model_registry: Client) -> None:
    """Artifact[...] is the pinned handle, unloaded; inputs of the context are the handles of what was loaded."""
    training(2)
    seen: list[Any] = []

    @step
    def look(handle: Artifact[Marked], model: Marked, several: list[Artifact[Marked]]) -> None:
        seen.extend([handle, get_step_context().inputs["model"], several[0]])

    @pipeline
    def handles() -> None:
        model = Model("marked", version="production").get_model_artifact("trained_model")
        look(model, model, [model])

    handles()

    assert [item.number for item in seen] == [1, 1, 1]
    assert {repr(item) for item in seen} == {"marked@1/trained_model@1"}
    assert seen[0].load().mark == 2
    assert seen[0].path().read_bytes()[:1] == b"\x80"


def test_several_outputs_and_mapped_steps(model_registry: Client) -> None:
    """Outputs unpack by order and index by name; mapped steps give lists in the order of the index."""

    @step
    def split(n: int) -> tuple[Annotated[list[int], "low"], Annotated[list[int], "high"]]:
        return list(range(n)), list(range(n, 2 * n))

    @step
    def scale(x: int, by: int) -> Annotated[int, "scaled"]:
        return x * by

    @step
    def same(values: list[int]) -> list[int]:
        return values

    @step
    def total(values: list[int], low: list[int]) -> int:
        return sum(values) + sum(low)

    @pipeline
    def mapped(n: int = 3) -> None:
        parts = split(n)
        _low, high = parts
        scaled = scale.partial(by=10).expand(x=same(high))
        total(scaled, parts["low"])
        scale.expand_kwargs([{"x": 1, "by": 2}, {"x": 3, "by": 4}])

    result = mapped(2)

    assert result.steps["total"].output.load() == 50 + 1
    assert [item.load() for item in result.steps["scale"].outputs["scaled"]] == [20, 30]
    assert [item.load() for item in result.steps["scale__1"].output] == [2, 12]
    assert result.steps["split"].outputs["high"].load() == [2, 3]


def test_a_mapped_training_step_makes_a_collection(model_registry: Client) -> None:
    """A version made by a mapped step is ready after all of it, and its artifacts are told apart by index."""

    @step
    def candidate(mark: int) -> Annotated[Marked, "candidate"]:
        log_metadata({"m": mark}, infer_artifact=True)
        return Marked(mark)

    @pipeline(model=Model("marked"))
    def sweep() -> None:
        candidate.expand(mark=[5, 6])

    version = sweep().model_version
    assert version is not None

    assert str(version.state) == "ready"
    assert [version.get_artifact("candidate", map_index=index).load().mark for index in (0, 1)] == [5, 6]
    assert version.get_artifact("candidate", map_index=1).metadata == {"m": 6}
    with pytest.raises(LookupError, match="has the elements 0, 1"):
        version.get_artifact("candidate")


def test_functions_of_a_step(model_registry: Client) -> None:
    """save_artifact, load_artifact, link_artifact_to_model and log_metadata act on the running step's version."""

    @step
    def work() -> Annotated[int, "result"]:
        handle = save_artifact({"a": 1}, "extra", user_metadata={"by": "work"})
        assert load_artifact("extra") == load_artifact(handle) == {"a": 1}
        get_step_context().add_output_metadata({"unit": "kg"})
        return 1

    @pipeline(model=Model("marked"))
    def working() -> None:
        work()

    version = working().model_version
    assert version is not None

    assert version.get_data_artifact("extra").metadata == {"by": "work"}
    assert version.get_artifact("result").metadata == {"unit": "kg"}
    free = save_artifact([1, 2], "free")
    link_artifact_to_model(free, Model("marked", version=1))
    assert version.load_artifact("free") == [1, 2]
    log_metadata({"k": 1.5}, model_name="marked", model_version=1)
    assert version.run_metadata["k"] == 1.5
    with pytest.raises(LookupError, match="It has: k"):
        version.run_metadata["nope"]


def test_a_client_makes_and_promotes_versions(model_registry: Client) -> None:
    """new_model_version is ready when its block ends and failed when it raises; set_stage guards its holder."""
    with model_registry.new_model_version("marked") as one:
        one.save_artifact("trained_model", Marked(1))
    with pytest.raises(KeyError), model_registry.new_model_version("marked"):
        raise KeyError("x")
    three = model_registry.create_model_version("marked", name="spring")
    one.set_stage("production")
    with pytest.raises(StageOccupied, match="occupied by marked@1"):
        three.set_stage("production")
    three.set_stage("production", expected=1)
    one.refresh()

    assert [str(item.state) for item in model_registry.list_model_versions("marked")] == [
        "ready",
        "failed",
        "ready",
    ]
    assert (one.stage, three.stage) == ("archived", "production")
    assert model_registry.get_model_version("marked", "spring").number == 3
    assert Model("marked", version=1).load_artifact("trained_model").mark == 1
    assert Model("marked", version=1).get_model_artifact("trained_model").load().mark == 1


def test_a_pipeline_run_in_another_registry(model_registry: Client, tmp_path: Path) -> None:
    """registry= says which one; the default one stays empty."""
    url = f"sqlite:///{tmp_path / 'other.db'}"
    result = training.run(4, registry=Client(url, store=str(tmp_path / "other")))

    assert result.model_version is not None
    assert result.model_version.number == 1
    assert model_registry.list_models() == []


def test_the_first_line_names_the_registry(
    model_registry: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    """A local run says which registry it uses before anything else."""
    training(1)

    assert capsys.readouterr().out.splitlines()[0].startswith("Model registry sqlite:///")


def test_a_version_name_is_made_of_a_template(model_registry: Client) -> None:
    """Placeholders in a new version's name are filled when the run makes it."""

    @pipeline(model=Model("marked", version="nightly {date}"))
    def nightly() -> None:
        make(1)

    version, again = nightly().model_version, nightly().model_version
    assert version is not None
    assert again is not None

    assert version.version_name.startswith("nightly 20")
    assert again.version_name == f"{version.version_name}-2"
    assert model_registry.get_model_version("marked", version.version_name).number == 1


def test_a_date_in_a_name_is_the_run_s(model_registry: Client) -> None:
    """So that a backfill names its versions as the missed runs would have."""

    @pipeline(model=Model("marked", version="nightly {date} {time}"))
    def nightly() -> None:
        make(1)

    made = [nightly.run(logical_date=datetime(2026, 3, day, 1, 2, 3, tzinfo=UTC)) for day in (1, 2)]

    assert [str(item.model_version.version_name) for item in made if item.model_version] == [
        f"nightly 2026_03_0{day} 01_02_03_000000" for day in (1, 2)
    ]


def test_a_step_passes_a_version_on(model_registry: Client) -> None:
    """A step that returns the version it was given passes on that very version; an unknown word is refused."""
    training(1)
    production = Model("marked", version="production")

    @step
    def give(version: Any) -> Any:
        return version

    @step
    def take(version: Any) -> int:
        return version.number

    @pipeline
    def passing() -> None:
        take(give(production))

    @pipeline
    def mistaken() -> None:
        take("{{ macros.model_registry.version('marked', 'production', pni='run') }}")

    assert passing().steps["take"].output.load() == 1
    with pytest.raises(InvalidDefinition, match=r"given pni\. It takes: pin, as_of"):
        mistaken()


def test_an_instance_that_fails_is_named(model_registry: Client, capsys: pytest.CaptureFixture[str]) -> None:
    """In what the run says, in the traceback, and where its version is refused: the others have succeeded."""

    @step
    def candidate(mark: int) -> Annotated[int, "candidate"]:
        return 10 // mark

    @pipeline(model=Model("marked"))
    def sweep() -> None:
        candidate.expand(mark=[5, 0, 2])

    with pytest.raises(ZeroDivisionError) as failed:
        sweep()

    assert failed.value.__notes__ == ["It was raised in candidate[1]."]
    assert "candidate: failed (ZeroDivisionError in candidate[1])" in capsys.readouterr().out
    with pytest.raises(VersionNotReady, match=r"task 'candidate\[1\]' failed"):
        model_registry.get_model_version("marked", 1).set_stage("staging")
