"""Files that nobody vouches for: each is refused with one error, and nothing of it is visible (R36, R40)."""

from __future__ import annotations

import copy
import hashlib
import json
import sqlite3
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from airflow_model_provider import Client
from airflow_model_provider.exceptions import InvalidExport
from airflow_model_provider.upkeep import collect, verify
from airflow_model_provider.workspace import close_workspaces
from tests.unit.transfer.conftest import simple

TEXTS = ("the first text", "the second text", "shared")
DIGESTS = [hashlib.sha256(text.encode()).hexdigest() for text in TEXTS]
MANY = "[" * 100_000


class Box:
    """An export taken apart: what its manifest says, and its members, to be changed and put together again."""

    def __init__(self, file: Path) -> None:
        with zipfile.ZipFile(file) as archive:
            self.members = [(zipfile.ZipInfo(name), archive.read(name)) for name in archive.namelist()]
        self.said: Any = json.loads(self.members.pop(0)[1])
        self.manifest: bytes | None = None

    def member(self, number: int) -> tuple[zipfile.ZipInfo, bytes]:
        """The member that holds one of TEXTS."""
        return next(item for item in self.members if item[0].filename.endswith(DIGESTS[number]))

    def write(self, file: Path) -> None:
        """Put it together."""
        text = json.dumps(self.said).encode() if self.manifest is None else self.manifest
        with zipfile.ZipFile(file, "w") as archive:
            for info, data in [(zipfile.ZipInfo("manifest.json"), text), *self.members]:
                archive.writestr(info, data)


Change = Callable[[Box], None]
Harm = Callable[[Path], None]


# --- manifests -------------------------------------------------------------------------------------------


def said(path: str, value: Any) -> Change:
    """Say something else: at ``versions.0.number``."""

    def change(box: Box) -> None:
        *way, last = [int(part) if part.isdigit() else part for part in path.split(".")]
        place = box.said
        for part in way:
            place = place[part]
        place[last] = value

    return change


def dropped(path: str) -> Change:
    """Say nothing at a place."""

    def change(box: Box) -> None:
        del box.said[path]

    return change


def manifest(text: str) -> Change:
    """Another manifest."""

    def change(box: Box) -> None:
        box.manifest = text.encode()

    return change


def _twice_a_key(box: Box) -> None:
    box.manifest = json.dumps(box.said).replace('{"format":', '{"registry": "other", "format":').encode()


def _two_of_a_name(box: Box) -> None:
    for version in box.said["versions"]:
        version["name"] = "best"


def _twice_an_artifact(box: Box) -> None:
    box.said["versions"][0]["artifacts"] *= 2


def _sealed_and_later(box: Box) -> None:
    box.said["versions"][0]["metadata"] = {"sealed": {"a": 1}, "later": {"a": 2}}


def _two_sizes(box: Box) -> None:
    box.said["versions"][1]["artifacts"].append(
        {**copy.deepcopy(box.said["versions"][0]["artifacts"][0]), "size": 3, "name": "other"}
    )


def _deep(box: Box) -> None:
    value: Any = 1
    for _ in range(700):
        value = [value]
    box.said["versions"][0]["metadata"]["later"] = {"deep": value}


def _large(box: Box) -> None:
    box.manifest = b" " * (64 * 1024**2 + 1)


V, A = "versions.0.", "versions.0.artifacts.0."
LARGE = "x" * 1_000_001
MANIFESTS: dict[str, tuple[Change, str]] = {
    "later format": (
        said("format_version", 2),
        "its format is version 2, and this release reads up to 1.*'0.1.0'",
    ),
    "no format version": (said("format_version", "1"), "'format_version'"),
    "another format": (said("format", "onnx"), "no export of a model"),
    "a list": (manifest("[]"), "no export of a model"),
    "not JSON": (manifest("{"), "not JSON"),
    "not text": (lambda box: setattr(box, "manifest", b"\xff\xfe\xfd"), "not JSON"),
    "nested without end": (manifest(MANY), "not JSON"),
    "an endless number": (manifest(f'{{"format": {"9" * 10_000}}}'), "not JSON"),
    "larger than any": (_large, "more than 67,108,864 bytes"),
    "a key twice": (_twice_a_key, "a key stands twice"),
    "no versions": (dropped("versions"), "'versions': Field required"),
    "an unknown key": (said("execute", "rm -rf /"), "'execute': Extra inputs are not permitted"),
    "empty": (said("versions", []), "'versions'"),
    "registry id": (said("registry", "../other"), "'registry'"),
    "history": (said("history", "long"), "'history'"),
    "model name": (said("model.name", "../../iris"), "'../../iris' is not a valid model name"),
    "model card": (said("model.card", {"virus": 1}), "'virus' is not part of a model's card"),
    "model time": (said("model.created_at", "yesterday"), "'model.created_at'"),
    "number 0": (said(V + "number", 0), "'versions.0.number'"),
    "number True": (said(V + "number", True), "'versions.0.number'"),
    "number '1'": (said(V + "number", "1"), "'versions.0.number'"),
    "number 2**63": (said(V + "number", 2**63), "'versions.0.number'"),
    "a number twice": (said(V + "number", 2), "can't be read: version 2 stands in it twice"),
    "a name twice": (_two_of_a_name, "two versions are called 'best'"),
    "a number as name": (said(V + "name", "7"), "'7' is not a valid version name"),
    "a stage as command": (said(V + "stages", ["production; rm -rf /"]), "is not a valid stage name"),
    "not ready": (said(V + "state", "failed"), "'versions.0.state'"),
    "description": (said(V + "description", ["text"]), "'versions.0.description'"),
    "description with NUL": (said(V + "description", "a\0"), r"'versions\.0\.description': it holds '\\x00'"),
    "card": (said("model.card", {"description": 5}), r"'model\.card': description: it is int, not text"),
    "card with NUL": (said("model.card", {"license": "a\0"}), r"'model\.card': license: it holds '\\x00'"),
    "long card": (said("model.card", {"ethics": "x" * 10**6}), "ethics: it has 1,000,000 characters"),
    "tags": (said(V + "tags", "blue"), "'versions.0.tags'"),
    "run": (said(V + "run", {"dag_id": "a"}), "'versions.0.run.deployment': Field required"),
    "a key of metadata": (said(V + "metadata.later", {"a\nb": 1}), "is not a valid metadata key"),
    "large metadata": (
        said(V + "metadata.later", {"a": LARGE}),
        r"later\.a': it has 1,000,003 bytes as JSON",
    ),
    "large sealed metadata": (
        said(V + "metadata.sealed", {"a": [LARGE]}),
        "1,000,005 bytes as JSON, and at most",
    ),
    "large artifact metadata": (said(A + "metadata", {"a": {"b": LARGE}}), "at most 1,000,000 are kept"),
    "large environment": (said(V + "environment", {"a": LARGE}), "at most 1,000,000 are kept"),
    "large environment of an artifact": (said(A + "environment", {"a": LARGE}), "at most 1,000,000 are kept"),
    "long types": (said(A + "type_names", [LARGE]), "at most 1,000,000 are kept"),
    "many stages": (said(V + "stages", ["production"] * 10**5), "at most 1,000,000 are kept"),
    "long run": (
        said(V + "run", {"deployment": "a", "dag_id": "b", "run_id": "c" * 251}),
        r"'versions\.0\.run\.run_id': .* is not a valid run_id",
    ),
    "a reserved name": (said(V + "name", "latest"), r"something else\. Nothing"),
    "sealed and later": (_sealed_and_later, "both sealed and later"),
    "metadata nested deep": (_deep, "nested deeper than 100 levels|not JSON"),
    "artifact's name": (said(A + "name", "../../etc/passwd"), "is not a valid artifact name"),
    "artifact's name with a line": (said(A + "name", "text\n"), "is not a valid artifact name"),
    "an artifact twice": (_twice_an_artifact, "at 'versions.0': artifact 'text' stands in it twice"),
    "kind": (said(A + "kind", "virus"), r"'versions\.0\.artifacts\.0\.kind'"),
    "relation": (said(A + "relation", "derived"), r"'versions\.0\.artifacts\.0\.relation'"),
    "map index": (said(A + "map_index", -2), r"'versions\.0\.artifacts\.0\.map_index'"),
    "digest as path": (said(A + "digest", "../" * 21 + "x"), r"'versions\.0\.artifacts\.0\.digest'"),
    "digest in capitals": (said(A + "digest", "A" * 64), r"'versions\.0\.artifacts\.0\.digest'"),
    "digest with a line": (said(A + "digest", "a" * 64 + "\n"), r"'versions\.0\.artifacts\.0\.digest'"),
    "size below zero": (said(A + "size", -1), r"'versions\.0\.artifacts\.0\.size'"),
    "another size": (said(A + "size", 15), r"sha256/\w{64} has 14 bytes instead of 15"),
    "two sizes": (_two_sizes, "is said to be of two sizes"),
    "no format": (said(A + "materializer", ""), r"'versions\.0\.artifacts\.0\.materializer'"),
    "format's version": (said(A + "format_version", 2**31), r"'versions\.0\.artifacts\.0\.format_version'"),
    "no types": (said(A + "type_names", []), r"'versions\.0\.artifacts\.0\.type_names'"),
    "attributes": (said(A + "attributes", None), r"'versions\.0\.artifacts\.0\.attributes'"),
    "another payload": (said(A + "digest", "a" * 64), "sha256/a{64} is missing"),
}


# --- files -----------------------------------------------------------------------------------------------


def member(number: int, data: bytes) -> Change:
    """Other bytes under a digest."""

    def change(box: Box) -> None:
        index = box.members.index(box.member(number))
        box.members[index] = (box.members[index][0], data)

    return change


def added(name: str) -> Change:
    """A member of which the manifest says nothing."""
    return lambda box: box.members.append((zipfile.ZipInfo(name), b"#!/bin/sh"))


def _link(box: Box) -> None:
    info = zipfile.ZipInfo("link")
    info.external_attr = 0o120777 << 16
    box.members.append((info, b"/etc/passwd"))


def _payload_as_link(box: Box) -> None:
    info, _ = box.member(1)
    info.external_attr = 0o120777 << 16
    member(1, b"/etc/passwd....")(box)


def _bomb(box: Box) -> None:
    info, _ = box.member(1)
    info.compress_type = zipfile.ZIP_DEFLATED
    member(1, b"\0" * 50_000_000)(box)
    box.said["versions"][1]["artifacts"][0]["size"] = 50_000_000


def _compressed_manifest(box: Box) -> None:
    info = zipfile.ZipInfo("manifest.json")
    info.compress_type = zipfile.ZIP_DEFLATED
    box.members = [(info, b" " * 10_000_000)]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def _payload_twice(box: Box) -> None:
    box.members.append(box.member(1))


def _no_payload(box: Box) -> None:
    box.members.remove(box.member(1))


FILES: dict[str, tuple[Change, str]] = {
    "a payload is missing": (_no_payload, "sha256/.* is missing"),
    "other bytes of the same size": (member(1, b"the Second text"), r"the bytes of sha256:\w+ are sha256:"),
    "a longer payload": (member(1, b"the second text and more"), "has 24 bytes instead of 15"),
    "a shorter payload": (member(1, b"the"), "has 3 bytes instead of 15"),
    "a payload twice": (_payload_twice, "a file stands in it twice"),
    "an unknown member": (added("README.txt"), r"holds 'README\.txt', of which its manifest says nothing"),
    "an absolute member": (added("/etc/cron.d/evil"), "holds '/etc/cron.d/evil'"),
    "a member outside": (added("../../.ssh/authorized_keys"), "holds '../../.ssh/authorized_keys'"),
    "a folder": (added("sha256/"), "holds 'sha256/'"),
    "a payload that nobody names": (added("sha256/" + "a" * 64), "holds 'sha256/a{64}'"),
    "a link": (_link, "holds 'link'"),
    "a link as payload": (_payload_as_link, r"the bytes of sha256:\w+ are sha256:"),
    "a compressed payload": (_bomb, "sha256/.* is compressed"),
    "a compressed manifest": (_compressed_manifest, "a file stands in it twice"),
}


def cut(length: int) -> Harm:
    """Only the beginning, or without the end."""
    return lambda file: file.write_bytes(file.read_bytes()[:length])


def replaced(old: bytes, new: bytes) -> Harm:
    """Other bytes, wherever these stand."""

    def harm(file: Path) -> None:
        assert len(old) == len(new)
        assert old in file.read_bytes()
        file.write_bytes(file.read_bytes().replace(old, new))

    return harm


def directory(offset: int, data: bytes) -> Harm:
    """Change what the directory at the end of the file says of the last member but one."""

    def harm(file: Path) -> None:
        found = bytearray(file.read_bytes())
        last = found.rindex(b"PK\x01\x02")
        place = found.rindex(b"PK\x01\x02", 0, last) + offset
        found[place : place + len(data)] = data
        file.write_bytes(found)

    return harm


def _text(file: Path) -> None:
    file.write_text("PK, but no zip")


def _nothing(file: Path) -> None:
    file.unlink()


def _folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def _without_manifest(file: Path) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("model.pkl", b"")


def _compressed(file: Path) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", b" " * 10_000_000)


def _same_place(file: Path) -> None:
    """Two members are said to be the same bytes."""
    found = bytearray(file.read_bytes())
    last = found.rindex(b"PK\x01\x02")
    before = found.rindex(b"PK\x01\x02", 0, last)
    found[last + 42 : last + 46] = found[before + 42 : before + 46]
    file.write_bytes(found)


DAMAGED: dict[str, tuple[Harm, str]] = {
    "no zip": (_text, "no whole zip file"),
    "nothing in it": (cut(0), "no whole zip file"),
    "not there": (_nothing, "cannot be read .No such file or directory"),
    "a folder": (_folder, "cannot be read .Is a directory"),
    "half": (cut(1000), "no whole zip file"),
    "without its last byte": (cut(-1), "no whole zip file"),
    "no manifest": (_without_manifest, r"there is no manifest\.json"),
    "a bomb": (_compressed, "'manifest.json' is compressed"),
    "one bit": (replaced(b"the second text", b"the second texu"), "no whole zip file .Bad CRC-32"),
    "encrypted": (directory(8, b"\x01\x00"), "no whole zip file"),
    "a method that nobody knows": (directory(10, b"\x63\x00"), "is compressed"),
    "longer than the file": (
        directory(20, b"\xff\xff\xff\x7f" * 2),
        "overlap, or are said to be longer than it is",
    ),
    "past the end": (directory(42, b"\xff\xff\xff\x7f"), "no whole zip file|cannot be read"),
    "in the same place": (_same_place, "no whole zip file"),
}


# --- the tests -------------------------------------------------------------------------------------------


class Place:
    """A registry that hostile files are imported into; it holds a version with bytes that the files hold, too."""

    def __init__(self, folder: Path) -> None:
        there = Client(f"sqlite:///{folder / 'there.db'}", store=str(folder / "there"))
        for text, name in zip(TEXTS, ("first", None, None), strict=True):
            simple(there, text, name)
        self.good = there.export_model("iris", folder / "good.zip").path
        self.database = folder / "here.db"
        self.here = Client(f"sqlite:///{self.database}", store=str(folder / "here"))
        simple(self.here, "shared", model="mine")

    def state(self) -> dict[str, Any]:
        """All that is registered and stored, but for when bytes were last touched."""
        with closing(sqlite3.connect(self.database)) as connection:
            names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            tables: dict[str, Any] = {
                name: sorted(connection.execute(f"SELECT * FROM {name}"), key=repr) for (name,) in names
            }
        tables["mr_blob"] = [row[:3] for row in tables["mr_blob"]]
        store = self.here.workspace.store
        return {**tables, "stored": list(store.iter_blobs()), "left over": list(store.iter_leftovers())}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """One for all of them: it never changes."""
    folder = tmp_path_factory.mktemp("hostile")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW__MODEL_REGISTRY__CACHE_DIR", str(folder / "cache"))
        yield Place(folder)
        close_workspaces()


def refused(place: Place, file: Path, expected: str) -> None:
    """Import a file in vain, and look whether anything is left of it."""
    before = place.state()
    with pytest.raises(InvalidExport, match=expected):
        place.here.import_model(file, dry_run=True)
    with pytest.raises(InvalidExport, match=expected) as raised:
        place.here.import_model(file)
    found = str(raised.value)
    collect(place.here.workspace, older_than=0)

    assert found.startswith(f"{file} cannot be imported: ")
    assert "Nothing was imported. " in found
    assert len(found) < 1200
    assert "\n" not in found
    assert place.state() == before


@pytest.mark.parametrize("case", [*MANIFESTS, *FILES])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_file_that_contradicts_itself_is_refused(place: Place, tmp_path: Path, case: str) -> None:
    """By one error that says where, and nothing of it stays."""
    change, expected = {**MANIFESTS, **FILES}[case]
    box = Box(place.good)
    change(box)
    box.write(tmp_path / "bad.zip")

    refused(place, tmp_path / "bad.zip", expected)


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_file_is_refused(place: Place, tmp_path: Path, case: str) -> None:
    """Whatever Python's library makes of it."""
    harm, expected = DAMAGED[case]
    file = tmp_path / "bad.zip"
    file.write_bytes(place.good.read_bytes())
    harm(file)

    refused(place, file, expected)


def test_a_good_file_put_together_again_is_imported(there: Client, here: Client, tmp_path: Path) -> None:
    """So the refusals above are of what was changed."""
    for text in TEXTS:
        simple(there, text)
    box = Box(there.export_model("iris", tmp_path / "iris.zip").path)
    box.write(tmp_path / "again.zip")

    assert [item.number for item in here.import_model(tmp_path / "again.zip").versions] == [1, 2, 3]
    assert list(verify(here.workspace)) == []


@pytest.mark.parametrize(
    ("name", "kept"), [("../../../evil", "evil"), ("/etc/evil", "evil"), ("..", "artifact")]
)
def test_attributes_lead_nowhere(there: Client, here: Client, tmp_path: Path, name: str, kept: str) -> None:
    """A file keeps its name and not its way when it is loaded; one that has no name gets one."""
    (tmp_path / "good.txt").write_text("text")
    with there.new_model_version("iris") as version:
        version.save_file("labels", tmp_path / "good.txt")
    box = Box(there.export_model("iris", tmp_path / "iris.zip").path)
    said(A + "attributes.name", name)(box)
    box.write(tmp_path / "bad.zip")
    here.import_model(tmp_path / "bad.zip")
    found = here.get_model_version("iris", 1).get_artifact("labels").load()

    assert (found.name, found.read_text()) == (kept, "text")
    assert found.parent.name.startswith("model_artifact_")
