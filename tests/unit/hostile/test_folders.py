"""Files and folders as artifacts: what a ``Path`` may hold, and what unpacking it may do (R39, R40)."""

from __future__ import annotations

import io
import os
import socket
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_model_provider.artifacts.source import VerifiedSource
from airflow_model_provider.artifacts.store import ArtifactStore
from airflow_model_provider.exceptions import DigestMismatch, LoadFailed, NotSerializable
from airflow_model_provider.materializers import codec, files
from tests.unit.hostile.conftest import is_harmless
from tests.unit.hostile.corpus import TEXTS

if TYPE_CHECKING:
    from collections.abc import Callable


class Shelf:
    """
    A store for one value, and what lies around.

    :param folder: holds all of it; what is unpacked lands in ``unpacked``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.unpacked = folder, folder / "unpacked"
        self.unpacked.mkdir()
        (folder / "beside").mkdir()
        (folder / "beside" / "canary").write_text("sings")
        self.store = ArtifactStore(str(folder / "store"), "registry", cache_dir=folder / "cache")

    def save(self, value: Path) -> Callable[[], Any]:
        """Save a path and return what loads it."""
        with self.store.new_file() as path:
            written = codec.write(value, path, what="a folder")
            assert written.materializer == "path"
            return self.put(path, written.attributes)

    def archive(self, *members: tuple[tarfile.TarInfo, bytes], name: str = "weights", mode: str = "w") -> Any:
        """Store a hand-made archive as a saved folder, and return what loads it."""
        with self.store.new_file() as path:
            with tarfile.open(path, mode, format=tarfile.PAX_FORMAT) as made:  # type: ignore[call-overload]
                for member, data in members:
                    made.addfile(member, io.BytesIO(data))
            return self.put(path, {"name": name, "folder": True})

    def put(self, path: Path, attributes: Any) -> Callable[[], Any]:
        """Store bytes, and return what loads them as a path."""
        digest, size = self.store.digest(path)
        self.store.put(path, digest)
        source = lambda: self.store.source(digest, size, what="a folder")  # noqa: E731
        return lambda: codec.read(
            source(), materializer="path", format_version=1, attributes=attributes, what="a folder"
        )

    def around(self) -> dict[str, str]:
        """What lies beside the store and the cache."""
        return {
            str(
                path.relative_to(self.folder)
            ): f"{path.lstat()[:2]} {path.read_text() if path.is_file() else ''}"
            for path in self.folder.rglob("*")
            if path.relative_to(self.folder).parts[0] not in ("store", "cache")
        }


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    """A store, and a folder for temporary files of its own."""
    made = Shelf(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(made.unpacked))
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a file in it."""
    made = tmp_path / "weights"
    made.mkdir()
    (made / "a.bin").write_bytes(b"a")
    return made


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", **more: Any) -> tarfile.TarInfo:
    """An entry of an archive."""
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, link
    for key, value in more.items():
        setattr(made, key, value)
    return made


def a_file(name: str, data: bytes = b"x", **more: Any) -> tuple[tarfile.TarInfo, bytes]:
    """A file in an archive."""
    return member(name, size=len(data), **more), data


def an_entry(name: str, kind: bytes, link: str = "", **more: Any) -> tuple[tarfile.TarInfo, bytes]:
    """Something else in an archive."""
    return member(name, kind, link, **more), b""


def a_folder(name: str) -> tuple[tarfile.TarInfo, bytes]:
    """A folder in an archive."""
    return an_entry(name, tarfile.DIRTYPE)


def a_link(name: str, to: str) -> tuple[tarfile.TarInfo, bytes]:
    """A symbolic link in an archive."""
    return an_entry(name, tarfile.SYMTYPE, to)


BAD = {
    "absolute": [a_file("/tmp/escaped")],
    "absolute in the root": [a_file("/escaped")],
    "an absolute folder": [a_folder("/escaped")],
    "in an absolute folder": [a_folder("/escaped"), a_file("/escaped/a")],
    "a link in the root": [a_link("/escaped", "etc/passwd")],
    "a link in an absolute folder": [a_folder("/escaped"), a_link("/escaped/a", "../etc/passwd")],
    "a hard link to the root": [a_file("/escaped"), an_entry("a", tarfile.LNKTYPE, "/escaped")],
    "a hard link in the root": [a_file("a"), an_entry("/escaped", tarfile.LNKTYPE, "a")],
    "absolute with two slashes": [a_file("//escaped")],
    "up": [a_file("../escaped")],
    "up and down": [a_folder("d"), a_file("d/../../escaped")],
    "up inside": [a_folder("d"), a_file("d/../escaped")],
    "dots": [a_file("./a")],
    "the folder itself": [a_file(".")],
    "no name": [a_folder("a"), a_file("a//b")],
    "dots inside": [a_folder("a"), a_file("a/./b")],
    "no folder before it": [a_file("d/a")],
    "NUL": [a_file("a", pax_headers={"path": "a\0b"})],
    "a component of 10 kB": [a_file("n" * 10_000)],
    "a path of 10 kB": [*(a_folder("/".join(["n" * 200] * depth)) for depth in range(1, 51))],
    "twice": [a_file("a"), a_file("a", b"other")],
    "a file, then a folder": [a_file("a"), a_folder("a")],
    "a folder, then a file": [a_folder("a"), a_file("a")],
    "a link, then a file": [a_link("a", "b"), a_file("a")],
    "a link out": [a_link("a", "../beside/canary")],
    "a link far out": [a_folder("d"), a_link("d/a", "../../beside")],
    "an absolute link": [a_link("a", "/etc/passwd")],
    "an empty link": [a_link("a", "")],
    "a link with NUL": [an_entry("a", tarfile.SYMTYPE, pax_headers={"linkpath": "b\0c"})],
    "through a link": [a_folder("d"), a_link("l", "d"), a_file("l/a")],
    "through a link out": [a_link("l", "../beside"), a_file("l/canary")],
    "a folder through a link": [a_folder("d"), a_link("l", "d"), a_folder("l/e")],
    # Each link leads inside when it is looked at alone; one after the other they lead out.
    "up behind a link": [
        *(a_folder("/".join("abc"[:depth])) for depth in (1, 2, 3)),
        *(a_link("a/b/c/up", "../../.."), a_link("out", "a/b/c/up/../beside")),
    ],
    # CVE-2025-4330 and CVE-2025-4517: Python's own filter of this release lets them out.
    "a link whose target comes later": [a_link("escape", "later/../../beside"), a_link("later", ".")],
    "a link longer than realpath reads": [
        *(a_folder("/".join(["d" * 247] * depth)) for depth in range(1, 17)),
        a_link("/".join(["d" * 247] * 16) + "/" + "l" * 254, "../" * 16),
        a_link("escape", "/".join(["d" * 247] * 16) + "/" + "l" * 254 + "/../../beside"),
        an_entry("hard", tarfile.LNKTYPE, "escape/canary"),
    ],
    "a hard link out": [an_entry("a", tarfile.LNKTYPE, "../beside/canary")],
    "an absolute hard link": [an_entry("a", tarfile.LNKTYPE, "/etc/passwd")],
    "a hard link to a link": [a_link("l", "x"), an_entry("a", tarfile.LNKTYPE, "l")],
    "a hard link to nothing": [an_entry("a", tarfile.LNKTYPE, "b")],
    "a hard link to itself": [an_entry("a", tarfile.LNKTYPE, "a")],
    "a fifo": [an_entry("a", tarfile.FIFOTYPE)],
    "a character device": [an_entry("a", tarfile.CHRTYPE, devmajor=1, devminor=5)],
    "a block device": [an_entry("a", tarfile.BLKTYPE, devmajor=8, devminor=0)],
    "a contiguous file": [an_entry("a", tarfile.CONTTYPE)],
    "an unknown kind": [an_entry("a", b"Z")],
    "a sparse file": [
        an_entry("a", tarfile.REGTYPE, pax_headers={"GNU.sparse.map": "0,1", "GNU.sparse.size": str(10**15)})
    ],
    "a huge size": [an_entry("a", tarfile.REGTYPE, pax_headers={"size": "1000000000000"})],
    "a negative size": [an_entry("a", tarfile.REGTYPE, pax_headers={"size": "-512"})],
    "a size that is larger than the archive": [a_file("a", b"x" * 100, pax_headers={"size": "10000000"})],
}


@pytest.mark.parametrize("case", BAD)
def test_an_archive_that_could_leave_its_folder_is_refused(shelf: Shelf, case: str) -> None:
    """Whoever has written it: nothing is written beside, and nothing of it is left."""
    good = [a_file("first", b"kept?"), a_folder("deep"), a_file("deep/second")]
    load = shelf.archive(*good, *BAD[case])
    before = shelf.around()
    with pytest.raises(LoadFailed, match="a folder could not be loaded") as refused:
        load()

    assert is_harmless(str(refused.value))
    assert shelf.around() == before
    assert list(shelf.unpacked.iterdir()) == []
    assert not os.path.lexists("/tmp/escaped")
    assert not os.path.lexists("/escaped")


@pytest.mark.parametrize("name", ["/escaped", "//escaped", "..", "d/../../escaped", "", "."])
def test_no_place_outside_is_ever_made(tmp_path: Path, name: str) -> None:
    """Whatever was admitted: the place of an entry lies in the folder that is unpacked into."""
    with pytest.raises(OSError, match="is not in a folder of the archive"):
        files._make(None, member(name, tarfile.DIRTYPE), tmp_path / "target")  # type: ignore[arg-type]

    assert list(tmp_path.iterdir()) == []
    assert not os.path.lexists("/escaped")


@pytest.mark.parametrize("name", ["/escaped", "../canary", "", "."])
def test_no_hard_link_leads_outside(tmp_path: Path, name: str) -> None:
    """Whatever was admitted: what an entry is the same file as lies in the folder too."""
    (tmp_path / "target").mkdir()
    (tmp_path / "canary").write_text("sings")
    with pytest.raises(OSError, match="is not in a folder of the archive"):
        files._make(None, member("a", tarfile.LNKTYPE, name), tmp_path / "target")  # type: ignore[arg-type]

    assert list((tmp_path / "target").iterdir()) == []


@pytest.mark.parametrize("compression", ["gz", "bz2", "xz"])
def test_a_compressed_archive_is_refused(shelf: Shelf, compression: str) -> None:
    """A megabyte of it could be a terabyte: what this package writes never is compressed."""
    load = shelf.archive(a_file("a", b"\0" * 10_000_000), mode=f"w:{compression}")
    with pytest.raises(LoadFailed):
        load()

    assert list(shelf.unpacked.iterdir()) == []


def test_too_many_members_are_refused(shelf: Shelf, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When they are saved, and when they are loaded."""
    loads = [shelf.archive(*(a_file(str(number), b"") for number in range(count))) for count in (30, 31)]
    for number in range(30):
        (folder / str(number)).touch()
    monkeypatch.setattr(files, "MEMBERS", 30)
    with pytest.raises(LoadFailed, match="more than 30 files and folders: pack them into one file"):
        loads[1]()
    with pytest.raises(NotSerializable, match="more than 30 files and folders: pack them into one file"):
        shelf.save(folder)

    assert len(list(loads[0]().iterdir())) == 30


@pytest.mark.parametrize("name", ["..", ".", "/", "", "../beside/canary", "a/..", "\0", "n" * 300, "\ud800"])
@pytest.mark.parametrize("is_folder", [False, True])
def test_the_name_of_a_copy_stays_in_its_folder(shelf: Shelf, name: str, is_folder: bool) -> None:
    """Also if somebody has changed the registry's row."""
    with shelf.store.new_file() as path:
        with tarfile.open(path, "w"):
            pass
        load = shelf.put(path, {"name": name, "folder": is_folder})
    before = shelf.around()
    try:
        found = load()
    except LoadFailed:
        assert list(shelf.unpacked.iterdir()) == []
    else:
        assert found.parent.parent == shelf.unpacked
        assert found.name not in ("", ".", "..")

    assert {name: shelf.around()[name] for name in before if name != "unpacked"} == {
        name: there for name, there in before.items() if name != "unpacked"
    }


def test_a_damaged_file_leaves_nothing(shelf: Shelf, folder: Path) -> None:
    """What was copied before the digest was known to be wrong is removed."""
    load = shelf.save(folder / "a.bin")
    (blob,) = (path for path in (shelf.folder / "store").rglob("*") if path.is_file())
    blob.chmod(0o600)
    blob.write_bytes(b"b")
    with pytest.raises(DigestMismatch):
        load()

    assert list(shelf.unpacked.iterdir()) == []


@pytest.mark.parametrize("place", ["in a file", "behind the last entry"])
def test_a_damaged_folder_leaves_nothing(shelf: Shelf, folder: Path, place: str) -> None:
    """Also where all of it was unpacked before the digest was known to be wrong."""
    (folder / "b.bin").write_bytes(b"b" * 3_000_000)
    load = shelf.save(folder)
    (blob,) = (path for path in (shelf.folder / "store").rglob("*") if path.is_file())
    data = bytearray(blob.read_bytes())
    data[len(data) // 2 if place == "in a file" else -1] ^= 1
    blob.chmod(0o600)
    blob.write_bytes(data)
    with pytest.raises(DigestMismatch):
        load()

    assert list(shelf.unpacked.iterdir()) == []


def test_a_folder_is_unpacked_from_the_bytes_that_are_verified(
    shelf: Shelf, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not from a file that was verified and may be another one by the time it is opened."""
    evil = io.BytesIO()
    with tarfile.open(fileobj=evil, mode="w") as made:
        made.addfile(
            *(part if isinstance(part, tarfile.TarInfo) else io.BytesIO(part) for part in a_file("evil"))
        )
    verified = VerifiedSource.path

    def swapped(source: VerifiedSource) -> Path:
        path = verified(source)
        (path.parent / "other").write_bytes(evil.getvalue())
        return (path.parent / "other").replace(path)

    monkeypatch.setattr(VerifiedSource, "path", swapped)
    found = shelf.save(folder)()

    assert [path.name for path in found.iterdir()] == ["a.bin"]


def test_every_file_name_comes_back(shelf: Shelf, folder: Path) -> None:
    """What a file system can hold: control characters, lone bytes, both normal forms, backslashes."""
    names = {"caf\u00e9", "cafe\u0301", "\udcff"}
    for text in TEXTS:
        try:
            os.fsencode(text)
        except UnicodeEncodeError:
            continue
        if (
            "/" not in text
            and "\0" not in text
            and text not in ("", ".", "..")
            and len(os.fsencode(text)) < 256
        ):
            names.add(text)
    for name in names:
        (folder / name).write_bytes(os.fsencode(name))
    found = shelf.save(folder)()

    assert len(names) > 150
    assert {path.name for path in found.iterdir()} == {"a.bin", *names}
    assert all((found / name).read_bytes() == os.fsencode(name) for name in names)


@pytest.mark.parametrize(
    "target", ["a.bin", "./a.bin", "deep", "deep/b", "nowhere", "self", "loop"], ids=lambda target: target
)
def test_a_link_inside_the_folder_comes_back_as_a_link(shelf: Shelf, folder: Path, target: str) -> None:
    """It leads to the copy, wherever that is."""
    (folder / "deep").mkdir()
    (folder / "deep" / "b").write_bytes(b"b")
    (folder / "deep" / "up").symlink_to("../a.bin")
    (folder / "self").symlink_to(target)
    found = shelf.save(folder)()

    assert str((found / "self").readlink()) == str(Path(target))
    assert (found / "deep" / "up").resolve() == found / "a.bin"


@pytest.mark.parametrize(
    ("name", "target", "said"),
    [
        (
            "out",
            "../beside",
            r"weights/out' is a link to '../beside', which is not a file, nor inside the folder",
        ),
        ("deep/out", "../../weights/a.bin", r"'deep/out' in it is a link out of the folder"),
        ("out", "/", r"weights/out' is a link to '/', which is not a file, nor inside the folder"),
        ("out", "deep/../a.bin", r"'out' in it is a link to 'deep/../a.bin'"),
    ],
)
def test_a_folder_with_a_link_outside_is_not_saved(
    shelf: Shelf, folder: Path, name: str, target: str, said: str
) -> None:
    """It fails when it is saved, not when somebody loads it; the error names the link."""
    (folder / "deep").mkdir()
    (folder / name).symlink_to(target)

    with pytest.raises(NotSerializable, match=said):
        shelf.save(folder)


def test_what_is_no_file_is_not_saved(shelf: Shelf, folder: Path) -> None:
    """Pipes, which would never end, devices, sockets: in a folder and by themselves."""
    for name in ("pipe", "socket"):
        (folder / name).mkdir()
    os.mkfifo(folder / "pipe" / "p")
    here = Path.cwd()
    os.chdir(folder / "socket")  # the name of a socket may be 108 bytes long
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind("s")
        os.chdir(here)
        for path in (folder / "pipe", folder / "socket"):
            with pytest.raises(NotSerializable, match="is neither a file nor a folder"):
                shelf.save(path)
        for path in (folder / "pipe" / "p", folder / "socket" / "s", Path("/dev/zero")):
            with pytest.raises(NotSerializable, match="is neither a file nor a folder"):
                shelf.save(path)
    with pytest.raises(NotSerializable, match="is not a path"):
        shelf.save(Path("a\0b"))


def test_a_folder_that_may_not_be_read_is_not_saved(shelf: Shelf, folder: Path) -> None:
    """It would come back without what is in it."""
    locked = folder / "locked"
    locked.mkdir()
    (locked / "secret").write_text("s")
    if os.getuid() != 0:
        locked.chmod(0)
        with pytest.raises(Exception, match="locked"):
            shelf.save(folder)
        locked.chmod(0o700)

    assert (shelf.save(folder)() / "locked" / "secret").read_text() == "s"


def test_modes_and_hard_links_come_back_tamed(shelf: Shelf, folder: Path) -> None:
    """Programs stay programs; nobody becomes another user, nor may others write."""
    program = folder / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o6777)
    (folder / "twin").hardlink_to(folder / "a.bin")
    found = shelf.save(folder)()

    assert (found / "program").stat().st_mode & 0o7777 == 0o755
    assert (found / "twin").read_bytes() == b"a"
    (found / "a.bin").write_bytes(b"changed")
    assert (folder / "a.bin").read_bytes() == b"a"
