"""The contract finds what it is for: each materializer here breaks one promise, and the test of that promise fails."""

from __future__ import annotations

import inspect
import os
import pickle
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from airflow_model_provider import Client
from airflow_model_provider.materializers.base import Materializer, Source
from airflow_model_provider.materializers.numpy import ArrayMaterializer
from airflow_model_provider.materializers.third_parties import GROUP
from airflow_model_provider.testing import MaterializerContract, golden
from airflow_model_provider.testing.materializers import Shelf


class Note:
    """A value of another package."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Note) and self.text == other.text

    __hash__ = None  # type: ignore[assignment]


class More(Note):
    """A value that is more than a note."""


class Good(Materializer):
    """A materializer that keeps all promises."""

    key = "contract.note"

    def save(self, value: Note, path: Path) -> Mapping[str, Any]:
        path.write_text(value.text)
        return {}

    def load(self, source: Source, attributes: Mapping[str, Any], *, mmap: bool = False) -> Any:
        return Note(source.read().decode())


class NoKey(Good):
    key = "Contract Note"


class NoVersion(Good):
    format_version = True


class WrongOlder(Good):
    format_version = 2
    older: ClassVar = {1: NoKey}


class NewerOlder(Good):
    older: ClassVar = {1: Good}


class SecondFile(Good):
    def save(self, value: Note, path: Path) -> Mapping[str, Any]:
        path.with_suffix(".idx").write_text("")
        return super().save(value, path)


class NoJson(Good):
    def save(self, value: Note, path: Path) -> Mapping[str, Any]:
        return {**super().save(value, path), "shape": (1, 2)}


class NoAttributes(Good):
    def save(self, value: Note, path: Path) -> Any:
        super().save(value, path)


class Signed(Good):
    def save(self, value: Note, path: Path) -> Mapping[str, Any]:
        return {**super().save(value, path), "hmac": "0"}


class OtherType(Good):
    def load(self, source: Source, attributes: Mapping[str, Any], *, mmap: bool = False) -> Any:
        return More(source.read().decode())


class OtherValue(Good):
    def load(self, source: Source, attributes: Mapping[str, Any], *, mmap: bool = False) -> Any:
        return Note(source.read().decode().strip())


class Stamps(Good):
    def save(self, value: Note, path: Path) -> Mapping[str, Any]:
        value.text += "!"
        return super().save(value, path)


class Random(Good):
    def save(self, value: Note, path: Path) -> Mapping[str, Any]:
        path.write_bytes(value.text.encode() + os.urandom(8))
        return {}

    def load(self, source: Source, attributes: Mapping[str, Any], *, mmap: bool = False) -> Any:
        return Note(source.read()[:-8].decode())


class Writes(Good):
    def load(self, source: Source, attributes: Mapping[str, Any], *, mmap: bool = False) -> Any:
        found, path = super().load(source, attributes), source.path()
        path.chmod(0o600)
        path.write_text("read")
        return found


class Mapped(ArrayMaterializer):
    def load(self, source: Source, attributes: Mapping[str, Any], *, mmap: bool = False) -> Any:
        return np.load(source.path(), mmap_mode="r").view(np.ndarray)


class Forgives(Good):
    def load(self, source: Source, attributes: Mapping[str, Any], *, mmap: bool = False) -> Any:
        try:
            return super().load(source, attributes)
        except Exception:
            return Note("")


class Pickles(Good):
    def save(self, value: Note, path: Path) -> Mapping[str, Any]:
        path.write_bytes(pickle.dumps(value))
        return {}

    def load(self, source: Source, attributes: Mapping[str, Any], *, mmap: bool = False) -> Any:
        return pickle.loads(source.read())


class PicklesAnything(Good):
    """Its examples are plain text, in which nothing is looked up; what somebody puts in their place is not."""

    def save(self, value: Note, path: Path) -> Mapping[str, Any]:
        path.write_bytes(pickle.dumps(value.text))
        return {}

    def load(self, source: Source, attributes: Mapping[str, Any], *, mmap: bool = False) -> Any:
        return Note(pickle.loads(source.read()))


class PicklesEarly(Pickles):
    executes_code = True

    def load(self, source: Source, attributes: Mapping[str, Any], *, mmap: bool = False) -> Any:
        with source.open() as reader:
            return pickle.load(reader)


class PicklesByPath(Pickles):
    executes_code = True

    def load(self, source: Source, attributes: Mapping[str, Any], *, mmap: bool = False) -> Any:
        return pickle.loads(source.path().read_bytes())


def contract(materializer: type[Materializer], folder: Path, **more: Any) -> MaterializerContract:
    """A contract's test class of a materializer, made."""
    value = np.arange(3) if issubclass(materializer, ArrayMaterializer) else Note(" text ")
    said = {"materializer": materializer, "examples": {"note": value}, "golden": folder / "golden", **more}
    if issubclass(materializer, ArrayMaterializer):
        said["same"] = lambda _, found, expected: bool((found == expected).all())
    return type("TestNote", (MaterializerContract,), said)()


def check(tested: MaterializerContract, name: str, folder: Path, registry: Client | None = None) -> None:
    """Run one of a contract's tests as pytest does."""
    test, shelf = getattr(tested, name), Shelf(folder, tested.materializer)
    known = {"shelf": shelf, "example": tested.examples["note"], "mmap": False, "model_registry": registry}
    test(**{argument: known[argument] for argument in inspect.signature(test).parameters})


BREAKS: list[tuple[type[Materializer], str, str]] = [
    (NoKey, "test_it_names_its_format", "its key is 'Contract Note'"),
    (NoVersion, "test_it_names_its_format", "its format_version is True"),
    (WrongOlder, "test_it_names_its_format", r"older\[1\]"),
    (NewerOlder, "test_it_names_its_format", r"older\[1\]"),
    (SecondFile, "test_an_example_comes_back", "and nothing else"),
    (NoJson, "test_an_example_comes_back", "must return a dict of JSON values"),
    (NoAttributes, "test_an_example_comes_back", "must return a dict of JSON values"),
    (Signed, "test_an_example_comes_back", "'hmac' is the signature's"),
    (OtherType, "test_an_example_comes_back", "came back for"),
    (OtherValue, "test_an_example_comes_back", "came back for"),
    (Mapped, "test_an_example_comes_back", "can be changed"),
    (Stamps, "test_saving_leaves_an_example_as_it_is", "became"),
    (Random, "test_saving_leaves_an_example_as_it_is", "deterministic = False"),
    (Writes, "test_a_loaded_example_needs_its_file_no_more", "has changed the file"),
    (Mapped, "test_a_loaded_example_needs_its_file_no_more", "keeps it open or mapped"),
    (Forgives, "test_a_damaged_file_is_an_error", "was loaded"),
    (PicklesEarly, "test_a_damaged_file_is_an_error", "unpickled before it was verified"),
    (Pickles, "test_what_executes_code_says_so", "executes_code is False"),
    (PicklesAnything, "test_what_executes_code_says_so", "executes_code is False"),
]


@pytest.mark.parametrize(("materializer", "test", "said"), BREAKS)
def test_a_broken_promise_fails_its_test(
    tmp_path: Path, materializer: type[Materializer], test: str, said: str
) -> None:
    """Each by the test of that promise, which says what is wrong."""
    with pytest.raises(AssertionError, match=said):
        check(contract(materializer, tmp_path), test, tmp_path)


def test_code_from_a_path_is_refused(tmp_path: Path) -> None:
    """What is verified by its path and then read may have been changed in between."""
    with pytest.raises(pytest.fail.Exception, match=r"from source\.read\(\)"):
        check(contract(PicklesByPath, tmp_path), "test_what_executes_code_says_so", tmp_path)


def test_a_class_that_no_other_process_finds_fails(tmp_path: Path) -> None:
    """It was made inside of a function."""
    with pytest.raises((pickle.PicklingError, AttributeError), match="Local"):
        check(contract(type("Local", (Good,), {}), tmp_path), "test_other_processes_find_the_class", tmp_path)


def test_a_value_that_should_be_refused_fails(tmp_path: Path) -> None:
    """It was saved, and would come back as another one."""
    tested = contract(Good, tmp_path, refused={"more": More("x")})
    with pytest.raises(pytest.fail.Exception, match="more was saved"):
        check(tested, "test_a_value_that_it_would_change_is_refused", tmp_path)


def test_a_module_that_imports_its_library_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All programs that look for a format of another package would import it."""
    (tmp_path / "heavy_format.py").write_text(
        f"import numpy\nfrom {Materializer.__module__} import Materializer\n"
        "class Heavy(Materializer):\n    key = 'heavy'\n    save = load = None\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import heavy_format

    tested = contract(heavy_format.Heavy, tmp_path, examples={"note": np.arange(3)})
    with pytest.raises(AssertionError, match=r"heavy_format imports too much: \['numpy'\]"):
        check(tested, "test_finding_it_imports_no_library", tmp_path)


def test_a_type_without_an_entry_point_fails(tmp_path: Path, model_registry: Client) -> None:
    """It is saved as a pickle, and the message says what is missing."""
    with pytest.raises(AssertionError, match=f"saved as cloudpickle.*entry point in {GROUP}"):
        check(contract(Good, tmp_path), "test_it_works_in_a_registry", tmp_path, model_registry)


class Array2(ArrayMaterializer):
    format_version = 2


class ArrayChanged(ArrayMaterializer):
    def save(self, value: Any, path: Path) -> Mapping[str, Any]:
        return {**super().save(value, path), "order": "C"}


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A folder with the file of a release, and the same test class of a later one looking at it."""
    golden.write(type(contract(ArrayMaterializer, tmp_path)))
    return tmp_path


def test_what_a_release_wrote_is_kept_once(kept: Path, model_registry: Client) -> None:
    """Written again nothing changes; a later release loads it."""
    before = {path.name: path.read_bytes() for path in (kept / "golden").iterdir()}
    tested = contract(ArrayMaterializer, kept)

    assert golden.write(type(tested)) == []
    assert {path.name: path.read_bytes() for path in (kept / "golden").iterdir()} == before
    assert sorted(before) == ["numpy.npy-v1-note", golden.PAYLOADS]
    for name in (
        "test_every_format_version_has_a_file",
        "test_files_of_earlier_releases_load",
        "test_a_format_stays_while_its_version_does",
    ):
        check(tested, name, kept, model_registry)


def test_a_version_raised_without_a_file_fails(kept: Path) -> None:
    """The message has the command that writes one."""
    with pytest.raises(
        AssertionError, match=r"numpy\.npy version 2.*python -m airflow_model_provider\.testing\.golden"
    ):
        check(contract(Array2, kept), "test_every_format_version_has_a_file", kept)


def test_a_format_that_changed_under_its_version_fails(kept: Path) -> None:
    """A release that is out would not read what this one writes."""
    with pytest.raises(AssertionError, match="raise format_version"):
        check(contract(ArrayChanged, kept), "test_a_format_stays_while_its_version_does", kept)


def test_a_file_that_was_removed_or_added_by_hand_fails(kept: Path) -> None:
    """The list of files only grows, with them."""
    file = kept / "golden" / "numpy.npy-v1-note"
    shutil.copyfile(file, file.with_name("numpy.npy-v1-other"))
    with pytest.raises(AssertionError, match=r"not in payloads\.json \{'numpy\.npy-v1-other'\}"):
        check(contract(ArrayMaterializer, kept), "test_every_format_version_has_a_file", kept)
    file.rename(file.with_name("numpy.npy-v1-other"))

    with pytest.raises(AssertionError, match=r"lost \{'numpy\.npy-v1-note'\}"):
        check(contract(ArrayMaterializer, kept), "test_every_format_version_has_a_file", kept)


def test_a_file_that_was_changed_fails(kept: Path, model_registry: Client) -> None:
    """Its digest is that of what the release wrote."""
    file = kept / "golden" / "numpy.npy-v1-note"
    file.write_bytes(file.read_bytes()[:-1] + b"\1")
    with pytest.raises(Exception, match="were changed"):
        check(contract(ArrayMaterializer, kept), "test_files_of_earlier_releases_load", kept, model_registry)


def test_a_file_that_is_read_as_another_value_fails(kept: Path, model_registry: Client) -> None:
    """The example of its name is what it held."""
    tested = contract(ArrayMaterializer, kept, examples={"note": np.arange(3) + 1})
    with pytest.raises(AssertionError, match=r"numpy\.npy-v1-note is read as"):
        check(tested, "test_files_of_earlier_releases_load", kept, model_registry)
