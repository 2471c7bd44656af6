"""What an import takes over, leaves, skips and refuses (R36)."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from airflow_model_provider import Client
from airflow_model_provider.exceptions import (
    AlreadyExists,
    DigestMismatch,
    ExportFailed,
    ImportConflict,
    InvalidExport,
    ModelNotFound,
    NotExportable,
    NotSigned,
    PickleForbidden,
    VersionNotFound,
)
from airflow_model_provider.registry.entities import Relation, VersionState
from airflow_model_provider.registry.registry import Registry
from airflow_model_provider.settings import variable
from airflow_model_provider.transfer.exporting import export_model
from airflow_model_provider.transfer.importing import import_model
from airflow_model_provider.upkeep import Garbage, collect, verify
from airflow_model_provider.workspace import connect
from tests.unit.transfer.conftest import made, simple

KEY, OTHER = "the-first-key-is-long-enough", "the-second-key-is-long-enough"


@pytest.fixture
def file(there: Client, tmp_path: Path) -> Path:
    """An export of three versions; the second is called "best" and in production."""
    for text, name in (("a", None), ("b", "best"), ("c", None)):
        simple(there, text, name)
    there.get_model_version("iris", "best").set_stage("production")
    return there.export_model("iris", tmp_path / "iris.zip").path


def texts(client: Client, model: str = "iris") -> list[str]:
    """What the versions of a model hold, by number."""
    return [item.load_artifact("text") for item in reversed(client.list_model_versions(model))]


# --- numbers, names, stages ------------------------------------------------------------------------------


def test_imported_versions_get_the_next_numbers(
    there: Client, here: Client, file: Path, tmp_path: Path
) -> None:
    """In the order of those there; numbers stay without gap."""
    simple(here, "mine")
    found = here.import_model(there.export_model("iris", tmp_path / "some.zip", [3, "production"]).path)

    assert [(item.source, item.number, item.is_new, item.stages) for item in found.versions] == [
        ("iris@2", 2, True, ("production",)),
        ("iris@3", 3, True, ()),
    ]
    assert (found.model, found.registry) == ("iris", there.workspace.registry.id)
    assert texts(here) == ["mine", "b", "c"]
    assert here.workspace.registry.holders() == {}


def test_importing_again_changes_nothing(there: Client, here: Client, file: Path, tmp_path: Path) -> None:
    """Of a larger export only the rest is taken; of one's own nothing."""
    here.import_model(there.export_model("iris", tmp_path / "some.zip", [2]).path)
    rest = here.import_model(file)
    again = here.import_model(file)
    own = there.import_model(file)

    assert [(item.number, item.is_new) for item in rest.versions] == [(2, True), (1, False), (3, True)]
    assert [(item.number, item.is_new) for item in again.versions] == [(2, False), (1, False), (3, False)]
    assert [(item.number, item.is_new) for item in own.versions] == [(1, False), (2, False), (3, False)]
    assert texts(here) == ["b", "a", "c"]
    assert texts(there) == ["a", "b", "c"]


def test_what_came_back_or_by_another_way_is_known(
    there: Client, here: Client, registry_at: Callable[..., Client], file: Path, tmp_path: Path
) -> None:
    """Also where it was given another name meanwhile."""
    third = registry_at("third")
    third.import_model(file)
    here.import_model(file, "flowers")
    back = here.export_model("flowers", tmp_path / "back.zip").path

    assert [(item.number, item.is_new) for item in there.import_model(back, "iris").versions] == [
        (1, False),
        (2, False),
        (3, False),
    ]
    assert [item.is_new for item in third.import_model(back, "iris").versions] == [False] * 3
    assert [item.is_new for item in there.import_model(back).versions] == [
        True
    ] * 3  # flowers, a model of its own


def test_a_version_that_holds_more_than_it_did_is_another_one(
    there: Client, here: Client, file: Path, tmp_path: Path
) -> None:
    """What was linked to it since comes with a further version; metadata alone do not make it another one."""
    here.import_model(file)
    version = there.get_model_version("iris", 1)
    version.log_metadata({"more": 1})
    again = here.import_model(there.export_model("iris", tmp_path / "again.zip").path)
    made(there, version, "report", "r", None, Relation.LINKED)
    more = here.import_model(there.export_model("iris", tmp_path / "more.zip").path)

    assert not any(item.is_new for item in again.versions)
    assert [(item.number, item.is_new) for item in more.versions] == [(4, True), (2, False), (3, False)]
    assert here.get_model_version("iris", 4).load_artifact("report") == "r"
    assert "more" not in here.get_model_version("iris", 1).run_metadata


def test_an_imported_version_may_hold_more_here(here: Client, file: Path) -> None:
    """It is still the one that was imported; one that was deleted is imported anew."""
    here.import_model(file)
    made(here, here.get_model_version("iris", 1), "text", "newer", None, Relation.LINKED)
    here.delete_model_version("iris", 3)
    again = here.import_model(file)

    assert [(item.number, item.is_new) for item in again.versions] == [(1, False), (2, False), (4, True)]


def test_a_model_keeps_what_is_said_of_it_here(
    there: Client, here: Client, file: Path, tmp_path: Path
) -> None:
    """Card and tags come along only where the import makes the model."""
    there.update_model("iris", license="MIT", tags=["blue"])
    here.create_model("iris", license="GPL")
    export = there.export_model("iris", tmp_path / "new.zip").path
    here.import_model(export)
    here.import_model(export, "new")

    assert (here.get_model("iris").card, here.get_model("iris").tags) == ({"license": "GPL"}, ())
    assert (here.get_model("new").card, here.get_model("new").tags) == ({"license": "MIT"}, ("blue",))


def test_what_many_calls_logged_is_imported(there: Client, here: Client, tmp_path: Path) -> None:
    """More in all than one call can log: the limit is that of a value."""
    with there.new_model_version("grown") as version:
        for number in range(3):
            version.log_metadata({f"part {number}": "x" * 600_000})
    there.export_model("grown", tmp_path / "grown.zip")
    here.import_model(tmp_path / "grown.zip")

    assert len(here.get_model_version("grown", 1).run_metadata["part 2"]) == 600_000


def test_a_name_that_another_version_has_is_refused_first(here: Client, file: Path) -> None:
    """Nothing is written, and the error says what to do."""
    simple(here, "mine", "best")
    with pytest.raises(ImportConflict) as refused:
        here.import_model(file)

    assert str(refused.value) == (
        "'iris' has other versions of the same names: best (iris@1). Nothing was imported. Rename those, "
        "Client().update_model_version('iris', ..., name=...), or import into another model: --model."
    )
    assert texts(here) == ["mine"]
    assert collect(here.workspace, older_than=0) == Garbage(0, 0, 0)
    here.update_model_version("iris", 1, name="mine")
    assert [item.number for item in here.import_model(file).versions] == [2, 3, 4]


def test_a_dry_run_checks_all_and_writes_nothing(here: Client, file: Path) -> None:
    """It says what would be new."""
    found = here.import_model(file, dry_run=True)

    assert [(item.source, item.number, item.is_new) for item in found.versions] == [
        (f"iris@{number}", None, True) for number in (1, 2, 3)
    ]
    assert here.list_models() == []
    assert list(here.workspace.store.iter_blobs()) == []
    assert collect(here.workspace, older_than=0) == Garbage(0, 0, 0)
    file.write_bytes(file.read_bytes().replace(b"sha256/", b"sha999/", 1))
    with pytest.raises(InvalidExport):
        here.import_model(file, dry_run=True)


# --- beside others ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["sqlite, folder", "postgresql, folder"])
def test_two_imports_at_once_make_each_version_once(
    registry_at: Callable[..., Client], file: Path, place: str
) -> None:
    """Whoever is first; both have looked before either makes one, and both say which number it has."""
    address = registry_at("here", place).workspace.address
    found, together = [], threading.Barrier(2, timeout=60)

    def import_it() -> None:
        workspace = connect(address)
        found.append(import_model(workspace, file, told=lambda _size: together.wait() and None))
        workspace.close()

    threads = [threading.Thread(target=import_it) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    first, second = ([(item.number, item.source) for item in each.versions] for each in found)

    assert first == second == [(1, "iris@1"), (2, "iris@2"), (3, "iris@3")]
    assert sorted(item.is_new for each in found for item in each.versions) == [False] * 3 + [True] * 3
    assert texts(Client(conn_id="here")) == ["a", "b", "c"]


def test_bytes_that_a_collector_took_are_stored_again(
    here: Client, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the storing and the making of the versions, with one that waits for nothing."""
    make, collected = Registry.import_version, []

    def slowly(self: Registry, *args: Any) -> Any:
        if not collected:
            collected.append(collect(here.workspace, older_than=0))
        return make(self, *args)

    monkeypatch.setattr(Registry, "import_version", slowly)
    here.import_model(file)

    assert collected == [Garbage(3, 3, 0)]
    assert texts(here) == ["a", "b", "c"]
    assert list(verify(here.workspace)) == []


def test_an_import_mends_damaged_bytes_that_it_brings(here: Client, file: Path) -> None:
    """Of another version that has the same."""
    simple(here, "a", model="mine")
    blob = Path(here.get_model_version("mine", 1).get_artifact("text").uri)
    blob.chmod(0o600)
    blob.write_bytes(b"b")
    here.import_model(file)

    assert texts(here, "mine") == ["a"]
    assert texts(here) == ["a", "b", "c"]


# --- formats that can execute code -----------------------------------------------------------------------


def test_signatures_travel_along(
    there: Client, here: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are good where the same key is; what bears none is refused there when it is loaded, as ever."""
    model = LinearRegression().fit(np.arange(4.0).reshape(-1, 1), np.arange(4.0))
    for name, key in (("signed", KEY), ("unsigned", "")):
        monkeypatch.setenv(variable("signing_keys"), key)
        with there.new_model_version("iris", name) as version:
            version.save_artifact("model", model)
    here.import_model(there.export_model("iris", tmp_path / "iris.zip").path)
    signed, unsigned = (
        here.get_model_version("iris", name).get_artifact("model") for name in ("signed", "unsigned")
    )
    assert unsigned.load().coef_ == pytest.approx([1.0])
    monkeypatch.setenv(variable("signing_keys"), KEY)

    assert signed.load().coef_ == pytest.approx([1.0])
    with pytest.raises(NotSigned, match="bears no signature"):
        unsigned.load()
    monkeypatch.setenv(variable("signing_keys"), OTHER)
    with pytest.raises(NotSigned, match="none of the keys"):
        signed.load()


def test_pickles_are_not_imported_where_they_are_forbidden(
    there: Client, here: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not one version of the file; other formats are."""
    simple(there, "a")
    with there.new_model_version("iris") as version:
        version.save_artifact("model", LinearRegression())
    export = there.export_model("iris", tmp_path / "iris.zip").path
    monkeypatch.setenv(variable("allow_pickle"), "False")
    with pytest.raises(PickleForbidden, match=r"Artifact 'model'.*allow_pickle is False"):
        here.import_model(export)
    with pytest.raises(ModelNotFound):
        here.get_model("iris")

    assert (
        here.import_model(there.export_model("iris", tmp_path / "some.zip", [1]).path).versions[0].number == 1
    )


# --- exports that are refused ----------------------------------------------------------------------------


def test_what_is_not_ready_is_not_exported(there: Client, tmp_path: Path) -> None:
    """If it is named, or there is nothing else; and no file is left."""
    there.create_model("empty")
    simple(there, "a")
    there.workspace.registry.create_version("iris", state=VersionState.PRODUCING)
    there.workspace.registry.create_version("young", state=VersionState.PRODUCING)
    there.create_model_version("iris")
    there.delete_model_version("iris", 3)
    refused = {}
    for model, versions, error in (
        ("iris", [1, 2], NotExportable),
        ("iris", [3], VersionNotFound),
        ("iris", ["bset"], VersionNotFound),
        ("iris", [], NotExportable),
        ("young", None, NotExportable),
        ("empty", None, NotExportable),
        ("irsi", None, ModelNotFound),
    ):
        with pytest.raises(error) as raised:
            there.export_model(model, tmp_path / "out" / "iris.zip", versions)  # type: ignore[arg-type]
        refused[model, str(versions)] = str(raised.value)

    assert refused["iris", "[1, 2]"] == (
        "Only versions of 'iris' that are ready can be exported, not iris@2 (producing). Wait until they are ready, or "
        "name others: versions=[1]."
    )
    assert "not young@1 (producing)" in refused["young", "None"]
    assert refused["empty", "None"] == "'empty' has no version to export. Make one first."


def test_an_export_that_fails_leaves_nothing(there: Client, file: Path, tmp_path: Path) -> None:
    """An existing file stays as it is, unless it is to be replaced; then until there is another one."""
    before = file.read_bytes()
    with pytest.raises(AlreadyExists, match=r"iris\.zip"):
        there.export_model("iris", file)
    with pytest.raises(ExportFailed, match="No such file or directory"):
        there.export_model("iris", tmp_path / "no folder" / "iris.zip")
    with pytest.raises(AlreadyExists, match=r"is a folder: name a file in it: .*/iris\.zip"):
        there.export_model("iris", tmp_path, force=True)
    blob = Path(there.get_model_version("iris", 3).get_artifact("text").uri)
    blob.chmod(0o600)
    blob.write_bytes(b"C")
    with pytest.raises(DigestMismatch, match="iris@3/text@3"):
        there.export_model("iris", file, force=True)
    assert file.read_bytes() == before
    there.export_model("iris", file, [1], force=True)

    assert file.read_bytes() != before
    assert list(tmp_path.glob("*.part")) == []


def test_an_export_leaves_other_files_alone(there: Client, tmp_path: Path) -> None:
    """Also one that is called like this one before it is whole."""
    simple(there, "text")
    other = tmp_path / "iris.zip.part"
    other.write_text("somebody else's")
    there.export_model("iris", tmp_path / "iris.zip")

    assert other.read_text() == "somebody else's"


@pytest.mark.parametrize("links", [True, False], ids=["links", "no links"])
def test_an_export_does_not_replace_what_appears_meanwhile(
    there: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    """On any file system, and be it a link that leads nowhere; unless it was told to."""
    simple(there, "text")
    target, nowhere = tmp_path / "iris.zip", tmp_path / "nowhere.zip"
    nowhere.symlink_to(tmp_path / "no such file")

    def refused(self: Path, target: Path) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    def appeared(_size: int) -> None:
        target.write_text("mine")

    if not links:
        monkeypatch.setattr(Path, "hardlink_to", refused)
    with pytest.raises(AlreadyExists, match=r"nowhere\.zip"):
        there.export_model("iris", nowhere)
    with pytest.raises(AlreadyExists, match=r"iris\.zip"):
        export_model(there.workspace, "iris", target, told=appeared)
    assert (target.read_text(), nowhere.is_symlink()) == ("mine", True)
    there.export_model("iris", target, force=True)
    there.export_model("iris", tmp_path / "other.zip")

    assert (tmp_path / "other.zip").read_bytes() == target.read_bytes()
    assert list(tmp_path.glob("*.part")) == []
