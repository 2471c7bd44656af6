"""Models that move between registries of different kinds, and back (R36)."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_model_provider import Client
from airflow_model_provider.registry.entities import Attempt, Relation, RunKey
from airflow_model_provider.upkeep import Garbage, collect, verify
from tests.unit.transfer.conftest import made, simple
from tests.unit.transfer.everything import check_values, facts, fill


def test_all_that_versions_hold_moves_and_comes_back(
    registry_at: Callable[..., Client], there: Client, tmp_path: Path
) -> None:
    """From a SQLite file and a folder to PostgreSQL and S3, and to a third registry, equal by digest and by value."""
    here, third = registry_at("here", "postgresql, s3"), registry_at("third")
    fill(there, tmp_path / "made")
    exported = there.export_model("iris", tmp_path / "iris.zip")
    imported = here.import_model(tmp_path / "iris.zip")
    here.export_model("iris", tmp_path / "back.zip")
    third.import_model(tmp_path / "back.zip")

    assert exported.versions == ("iris@1", "iris@2", "iris@6")
    assert exported.left_out == ("iris@3 (failed)", "iris@4 (deleted)", "iris@5 (producing)")
    assert [(item.source, item.number) for item in imported.versions] == [
        ("iris@1", 1),
        ("iris@2", 2),
        ("iris@6", 3),
    ]
    for client in (here, third):
        for number, source in ((1, 1), (2, 2), (3, 6)):
            assert facts(client, "iris", number) == facts(there, "iris", source)
        assert list(verify(client.workspace)) == []
        assert collect(client.workspace, older_than=0) == Garbage(0, 0, 0)
        assert client.get_model("iris").card == {"license": "MIT", "description": "flowers"}
        assert client.get_model("iris").tags == ("team blue",)
    check_values(here, "iris", 2, tmp_path / "expected here")
    check_values(third, "iris", 2, tmp_path / "expected there")


def test_a_version_says_what_it_was(
    there: Client, registry_at: Callable[..., Client], tmp_path: Path
) -> None:
    """Over several registries; stages and times are of the one it came from."""
    here, third = registry_at("here"), registry_at("third")
    fill(there, tmp_path / "made")
    there.export_model("iris", tmp_path / "iris.zip", ["champion"])
    here.import_model(tmp_path / "iris.zip", "flowers")
    here.export_model("flowers", tmp_path / "flowers.zip")
    third.import_model(tmp_path / "flowers.zip")
    champion, second, last = (
        client.get_model_version(model, "champion")
        for client, model in ((there, "iris"), (here, "flowers"), (third, "flowers"))
    )
    first = {
        "registry": there.workspace.registry.id,
        "version": "iris@2",
        "created_at": champion.created_at.isoformat(),
        "stages": ["production", "staging"],
        "run": None,
    }

    assert second.run_metadata["imported_from"] == first
    assert last.run_metadata["imported_from"] == {
        "registry": here.workspace.registry.id,
        "version": "flowers@1",
        "created_at": second.created_at.isoformat(),
        "stages": [],
        "run": None,
        "imported_from": first,
    }
    assert (last.stage, last.record.sealed_at, last.version_name) == ("none", None, "champion")


def test_the_manifest_says_what_was_sealed_and_who_promoted(there: Client, tmp_path: Path) -> None:
    """What a version had when it was promoted stands before what came later; the history is there to be read."""
    fill(there, tmp_path / "made")
    there.export_model("iris", tmp_path / "iris.zip", [2])
    with zipfile.ZipFile(tmp_path / "iris.zip") as archive:
        said = json.loads(archive.read("manifest.json"))
        names = archive.namelist()
    (version,) = said["versions"]

    assert list(version["metadata"]) == ["sealed", "later"]
    assert version["metadata"]["sealed"].keys() == {"accuracy", "loss", "nested"}
    assert version["metadata"]["later"] == {"later": True}
    assert [(event["stage"], event["version"], event["reason"]) for event in said["history"]] == [
        ("production", 2, "good"),
        ("staging", 2, None),
    ]
    assert {item["name"]: item["relation"] for item in version["artifacts"]}["linked later"] == "linked"
    assert "predictions" not in {item["name"] for item in version["artifacts"]}
    assert names[0] == "manifest.json"


def test_the_same_bytes_are_in_it_once(there: Client, tmp_path: Path) -> None:
    """And the same export is the same file."""
    for _ in range(3):
        simple(there, "the same")
    first = there.export_model("iris", tmp_path / "one.zip")
    there.export_model("iris", tmp_path / "two.zip")

    assert (first.payloads, first.size) == (1, len("the same"))
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


@pytest.mark.parametrize("versions", [[3, "latest", "one"], ("one", "3"), "one", 3])
def test_versions_are_chosen_as_everywhere(there: Client, tmp_path: Path, versions: object) -> None:
    """By stage, number, name, ``latest``; each is there once, in the order of the numbers."""
    for name in ("one", None, None):
        simple(there, str(name), name)
    exported = there.export_model("iris", tmp_path / "iris.zip", versions)  # type: ignore[arg-type]

    expected = {"one": ("iris@1",), 3: ("iris@3",)}
    assert exported.versions == expected.get(
        versions if isinstance(versions, str | int) else 0, ("iris@1", "iris@3")
    )
    assert exported.left_out == ()


def test_the_artifact_that_a_reference_gets_is_exported(there: Client, here: Client, tmp_path: Path) -> None:
    """Of several under one name: the sealed one, else the newest."""
    for promoted in (False, True):
        version = simple(there, "old")
        if promoted:
            version.set_stage("production")
        made(there, version, "text", "new", None, Relation.LINKED)
    there.export_model("iris", tmp_path / "iris.zip")
    here.import_model(tmp_path / "iris.zip")

    for client in (there, here):
        found = [client.get_model_version("iris", number).load_artifact("text") for number in (1, 2)]
        assert found == ["new", "old"]


def test_elements_stay_elements_and_all_else_stays_whole(there: Client, here: Client, tmp_path: Path) -> None:
    """Also what one instance of a mapped task has saved into a version that it made by itself."""
    third = Attempt(RunKey("default", "training", "manual__1"), "fold", "ti-3", map_index=3)
    with there.new_model_version("iris") as version:
        made(there, version, "whole", "text", third)
        made(there, version, "fold", "text", third, Relation.LINKED)
    there.export_model("iris", tmp_path / "iris.zip")
    here.import_model(tmp_path / "iris.zip")

    for client in (there, here):
        version = client.get_model_version("iris", 1)
        assert [(item.name, item.map_index) for item in version.list_artifacts()] == [
            ("fold", 3),
            ("whole", None),
        ]
        assert version.load_artifact("whole") == version.load_artifact("fold", map_index=3) == "text"
