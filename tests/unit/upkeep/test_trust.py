"""What is loaded, who may promote, and files of other programs (R39, R42)."""

from __future__ import annotations

import json
import os
import pickle
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from airflow_model_provider import Client
from airflow_model_provider.exceptions import (
    DigestMismatch,
    FileMissing,
    InvalidConfiguration,
    InvalidDefinition,
    LoadFailed,
    ModelRegistryError,
    NotSigned,
    PayloadMissing,
    PickleForbidden,
    StageProtected,
    VersionNotSigned,
)
from airflow_model_provider.handles import ModelVersion
from airflow_model_provider.registry.entities import Attempt, RunKey
from airflow_model_provider.settings import variable
from airflow_model_provider.workspace import close_workspaces

KEY, OTHER = "the-first-key-is-long-enough", "the-second-key-is-long-enough"


class Trap:
    """Unpickling it makes a file."""

    def __init__(self, sign: Path) -> None:
        self.sign = sign

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.sign}",)


@pytest.fixture
def model() -> LinearRegression:
    """A fitted model."""
    return LinearRegression().fit(np.arange(4.0).reshape(-1, 1), np.arange(4.0))


def saved(client: Client, value: Any, name: str = "model") -> ModelVersion:
    """Save a value as a new version's artifact."""
    with client.new_model_version("iris") as version:
        version.save_artifact(name, value)
    return version


def setting(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    """Set the configuration, for what is opened from now on."""
    for name, value in values.items():
        monkeypatch.setenv(variable(name), value)
    close_workspaces()


# --- signatures ------------------------------------------------------------------------------------------


def test_what_was_signed_is_loaded(
    model_registry: Client, model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first key signs; a later list of keys accepts what an older one has signed."""
    setting(monkeypatch, signing_keys=KEY)
    version = saved(model_registry, model)
    assert version.load_artifact("model").coef_ == pytest.approx([1.0])
    setting(monkeypatch, signing_keys=f"{OTHER}, {KEY}")
    assert Client().get_model_version("iris", 1).load_artifact("model").coef_ == pytest.approx([1.0])
    setting(monkeypatch, signing_keys=OTHER)

    with pytest.raises(NotSigned, match="a signature that none of the keys has made"):
        Client().get_model_version("iris", 1).load_artifact("model")


def test_what_was_not_signed_is_refused_where_keys_are(
    model_registry: Client, model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless it can't execute code, or signatures are not required."""
    saved(model_registry, model)
    saved(model_registry, np.arange(3))
    setting(monkeypatch, signing_keys=KEY)
    client = Client()
    with pytest.raises(NotSigned) as refused:
        client.get_model_version("iris", 1).load_artifact("model")

    assert str(refused.value) == (
        "iris@1/model@1 is of a format that can execute code, and bears no signature. Nothing was loaded. If you trust "
        "it: sign the version that holds it (airflow model-registry sign --model MODEL --version NUMBER), add the key "
        "that signed it to [model_registry] signing_keys, or set require_signature = False."
    )
    assert list(client.get_model_version("iris", 2).load_artifact("model")) == [0, 1, 2]
    monkeypatch.setenv(variable("require_signature"), "False")
    assert client.get_model_version("iris", 1).load_artifact("model").coef_ == pytest.approx([1.0])


def test_a_signature_is_of_the_bytes_and_of_their_format(
    model_registry: Client, model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One who can write into the registry and into the store, and has no key, gets nothing loaded."""
    setting(monkeypatch, signing_keys=KEY)
    version = saved(model_registry, model)
    workspace = Client().workspace
    (record,) = workspace.registry.list_artifacts(version.id)
    bad = pickle.dumps(Trap(Path("never")))
    with workspace.store.new_file() as path:
        path.write_bytes(bad)
        digest, size = workspace.store.digest(path)
        workspace.store.put(path, digest)
    for changed in (
        record.payload._replace(digest=digest, size=size),
        record.payload._replace(materializer="cloudpickle"),
    ):
        with pytest.raises(NotSigned):
            workspace.load(record._replace(payload=changed))


def test_a_key_that_can_be_guessed_is_refused(
    model_registry: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no key is shown."""
    setting(monkeypatch, signing_keys="short")

    with pytest.raises(InvalidConfiguration, match="shorter than 16") as refused:
        saved(model_registry, 1)
    assert "'short'" not in str(refused.value)


def test_what_is_there_is_signed(model_registry: Client, model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of a registry, of a model or of a version, once its bytes were hashed; not what executes nothing."""
    for value in (model, np.arange(3)):
        saved(model_registry, value)
    with model_registry.new_model_version("rose") as rose:
        rose.save_artifact("model", model)
    setting(monkeypatch, signing_keys=KEY)
    client = Client()
    found = client.sign_artifacts("iris", "latest"), client.sign_artifacts("iris", dry_run=True)
    (signed,) = client.sign_artifacts("iris", 1)
    (rest,) = client.sign_artifacts()

    assert [[item.artifact for item in items] for items in found] == [[], ["iris/model@1"]]
    assert (signed.artifact, rest.artifact, rest.problem) == ("iris@1/model@1", "model@3", None)
    assert client.get_model_version("iris", 1).load_artifact("model").coef_ == pytest.approx([1.0])
    setting(monkeypatch, signing_keys=f"{OTHER},{KEY}")
    assert [item.artifact for item in Client().sign_artifacts("rose")] == ["rose/model@3"]
    setting(monkeypatch, signing_keys=OTHER)
    assert Client().get_model_version("rose", 1).load_artifact("model").coef_ == pytest.approx([1.0])


def test_who_signed_is_kept(model_registry: Client, model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the time, beside the signature."""
    saved(model_registry, model)
    monkeypatch.setattr("getpass.getuser", lambda: "alice")
    setting(monkeypatch, signing_keys=KEY)
    Client().sign_artifacts()
    with sqlite3.connect(Client().workspace.registry.url.removeprefix("sqlite:///")) as connection:
        ((kept,),) = connection.execute("SELECT signed FROM mr_artifact_version").fetchall()

    assert json.loads(kept)["who"] == "alice"
    assert datetime.fromisoformat(json.loads(kept)["at"]).tzinfo is UTC


def test_changed_bytes_are_not_signed(
    model_registry: Client, model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is anything without a key, or a version without its model."""
    version = saved(model_registry, model)
    with pytest.raises(InvalidConfiguration, match="no key is set, so nothing can be signed"):
        model_registry.sign_artifacts()
    setting(monkeypatch, signing_keys=KEY)
    blob = Path(version.get_artifact("model").uri)
    blob.chmod(0o644)
    blob.write_bytes(blob.read_bytes()[::-1])
    (found,) = Client().sign_artifacts("iris")

    assert found.problem == "changed"
    with pytest.raises(NotSigned):
        Client().get_model_version("iris", 1).load_artifact("model")
    with pytest.raises(InvalidDefinition, match="version= needs model="):
        Client().sign_artifacts(version=1)


def test_a_version_that_consumers_could_not_load_is_not_promoted(
    model_registry: Client, model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor restored; the error has the command. What tasks made with it does not count, nor what executes nothing."""
    first = saved(model_registry, model)
    first.set_stage("production")
    saved(model_registry, np.arange(3)).set_stage("production", force=True)
    setting(monkeypatch, signing_keys=KEY)
    client = Client()
    refused = "iris@1 was not promoted to '{}': consumers could not load model, .*--model iris --version 1. Nothing was"
    with pytest.raises(VersionNotSigned, match=refused.format("staging")):
        client.get_model_version("iris", 1).set_stage("staging")
    with pytest.raises(VersionNotSigned, match=refused.format("production")):
        client.get_model("iris").rollback("production")
    with pytest.raises(VersionNotSigned, match="iris@3 was not promoted"):
        client.register_model_version("iris", {"model": first.get_artifact("model")}, stage="staging")
    assert [event.version for event in client.get_model("iris").history()] == [2, 1]

    client.get_model_version("iris", 2).set_stage("staging")
    client.sign_artifacts("iris", 1)
    assert client.get_model("iris").rollback("production").version == 1


# --- payloads of others ----------------------------------------------------------------------------------


def _replace(blob: Path, data: bytes) -> None:
    blob.chmod(0o600)
    blob.write_bytes(data)


def _same_size(blob: Path, data: bytes) -> None:
    _replace(blob, data[: blob.stat().st_size].ljust(blob.stat().st_size, b"."))


def _link(blob: Path, data: bytes) -> None:
    other = blob.with_name("other")
    other.write_bytes(data)
    blob.unlink()
    blob.symlink_to(other)


def _hard_link(blob: Path, data: bytes) -> None:
    other = blob.with_name("other")
    other.write_bytes(data)
    blob.unlink()
    blob.hardlink_to(other)


def _folder(blob: Path, data: bytes) -> None:
    blob.unlink()
    blob.mkdir()
    (blob / blob.name).write_bytes(data)


def _appended(blob: Path, data: bytes) -> None:
    _replace(blob, blob.read_bytes() + data)


def _prepended(blob: Path, data: bytes) -> None:
    _replace(blob, data + blob.read_bytes())


def _pipe(blob: Path, data: bytes) -> None:
    blob.unlink()
    os.mkfifo(blob)


WAYS = [_replace, _same_size, _link, _hard_link, _folder, _appended, _prepended, _pipe]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("cached", [False, True], ids=["cold", "loaded before"])
def test_what_is_put_into_the_store_is_never_executed(
    model_registry: Client, model: Any, tmp_path: Path, way: Any, *, cached: bool
) -> None:
    """Whatever a writer of the store does, to a pickle and to data that other programs would unpickle."""
    sign = tmp_path / "executed"
    for value in (model, np.arange(3), {"plain": 1}):
        version = saved(model_registry, value)
        artifact = version.get_artifact("model")
        if cached:
            artifact.load()
        way(Path(artifact.uri), pickle.dumps(Trap(sign)))
        with pytest.raises((DigestMismatch, PayloadMissing)):
            artifact.load()
        with pytest.raises((DigestMismatch, PayloadMissing)):
            artifact.path()

    assert not sign.exists()
    pickle.loads(pickle.dumps(Trap(sign)))
    assert sign.exists()  # it would have been


# --- files of other programs -----------------------------------------------------------------------------


def test_a_joblib_file_is_kept_and_loaded(model_registry: Client, model: Any, tmp_path: Path) -> None:
    """Byte by byte; its name says how it is loaded."""
    file = tmp_path / "legacy.joblib"
    joblib.dump(model, file)
    with model_registry.new_model_version("iris") as version:
        artifact = version.save_file("legacy", file, metadata={"from": "2019"})
    loaded = version.get_model_artifact("legacy")

    assert Path(loaded.uri).read_bytes() == file.read_bytes()
    assert loaded.load().coef_ == pytest.approx([1.0])
    assert (loaded.kind, loaded.metadata, artifact.number) == ("model", {"from": "2019"}, 1)


def test_a_file_is_not_opened_when_it_is_registered(model_registry: Client, tmp_path: Path) -> None:
    """What it holds is executed by nobody but who loads it."""
    sign, file = tmp_path / "executed", tmp_path / "trap.pkl"
    file.write_bytes(pickle.dumps(Trap(sign)))
    with model_registry.new_model_version("iris") as version:
        version.save_file("model", file)

    assert not sign.exists()


def test_a_joblib_file_with_the_name_of_a_pickle_is_named_when_it_is_loaded(
    model_registry: Client, model: Any, tmp_path: Path
) -> None:
    """The error says how it is to be registered; any other file that is no pickle is not called one of joblib's."""
    file, other = tmp_path / "model.pkl", tmp_path / "other.pkl"
    joblib.dump(model, file)
    other.write_bytes(b"no pickle")
    with model_registry.new_model_version("iris") as version:
        version.save_file("model", file)
        version.save_file("right", file, format="joblib")
        version.save_file("other", other)
    with pytest.raises(LoadFailed, match=r"joblib file: register it with format='joblib'"):
        version.load_artifact("model")
    with pytest.raises(LoadFailed) as refused:
        version.load_artifact("other")

    assert "joblib" not in str(refused.value)
    assert version.load_artifact("right").coef_ == pytest.approx([1.0])


def test_any_file_is_kept_as_a_path(model_registry: Client, tmp_path: Path) -> None:
    """Data, under its own name."""
    file = tmp_path / "labels.txt"
    file.write_text("setosa\n")
    with model_registry.new_model_version("iris") as version:
        version.save_file("labels", str(file))
    found = version.get_data_artifact("labels").load()

    assert (found.name, found.read_text()) == ("labels.txt", "setosa\n")


def test_what_cannot_be_registered_is_one_error(
    model_registry: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the version that was to hold it has failed."""
    file = tmp_path / "model.joblib"
    refused: list[ModelRegistryError] = []

    def attempt(error: type[ModelRegistryError], **options: Any) -> str:
        with pytest.raises(error) as raised, Client().new_model_version("iris") as version:
            version.save_file("model", file, **options)
        refused.append(raised.value)
        return str(raised.value)

    assert str(file) in attempt(FileMissing)
    file.write_bytes(b"no joblib")
    assert "Formats: joblib, pickle, skops, npy, file" in attempt(InvalidDefinition, format="onnx")
    with Client().new_model_version("iris") as version, pytest.raises(LoadFailed):
        version.save_file("model", file).load()
    setting(monkeypatch, allow_pickle="False")
    assert "allow_pickle is False" in attempt(PickleForbidden)
    states = [item.state.value for item in Client().list_model_versions("iris")]
    assert states == ["failed", "ready", "failed", "failed"]


# --- protected stages ------------------------------------------------------------------------------------


def test_only_those_named_change_a_protected_stage(
    model_registry: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dags and users by pattern; whoever tries has to be among them, whatever the change is."""
    setting(monkeypatch, protected_stages="production = dag:training_*, user:alice; staging = user:*")
    client = Client()
    for _ in range(2):
        client.create_model_version("iris")
    registry = client.workspace.registry

    def by(dag_id: str | None = None, who: str | None = None) -> dict[str, Any]:
        attempt = Attempt(RunKey("default", dag_id, "run"), "promote", dag_id) if dag_id else None
        return {"attempt": attempt, "who": who}

    registry.set_stage("iris", 1, "production", **by("training_iris"))
    registry.set_stage("iris", 2, "production", **by(who="alice"), force=True)
    registry.set_stage("iris", 2, "staging", **by(who="bob"))
    for change in (
        lambda: registry.set_stage("iris", 1, "production", **by(who="bob"), force=True),
        lambda: registry.set_stage("iris", 1, "production", **by("scoring"), force=True),
        lambda: registry.rollback("iris", "production", **by("scoring")),
        lambda: registry.set_stage("iris", 2, "archived", **by("scoring")),
        lambda: client.get_model_version("iris", 1).set_stage("production", force=True),
    ):
        with pytest.raises(StageProtected):
            change()

    assert registry.holders("iris") == {"iris": {"production": 2, "staging": 2}}
    with pytest.raises(StageProtected) as refused:
        registry.rollback("iris", "production", **by("scoring"))
    assert str(refused.value) == (
        "dag:scoring may not change iris[production]: [model_registry] protected_stages says "
        "'production = dag:training_*, user:alice'. Let one of those do it, or change the setting."
    )


def test_a_role_counts_where_it_is_known(model_registry: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a user who is logged in to Airflow; a task has none, whoever started it, nor has a command or a program."""
    setting(monkeypatch, protected_stages="production = role:Op, role:Team *")
    registry = Client().workspace.registry
    for _ in range(2):
        registry.create_version("iris")
    task = Attempt(RunKey("default", "training", "run"), "promote", "1")
    registry.set_stage("iris", 1, "production", who="alice", roles=("Viewer", "Op"))
    registry.set_stage("iris", 2, "production", who="bob", roles=("Team Blue",), force=True)
    registry.rollback("iris", "production", who="alice", roles=("Op",))
    for caller in ({"who": "alice"}, {"who": "role:Op"}, {"attempt": task, "roles": ("Op",)}):
        with pytest.raises(StageProtected):
            registry.set_stage("iris", 2, "production", force=True, **caller)  # type: ignore[arg-type]

    assert registry.holders("iris") == {"iris": {"production": 1}}
    with pytest.raises(StageProtected) as refused:
        registry.rollback("iris", "production", who="bob", roles=("Viewer", "op"))
    assert str(refused.value) == (
        "user:bob, role:Viewer, role:op may not change iris[production]: [model_registry] protected_stages says "
        "'production = role:Op, role:Team *'. Let one of those do it, or change the setting."
    )
    with pytest.raises(StageProtected) as refused:
        registry.rollback("iris", "production", who="bob")
    assert str(refused.value) == (
        "user:bob may not change iris[production]: [model_registry] protected_stages says "
        "'production = role:Op, role:Team *'. Let one of those do it, or change the setting. "
        "Roles are known of users who are logged in to Airflow, not of programs, commands and tasks."
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("production", "'production' can't be read"),
        ("production = ", "'production =' can't be read"),
        ("production = alice", "can't be read"),
        ("production = group:admins", "can't be read"),
        ("production = user:", "can't be read"),
        ("production = dag:training_*, role: ", "can't be read"),
        ("prodution = user:alice", "'prodution' is not a declared stage"),
        ("production = user:alice; production = user:*", "'production' appears twice"),
    ],
)
def test_a_rule_that_cannot_be_read_is_an_error(
    model_registry: Client, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    """Not a stage that everybody may change."""
    setting(monkeypatch, protected_stages=text)

    with pytest.raises(InvalidConfiguration, match=said):
        saved(model_registry, 1)
