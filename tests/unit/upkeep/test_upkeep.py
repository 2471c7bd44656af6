"""What is damaged is found, and what nobody needs goes, beside writers that go on (R17)."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_model_provider.addresses import Address
from airflow_model_provider.exceptions import ArtifactNotFound, StoreUnavailable
from airflow_model_provider.named_artifacts import NamedArtifact
from airflow_model_provider.registry.artifacts import NewArtifact
from airflow_model_provider.registry.entities import Link, Relation
from airflow_model_provider.registry.registry import Registry
from airflow_model_provider.selectors import Selector
from airflow_model_provider.upkeep import Garbage, collect, verify
from airflow_model_provider.workspace import Saving, Workspace, connect
from tests.support.databases import ready_file
from tests.support.processes import FORK
from tests.support.soak import TIMES

if TYPE_CHECKING:
    from collections.abc import Callable

#: How many versions each writer makes at least, and how many files each collector takes meanwhile.
MADE, TAKEN = 15 * TIMES, 6 * TIMES


def save(workspace: Workspace, value: Any, name: str = "model") -> int:
    """Make a version with one artifact, and return its number."""
    version = workspace.registry.create_version("iris")
    links = [Link(version.id, Relation.OUTPUT)]
    workspace.save(value, Saving(name, what=f"artifact {name!r}"), links=links)
    return version.number


def load(workspace: Workspace, number: int) -> Any:
    """Load the artifact of a version."""
    version = workspace.registry.get_version("iris", Selector.parse(number))
    (record,) = workspace.registry.list_artifacts(version.id)
    return workspace.load(record)


def stored(workspace: Workspace) -> int:
    """How many files the store holds."""
    return len(list(workspace.store.iter_blobs()))


def test_the_bytes_of_a_deleted_version_go(workspace: Workspace) -> None:
    """Those that another version shares stay; a dry run only counts; afterwards there is nothing left to do."""
    for value in ("shared", "mine"):
        save(workspace, value)
    save(workspace, "shared")
    for number in (1, 2):
        workspace.registry.delete_version("iris", number)
    counted = collect(workspace, older_than=0, dry_run=True)

    assert counted == Garbage(blobs=1, size=4, leftovers=0)
    assert stored(workspace) == 2
    assert collect(workspace, older_than=0) == counted
    assert collect(workspace, older_than=0) == Garbage(0, 0, 0)
    assert stored(workspace) == 1
    assert load(workspace, 3) == "shared"
    assert list(verify(workspace)) == []


def test_what_was_touched_lately_stays(workspace: Workspace) -> None:
    """A step may be about to register it."""
    save(workspace, "value")
    workspace.registry.delete_version("iris", 1)

    assert collect(workspace, older_than=60) == Garbage(0, 0, 0)
    assert stored(workspace) == 1


def test_the_same_bytes_can_come_back(workspace: Workspace) -> None:
    """After they were collected they are stored again, and found again."""
    save(workspace, "value")
    workspace.registry.delete_version("iris", 1)
    collect(workspace, older_than=0)

    assert load(workspace, save(workspace, "value")) == "value"
    assert list(verify(workspace)) == []


def test_a_deleted_artifact_is_not_found_any_more(workspace: Workspace) -> None:
    """Its record of who used it stays, its bytes are not loaded by number."""
    save(workspace, "value")
    workspace.registry.delete_version("iris", 1)

    with pytest.raises(ArtifactNotFound):
        workspace.registry.resolve([NamedArtifact("model")])


def test_bytes_of_which_no_row_tells_go(workspace: Workspace) -> None:
    """They come of a database that was restored from an older copy, or of a collector that was killed."""
    save(workspace, "value")
    with workspace.store.new_file() as path:
        path.write_bytes(b"stray")
        digest, _size = workspace.store.digest(path)
        workspace.store.put(path, digest)

    assert collect(workspace, older_than=60) == Garbage(0, 0, 0)  # somebody may be about to register it
    assert collect(workspace, older_than=0, dry_run=True) == Garbage(1, 5, 0)
    assert collect(workspace, older_than=0) == Garbage(1, 5, 0)
    assert stored(workspace) == 1


def test_bytes_that_were_removed_and_came_back_go_again(workspace: Workspace) -> None:
    """Their row stays for the record of who used them; who stored them anew died before it registered them."""
    save(workspace, "value")
    version = workspace.registry.get_version("iris", Selector.parse(1))
    (record,) = workspace.registry.list_artifacts(version.id)
    content = workspace.store.source(record.payload.digest, record.payload.size, what="value").read()
    workspace.registry.delete_version("iris", 1)
    collect(workspace, older_than=0)
    with workspace.store.new_file() as path:
        path.write_bytes(content)
        workspace.store.put(path, record.payload.digest)

    assert collect(workspace, older_than=0).blobs == 1
    assert stored(workspace) == 0
    assert collect(workspace, older_than=0) == Garbage(0, 0, 0)
    assert load(workspace, save(workspace, "value")) == "value"


def test_a_writer_whose_bytes_were_taken_stores_them_again(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the storing and the registering, with a collector that waits for nothing."""
    register, collected = Registry.register_artifacts, []

    def slowly(self: Registry, *args: Any, **kwargs: Any) -> Any:
        if not collected:
            collected.append(collect(workspace, older_than=0))
        return register(self, *args, **kwargs)

    monkeypatch.setattr(Registry, "register_artifacts", slowly)
    number = save(workspace, "value")

    assert collected == [Garbage(1, 5, 0)]
    assert load(workspace, number) == "value"
    assert list(verify(workspace)) == []


def test_what_another_is_about_to_store_is_not_there_yet(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer's bytes are taken, and another one notes that it will store the same: the first stores them again."""
    register, noted = Registry.register_artifacts, []

    def slowly(self: Registry, new: NewArtifact, *parts: Any) -> Any:
        if not noted:
            collect(workspace, older_than=0)
            noted.append(self.intend_blob(new.payload.digest, new.payload.size))
        return register(self, new, *parts)

    monkeypatch.setattr(Registry, "register_artifacts", slowly)
    number = save(workspace, "value")

    assert not noted[0].stored
    assert load(workspace, number) == "value"


@pytest.fixture
def interrupted(workspace: Workspace) -> Workspace:
    """A collector has marked the bytes of a deleted version, and then the store did not answer."""

    def unavailable(_store: Any, digest: str) -> None:
        raise StoreUnavailable(digest, "remove", "no answer")

    save(workspace, "value")
    workspace.registry.delete_version("iris", 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(workspace.store), "delete", unavailable)
        with pytest.raises(StoreUnavailable):
            collect(workspace, older_than=0)
    return workspace


def test_a_writer_takes_back_what_is_condemned(interrupted: Workspace) -> None:
    """A collector that was interrupted between mark and removal takes nothing that is needed again since."""
    workspace = interrupted
    number = save(workspace, "value")

    assert collect(workspace, older_than=0) == Garbage(0, 0, 0)
    assert load(workspace, number) == "value"


def test_an_interrupted_collection_is_ended_by_the_next(interrupted: Workspace) -> None:
    """The store failed in the middle; nothing is lost track of."""
    assert collect(interrupted, older_than=3600) == Garbage(1, 5, 0)
    assert stored(interrupted) == 0


def test_what_a_writer_still_writes_is_no_leftover(workspace: Workspace) -> None:
    """However long it takes; what a killed one has left is."""
    with workspace.store.new_file() as path:
        path.write_bytes(b"half")
        assert collect(workspace, older_than=0).leftovers == 0
        assert path.read_bytes() == b"half"
    if path.parent.name == ".tmp":
        path.write_bytes(b"left")
        assert collect(workspace, older_than=3600).leftovers == 0
        assert collect(workspace, older_than=0).leftovers == 1
    assert not path.exists()


def test_what_a_writer_has_just_begun_stays(tmp_path: Path) -> None:
    """A collector that saw the file before its writer had locked it does not take it afterwards."""
    workspace = connect(Address(f"sqlite:///{tmp_path / 'r.db'}", str(tmp_path / "store"), "test"))
    with workspace.store.new_file() as first:
        folder = first.parent
    path = folder / "begun.part"
    with path.open("xb") as file:
        ((name, _age),) = workspace.store.iter_leftovers()
        fcntl.flock(file, fcntl.LOCK_SH)
        workspace.store.remove_leftover(name)
        there = path.exists()
    workspace.store.remove_leftover(name)
    workspace.close()

    assert (there, path.exists()) == (True, False)


def test_damage_is_named(tmp_path: Path) -> None:
    """Which artifact of which version, and whether its bytes are gone or changed."""
    workspace = connect(Address(f"sqlite:///{tmp_path / 'r.db'}", str(tmp_path / "store"), "test"))
    for value in ("one", "two", "three"):
        save(workspace, value)
    digests = {}
    for number in (1, 2, 3):
        version = workspace.registry.get_version("iris", Selector.parse(number))
        (record,) = workspace.registry.list_artifacts(version.id)
        digests[number] = record.payload.digest
    Path(workspace.store.uri(digests[1])).unlink()
    changed = Path(workspace.store.uri(digests[2]))
    changed.chmod(0o600)
    changed.write_bytes(b"owt")
    told: list[str] = []
    found = {item.artifacts: item for item in verify(workspace, lambda blob: told.append(blob.digest))}
    workspace.close()

    assert {what: item.problem for what, item in found.items()} == {
        ("iris@1/model",): "missing",
        ("iris@2/model",): "changed",
    }
    assert digests[2] in found["iris@2/model",].error
    assert sorted(told) == sorted(digests.values())


def test_damage_is_mended_by_saving_the_same_again(tmp_path: Path) -> None:
    """The good bytes are at hand then; the older artifact has them again, too."""
    workspace = connect(Address(f"sqlite:///{tmp_path / 'r.db'}", str(tmp_path / "store"), "test"))
    save(workspace, "hello")
    ((digest, _),) = workspace.store.iter_blobs()
    blob = Path(workspace.store.uri(digest))
    blob.chmod(0o600)
    blob.write_bytes(b"jello")
    save(workspace, "hello")
    found = [load(workspace, number) for number in (1, 2)]
    workspace.close()

    assert found == ["hello", "hello"]


def write(address: Address, seed: int, ready: Any, swept: Any) -> int:
    """Make versions that share bytes with others, and keep the newest only; return how many were made."""
    workspace = connect(address)
    made, kept = 0, None
    ready.wait()
    while made < MADE or not swept.is_set():
        value = f"value {(seed + made) % 5}"
        number = save(workspace, value)
        made += 1
        assert load(workspace, number) == value
        if kept is not None:
            workspace.registry.delete_version("iris", kept)
        kept = number
    workspace.close()
    return made


def sweep(address: Address, ready: Any, swept: Any, ended: Any) -> int:
    """Collect all the time, waiting for nobody; return how much was taken."""
    workspace = connect(address)
    taken = 0
    ready.wait()
    while not ended.is_set():
        taken += collect(workspace, older_than=0).blobs
        if taken >= TAKEN:
            swept.set()
    workspace.close()
    return taken


def test_collectors_and_writers_run_together(
    address: Address, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Of two registries that share a store; at the end everything is there, and nothing else."""
    other = address._replace(url=ready_file(tmp_path / "other.db"))
    with FORK.Manager() as manager, FORK.Pool(6) as pool:
        ready, ended = manager.Barrier(6, None, 120), manager.Event()  # they begin when all are there
        both = [(where, manager.Event()) for where in (address, other)]
        written = [
            pool.apply_async(write, (where, seed, ready, swept)) for where, swept in both for seed in (0, 2)
        ]
        swept = [pool.apply_async(sweep, (where, ready, swept, ended)) for where, swept in both]
        made = [job.get(240 * TIMES) for job in written]
        ended.set()
        taken = [job.get(240) for job in swept]

    record_property("versions made", sum(made))
    record_property("files collected meanwhile", sum(taken))
    assert min(made) >= MADE
    assert min(taken) >= TAKEN
    for where in (address, other):
        workspace = connect(where)
        assert list(verify(workspace)) == []
        for version in workspace.registry.list_versions("iris"):
            assert load(workspace, version.number).startswith("value ")
        collect(workspace, older_than=0)
        needed = [blob.digest for blob in workspace.registry.needed_blobs()]
        assert [digest for digest, _size in workspace.store.iter_blobs()] == needed
        workspace.close()
