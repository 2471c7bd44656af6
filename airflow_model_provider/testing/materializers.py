"""What this package relies on of a materializer, as tests that whoever writes one can run."""

from __future__ import annotations

import copy
import json
import os
import pickle
import subprocess
import sys
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import pytest

from airflow_model_provider.artifacts.store import ArtifactStore
from airflow_model_provider.materializers import signing, third_parties
from airflow_model_provider.materializers.base import ExactnessLost
from airflow_model_provider.testing import golden

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from airflow_model_provider.artifacts.source import VerifiedSource
    from airflow_model_provider.client import Client
    from airflow_model_provider.materializers.base import Materializer


class Stored(NamedTuple):
    """What a materializer has written, in a store: ``blob`` is the file there."""

    blob: Path
    digest: str
    attributes: Mapping[str, Any]
    source: VerifiedSource


class Shelf:
    """
    A real store, with no registry around it, and a materializer that writes to it and reads from it.

    :param folder: where it is.
    """

    def __init__(self, folder: Path, materializer: type[Materializer]) -> None:
        self.store = ArtifactStore(str(folder / "store"), "contract", cache_dir=folder / "cache")
        self.materializer = materializer

    def save(self, value: Any) -> Stored:
        """Write a value as a registered artifact is written."""
        with self.store.new_file() as path:
            attributes = self.materializer().save(value, path)
            files = [item.name for item in path.parent.iterdir()]
            assert files == [path.name], f"save() must write the file {path.name} and nothing else: {files}"
            source = self._put(path)
        kept = json.loads(json.dumps(attributes, allow_nan=False))
        said = f"save() must return a dict of JSON values: {attributes!r} becomes {kept!r}"
        assert isinstance(kept, dict), said
        assert kept == attributes, said
        assert signing.ATTRIBUTE not in kept, f"the attribute {signing.ATTRIBUTE!r} is the signature's"
        return Stored(Path(self.store.uri(source.digest)), source.digest, kept, source)

    def put(self, data: bytes) -> VerifiedSource:
        """Store other bytes, as if they had been written."""
        with self.store.new_file() as path:
            path.write_bytes(data)
            return self._put(path)

    def _put(self, path: Path) -> VerifiedSource:
        digest, size = self.store.digest(path)
        self.store.put(path, digest)
        return self.store.source(digest, size, what="the example")

    def load(self, stored: Stored, *, mmap: bool = False) -> Any:
        """Read what was written, verified."""
        return self.materializer().load(stored.source, stored.attributes, mmap=mmap)


class MaterializerContract:
    """
    What this package relies on of a materializer, as tests: derive a test class and say what it is of.

    >>> class TestBooster(MaterializerContract):  # doctest: +SKIP
    ...     materializer = BoosterMaterializer
    ...     examples = {"three-trees": trained(trees=3), "untrained": Booster()}
    ...     golden = Path(__file__).with_name("golden")

    The folder ``golden`` keeps files that releases have written, for good. What it lacks of the examples is written by
    ``python -m airflow_model_provider.testing.golden my_package.tests.test_booster:TestBooster``.
    A check that can't hold is left out by its name: ``test_... = None``.
    """

    #: What is tested; it is made without arguments.
    materializer: ClassVar[type[Materializer]]
    #: Values that it holds, by names that a file can have: also empty ones, large ones, odd ones.
    examples: ClassVar[Mapping[str, Any]]
    #: Where files of earlier releases are kept.
    golden: ClassVar[Path]
    #: Values of its type that it would change: saving them raises ``ExactnessLost``.
    refused: ClassVar[Mapping[str, Any]] = {}
    #: Whether equal bytes come of one value saved twice, so that they are stored once.
    deterministic: ClassVar[bool] = True
    #: What ``save_artifact(format=)`` is told; None where the value's type is enough.
    format: ClassVar[str | None] = None

    def same(self, found: Any, expected: Any) -> bool:
        """Return whether a loaded value equals what was saved; to be overridden where ``==`` doesn't tell."""
        return bool(found == expected)

    def is_writable(self, value: Any) -> bool:
        """Return whether a loaded value can be changed in place; to be overridden where its flags don't tell."""
        return not hasattr(value, "__setitem__") or getattr(getattr(value, "flags", None), "writeable", True)

    # --- the tests ---------------------------------------------------------------------------------------

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run what takes an example once for each."""
        if "example" in metafunc.fixturenames:
            metafunc.parametrize("example", list(self.examples.values()), ids=list(self.examples))

    @pytest.fixture
    def shelf(self, tmp_path: Path) -> Shelf:
        """Where examples are saved."""
        return Shelf(tmp_path, self.materializer)

    def test_it_names_its_format(self) -> None:
        """A stable key, a version from 1, whether it executes code; old versions are read by classes that say so."""
        problem = third_parties.problem(self.materializer)
        assert problem is None, problem
        assert self.examples, "nothing is tested without an example"
        for version, older in self.materializer.older.items():
            said = f"older[{version}] is {older!r}"
            assert third_parties.problem(older) is None, said
            assert (older.key, older.format_version) == (self.materializer.key, version), said
            assert version < self.materializer.format_version, said

    def test_other_processes_find_the_class(self) -> None:
        """It stands at the top of a module that they can import."""
        assert pickle.loads(pickle.dumps(self.materializer)) is self.materializer  # noqa: S301 - its own name

    def test_finding_it_imports_no_library(self) -> None:
        """Its module is imported to find formats of other packages too: what it needs, it imports when it is used."""
        module = self.materializer.__module__
        roots = {type(value).__module__.partition(".")[0] for value in self.examples.values()}
        heavy = sorted(roots - {module.partition(".")[0], "__main__"} - sys.stdlib_module_names)
        code = f"import sys, {module}; print([name for name in {heavy} if name in sys.modules])"
        found = subprocess.run(  # noqa: S603 - this interpreter
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert found.stdout.strip() == "[]", f"{module} imports too much: {found.stdout}{found.stderr}"

    @pytest.mark.parametrize("mmap", [False, True], ids=["copied", "mapped"])
    def test_an_example_comes_back(self, shelf: Shelf, example: Any, mmap: bool) -> None:
        """Equal and of the same type; mapped, it may be a read-only kind of it."""
        found = shelf.load(shelf.save(example), mmap=mmap)
        assert isinstance(found, type(example)), f"{type(found)} came back for {type(example)}"
        assert mmap or type(found) is type(example), f"{type(found)} came back for {type(example)}"
        assert self.same(found, example), f"{found!r} came back for {example!r}"
        assert mmap or self.is_writable(found), "what is not mapped can be changed"

    def test_saving_leaves_an_example_as_it_is(self, shelf: Shelf, example: Any) -> None:
        """Saved, it still equals a copy that was made before; saved again, it gives the same bytes."""
        before = copy.deepcopy(example)
        saved = shelf.save(example)
        assert self.same(example, before), f"{before!r} became {example!r}"
        if self.deterministic:
            again = shelf.save(example)
            assert again[1:3] == saved[1:3], "other bytes or attributes: declare deterministic = False"

    def test_a_loaded_example_needs_its_file_no_more(self, shelf: Shelf, example: Any) -> None:
        """Loading leaves the file as it is; what was loaded stays what it is when the file changes."""
        stored = shelf.save(example)
        before = stored.blob.read_bytes()
        found = shelf.load(stored)
        assert stored.blob.read_bytes() == before, "load() has changed the file"
        _overwrite(stored.blob, bytes(len(before)))
        assert self.same(found, example), (
            "what was loaded changed with the file: load() keeps it open or mapped"
        )

    def test_a_damaged_file_is_an_error(self, shelf: Shelf, example: Any) -> None:
        """Whatever was changed, never a value; and of code nothing is looked at before the digest was."""
        stored = shelf.save(example)
        good = stored.blob.read_bytes()
        for damage, data in _damaged(good).items():
            _overwrite(stored.blob, data)
            with _unpickling() as names:
                assert _fails(lambda: shelf.load(stored)), f"a file with {damage} was loaded"
                assert _fails(lambda: shelf.load(stored, mmap=True)), f"a file with {damage} was mapped"
            assert names == [], f"a file with {damage} was unpickled before it was verified: {names}"

    def test_what_executes_code_says_so(self, shelf: Shelf, example: Any) -> None:
        """Formats that don't say so unpickle nothing; those that do take their bytes from ``source.read()``."""
        stored = shelf.save(example)
        if self.materializer.executes_code:
            stored.source.path = _refuse_path  # type: ignore[method-assign]
            shelf.load(stored)
            return
        with _unpickling() as names:
            shelf.load(stored)
            _fails(lambda: shelf.load(stored._replace(source=shelf.put(pickle.dumps(OSError)))))
        assert names == [], f"executes_code is False, and it unpickles {names}"

    def test_a_value_that_it_would_change_is_refused(self, shelf: Shelf) -> None:
        """Never stored as something else: ``ExactnessLost`` sends it to another format."""
        for name, value in self.refused.items():
            with shelf.store.new_file() as path, pytest.raises(ExactnessLost):
                pytest.fail(f"{name} was saved: {self.materializer().save(value, path)}")

    def test_it_works_in_a_registry(self, model_registry: Client) -> None:
        """Values are saved with it for their types, and loaded again."""
        with model_registry.new_model_version("contract") as version:
            for name, value in self.examples.items():
                saved = version.save_artifact(name, value, format=self.format)
                used = saved.record.payload.materializer
                advice = f"Is its type an entry point in {third_parties.GROUP}, by its full name?"
                assert used == self.materializer.key, f"{name} was saved as {used}. {advice}"
                assert self.same(version.load_artifact(name), value), f"{name} came back as another value"

    def test_every_format_version_has_a_file(self) -> None:
        """None was raised without keeping what the release before wrote, and no file is lost."""
        problem = golden.problem(self.golden, self.materializer)
        assert problem is None, problem

    def test_files_of_earlier_releases_load(self, model_registry: Client) -> None:
        """Each gives the example of its name."""
        for item in golden.kept(self.golden, self.materializer.key):
            found = golden.load(self.golden, item, model_registry)
            assert self.same(found, self.examples[item.example]), f"{item.file} is read as {found!r}"

    def test_a_format_stays_while_its_version_does(self, shelf: Shelf) -> None:
        """Attributes that a load needs are those that the release wrote which had this version first."""
        for item in golden.kept(self.golden, self.materializer.key):
            if item.payload.format_version == self.materializer.format_version:
                now, then = shelf.save(self.examples[item.example]).attributes, item.payload.attributes
                assert now == then, f"{item.file} had {then} and now it is {now}: raise format_version"


def _overwrite(file: Path, data: bytes) -> None:
    """In place: who has it open or mapped sees it."""
    file.chmod(0o600)
    with file.open("r+b") as opened:
        opened.write(data)
        opened.truncate(len(data))


def _damaged(good: bytes) -> dict[str, bytes]:
    changed = {
        f"byte {at} changed": bytes((*good[:at], good[at] ^ 1, *good[at + 1 :]))
        for at in sorted({0, len(good) // 2, len(good) - 1})
        if good
    }
    cut = {"its second half cut off": good[: len(good) // 2]} if good else {}
    return {**changed, **cut, "a byte added": good + b"\0"}


def _refuse_path() -> Path:
    pytest.fail("code must be loaded from source.read(): a path may lead to other bytes by then")


def _fails(load: Callable[[], Any]) -> bool:
    try:
        load()
    except Exception:  # whatever it is: a load through a registry makes a LoadFailed of it
        return True
    return False


_unpickled: list[str] = []


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "pickle.find_class":
        _unpickled.append(".".join(map(str, arguments)))


@cache
def _listen() -> None:
    sys.addaudithook(_note)  # for good: Python takes none back


@contextmanager
def _unpickling() -> Iterator[list[str]]:
    """Give the list of what is looked up by unpickling meanwhile."""
    _listen()
    _unpickled.clear()
    yield _unpickled
