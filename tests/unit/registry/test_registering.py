"""A version that is made whole: its artifacts, metadata and stage are there at once, or nothing is (R17, R22)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from airflow_model_provider import Client
from airflow_model_provider.exceptions import (
    AlreadyExists,
    FileMissing,
    InvalidDefinition,
    LoadFailed,
    ModelNotFound,
    ModelRegistryError,
    NotSerializable,
    StageConflict,
    StageOccupied,
    UnknownStage,
)
from airflow_model_provider.registry.entities import VersionState
from airflow_model_provider.registry.registry import Registry
from airflow_model_provider.upkeep import Garbage, collect, verify

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def client(url: str, tmp_path: Path) -> Iterator[Client]:
    """A client of an empty registry."""
    made = Client(url, store=str(tmp_path / "store"))
    yield made
    made.workspace.close()


def test_a_version_with_all_it_holds(client: Client, tmp_path: Path) -> None:
    """Values, files, metadata and the stage, each as if it had been given one by one; sealed by the promotion."""
    (tmp_path / "notes.txt").write_text("by hand")
    version = client.register_model_version(
        "iris",
        {"trained_model": np.arange(3), "labels": ["setosa"]},
        files={"notes": tmp_path / "notes.txt"},
        formats={"notes": "file"},
        name="first",
        description="a first one",
        tags=["demo"],
        metadata={"accuracy": 0.97},
        stage="production",
        reason="the only one",
    )
    found = client.get_model_version("iris", "production")

    assert (version.number, version.version_name, version.stage, version.state) == (
        1,
        "first",
        "production",
        "ready",
    )
    assert found.record == version.record
    assert {item.name for item in found.list_artifacts()} == {"trained_model", "labels", "notes"}
    assert list(found.load_artifact("trained_model")) == [0, 1, 2]
    assert found.load_artifact("notes").read_text() == "by hand"
    assert dict(found.run_metadata) == {"accuracy": 0.97}
    assert [(event.version, event.reason) for event in client.get_model("iris").history()] == [
        (1, "the only one")
    ]
    with pytest.raises(ModelRegistryError, match="was promoted"):
        found.log_metadata({"accuracy": 1.0})


def test_without_a_stage_it_is_ready(client: Client) -> None:
    """And can be promoted later; the next one replaces exactly the holder that is expected."""
    client.register_model_version("iris", {"labels": ["setosa"]}).set_stage("production")
    second = client.register_model_version("iris", {"labels": ["setosa"]}, stage="production", expected=1)

    assert second.stage == "production"
    assert client.get_model_version("iris", 1).stage == "archived"
    assert list(verify(client.workspace)) == []


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"stage": "production"}, StageOccupied),
        ({"stage": "production", "expected": None}, StageConflict),
        ({"stage": "prodution"}, UnknownStage),
        ({"name": "first"}, AlreadyExists),
        ({"metadata": {"sets": {1, 2}}}, NotSerializable),
        ({"files": {"labels": "labels.json"}}, InvalidDefinition),
        ({"files": {"model": 7}}, InvalidDefinition),
        ({"files": {"model": "nowhere.joblib"}}, FileMissing),
        ({"formats": {"lables": "file"}}, InvalidDefinition),
    ],
)
def test_what_is_refused_leaves_nothing(
    client: Client, asked: dict[str, object], error: type[Exception]
) -> None:
    """No version, no number, no artifact; bytes that were stored before are garbage."""
    client.register_model_version("iris", {"labels": ["setosa"]}, name="first", stage="production")
    with pytest.raises(error):
        client.register_model_version("iris", {"labels": ["virginica"]}, **asked)  # type: ignore[arg-type]

    assert [item.number for item in client.list_model_versions("iris")] == [1]
    assert client.get_artifact("labels").number == 1
    collect(client.workspace, older_than=0)
    assert collect(client.workspace, older_than=0) == Garbage(0, 0, 0)
    assert client.register_model_version("iris").number == 2


def test_a_model_is_made_with_its_first_version_or_not_at_all(client: Client) -> None:
    """A refused promotion doesn't leave an empty model behind."""
    with pytest.raises(StageConflict):
        client.register_model_version("rose", {"labels": []}, stage="production", expected=3)
    with pytest.raises(ModelNotFound):
        client.get_model("rose")


def test_bytes_that_a_collector_took_are_stored_again(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them, before the version is made."""
    register, collected = Registry.register_version, []

    def slowly(self: Registry, *args: object, **kwargs: object) -> object:
        if not collected:
            collected.append(collect(client.workspace, older_than=0).blobs)
        return register(self, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(Registry, "register_version", slowly)
    version = client.register_model_version("iris", {"one": "one", "two": "two"}, stage="staging")

    assert collected == [2]
    assert [version.load_artifact(name) for name in ("one", "two")] == ["one", "two"]
    assert list(verify(client.workspace)) == []


def test_one_text_is_not_several_tags(client: Client) -> None:
    """Not one tag for each of its letters, wherever they are given."""
    client.create_model_version("iris", tags=["tabular"])
    for act in (
        lambda: client.create_model_version("iris", tags="tabular"),
        lambda: client.register_model_version("iris", tags="tabular"),
        lambda: client.update_model_version("iris", 1, tags="tabular"),
    ):
        with pytest.raises(InvalidDefinition, match=r"Give several: tags=\['tabular'\]"):
            act()

    assert [version.record.tags for version in client.list_model_versions("iris")] == [("tabular",)]


def test_a_version_whose_block_raised_says_that_it_failed(client: Client) -> None:
    """As the registry does."""
    with pytest.raises(ZeroDivisionError), client.new_model_version("iris") as version:
        1 / 0  # noqa: B018

    assert version.record.state == client.list_model_versions("iris")[0].record.state == VersionState.FAILED


def test_what_is_checked_is_what_is_stored(client: Client, tmp_path: Path) -> None:
    """Loaded from the store while nothing is visible; what the check raises keeps the version from being made."""
    (tmp_path / "m.npy").write_bytes(b"no array")
    seen: dict[str, object] = {}

    def check(name: str, value: object) -> None:
        seen[name] = value
        assert client.list_models() == []
        if name == "refused":
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        client.register_model_version("iris", {"refused": 1}, name="v1", check=check)
    with pytest.raises(LoadFailed, match="artifact 'm' of a new version of 'iris'"):
        client.register_model_version("iris", files={"m": tmp_path / "m.npy"}, name="v1", check=check)
    made = client.register_model_version("iris", {"a": [1], "b": "text"}, name="v1", check=check)

    assert seen == {"refused": 1, "a": [1], "b": "text"}
    assert (made.number, made.version_name) == (1, "v1")


def test_kinds_are_those_that_were_said(client: Client, tmp_path: Path) -> None:
    """Of values and of files; of nothing else."""
    (tmp_path / "m.bin").write_bytes(b"a model")
    kinds = {"m": "model", "where": "deployment"}
    made = client.register_model_version(
        "iris", {"where": "here", "rows": 150}, files={"m": tmp_path / "m.bin"}, kinds=kinds
    )

    assert {item.name: item.kind.value for item in made.list_artifacts()} == {**kinds, "rows": "data"}
    for wrong in ({"other": "model"}, {"rows": "modle"}):
        with pytest.raises(InvalidDefinition):
            client.register_model_version("iris", {"rows": 1}, kinds=wrong)
