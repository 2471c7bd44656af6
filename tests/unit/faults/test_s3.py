"""An S3 server that refuses requests, tears uploads and downloads apart, or loses its answers (R13, R17)."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

import pytest
import s3fs.core
from s3fs import S3FileSystem

from airflow_model_provider.artifacts import patience
from airflow_model_provider.exceptions import StoreUnavailable
from tests.support.plan import FOR_EVER, Plan, sample
from tests.support.s3_proxy import Fault, S3Proxy
from tests.support.system_calls import system_calls
from tests.unit.faults.operations import OPERATIONS, Operation, new_version
from tests.unit.faults.scene import DONE, NOT_DONE, Scene

NAMES = [
    "save", "save a file", "load", "load mapped", "make a version in a block", "verify", "collect",
]  # fmt: skip
OF_BYTES = pytest.mark.parametrize("operation", [OPERATIONS[name] for name in NAMES], ids=NAMES)
FAULTS = pytest.mark.parametrize("fault", Fault, ids=[fault.value for fault in Fault])


@OF_BYTES
@FAULTS
def test_a_request_that_fails_once_is_made_again(
    operation: Operation, fault: Fault, s3_scene: Scene, s3: S3Proxy
) -> None:
    """Whatever became of it: the operation is done, exactly once."""
    calls = s3_scene.rehearse(operation, s3.plan)
    s3.fault = fault
    for index in sample(range(len(calls)), 2):
        outcome = s3_scene.perform(operation, s3.plan.failing(index))

        assert outcome.said == DONE, (calls[index], outcome.error)
    s3_scene.check_end()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """One attempt of s3fs and two of ours, so that a test need not wait."""
    monkeypatch.setattr(S3FileSystem, "retries", 1)
    monkeypatch.setattr(patience, "ATTEMPTS", 2)


@OF_BYTES
@FAULTS
@pytest.mark.usefixtures("impatient")
def test_a_server_that_fails_for_ever_is_one_error_and_nothing_is_done(
    operation: Operation, fault: Fault, s3_scene: Scene, s3: S3Proxy
) -> None:
    """From each request on, all fail: the store's error, and what was uploaded is removed by the next collection."""
    calls = s3_scene.rehearse(operation, s3.plan)
    s3.fault = fault
    for index in sample(range(len(calls)), 2):
        outcome = s3_scene.perform(operation, s3.plan.failing(index, FOR_EVER))

        assert outcome.said == NOT_DONE or fault in (Fault.TORN, Fault.TORN_ANSWER), calls[index]
        assert outcome.error is None or isinstance(outcome.error, StoreUnavailable)
    s3_scene.check_end()


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


@FAULTS
def test_an_upload_in_parts_survives_each_fault(
    fault: Fault, in_parts: Operation, s3_scene: Scene, s3: S3Proxy
) -> None:
    """Its begin, its parts and its end, each once: done, exactly once; an upload that was given up is removed."""
    calls = s3_scene.rehearse(in_parts, s3.plan)
    changing = [index for index, call in enumerate(calls) if call.startswith(("POST", "PUT"))]
    assert len(changing) == 5
    s3.fault = fault
    for index in changing:
        outcome = s3_scene.perform(in_parts, s3.plan.failing(index))

        assert outcome.said == DONE, (calls[index], outcome.error)
    s3_scene.check_end()
    assert list(s3_scene.observer.store.iter_leftovers()) == []


LOCALLY = ["save", "load", "load mapped", "verify"]


@pytest.mark.parametrize("operation", [OPERATIONS[name] for name in LOCALLY], ids=LOCALLY)
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EACCES, errno.EIO], ids=errno.errorcode.get)
def test_a_call_of_the_system_that_fails_beside_a_remote_store_is_an_error_and_nothing_is_done(
    operation: Operation, error: int, s3_scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each call about temporary files and local copies, once: one of our errors, or it did without."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    plan = Plan()
    with system_calls(plan, tmp_path, error):
        calls = s3_scene.rehearse(operation, plan)
        for index in sample(range(len(calls)), 99):
            outcome = s3_scene.perform(operation, plan.failing(index))

            assert outcome.said in (DONE, NOT_DONE), calls[index]
    s3_scene.check_end()
