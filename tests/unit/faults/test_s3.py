"""An S3 server that refuses requests, tears uploads and downloads apart, or loses its answers."""

from __future__ import annotations

import errno
import os
import tempfile
import time
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import s3fs.core
from fsspec.implementations.memory import MemoryFileSystem
from s3fs import S3FileSystem

from airflow_model_provider.artifacts import patience
from airflow_model_provider.artifacts.store import ArtifactStore
from airflow_model_provider.exceptions import StoreUnavailable
from tests.support.plan import FOR_EVER, Plan, sample
from tests.support.s3_proxy import Fault, S3Proxy
from tests.support.system_calls import system_calls
from tests.unit.faults.operations import OPERATIONS, Operation, new_version
from tests.unit.faults.scene import DONE, IMPATIENT, NOT_DONE, Scene, opened

NAMES = ["save", "load", "verify", "collect"]
OF_BYTES = pytest.mark.parametrize("operation", [OPERATIONS[name] for name in NAMES], ids=NAMES)


@OF_BYTES
def test_a_request_that_fails_once_is_made_again(operation: Operation, s3_scene: Scene, s3: S3Proxy) -> None:
    """Whatever became of it: the operation is done, exactly once."""
    calls = s3_scene.rehearse(operation, s3.plan)
    for s3.fault, index in sample([*product(Fault, range(len(calls)))], 5):
        outcome = s3_scene.perform(operation, s3.plan.failing(index))

        assert outcome.said == DONE, (s3.fault, calls[index], outcome.error)
    s3_scene.check_end()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """One attempt of s3fs and two of ours, so that a test need not wait."""
    monkeypatch.setattr(S3FileSystem, "retries", 1)
    monkeypatch.setattr(patience, "ATTEMPTS", 2)


@OF_BYTES
@pytest.mark.usefixtures("impatient")
def test_a_server_that_fails_for_ever_is_one_error_and_nothing_is_done(
    operation: Operation, s3_scene: Scene, s3: S3Proxy
) -> None:
    """From each request on, all fail: the store's error, and what was uploaded is removed by the next collection."""
    calls = s3_scene.rehearse(operation, s3.plan)
    for s3.fault, index in sample([*product((Fault.SLOW_DOWN, Fault.LOST), range(len(calls)))], 3):
        outcome = s3_scene.perform(operation, s3.plan.failing(index, FOR_EVER))

        assert outcome.said == NOT_DONE, (s3.fault, calls[index])
        assert isinstance(outcome.error, StoreUnavailable)
    s3_scene.check_end()


def test_a_server_that_fails_for_ever_is_asked_five_times(
    s3_scene: Scene, s3: S3Proxy, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Waiting longer each time, and saying so; s3fs and botocore have attempts of their own beside these."""
    waited: list[float] = []
    monkeypatch.setattr(S3FileSystem, "retries", 1)
    monkeypatch.setattr(time, "sleep", waited.append)
    store = opened(s3_scene.address, IMPATIENT).store
    with s3.plan.failing(0, FOR_EVER), pytest.raises(StoreUnavailable):
        store.exists("0" * 64, 1)

    assert len(s3.plan.calls) == len(waited) + 1 == 5
    assert all(0 <= seconds <= longest for seconds, longest in zip(waited, (0.5, 1, 2, 4), strict=True))
    assert caplog.text.count("next in") == 4


def test_a_busy_server_is_waited_for_by_its_own_client(s3_scene: Scene, s3: S3Proxy) -> None:
    """botocore, as it is configured by default, makes a refused request again; nobody else sees it."""
    options = {name: value for name, value in s3.options.items() if name != "config_kwargs"}
    scene = Scene(s3_scene.address._replace(storage_options=options), s3_scene.observer)
    puts = scene.rehearse(OPERATIONS["save"], s3.plan)
    (index,) = [index for index, call in enumerate(puts) if call.startswith("PUT")]

    assert scene.perform(OPERATIONS["save"], s3.plan.failing(index)).said == DONE
    scene.check_end()


@pytest.fixture
def in_parts(monkeypatch: pytest.MonkeyPatch) -> Operation:
    """A save of three parts, where s3fs would make one of less than 100 MB."""
    monkeypatch.setattr(s3fs.core, "calculate_chunksize", lambda _size, chunksize=None: chunksize or PART)
    return Operation(
        lambda workspace: new_version(workspace)._replace(value=os.urandom(2 * PART + 1000)),
        OPERATIONS["save"].act,
        OPERATIONS["save"].is_done,
    )


#: The smallest that S3 takes.
PART = 5 * 2**20


def test_an_upload_in_parts_survives_each_fault(in_parts: Operation, s3_scene: Scene, s3: S3Proxy) -> None:
    """Its begin, a part and its end, each once: done, exactly once; an upload that was given up is removed."""
    calls = s3_scene.rehearse(in_parts, s3.plan)
    begin, *parts, end = [index for index, call in enumerate(calls) if call.startswith(("POST", "PUT"))]
    assert len(parts) == 3
    for s3.fault, index in sample([*product(Fault, (begin, parts[0], parts[-1], end))], 5):
        outcome = s3_scene.perform(in_parts, s3.plan.failing(index))

        assert outcome.said == DONE, (s3.fault, calls[index], outcome.error)
    s3_scene.check_end()
    assert list(s3_scene.observer.store.iter_leftovers()) == []


@pytest.mark.usefixtures("impatient")
def test_an_upload_in_parts_that_is_given_up_leaves_nothing_for_long(
    in_parts: Operation, s3_scene: Scene, s3: S3Proxy
) -> None:
    """From its last part on all requests fail, so that it can't be taken back: a collection does that."""
    calls = s3_scene.rehearse(in_parts, s3.plan)
    last = max(index for index, call in enumerate(calls) if call.startswith("PUT"))

    assert s3_scene.perform(in_parts, s3.plan.failing(last, FOR_EVER)).said == NOT_DONE
    assert len(list(s3_scene.observer.store.iter_leftovers())) > 0
    s3_scene.check_end()
    assert list(s3_scene.observer.store.iter_leftovers()) == []


@OF_BYTES
def test_a_call_of_the_system_that_fails_beside_a_remote_store_is_an_error_and_nothing_is_done(
    operation: Operation, s3_scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each call about temporary files and local copies, once: one of our errors, or it did without."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    plan = Plan()
    with system_calls(plan, tmp_path, errno.EIO):
        calls = s3_scene.rehearse(operation, plan)
    for index, error in sample([*product(range(len(calls)), (errno.ENOSPC, errno.EACCES, errno.EIO))], 4):
        with system_calls(plan, tmp_path, error):
            outcome = s3_scene.perform(operation, plan.failing(index))

        assert outcome.said in (DONE, NOT_DONE), calls[index]
    s3_scene.check_end()


def test_what_cannot_be_asked_for_its_age_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where files are written under another name first: it fails once, then the file is gone, then all fails."""
    store = ArtifactStore("memory://faults", "registry", cache_dir=tmp_path)
    MemoryFileSystem().pipe_file("/faults/registry/.tmp/begun.part", b"half")
    asked: list[Any] = []
    modified = MemoryFileSystem.modified

    def answer(system: MemoryFileSystem, path: str) -> Any:
        asked.append(path)
        if answers and (err := answers.pop(0)):
            raise err
        return modified(system, path)

    monkeypatch.setattr(MemoryFileSystem, "modified", answer)
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)

    answers = [OSError(errno.EIO, "no answer")]
    assert [name for name, _age in store.iter_leftovers()] == [".tmp/begun.part"]
    answers = [FileNotFoundError()]
    assert list(store.iter_leftovers()) == []
    answers = [OSError(errno.EIO, "no answer")] * 9
    with pytest.raises(StoreUnavailable, match="no answer"):
        list(store.iter_leftovers())
    assert len(asked) == 2 + 1 + 5
