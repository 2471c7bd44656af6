"""Bytes under their digest: whole, verified, on a folder and on S3 (R17, R18, R39)."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import resource
import signal
import tempfile
from typing import TYPE_CHECKING

import pytest

from airflow_model_provider.artifacts.store import ArtifactStore
from airflow_model_provider.exceptions import (
    DigestMismatch,
    InvalidConfiguration,
    InvalidName,
    MissingDependency,
    PayloadMissing,
    StoreUnavailable,
)
from tests.support.soak import TIMES

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.s3 import S3Bucket

DATA = bytes(range(256)) * 5000


def put(store: ArtifactStore, data: bytes = DATA) -> str:
    """Store bytes and return their digest."""
    with store.new_file() as path:
        path.write_bytes(data)
        digest, size = store.digest(path)
        assert size == len(data)
        store.put(path, digest)
    return digest


def source(store: ArtifactStore, digest: str, data: bytes = DATA):
    """The stored bytes of a digest."""
    return store.source(digest, len(data), what="iris@1/model")


@pytest.mark.parametrize("data", [DATA, b"", b"x"])
def test_bytes_come_back(store: ArtifactStore, data: bytes) -> None:
    """Read whole, through a reader or as a local file, twice."""
    digest = put(store, data)
    assert digest == hashlib.sha256(data).hexdigest()

    for _ in range(2):
        assert source(store, digest, data).read() == data
        assert source(store, digest, data).path().read_bytes() == data
        with source(store, digest, data).open() as reader:
            assert reader.read() == data
    assert store.exists(digest, len(data))
    assert not store.exists(digest, len(data) + 1)


def test_same_bytes_are_stored_once(place) -> None:
    """Storing again is harmless, and nothing temporary is left."""
    first, second = put(place.store), put(place.store)

    assert first == second
    assert place.names() == [first]
    assert list(place.store.iter_blobs()) == [(first, len(DATA))]


@pytest.mark.parametrize("changed", [b"y" + DATA[1:], DATA[:-1], DATA + b"z", b""])
def test_changed_bytes_are_refused(place, changed: bytes) -> None:
    """Of the same length or another: the error has both digests, and no byte is given out as verified."""
    digest = put(place.store)
    place.overwrite(digest, changed)

    with pytest.raises(DigestMismatch) as caught:
        source(place.store, digest).read()
    assert (caught.value.expected, caught.value.artifact) == (digest, "iris@1/model")
    assert caught.value.found == hashlib.sha256(changed).hexdigest()
    with pytest.raises(DigestMismatch):
        source(place.store, digest).path()
    with pytest.raises(DigestMismatch), source(place.store, digest).open() as reader:
        reader.read(10)


def test_storing_again_mends_changed_bytes(place) -> None:
    """Of the same length, too, where that is seen without fetching them."""
    digest = put(place.store)
    for changed in [DATA[:-1], *([b"y" + DATA[1:]] if place.store.is_local else [])]:
        place.overwrite(digest, changed)
        put(place.store)

        assert source(place.store, digest).read() == DATA
    assert place.names() == [digest]


def test_storing_again_leaves_good_bytes_alone(tmp_path: Path) -> None:
    """The file stays the same one: on a network file system who reads it elsewhere would lose it."""
    store = ArtifactStore(str(tmp_path / "store"), "registry", cache_dir=tmp_path / "cache")
    before = source(store, put(store)).path().stat()
    after = source(store, put(store)).path().stat()

    assert (before.st_ino, before.st_ctime_ns) == (after.st_ino, after.st_ctime_ns)


def test_storing_again_replaces_a_link(tmp_path: Path) -> None:
    """What it leads to stays as it is, though it holds the same bytes."""
    store = ArtifactStore(str(tmp_path / "store"), "registry", cache_dir=tmp_path / "cache")
    digest = put(store)
    blob = source(store, digest).path()
    other = tmp_path / "other"
    other.write_bytes(DATA)
    blob.unlink()
    blob.symlink_to(other)
    put(store)

    assert not blob.is_symlink()
    assert source(store, digest).read() == other.read_bytes() == DATA


def test_a_verified_file_that_changes_later_is_refused(tmp_path: Path) -> None:
    """The note of a verification is worth nothing once the file's change time moved."""
    store = ArtifactStore(str(tmp_path / "store"), "registry", cache_dir=tmp_path / "cache")
    digest = put(store)
    path = source(store, digest).path()
    status = path.stat()
    path.chmod(0o600)
    with path.open("r+b") as file:
        file.write(b"y")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    with pytest.raises(DigestMismatch):
        source(store, digest).path()


def test_missing_bytes_are_named(store: ArtifactStore) -> None:
    """Nothing is there, or no longer: the artifact and its address."""
    digest = put(store)
    store.delete(digest)
    store.delete(digest)

    with pytest.raises(PayloadMissing, match="iris@1/model"):
        source(store, digest).read()
    assert list(store.iter_blobs()) == []


def test_registries_share_a_store(place, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Each keeps its bytes under its own id."""
    digest = put(place.store)
    options = request.getfixturevalue("s3").options if place.store.url.startswith("s3") else None
    other = ArtifactStore(place.store.url, "another", cache_dir=tmp_path / "cache", storage_options=options)

    assert not other.exists(digest, len(DATA))
    assert put(other) == digest
    place.store.delete(digest)
    assert source(other, digest).read() == DATA


def test_a_probe_leaves_nothing(place) -> None:
    """What the connection test writes is removed again."""
    place.store.probe()

    assert place.names() == []


def test_a_link_in_place_of_a_blob_is_not_followed(tmp_path: Path) -> None:
    """Nor is a folder or a pipe read."""
    store = ArtifactStore(str(tmp_path / "store"), "registry", cache_dir=tmp_path / "cache")
    digest = put(store)
    blob = source(store, digest).path()
    (tmp_path / "elsewhere").write_bytes(DATA)
    blob.unlink()
    blob.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PayloadMissing):
        source(store, digest).read()
    blob.unlink()
    os.mkfifo(blob)

    with pytest.raises(PayloadMissing):
        source(store, digest).read()


def test_a_name_cannot_leave_the_store(tmp_path: Path) -> None:
    """Digests and registry ids are checked before they become paths (R40)."""
    store = ArtifactStore(str(tmp_path / "store"), "registry")
    with pytest.raises(InvalidName):
        store.uri("../../etc/passwd")
    with pytest.raises(InvalidName):
        ArtifactStore(str(tmp_path), "../other")


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("", InvalidConfiguration),
        ("file://relative", InvalidConfiguration),
        ("nope://x", InvalidConfiguration),
    ],
)
def test_a_url_that_is_no_place_is_one_error(url: str, error: type[Exception], tmp_path: Path) -> None:
    """It names the setting."""
    with pytest.raises(error, match="store"):
        ArtifactStore(url, "registry", cache_dir=tmp_path).probe()


def test_a_missing_file_system_names_the_extra(tmp_path: Path) -> None:
    """Without gcsfs a store at gs:// says what to install."""
    with pytest.raises(MissingDependency, match=r"airflow-model-provider\[gcs\]"):
        ArtifactStore("gs://bucket/models", "registry", cache_dir=tmp_path).probe()


def test_a_place_that_cannot_be_written_is_one_error(tmp_path: Path) -> None:
    """A file stands where the folder should be; nothing is left."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable):
        put(ArtifactStore(str(tmp_path / "file" / "store"), "registry"))

    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def _fill_disk(store: ArtifactStore, answers) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    try:
        put(store)
    except StoreUnavailable as err:
        answers.put(str(err))


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    """The system's refusal to write on is the store's error, and the half-written file is gone."""
    store = ArtifactStore(str(tmp_path / "store"), "registry")
    fork = multiprocessing.get_context("fork")
    answers = fork.Queue()
    process = fork.Process(target=_fill_disk, args=(store, answers))
    process.start()
    said = answers.get(timeout=60)
    process.join()

    assert "File too large" in said
    assert [path for path in (tmp_path / "store").rglob("*") if path.is_file()] == []


def _write_until_killed(store: ArtifactStore, started) -> None:
    for index in range(10**6):
        put(store, DATA + str(index).encode())
        started.set()


def test_a_killed_writer_leaves_only_whole_blobs(tmp_path: Path) -> None:
    """SIGKILL while blobs are written: every visible one has its digest."""
    store = ArtifactStore(str(tmp_path / "store"), "registry", cache_dir=tmp_path / "cache")
    fork = multiprocessing.get_context("fork")
    for number in range(TIMES):
        started = fork.Event()
        process = fork.Process(target=_write_until_killed, args=(store, started))
        process.start()
        assert started.wait(60)
        process.join(0.01 * (number % 5))
        process.kill()
        process.join()
    blobs = list(store.iter_blobs())

    assert blobs
    for digest, size in blobs:
        assert len(store.source(digest, size, what="blob").read()) == size


def _begin(store: ArtifactStore, begun) -> None:
    with store.new_file() as path:
        path.write_bytes(DATA)
        begun.put(path)
        signal.pause()


def test_what_a_killed_writer_left_on_the_way_to_a_remote_store_is_removed(tmp_path: Path) -> None:
    """By the next one, once it has lain still for an hour; never what somebody still writes."""
    store = ArtifactStore("memory://models", "registry", cache_dir=tmp_path / "cache")
    fork = multiprocessing.get_context("fork")
    begun = fork.Queue()
    process = fork.Process(target=_begin, args=(store, begun))
    process.start()
    path = begun.get(timeout=60)
    there = []
    os.utime(path, (1000, 1000))
    with store.new_file():
        there.append(path.exists())
    process.kill()
    process.join()
    os.utime(path)
    with store.new_file():
        there.append(path.exists())
    os.utime(path, (1000, 1000))
    with store.new_file() as other:
        there.append(path.exists())

    assert there == [True, True, False]
    assert path.is_relative_to(tmp_path / "cache")
    assert not other.exists()


def test_a_writer_without_a_private_folder_uses_one_for_temporary_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of its own, and leaves nothing."""
    for name in ("open", "temporary"):
        (tmp_path / name).mkdir()
    (tmp_path / "open").chmod(0o777)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    store = ArtifactStore("memory://models", "registry", cache_dir=tmp_path / "open")
    with store.new_file() as path:
        path.write_bytes(DATA)

    assert path.parent.parent == tmp_path / "temporary"
    assert list((tmp_path / "temporary").iterdir()) == []


def test_the_second_load_of_a_remote_blob_is_local(s3: S3Bucket, tmp_path: Path) -> None:
    """A copy serves it without the server; a damaged copy is made again (R21)."""
    options = {"cache_dir": tmp_path / "cache", "storage_options": s3.options}
    store = ArtifactStore(f"{s3.url}/copies", "registry", **options)
    digest = put(store)
    copy = source(store, digest).path()
    copy.chmod(0o600)
    copy.write_bytes(b"damaged")
    assert source(store, digest).read() == DATA
    s3.file_system().rm_file(store.uri(digest).removeprefix("s3://"))

    assert source(store, digest).read() == DATA


def test_copies_are_kept_under_a_size(s3: S3Bucket, tmp_path: Path) -> None:
    """The least recently used go first."""
    cache = tmp_path / "cache"
    store = ArtifactStore(
        f"{s3.url}/bounded",
        "registry",
        cache_dir=cache,
        cache_bytes=2 * len(DATA),
        storage_options=s3.options,
    )
    digests = [put(store, DATA[:-1] + bytes([index])) for index in range(4)]
    for age, digest in enumerate(digests):
        path = source(store, digest).path()
        for item in path.parent.glob(f"{digest}*"):
            os.utime(item, (1000 + age, 1000 + age))

    kept = {path.name for path in (cache / "copies").iterdir() if len(path.name) == 64}
    assert kept == set(digests[2:])


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    """A server that isn't there: neither key nor secret stands in the error or in an address (R40)."""
    options = {"key": "AKIDSECRET", "secret": "SECRETSECRET", "endpoint_url": "http://127.0.0.1:1"}
    config = {"retries": {"max_attempts": 0}, "connect_timeout": 1}
    store = ArtifactStore(
        "s3://bucket/models",
        "registry",
        cache_dir=tmp_path,
        storage_options={**options, "config_kwargs": config},
    )
    with pytest.raises(StoreUnavailable) as caught:
        store.exists("0" * 64, 1)

    assert "SECRET" not in str(caught.value) + repr(store) + store.uri("0" * 64)


def test_a_cache_that_others_can_write_to_is_refused(s3: S3Bucket, tmp_path: Path) -> None:
    """Nobody else may be able to plant a file there."""
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    options = {"cache_dir": tmp_path / "open", "storage_options": s3.options}
    store = ArtifactStore(f"{s3.url}/open", "registry", **options)
    digest = put(store)

    with pytest.raises(InvalidConfiguration, match="cache_dir"):
        source(store, digest).read()
