"""Every refusal of R23 to R28 with its sentence: it names the thing, says what there is, and what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from airflow_model_provider import Client, Model, exceptions, settings
from airflow_model_provider.exceptions import InvalidName, ModelRegistryError, UnknownStage
from airflow_model_provider.registry.entities import Attempt, RunKey, VersionState
from airflow_model_provider.workspace import close_workspaces

if TYPE_CHECKING:
    from airflow_model_provider.handles import ModelVersion

RUN = RunKey("default", "training", "manual__1")
SCORING = Attempt(RunKey("default", "scoring", "manual__2"), "score", "a try")
NAME = "It must be 1 to 100 characters of letters, digits, '.', '_', '-' and space, starting with a letter or a digit."
DECLARED = """Declared: staging, production, champion. Teams declare more in [model_registry] stages \
(AIRFLOW__MODEL_REGISTRY__STAGES)."""
VERSIONS = """Versions: 9 (failed), 8 (producing), 5 (failed), 4 (producing), 3 (ready), 2 (production, staging), \
1 (archived). Name one of these, or a stage."""
ANOTHER = """Nothing was changed. Check its history: airflow model-registry history {} production \
--conn-id CONNECTION. Pass expected={} to change it anyway."""
NEW = "Use another name, or create a new version."
FIRST = "A pipeline with model=Model(name='irsi') makes it at its first run."
HELD = """{0}@{1} cannot be deleted: it is in stage 'production'. Promote another version, or archive it: \
airflow model-registry promote {0} {1} archived --conn-id CONNECTION."""
NONE_LEFT = "Nothing was changed. Other versions that have been in it: none. Promote a version instead."
NEVER = f"{{}} cannot be rolled back: no earlier version that still exists was in it. {NONE_LEFT}"
NUMBER = "It must be a whole number from 1 to 9223372036854775807."


class Shop(NamedTuple):
    """
    A registry in which something can be refused.

    ``iris``: 1 was in production, 2 is, 3 is pinned by a run, 4 and 8 are being produced, by tasks and by hand, 5 and
    9 failed likewise, 6 was deleted, 7 was in staging before it was. ``solo`` has one version, ``new`` one that is
    not ready, ``named`` one with a name, ``empty`` none.
    """

    client: Client
    handles: dict[int, ModelVersion]

    def set_stage(self, number: int, stage: Any, **options: Any) -> Any:
        """Move a version of iris into a stage."""
        return self.handles[number].set_stage(stage, **options)

    def get(self, version: Any, model: str = "iris") -> Any:
        """Return a version."""
        return self.client.get_model_version(model, version)

    def rollback(self, stage: Any, model: str = "iris", **options: Any) -> Any:
        """Give a stage back."""
        return self.client.get_model(model).rollback(stage, **options)

    def delete(self, number: Any, model: str = "iris", **options: Any) -> None:
        """Delete a version."""
        self.client.delete_model_version(model, number, **options)


#: Ends the sentences that don't name the registry otherwise.
PLACE = " (registry: connection 'CONNECTION')"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """One for all refusals, which change nothing."""
    folder: Path = tmp_path_factory.mktemp("shop")
    url = f"sqlite:///{folder / 'registry.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").new_database()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(settings.variable("stages"), "champion")
        patch.setenv(settings.variable("protected_stages"), "champion = dag:training_*, user:grace")
        patch.setenv("LOGNAME", "ada")
        close_workspaces()
        yield _filled(Client(url, store=str(folder / "store")))
        close_workspaces()


def _filled(client: Client) -> Shop:
    registry, made = client.workspace.registry, {}
    for number in (1, 2, 3):
        made[number] = client.create_model_version("iris")
        made[number].save_artifact("model", number, metadata={"source": "a"})
        made[number].log_metadata({"accuracy": 0.9})
    for number in (1, 2):
        made[number].set_stage("production", force=True)
    made[2].set_stage("staging")
    registry.resolve([Model("iris", version=3, pin="run").reference], SCORING)
    producers = {
        "producer": "train",
        "producers": {"train": True, "evaluate": True},
        "run_mark": "0 2026-01-01T00:00:00+00:00",
    }
    registry.version_for_run("iris", RUN, **producers)
    failed = registry.version_for_run("iris", RUN._replace(run_id="manual__3"), **producers)
    registry.fail_producer(failed.id, "train")
    registry.commit_producer(failed.id, "evaluate")
    for number in (6, 7):
        made[number] = client.create_model_version("iris")
    made[7].set_stage("staging", force=True)
    made[2].set_stage("staging", force=True)
    for number in (6, 7):
        client.delete_model_version("iris", number, purge=True)
    registry.create_version("iris", state=VersionState.PRODUCING)
    with pytest.raises(KeyError), client.new_model_version("iris"):
        raise KeyError
    made |= {number: client.get_model_version("iris", number) for number in (4, 5, 8, 9)}
    client.create_model_version("solo").set_stage("production")
    registry.create_version("new", state=VersionState.PRODUCING)
    client.create_model_version("named", "v1")
    client.create_model("empty")
    return Shop(client, made)


class Refusal(NamedTuple):
    """What is asked, and what is said: the class of the error and its sentence."""

    ask: Callable[[Shop], Any]
    error: str
    sentence: str


MODELS = "Models: empty, iris, named, new, solo."
SEALED = [
    Refusal(
        lambda shop: shop.handles[2].log_metadata({"new": 1, "accuracy": 1.0}),
        "VersionSealed",
        f"iris@2 was promoted, so its metadata 'accuracy' cannot be changed. {NEW}",
    ),
    Refusal(
        lambda shop: shop.handles[2].delete_artifact("model"),
        "VersionSealed",
        f"iris@2 was promoted, so its artifact 'model' cannot be changed. {NEW}",
    ),
    Refusal(
        lambda shop: shop.client.workspace.registry.log_artifact_metadata(
            shop.handles[1].get_artifact("model").record.id, {"source": "b"}
        ),
        "VersionSealed",
        f"iris@1 was promoted, so its metadata 'source' of artifact 'model' cannot be changed. {NEW}",
    ),
    Refusal(
        lambda shop: shop.handles[6].log_metadata({"late": 1}),
        "VersionNotFound",
        f"'iris' has no version '6'. {VERSIONS}",
    ),
    Refusal(
        lambda shop: shop.handles[6].save_artifact("late", 1),
        "VersionNotFound",
        f"'iris' has no version '6'. {VERSIONS}",
    ),
]
DELETING = [
    Refusal(lambda shop: shop.delete(2, purge=True), "VersionInUse", HELD.format("iris", 2)),
    Refusal(lambda shop: shop.delete("production"), "VersionInUse", HELD.format("iris", 2)),
    Refusal(
        lambda shop: shop.delete(1),
        "VersionInUse",
        "iris@1 cannot be deleted: it has been in stage 'production'. Pass purge=True to delete it anyway.",
    ),
    Refusal(
        lambda shop: shop.delete(3, purge=True),
        "VersionInUse",
        "iris@3 cannot be deleted: DAG 'scoring' has pinned it for its run 'manual__2'. "
        "If the run is over, release its pins: Client().drop_run_pins('scoring', 'manual__2', deployment='default'). "
        "For all runs that are over: airflow model-registry release-pins --conn-id CONNECTION.",
    ),
    Refusal(
        lambda shop: shop.delete(4, purge=True),
        "VersionInUse",
        "iris@4 cannot be deleted: it is still being produced by run 'manual__1' of Dag 'training'. "
        "Delete it when it is ready or failed, or pass force=True. Nothing was changed.",
    ),
    Refusal(
        lambda shop: shop.client.delete_model("new"),
        "VersionInUse",
        "new@1 cannot be deleted: it is still being produced. "
        "Delete it when it is ready or failed, or pass force=True. Nothing was changed.",
    ),
    Refusal(
        lambda shop: shop.client.delete_model("solo", purge=True), "VersionInUse", HELD.format("solo", 1)
    ),
    Refusal(
        lambda shop: shop.delete(7),
        "VersionNotFound",
        f"'iris' has no version '7'. {VERSIONS}",
    ),
    Refusal(
        lambda shop: shop.client.delete_model("irsi"),
        "ModelNotFound",
        f"The registry has no model 'irsi'. Did you mean 'iris'? {MODELS} {FIRST}",
    ),
]
READY = [
    Refusal(
        lambda shop: shop.set_stage(4, "production", force=True),
        "VersionNotReady",
        "iris@4 is still being produced: tasks 'evaluate', 'train' can still write into it. "
        "Promote it when it is ready, or pass allow_incomplete=True. Nothing was changed.",
    ),
    Refusal(
        lambda shop: shop.set_stage(5, "production", expected=2),
        "VersionNotReady",
        "iris@5 is incomplete: task 'train' failed. Clear the task and let the run end, or run the program again. "
        "Nothing was changed.",
    ),
    Refusal(
        lambda shop: shop.set_stage(8, "production", force=True),
        "VersionNotReady",
        "iris@8 is still being produced. Promote it when it is ready, or pass allow_incomplete=True. "
        "Nothing was changed.",
    ),
    Refusal(
        lambda shop: shop.set_stage(9, "production", force=True),
        "VersionNotReady",
        "iris@9 is incomplete: the run that made it did not complete it. Make another version. Nothing was changed.",
    ),
    Refusal(
        lambda shop: shop.get("latest", "new"),
        "StageNotAssigned",
        "'new' has no ready version, so 'latest' selects nothing. Versions: 1 (producing). "
        "Name a version, or train a new one.",
    ),
    Refusal(
        lambda shop: shop.get("latest", "empty"),
        "StageNotAssigned",
        "'empty' has no ready version, so 'latest' selects nothing. Versions: none. "
        "Name a version, or train a new one.",
    ),
    Refusal(
        lambda shop: shop.client.workspace.registry.version_for_run(
            "iris", RUN, producer="train", run_mark="0 2026-02-02T00:00:00+00:00"
        ),
        "DeploymentClash",
        "Run 'manual__1' of DAG 'training' was written to this registry by a run of the same id that started at "
        "another time and was still at work when this one started. Nothing was changed. If two Airflow installations "
        "are both called 'default', give each its own [model_registry] deployment "
        "(AIRFLOW__MODEL_REGISTRY__DEPLOYMENT). If the run was deleted or queued again while its tasks ran, let it go "
        "on: airflow model-registry take-over 'training' 'manual__1'",
    ),
]
STAGES = [
    Refusal(
        lambda shop: shop.set_stage(3, "production"),
        "StageOccupied",
        "iris[production] is occupied by iris@2. Nothing was changed. Pass force=True to replace it by iris@3.",
    ),
    Refusal(
        lambda shop: shop.set_stage(3, "production", expected=1),
        "StageConflict",
        f"Expected iris@1 in iris[production], found iris@2. {ANOTHER.format('iris', 2)}",
    ),
    Refusal(
        lambda shop: shop.set_stage(3, "production", expected=None, force=True),
        "StageConflict",
        f"Expected no version in iris[production], found iris@2. {ANOTHER.format('iris', 2)}",
    ),
    Refusal(
        lambda shop: shop.client.get_model_version("named", "v1").set_stage("production", expected=3),
        "StageConflict",
        f"Expected named@3 in named[production], found no version. {ANOTHER.format('named', None)}",
    ),
    Refusal(
        lambda shop: shop.set_stage(2, "archived", expected=1),
        "StageConflict",
        f"Expected iris@1 in iris[production], found iris@2. {ANOTHER.format('iris', 2)}",
    ),
    Refusal(
        lambda shop: shop.rollback("production", expected=1),
        "StageConflict",
        f"Expected iris@1 in iris[production], found iris@2. {ANOTHER.format('iris', 2)}",
    ),
    Refusal(
        lambda shop: shop.set_stage(3, "production", expected="2"),
        "InvalidName",
        f"'2' is not a valid version number. {NUMBER}",
    ),
    Refusal(
        lambda shop: shop.set_stage(3, "champion"),
        "StageProtected",
        "user:ada may not change iris[champion]: [model_registry] protected_stages says "
        "'champion = dag:training_*, user:grace'. Let one of those do it, or change the setting.",
    ),
    Refusal(
        lambda shop: shop.rollback("champion"),
        "StageProtected",
        "user:ada may not change iris[champion]: [model_registry] protected_stages says "
        "'champion = dag:training_*, user:grace'. Let one of those do it, or change the setting.",
    ),
    Refusal(
        lambda shop: shop.rollback("production", "solo"), "NothingToRestore", NEVER.format("solo[production]")
    ),
    Refusal(
        lambda shop: shop.rollback("staging", "named"), "NothingToRestore", NEVER.format("named[staging]")
    ),
    Refusal(
        lambda shop: shop.rollback("production", to=3),
        "NothingToRestore",
        "iris[production] cannot be rolled back: iris@3 is not an earlier version in it. Nothing was changed. "
        "Other versions that have been in it: iris@1. Choose one: to=1.",
    ),
    Refusal(
        lambda shop: shop.rollback("production", to=2),
        "NothingToRestore",
        "iris[production] cannot be rolled back: iris@2 is not an earlier version in it. Nothing was changed. "
        "Other versions that have been in it: iris@1. Choose one: to=1.",
    ),
    Refusal(
        lambda shop: shop.rollback("staging", to=7),
        "NothingToRestore",
        f"iris[staging] cannot be rolled back: iris@7 is not an earlier version in it. {NONE_LEFT}",
    ),
    Refusal(
        lambda shop: shop.set_stage(6, "production", force=True),
        "VersionNotFound",
        f"'iris' has no version '6'. {VERSIONS}",
    ),
]
FINDING = [
    Refusal(
        lambda shop: shop.get(1, "irsi"),
        "ModelNotFound",
        f"The registry has no model 'irsi'. Did you mean 'iris'? {MODELS} {FIRST}",
    ),
    Refusal(
        lambda shop: shop.get(99),
        "VersionNotFound",
        f"'iris' has no version '99'. {VERSIONS}",
    ),
    Refusal(
        lambda shop: shop.get(6),
        "VersionNotFound",
        f"'iris' has no version '6'. {VERSIONS}",
    ),
    Refusal(
        lambda shop: shop.get("v2"),
        "VersionNotFound",
        f"'iris' has no version 'v2'. {VERSIONS}",
    ),
    Refusal(
        lambda shop: shop.get("staging", "solo"),
        "StageNotAssigned",
        "No version of 'solo' is in stage 'staging'. Versions: 1 (production). "
        "Promote one: airflow model-registry promote solo NUMBER staging --conn-id CONNECTION",
    ),
    Refusal(
        lambda shop: shop.client.create_model("iris"),
        "AlreadyExists",
        "The model 'iris' exists already. Use it, or choose another name.",
    ),
    Refusal(
        lambda shop: shop.client.create_model_version("named", "v1"),
        "AlreadyExists",
        "The version 'named@v1' exists already. Use it, or choose another name.",
    ),
]


@pytest.mark.parametrize(
    "refusal",
    [*SEALED, *DELETING, *READY, *STAGES, *FINDING],
    ids=lambda refusal: f"{refusal.error}: {refusal.sentence[:40]}",
)
def test_a_refusal_says_what_there_is_and_what_to_do(shop: Shop, refusal: Refusal) -> None:
    """One error of one class, one sentence to the letter; and nothing has changed."""
    history = shop.client.get_model("iris").history()
    with pytest.raises(getattr(exceptions, refusal.error)) as caught:
        refusal.ask(shop)

    assert str(caught.value).removesuffix(PLACE) == refusal.sentence
    assert shop.client.get_model("iris").history() == history


def test_what_was_purged_is_named_by_the_time_at_which_it_held_the_stage(shop: Shop) -> None:
    """``as_of`` meets the tombstone."""
    held = next(event for event in shop.client.get_model("iris").history("staging") if event.version == 7)
    then = Model("iris", version="staging", as_of=held.at).reference
    with pytest.raises(exceptions.VersionDeleted) as caught:
        shop.client.workspace.registry.resolve([then])

    assert str(caught.value).removesuffix(PLACE) == (
        f"iris@7 was in stage 'staging' as of {held.at.isoformat()}, and was deleted since. "
        "Name another version, or ask for another time."
    )


READ_AS = "It would be read as {}. Choose one that differs more."
RESERVED = "Digits mean a number, and archived, latest, none, triggering something else."
NAMES = [
    *(
        ("model", name, NAME)
        for name in ("", "../iris", "iris\n", "-iris", "ir\u0456s", "x" * 101, "a/b", "\u0661")
    ),
    *(("version", name, NAME) for name in ("", "a\nb", "v1\n", "\u00b2", "v1\u200b")),
    *(("artifact", name, NAME) for name in ("", "model/..", "model\0", ".model")),
    *((what, "name ", "It must not end in a space.") for what in ("model", "version", "artifact")),
    *(("version", name, RESERVED) for name in ("12", "latest", "None", "ARCHIVED", "triggering")),
    *(
        ("version", name, READ_AS.format("'production'"))
        for name in ("production", "prodcution", "Production")
    ),
    *(("version", name, READ_AS.format("'champion'")) for name in ("champion", "Champion1")),
    ("version", "lates", READ_AS.format("'latest'")),
]


@pytest.mark.parametrize(("what", "name", "reason"), NAMES)
def test_a_name_that_cannot_be_is_refused_wherever_it_is_given(
    shop: Shop, what: str, name: str, reason: str
) -> None:
    """The sentence shows the name, cut and escaped, and the rule."""
    asked: dict[str, list[Callable[[], Any]]] = {
        "model": [
            *(lambda: shop.client.create_model(name), lambda: shop.client.create_model_version(name)),
            *(
                lambda: Model(name),
                lambda: shop.client.get_model(name),
                lambda: shop.client.delete_model(name),
            ),
        ],
        "version": [
            lambda: shop.client.create_model_version("named", name),
            lambda: shop.client.update_model_version("named", 1, name=name),
            lambda: shop.client.new_model_version("named", name).__enter__(),
        ],
        "artifact": [
            *(lambda: shop.handles[3].save_artifact(name, 1), lambda: shop.handles[3].get_artifact(name)),
            *(lambda: Model("iris", version=3).get_artifact(name), lambda: shop.client.get_artifact(name)),
        ],
    }
    shown = ascii(name) if len(name) <= 100 else None
    for ask in asked[what]:
        with pytest.raises(InvalidName) as caught:
            ask()
        said = str(caught.value)
        assert said.endswith(f" is not a valid {what} name. {reason}")
        assert shown is None or said.startswith((repr(name), shown))


@pytest.mark.parametrize(
    ("stage", "sentence"),
    [
        ("prodction", f"'prodction' is not a declared stage. Did you mean 'production'? {DECLARED}"),
        ("Production", f"'Production' is not a declared stage. Did you mean 'production'? {DECLARED}"),
        ("champoin", f"'champoin' is not a declared stage. Did you mean 'champion'? {DECLARED}"),
        ("latest", f"'latest' is not a declared stage. {DECLARED}"),
        ("none", f"'none' is not a declared stage. {DECLARED}"),
        ("3", f"'3' is not a declared stage. {DECLARED}"),
        ("production\n", rf"'production\n' is not a declared stage. Did you mean 'production'? {DECLARED}"),
    ],
)
def test_what_is_no_stage_is_refused_wherever_one_is_assigned(shop: Shop, stage: str, sentence: str) -> None:
    """The sentence has the nearest stage, all that there are, and how to declare more."""
    for ask in (lambda: shop.set_stage(3, stage), lambda: shop.rollback(stage)):
        with pytest.raises(UnknownStage) as caught:
            ask()
        assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("version", "error", "sentence"),
    [
        (
            "prodction",
            "UnknownStage",
            f"'prodction' is not a declared stage. Did you mean 'production'? {DECLARED}",
        ),
        ("lates", "UnknownStage", f"'lates' is not a declared stage. Did you mean 'latest'? {DECLARED}"),
        ("archived", "UnknownStage", f"'archived' is not a declared stage. {DECLARED}"),
        ("none", "UnknownStage", f"'none' is not a declared stage. {DECLARED}"),
        ("\u0661", "InvalidName", f"'\u0661' is not a valid version name. {NAME}"),
        ("3\n", "InvalidName", rf"'3\n' is not a valid version name. {NAME}"),
        *[(zero, "InvalidName", f"0 is not a valid version number. {NUMBER}") for zero in (0, "0")],
        (
            True,
            "InvalidName",
            "True is not a valid version name. Give a stage, 'latest', a number, or a version name.",
        ),
    ],
)
def test_what_is_no_selector_is_refused_before_anything_is_asked(
    shop: Shop, version: Any, error: str, sentence: str
) -> None:
    """In a reference as in a question."""
    for ask in (
        lambda: Model("iris", version=version),
        lambda: shop.get(version),
        lambda: shop.delete(version),
    ):
        with pytest.raises(ModelRegistryError) as caught:
            ask()
        assert (type(caught.value).__name__, str(caught.value)) == (error, sentence)
