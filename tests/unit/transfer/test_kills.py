"""Imports that are killed, and payloads larger than memory should hold (R17, R36)."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_model_provider import Client
from airflow_model_provider.addresses import Address
from airflow_model_provider.exceptions import ModelNotFound
from airflow_model_provider.registry import registration
from airflow_model_provider.registry.artifacts import NewArtifact
from airflow_model_provider.registry.entities import Link, Payload, Relation
from airflow_model_provider.selectors import ArtifactType
from airflow_model_provider.transfer.exporting import export_model
from airflow_model_provider.transfer.importing import import_model
from airflow_model_provider.upkeep import Garbage, collect, verify
from airflow_model_provider.workspace import Workspace, connect
from tests.support.processes import FORK
from tests.unit.transfer.conftest import simple

#: Bytes of a payload that fits into a store and not into what a test may use.
LARGE = 200 * 1024**2


def killed_while_it_stores(address: Address, file: Path) -> None:
    """Import, until two payloads are stored."""
    done: list[int] = []

    def told(size: int) -> None:
        done.append(size)
        if len(done) == 2:
            os.kill(os.getpid(), signal.SIGKILL)

    import_model(connect(address), file, told=told)


def killed_while_it_makes_versions(address: Address, file: Path) -> None:
    """Import, until the third version has one of its two artifacts, in a transaction that is under way."""
    add, done = registration.check_added, []

    def slowly(*args: Any) -> Any:
        done.append(add(*args))
        if len(done) == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        return done[-1]

    registration.check_added = slowly
    import_model(connect(address), file)


def ended(target: Callable[..., None], *args: Any) -> int | None:
    """Run something in a process of its own; return how it ended."""
    process = FORK.Process(target=target, args=args)
    process.start()
    process.join(120)
    return process.exitcode


@pytest.mark.parametrize("place", ["sqlite, folder", "postgresql, s3"])
def test_a_killed_import_is_run_again(
    registry_at: Callable[..., Client], there: Client, tmp_path: Path, place: str
) -> None:
    """Of what it was about to make nothing is visible, what it had made is not made twice, and nothing is left over."""
    for number in range(4):
        simple(there, f"text {number}", f"version {number}").save_artifact("same", "same")
    file = there.export_model("iris", tmp_path / "iris.zip").path
    here = registry_at("here", place)
    address, registry = here.workspace.address, here.workspace.registry
    assert ended(killed_while_it_stores, address, file) == -signal.SIGKILL
    with pytest.raises(ModelNotFound):
        registry.get_model("iris")
    assert ended(killed_while_it_makes_versions, address, file) == -signal.SIGKILL
    assert [item.load_artifact("text") for item in here.list_model_versions("iris")] == ["text 1", "text 0"]
    assert all(len(item.list_artifacts()) == 2 for item in here.list_model_versions("iris"))
    again = here.import_model(file)

    assert [(item.number, item.is_new) for item in again.versions] == [
        (1, False),
        (2, False),
        (3, True),
        (4, True),
    ]
    assert [item.load_artifact("text") for item in here.list_model_versions("iris")] == [
        f"text {number}" for number in (3, 2, 1, 0)
    ]
    assert list(verify(here.workspace)) == []
    assert collect(here.workspace, older_than=0).blobs == 0  # all that was stored is needed now
    assert collect(here.workspace, older_than=0) == Garbage(0, 0, 0)


def keep(workspace: Workspace, model: str, size: int) -> None:
    """Make a version with so many bytes, which cost nothing to make."""
    with workspace.store.new_file() as path:
        os.truncate(path, size)
        digest, _size = workspace.store.digest(path)
        life = workspace.put(path, digest, size)
    version = workspace.registry.create_version(model)
    payload = Payload(digest, size, "bytes.raw", 1, ("builtins.bytes",))
    link = Link(version.id, Relation.OUTPUT)
    workspace.registry.register_artifact(NewArtifact("bytes", payload, ArtifactType.DATA, life, links=[link]))


def move(there: Address, here: Address, folder: Path, answer: Any) -> None:
    """Move a few bytes and then many, and tell by how many bytes the process grew meanwhile."""
    for model, size in (("few", 1), ("many", LARGE)):
        workspace = connect(there)
        keep(workspace, model, size)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        export_model(workspace, model, folder / f"{model}.zip")
        import_model(connect(here), folder / f"{model}.zip")
    answer.put(1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before))


def test_memory_does_not_grow_with_payloads(there: Client, here: Client, tmp_path: Path) -> None:
    """200 MB move through a few."""
    answer = FORK.Queue()
    assert ended(move, there.workspace.address, here.workspace.address, tmp_path, answer) == 0

    assert answer.get(timeout=10) < 20 * 1024**2
    assert (tmp_path / "many.zip").stat().st_size > LARGE
    assert here.get_model_version("many", 1).get_artifact("bytes").size == LARGE
