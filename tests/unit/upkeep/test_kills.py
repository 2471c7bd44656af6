"""Writers that are killed at any instant while they save and register."""

from __future__ import annotations

import os
import random
import signal
from typing import TYPE_CHECKING, Any

from airflow_model_provider.addresses import Address
from airflow_model_provider.registry.entities import Link, Relation
from airflow_model_provider.selectors import Selector
from airflow_model_provider.upkeep import Garbage, collect, verify
from airflow_model_provider.workspace import Saving, connect
from tests.support.processes import FORK
from tests.support.soak import TIMES

if TYPE_CHECKING:
    from collections.abc import Callable

#: On a folder, and half as many on S3, whose clients take long to begin: 100 in all, 1,000 in the long form.
KILLS = 40 * min(TIMES, 10)


def save_forever(address: Address, seed: int, begun: Any) -> None:
    """Make versions with two artifacts, the first of which others may have stored, until killed."""
    workspace = connect(address)
    number = 0
    while True:
        version = workspace.registry.create_version("iris")
        links = [Link(version.id, Relation.OUTPUT)]
        for name, value in (("shared", "s" * 100), ("mine", f"{seed} {number} " * 20_000)):
            workspace.save(value, Saving(name, what=name), links=links)
        number += 1
        begun.set()


def test_killed_writers_leave_nothing_half_visible(
    address: Address, record_property: Callable[[str, object], None]
) -> None:
    """What is registered is there, whole; what is left over is found and removed."""
    chance, kills = random.Random(7), KILLS // 2 if address.store.startswith("s3:") else KILLS
    for seed in range(kills):
        begun = FORK.Event()
        process = FORK.Process(target=save_forever, args=(address, seed, begun))
        process.start()
        assert begun.wait(120)
        process.join(chance.uniform(0, 0.06))
        os.kill(process.pid or 0, signal.SIGKILL)
        process.join()
    workspace = connect(address)
    versions = workspace.registry.list_versions("iris")

    assert [version.number for version in versions] == list(range(len(versions), 0, -1))
    assert list(verify(workspace)) == []
    for version in versions:
        for record in workspace.registry.list_artifacts(version.id):
            assert len(workspace.load(record)) >= 100
    before = {blob.digest for blob in workspace.registry.needed_blobs()}
    left = collect(workspace, older_than=0)
    stored = {digest for digest, _size in workspace.store.iter_blobs()}
    record_property("kills", kills)
    record_property("versions", len(versions))
    record_property("files and unfinished uploads left over, all collected", left.blobs + left.leftovers)
    assert stored == before
    assert list(workspace.store.iter_leftovers()) == []
    assert collect(workspace, older_than=0) == Garbage(0, 0, 0)
    assert workspace.registry.get_version("iris", Selector.parse(len(versions))).number == len(versions)
    workspace.close()
