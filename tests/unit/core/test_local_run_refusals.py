"""A pipeline as a program: what goes wrong is one clear error, and nothing is left half-done."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import resource
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import pytest

from airflow_model_provider import (
    ArtifactConfig,
    Client,
    Model,
    get_pipeline_context,
    get_step_context,
    log_metadata,
    pipeline,
    save_artifact,
    step,
)
from airflow_model_provider.exceptions import (
    ArtifactNotFound,
    DigestMismatch,
    InvalidDefinition,
    NotJson,
    NotSerializable,
    PromotionRefused,
    RegistryUnavailable,
    StageNotAssigned,
    StoreUnavailable,
    UnknownFormat,
    VersionNotFound,
    VersionNotReady,
    WrongOutput,
)
from tests.support.marked import Marked, make, scoring, training, use


def test_an_empty_stage_fails_with_the_versions_there_are(model_registry: Client) -> None:
    """The error names model, stage, versions with their states, and the command that promotes one."""
    training(1, stage=None)

    with pytest.raises(StageNotAssigned, match=r"'marked'.*'production'.*1.*model-registry promote"):
        scoring()
    result = scoring.run(raise_on_failure=False)
    assert (result.state, result.steps["use"].state) == ("failed", "failed")
    assert isinstance(result.steps["use"].error, StageNotAssigned)


def test_a_missing_artifact_names_those_that_exist(model_registry: Client) -> None:
    """No such artifact: the error lists what the version has."""
    training(1)

    @pipeline(model=Model("marked", version="production"))
    def wrong() -> None:
        use(get_pipeline_context().model.get_artifact("traned_model"), [1])

    with pytest.raises(ArtifactNotFound, match=r"marked@1 has no artifact 'traned_model'.*trained_model"):
        wrong()


def test_an_artifact_of_another_type_is_named_with_it(model_registry: Client) -> None:
    """Not as a misspelt name of itself."""
    training(1)

    @pipeline(model=Model("marked", version="production"))
    def wrong() -> None:
        use(get_pipeline_context().model.get_data_artifact("trained_model"), [1])

    version = model_registry.get_model_version("marked", "production")
    said = r"Artifact 'trained_model' of marked@1 has the type model, not data. Use get_model_artifact"
    with pytest.raises(ArtifactNotFound, match=said):
        wrong()
    with pytest.raises(ArtifactNotFound, match=said):
        version.get_data_artifact("trained_model")
    with pytest.raises(ArtifactNotFound, match=r"'traned_model'. Did you mean 'trained_model'"):
        version.get_data_artifact("traned_model")


def test_a_result_without_an_output_says_why(model_registry: Client) -> None:
    """Skipped, failed, of several, or nothing returned."""

    @step
    def skipped() -> int:
        raise PromotionRefused("marked@1", "production", ["too bad"], soft=True)

    @step
    def broken() -> int:
        raise ZeroDivisionError("no")

    @step
    def two() -> tuple[Annotated[int, "low"], Annotated[int, "high"]]:
        return 1, 2

    @step
    def silent() -> None: ...

    @pipeline
    def all_of_them() -> None:
        skipped()
        broken()
        two()
        silent()

    steps = all_of_them.run(raise_on_failure=False).steps
    for name, said in (
        ("skipped", "step 'skipped': it has no output, because its state is 'skipped'"),
        ("broken", "step 'broken': it has no output, because its state is 'failed'. ZeroDivisionError: no"),
        ("two", r"step 'two': it has several outputs: low, high. Name one: outputs\['low'\]"),
        ("silent", "step 'silent': it has no saved output. It returned nothing"),
    ):
        with pytest.raises(InvalidDefinition, match=said):
            _ = steps[name].output


def test_what_a_step_has_saved_itself_is_not_denied(model_registry: Client) -> None:
    """A wrong result says that none of its outputs was saved; what save_artifact() saved is there."""

    @step
    def wrong_count() -> tuple[Annotated[int, "low"], Annotated[int, "high"]]:
        save_artifact(1, "by_hand")
        return (1,)  # type: ignore[return-value]

    @step
    def wrong_type() -> Annotated[int, "low"]:
        return "1"  # type: ignore[return-value]

    for found, error in ((wrong_count, InvalidDefinition), (wrong_type, WrongOutput)):
        with pytest.raises(error, match="None of its outputs was saved"):
            pipeline(name="saving")(_calling(found))()
    assert model_registry.get_artifact("by_hand").load() == 1


def test_a_format_that_does_not_exist_is_refused_before_the_code_runs(model_registry: Client) -> None:
    """The result of a long training is not lost for a misspelt word."""

    @step
    def never() -> Annotated[int, ArtifactConfig(format="jsno")]:
        raise AssertionError

    with pytest.raises(UnknownFormat, match=r"format='jsno' does not exist. Did you mean 'json'"):
        pipeline(name="nothing")(lambda: never())()


def _calling(found: Any) -> Any:
    return lambda: found()


@pytest.mark.parametrize("metadata", [[("a", 1)], "accuracy", None, 3])
def test_metadata_that_are_no_mapping_are_refused_where_they_are_logged(
    model_registry: Client, metadata: Any
) -> None:
    """Onto a version, onto an output, with what is saved; so is a value that is no JSON."""

    @step
    def onto_the_version() -> Annotated[int, "kept"]:
        log_metadata(metadata, infer_model=True)
        return 1

    @step
    def onto_the_output() -> Annotated[int, "kept"]:
        log_metadata(metadata, infer_artifact=True)
        return 1

    @step
    def onto_an_artifact() -> Annotated[int, "kept"]:
        save_artifact(1, "by_hand")
        log_metadata(metadata, artifact_name="by_hand")
        return 1

    @step
    def no_json() -> Annotated[int, "kept"]:
        with pytest.raises(NotJson, match="'a' of output 'kept' of step 'no_json'"):
            log_metadata({"a": object()}, infer_artifact=True)
        return 1

    for found in (onto_the_version, onto_the_output, onto_an_artifact):
        with pytest.raises(
            InvalidDefinition, match=r"metadata=.* must be a mapping. Example: metadata={'accuracy'"
        ):
            pipeline(name="marking", model=Model("marked"))(_calling(found))()
    assert pipeline(name="one")(lambda: no_json())().state == "success"


def test_a_failing_step_leaves_the_version_failed(model_registry: Client) -> None:
    """A version of which a part is missing is never latest and can't be promoted."""

    @step
    def broken(model: Marked) -> Annotated[int, "never"]:
        raise ZeroDivisionError("no")

    @step
    def other() -> int:
        return 1

    @pipeline(model=Model("marked"))
    def failing() -> None:
        broken(make(1))
        other()

    result = failing.run(raise_on_failure=False)
    with pytest.raises(ZeroDivisionError):
        failing()

    assert [item.state for item in result.steps.values()] == ["success", "failed", "success"]
    assert result.model_version is not None
    assert str(result.model_version.state) == "failed"
    with pytest.raises(VersionNotReady, match="broken"):
        result.model_version.set_stage("production")
    with pytest.raises(LookupError):
        model_registry.get_model_version("marked", "latest")


def test_a_step_that_deletes_its_version_fails(model_registry: Client) -> None:
    """The run goes on as after any other error, and tells what became of its steps."""

    @step
    def delete() -> int:
        model_registry.delete_model_version("marked", get_step_context().model.number, force=True)
        return 1

    @step
    def after(number: int) -> int:
        return number

    @pipeline(model=Model("marked"))
    def deleting() -> None:
        after(delete())

    result = deleting.run(raise_on_failure=False)
    with pytest.raises(VersionNotFound):
        deleting()

    states = {name: item.state for name, item in result.steps.items()}
    assert (result.state, states) == ("failed", {"delete": "failed", "after": "upstream_failed"})
    assert isinstance(result.steps["delete"].error, VersionNotFound)


def test_changed_bytes_are_refused_before_unpickling(model_registry: Client, tmp_path: Path) -> None:
    """A payload swapped in the store is never executed; the error names artifact and both digests."""
    training(1)
    artifact = model_registry.get_model_version("marked", 1).get_model_artifact("trained_model")
    flag = tmp_path / "executed"
    stored = Path(artifact.uri.removeprefix("file://"))
    stored.chmod(0o644)
    stored.write_bytes(pickle.dumps(Touch(flag)))

    with pytest.raises(
        DigestMismatch, match=rf"marked@1/trained_model@1.*{artifact.digest}.*found sha256:[0-9a-f]{{64}}"
    ):
        scoring()
    assert not flag.exists()


class Touch:
    """A pickle that leaves a trace when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_an_output_that_cannot_be_saved_names_the_step(model_registry: Client) -> None:
    """Nothing is registered for it."""

    @step
    def unsavable() -> Annotated[Any, "lock"]:
        import threading

        return threading.Lock()

    @pipeline
    def saving() -> None:
        unsavable()

    with pytest.raises(NotSerializable, match=r"output 'lock' of step 'unsavable'.*_thread.lock"):
        saving()
    with pytest.raises(ArtifactNotFound):
        model_registry.get_artifact("lock")


def _train_on_a_full_disk(registry: Client, answers: Any) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))

    @step
    def large() -> Annotated[bytes, "large"]:
        return os.urandom(5_000_000)

    @pipeline(model=Model("full"))
    def filling() -> None:
        large()

    result = filling.run(registry=registry, raise_on_failure=False)
    answers.put(
        (result.state, f"{type(result.steps['large'].error).__name__}: {result.steps['large'].error}")
    )


def test_a_full_store_leaves_nothing(model_registry: Client, tmp_path: Path) -> None:
    """One error that says so; no artifact, no bytes, and no version that is ready."""
    model_registry.list_models()
    fork = multiprocessing.get_context("fork")
    answers = fork.Queue()
    process = fork.Process(target=_train_on_a_full_disk, args=(model_registry, answers))
    process.start()
    state, said = answers.get(timeout=60)
    process.join()

    assert state == "failed"
    assert "StoreUnavailable" in said
    assert "File too large" in said
    with pytest.raises(ArtifactNotFound):
        model_registry.get_artifact("large")
    assert [str(item.state) for item in model_registry.list_model_versions("full")] == ["failed"]
    assert [
        path for path in (tmp_path / "model_registry" / "model_artifacts").rglob("*") if path.is_file()
    ] == []


def test_a_store_that_cannot_be_written_leaves_nothing(model_registry: Client, tmp_path: Path) -> None:
    """The error names the store; no artifact, and no version that is ready."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable, match=str(tmp_path / "file" / "store")):
        training.run(
            1, registry=Client(model_registry.workspace.address.url, store=str(tmp_path / "file" / "store"))
        )

    assert [str(item.state) for item in model_registry.list_model_versions("marked")] == ["failed"]
    with pytest.raises(ArtifactNotFound):
        model_registry.get_artifact("trained_model")


def test_a_registry_that_cannot_be_opened_is_named() -> None:
    """Before any step runs."""
    ran = []

    @step
    def never() -> None:
        ran.append(1)

    @pipeline
    def nowhere() -> None:
        never()

    with pytest.raises(RegistryUnavailable, match=r"/dev/null/registry\.db"):
        nowhere.run(registry=Client("sqlite:////dev/null/registry.db", store="/dev/null/store"))
    assert ran == []


def test_a_wrong_number_of_outputs_is_refused(model_registry: Client) -> None:
    """A step that returns other than it declares fails, and saves nothing."""

    @step
    def two() -> tuple[Annotated[int, "a"], Annotated[int, "b"]]:
        return (1,)  # type: ignore[return-value]

    @pipeline
    def wrong() -> None:
        two()

    with pytest.raises(InvalidDefinition, match="declares 2 outputs and returned 1"):
        wrong()
    with pytest.raises(ArtifactNotFound):
        model_registry.get_artifact("a")


@pytest.mark.parametrize("mapped", [False, True])
def test_a_run_that_is_interrupted_fails_its_version(model_registry: Client, mapped: bool) -> None:
    """Ctrl-C: no other step will write into it."""

    @step
    def first() -> int:
        return 1

    @step
    def second(number: int) -> int:
        if number == 2:
            raise KeyboardInterrupt
        return number

    @step
    def third(numbers: Any) -> int:
        return 3

    @pipeline(model=Model("interrupted"))
    def interrupted() -> None:
        first()
        third(second.expand(number=[1, 2, 3]) if mapped else second(2))

    with pytest.raises(KeyboardInterrupt):
        interrupted()

    assert model_registry.get_model_version("interrupted", 1).state == "failed"


def test_an_argument_is_given_once(model_registry: Client) -> None:
    """As in Airflow, by all instances or by each."""

    @step
    def rows() -> list:
        return [{"a": 1, "b": 2}]

    @step
    def show(a: int, b: int = 0) -> None: ...

    @pipeline
    def twice() -> None:
        show.partial(b=1).expand_kwargs(rows())

    with pytest.raises(InvalidDefinition, match=r"partial\(\) and expand_kwargs\(\) both give 'b'"):
        twice()


def test_a_step_that_ends_its_process_has_failed(model_registry: Client) -> None:
    """As in Airflow, where that is the task's own: it is tried again, and what comes behind it runs."""
    tries: list[int] = []

    @step(retries=1)
    def leaves() -> Annotated[int, "left"]:
        tries.append(1)
        sys.exit(0)

    @step(trigger_rule="all_done")
    def report() -> None:
        tries.append(2)

    @pipeline(model=Model("left"))
    def leaving() -> None:
        leaves() >> report()

    result = leaving()

    assert str(result.steps["leaves"].error) == "step 'leaves' called sys.exit(0)"
    assert tries == [1, 1, 2]
    assert model_registry.list_model_versions("left")[0].state == "failed"


def test_a_step_that_declares_nothing_returns_nothing(model_registry: Client) -> None:
    """What it returned would be lost, and the version ready without it."""

    @step
    def train() -> None:
        return {"w": 1}  # type: ignore[return-value]

    @pipeline(model=Model("lost"))
    def training() -> None:
        train()

    said = r"Step 'train' declares to return nothing \(-> None\), and returned a dict, which was not saved"
    with pytest.raises(WrongOutput, match=said):
        training()
    assert model_registry.list_model_versions("lost")[0].state == "failed"


@pytest.mark.parametrize(("given", "expected"), [({}, {}), ({"alpha": 2.0}, {"alpha": 2.0})])
def test_the_runs_configuration_holds_what_was_given(
    model_registry: Client, given: dict[str, float], expected: dict[str, float]
) -> None:
    """Not the defaults, as in Airflow; ``params`` holds both."""
    seen: list[Any] = []

    @step
    def show(text: str, dag_run: Any = None, params: Any = None) -> None:
        seen.extend([text, dag_run.conf, dict(params)])

    @pipeline
    def training(alpha: float = 1.0) -> None:
        show("{{ dag_run.conf }}")

    training(**given)

    assert seen == [str(expected), expected, {"alpha": 1.0, **given}]


def test_fewer_than_no_retries_are_none(model_registry: Client) -> None:
    """As in Airflow."""
    assert pipeline(name="once")(lambda: step(name="s", retries=-1)(lambda: 1)())().state == "success"
