"""Everywhere in a registry that a user's text can go: what is done with it there, and what comes back."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any
from uuid import uuid4

from airflow_model_provider import Model, load_artifact, pipeline, step
from airflow_model_provider.named_artifacts import read_reference
from airflow_model_provider.references import OUTPUT_KEY, REFERENCE_KEY, Reference, Wanted
from airflow_model_provider.registry.entities import Attempt, RunKey
from airflow_model_provider.selectors import Selector
from airflow_model_provider.settings import variable
from airflow_model_provider.workspace import Saving

if TYPE_CHECKING:
    from tests.unit.hostile.conftest import World

Place = Callable[["World", Any], Any]
CARD = ("license", "description", "audience", "use_cases", "limitations", "trade_offs", "ethics")
#: A model to which nothing is given that others could miss.
GIVEN = "given"


def _of_a_new_model(world: World) -> Any:
    version = world.client.create_model_version(f"model {uuid4()}")
    world.prepared()
    return version


# --- names and selectors ----------------------------------------------------------------------------------


def model_name(world: World, given: Any) -> Any:
    world.client.create_model(given)
    return world.client.get_model(given).name


def model_of_a_version(world: World, given: Any) -> Any:
    world.client.create_model_version(given)
    return world.client.list_model_versions(given)[0].name


def version_name(world: World, given: Any) -> Any:
    made = world.client.create_model_version(GIVEN, given)
    return world.client.get_model_version(GIVEN, made.number).version_name


def version_name_in_a_block(world: World, given: Any) -> Any:
    with world.client.new_model_version("block", given) as version:
        pass
    return world.client.get_model_version("block", given).version_name if version else None


def version_name_later(world: World, given: Any) -> Any:
    return world.client.update_model_version("renamed", 1, name=given).version_name


def artifact_name(world: World, given: Any) -> Any:
    world.version.save_artifact(given, 1)
    return world.version.get_artifact(given).name


def artifact_name_to_take_out(world: World, given: Any) -> Any:
    world.version.delete_artifact(given)
    return given


def stage(world: World, given: Any) -> Any:
    version = world.client.get_model_version("renamed", 1)
    version.set_stage(given)
    return given


def stage_to_roll_back(world: World, given: Any) -> Any:
    world.client.get_model("canary").rollback(given)


def stage_of_a_history(world: World, given: Any) -> Any:
    world.client.get_model(GIVEN).history(given)
    return given


def selector(world: World, given: Any) -> Any:
    world.client.get_model_version("canary", given)
    return given


def version_to_delete(world: World, given: Any) -> Any:
    world.client.delete_model_version("canary", given)


def number_of_an_artifact(world: World, given: Any) -> Any:
    world.client.get_artifact("song", given)
    return given


def expected(world: World, given: Any) -> Any:
    world.client.get_model_version("canary", 1).set_stage("staging", expected=given)


def to(world: World, given: Any) -> Any:
    world.client.get_model("canary").rollback("production", to=given)


def limit(world: World, given: Any) -> Any:
    world.registry.list_versions(GIVEN, limit=given)
    world.registry.history(GIVEN, limit=given)
    return given


# --- what is said -----------------------------------------------------------------------------------------


def card(world: World, given: Any) -> Any:
    said = world.client.update_model(GIVEN, **dict.fromkeys(CARD, given)).card
    assert set(said.values()) == {given}
    return world.client.get_model(GIVEN).card["license"]


def tag(world: World, given: Any) -> Any:
    world.client.update_model(GIVEN, tags=["first", given])
    return world.client.get_model(GIVEN).tags[1]


def tags(world: World, given: Any) -> Any:
    world.client.update_model(GIVEN, tags=given)
    return type(given)(world.client.get_model(GIVEN).tags)


def said_of_a_version(world: World, given: Any) -> Any:
    """Its description and its tag, which has the narrower rule."""
    made = world.client.create_model_version(GIVEN, description=given, tags=[given])
    made = world.client.update_model_version(GIVEN, made.number, description=given, tags=[given])
    assert made.record.tags == (given,)
    return world.client.get_model_version(GIVEN, made.number).record.description


def description_of_a_version(world: World, given: Any) -> Any:
    return world.client.create_model_version(GIVEN, description=given).record.description


def reason(world: World, given: Any) -> Any:
    """Why and by whom a stage was given and taken back."""
    pair = world.pair()
    world.registry.set_stage("pair", 2, "staging", force=True, reason=given, who=given)
    event = pair.rollback("staging", reason=given)
    assert [(item.who, item.reason) for item in pair.history("staging")[1:2]] == [(given, given)]
    return event.reason


# --- metadata ---------------------------------------------------------------------------------------------


def metadata_key(world: World, given: Any) -> Any:
    world.version.log_metadata({given: 1})
    return next(key for key in world.version.run_metadata if key == given)


def metadata_value(world: World, given: Any) -> Any:
    world.version.log_metadata({"value": given})
    wanted = Reference(GIVEN, Selector.parse(world.version.number), Wanted.METADATA, "value")
    (found,) = world.registry.resolve([wanted])
    assert repr(found.value) == repr(world.version.run_metadata["value"])
    return found.value


def artifact_metadata_key(world: World, given: Any) -> Any:
    saved = world.version.save_artifact("noted", 1, metadata={given: 1})
    world.registry.log_artifact_metadata(saved.record.id, {given: 2})
    return next(iter(world.version.get_artifact("noted").metadata))


def artifact_metadata_value(world: World, given: Any) -> Any:
    world.version.save_artifact("noted", 1, metadata={"value": given})
    return world.version.get_artifact("noted").metadata["value"]


def key_that_is_asked_for(world: World, given: Any) -> Any:
    """The same text in a reference and in a template: one resolution."""
    wanted = Model(GIVEN, version=1).get_artifact("none").metadata.get(given, default=None)
    world.registry.resolve([wanted, Model(GIVEN, version=1).run_metadata.get(given, default=None)])
    return wanted.attribute.removeprefix("metadata:")


def default(world: World, given: Any) -> Any:
    wanted = Model("missing", version=1).run_metadata.get("accuracy", default=given)
    (found,) = world.registry.resolve([wanted])
    assert repr(wanted).isprintable()
    hash(wanted)
    return found.value


# --- files and values -------------------------------------------------------------------------------------


def file_name(world: World, given: Any) -> Any:
    world.version.save_file("file", given)
    return given


def file_format(world: World, given: Any) -> Any:
    world.version.save_file("file", world.folder / "beside" / "canary", format=given)
    return given


def kind(world: World, given: Any) -> Any:
    world.version.save_artifact("kinds", 1, kind=given)
    return given


def value_format(world: World, given: Any) -> Any:
    world.version.save_artifact("formats", 1, format=given)
    return given


def artifact_value(world: World, given: Any) -> Any:
    world.version.save_artifact("values", given)
    return world.version.load_artifact("values")


# --- runs and tasks ---------------------------------------------------------------------------------------


def attempt(world: World, given: Any) -> Any:
    """Deployment, Dag, run, task and try, in all that a task writes: its records, pins, outputs, promotions."""
    made = Attempt(RunKey(given, given, given), given, f"{given}"[:200] + uuid4().hex)
    pinned = Model("canary", version="production", pin="run").reference
    world.registry.record(world.registry.resolve([pinned], made), made)
    saving = Saving("output", what="an output", output="output")
    saved = world.client.workspace.save(1, saving, attempt=made)
    version = world.registry.version_for_run("attempts", made.run, producer=made.producer)
    world.registry.log_version_metadata(version.id, {"a": 1}, made)
    world.registry.commit_producer(version.id, made.producer)
    event = world.registry.set_stage("attempts", version.number, "production", attempt=made, force=True)
    (record,) = world.registry.resolutions(attempt_id=made.attempt_id)
    assert world.registry.drop_run_pins(made.run) == 1
    assert world.registry.producer_of(saved.id) == record.attempt == made
    assert event is not None
    assert (event.run, event.task_id, version.run) == (made.run, given, made.run)
    return record.attempt.run.run_id


def deployment_setting(world: World, given: Any) -> Any:
    os.environ[variable("deployment")] = given
    try:
        world.client.drop_run_pins("dag", "run")
    finally:
        del os.environ[variable("deployment")]
    return given


def names_of_a_program(world: World, given: Any) -> Any:
    """A pipeline and its step."""

    @step(name=given)
    def made() -> int:
        return 1

    @pipeline(name=given)
    def named() -> None:
        made()

    (found,) = named.run(registry=world.client).steps.values()
    assert found.output.made_by.task_id == given
    return found.output.made_by.run.dag_id


def output_name(world: World, given: Any) -> Any:
    def make() -> None: ...

    make.__annotations__["return"] = Annotated[None, given]
    made = step(make)

    @pipeline
    def outputs() -> None:
        made()

    (name,) = outputs.run(registry=world.client).steps["make"].outputs
    return world.client.get_artifact(name).name


# --- questions, and what comes through XCom ---------------------------------------------------------------


def asked(name: str) -> Place:
    def put(world: World, given: Any) -> Any:
        world.client.list_resolutions(**{name: given})
        return given

    return put


def run_to_forget(world: World, given: Any) -> Any:
    world.client.drop_run_pins("dag", given)
    return given


def model_to_forget(world: World, given: Any) -> Any:
    world.client.drop_run_pins("dag", "run", model=given)
    return given


def artifact_to_load(world: World, given: Any) -> Any:
    os.environ[variable("url")] = world.url
    try:
        return load_artifact(given)
    finally:
        del os.environ[variable("url")]


_OUTPUT: dict[str, Any] = {
    OUTPUT_KEY: "x@1",
    "type": "builtins.int",
    "digest": "sha256:" + "0" * 64,
    "uri": "x",
    "size": 1,
    "model_versions": [],
    "registry": "x",
    "id": 10**9,
}
_REFERENCE = {
    REFERENCE_KEY: "x",
    "model": "canary",
    "version": "production",
    "selector": "stage",
    "name": "song",
}
_OPTIONS = ("wanted", "kind", "artifact_version", "map_index", "attribute", "default", "conn_id", "pin")


def xcom_output(name: str) -> Place:
    def put(world: World, given: Any) -> Any:
        found: Any = read_reference({**_OUTPUT, name: given})
        if name == "registry":
            world.client.workspace.check_own(found)
        world.registry.resolve([found])

    return put


def xcom_reference(name: str) -> Place:
    def put(world: World, given: Any) -> Any:
        found: Any = read_reference({**_REFERENCE, name: given})
        world.registry.resolve([found])
        assert repr(found).isprintable()
        return given

    return put


def named(*places: Place) -> dict[str, Place]:
    """Places by their functions' names."""
    return {getattr(place, "__name__", "?"): place for place in places}


#: Where a name, a word or a number is wanted: most texts are refused.
NAMES = {
    **named(model_name, model_of_a_version, version_name, version_name_in_a_block, version_name_later),
    **named(artifact_name, artifact_name_to_take_out, output_name, stage, stage_to_roll_back),
    **named(stage_of_a_history, selector, version_to_delete, number_of_an_artifact, expected, to, limit),
    **named(
        tags, kind, file_name, file_format, value_format, run_to_forget, model_to_forget, artifact_to_load
    ),
}
#: Where records are looked for.
ASKED = {f"asked: {name}": asked(name) for name in ("model", "number", "dag_id", "run_id")}
#: Where any text is kept.
TEXTS = named(
    *(card, tag, description_of_a_version, said_of_a_version, reason, attempt, names_of_a_program),
    *(metadata_key, metadata_value, artifact_metadata_key, artifact_metadata_value),
    *(key_that_is_asked_for, default, artifact_value),
)
#: Where any JSON is kept.
VALUES = named(metadata_value, artifact_metadata_value, default, artifact_value)
#: Where JSON comes from another task.
XCOM = {
    **{f"output: {name}": xcom_output(name) for name in _OUTPUT},
    **{f"reference: {name}": xcom_reference(name) for name in (*_REFERENCE, *_OPTIONS)},
    **{f"reference: {name}": xcom_reference(name) for name in ("as_of", "on_missing", "other")},
}
#: Where the text is a key: only what a dict can have as one can be given.
KEYS = named(metadata_key, artifact_metadata_key, key_that_is_asked_for)
