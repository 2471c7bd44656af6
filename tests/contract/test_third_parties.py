"""Materializers of other packages: found by entry points, for their types only, and never in each other's way (R20)."""

from __future__ import annotations

import importlib
import os
import pickle
import shutil
import subprocess
import sys
import tomllib
from fractions import Fraction
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from airflow_model_provider import Client
from airflow_model_provider.exceptions import MaterializerUnusable, UnknownFormat
from airflow_model_provider.materializers import lookup
from airflow_model_provider.materializers.third_parties import GROUP
from tests.support.packages import install

EXAMPLE = Path(__file__).with_name("third_party")
ROOT = Path(__file__).parents[2]
TYPES = "class {0}:\n    def __init__(self, text): self.text = text\nclass More({0}): pass\n"
FORMAT = """
from airflow_model_provider.materializers.base import Materializer
class {name}(Materializer):
    key = {key!r}
    {more}
    def save(self, value, path):
        path.write_text(value.text)
        return {{"type": [type(value).__module__, type(value).__name__]}}
    def load(self, source, attributes, *, mmap=False):
        import importlib
        module, name = attributes["type"]
        return getattr(importlib.import_module(module), name)(source.read().decode())
"""


def a_format(name: str, key: str, more: str = "") -> str:
    """The code of a module with a materializer."""
    return FORMAT.format(name=name, key=key, more=more)


def made(module: str, name: str, text: str = "text") -> Any:
    """A value of another package's type."""
    return getattr(importlib.import_module(module), name)(text)


def format_of(client: Client, value: Any) -> str:
    """The format that a value is saved in."""
    return client.create_model_version("m").save_artifact("value", value).record.payload.materializer


def test_a_package_passes_the_contract_where_it_is_installed(tmp_path: Path) -> None:
    """The documentation's example: its own tests, run as its authors run them, find its entry point and pass."""
    package = shutil.copytree(EXAMPLE, tmp_path / "package")
    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    modules = {path.stem: path.read_text() for path in package.glob("*.py")}
    install(tmp_path / "site", project["name"], project["entry-points"][GROUP], **modules)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--assert=plain", "-p", "no:cacheprovider", "tests"],
        cwd=package,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path / "site"), *sys.path])},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


def test_a_type_and_its_format_are_found(installed, model_registry: Client) -> None:
    """Saved by its type, loaded by its key; a subclass is more than its type, unless the materializer holds both."""
    points = {"theirs.Plain": "theirs_formats:One", "theirs.Wide": "theirs_formats:Two"}
    wide = TYPES.format("Plain") + TYPES.format("Wide").replace("More", "Wider")
    formats = a_format("One", "theirs.one") + a_format("Two", "theirs.two", "subclasses = True")
    installed("theirs", points, theirs=wide, theirs_formats=formats)
    expected = {"Plain": "theirs.one", "More": "cloudpickle", "Wide": "theirs.two", "Wider": "theirs.two"}
    for name, key in expected.items():
        version = model_registry.create_model_version("m")
        saved = version.save_artifact("value", made("theirs", name, "größe"))
        found = saved.load()

        assert (saved.record.payload.materializer, type(found).__name__, found.text) == (key, name, "größe")


def test_nothing_of_a_package_is_imported_for_other_values(installed, model_registry: Client) -> None:
    """JSON, frames, pickles of anything: its module stays where it is until its type comes."""
    installed("theirs", {"theirs.Plain": "theirs_formats:One"}, theirs_formats=a_format("One", "theirs.one"))
    for value in ({"a": 1}, pd.DataFrame({"a": [1]}), Fraction(1, 3)):
        format_of(model_registry, value)

    assert "theirs_formats" not in sys.modules


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import no_such_library", "ModuleNotFoundError: No module named 'no_such_library'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("class Theirs: pass", "is no class derived from Materializer"),
        (a_format("Theirs", "Has Spaces"), "its key is 'Has Spaces'"),
        (a_format("Theirs", "theirs", "format_version = 0"), "its format_version is 0"),
        (a_format("Theirs", "theirs", "executes_code = None"), "its executes_code is None"),
    ],
)
def test_a_broken_package_is_named_where_its_type_is_used(
    installed, model_registry: Client, code: str, said: str
) -> None:
    """Saving what others hold goes on; its own type, and formats that it may have, are errors that name it."""
    installed(
        "broken", {"broken_types.Plain": "broken:Theirs"}, broken=code, broken_types=TYPES.format("Plain")
    )
    installed(
        "good",
        {"good_types.Fine": "good:One"},
        good=a_format("One", "good.one"),
        good_types=TYPES.format("Fine"),
    )

    assert format_of(model_registry, made("good_types", "Fine")) == "good.one"
    assert format_of(model_registry, Fraction(1, 3)) == "cloudpickle"
    with pytest.raises(MaterializerUnusable) as caught:
        format_of(model_registry, made("broken_types", "Plain"))
    with pytest.raises(UnknownFormat, match=r"broken 1\.0 \(broken:Theirs\)"):
        lookup.for_key("theirs.unknown")
    for word in ("'broken_types.Plain'", "broken 1.0 (broken:Theirs)", said, "Upgrade or uninstall"):
        assert word in str(caught.value)


def test_two_packages_for_one_type_are_both_named(installed, model_registry: Client) -> None:
    """Neither is taken: which one it would be depended on the order of folders."""
    installed(
        "first",
        {"shared_types.Plain": "first:One"},
        first=a_format("One", "one"),
        shared_types=TYPES.format("Plain"),
    )
    installed("second", {"shared_types.Plain": "second:Two"}, second=a_format("Two", "two"))
    with pytest.raises(MaterializerUnusable) as caught:
        format_of(model_registry, made("shared_types", "Plain"))

    for word in ("first 1.0 (first:One)", "second 1.0 (second:Two)", "Uninstall all but one"):
        assert word in str(caught.value)


def test_two_packages_for_one_format_are_both_named(installed, model_registry: Client) -> None:
    """Nothing is saved that could be read as something else; what was saved before says why it is not loaded."""
    installed(
        "first",
        {"their_types.Plain": "first:One"},
        first=a_format("One", "same"),
        their_types=TYPES.format("Plain"),
    )
    saved = model_registry.create_model_version("m").save_artifact("value", made("their_types", "Plain"))
    installed("second", {"their_types.More": "second:Two"}, second=a_format("Two", "same"))
    for use in (saved.load, lambda: format_of(model_registry, made("their_types", "Plain"))):
        with pytest.raises(
            MaterializerUnusable, match=r"format 'same'.*(first|second) 1\.0.*(first|second) 1\.0"
        ):
            use()


def test_a_format_of_ours_is_not_taken_over(installed, model_registry: Client) -> None:
    """A package that calls its format as a built-in one is refused on saving; the built-in one goes on."""
    before = model_registry.create_model_version("m").save_artifact("value", {"a": 1})
    installed(
        "thief",
        {"thief_types.Plain": "thief:Json"},
        thief=a_format("Json", "json"),
        thief_types=TYPES.format("Plain"),
    )
    with pytest.raises(MaterializerUnusable, match=r"'json' is that of a built-in format.*thief 1\.0"):
        format_of(model_registry, made("thief_types", "Plain"))

    assert before.load() == {"a": 1}


def test_a_type_of_ours_is_not_taken_over(installed, model_registry: Client) -> None:
    """What we hold ourselves we go on to hold; for a type of its own a package may choose a built-in format."""
    ours = "airflow_model_provider.materializers.pickles:JoblibMaterializer"
    installed(
        "thief",
        {"builtins.dict": "thief:One", "thief_types.Plain": ours},
        thief=a_format("One", "one"),
        thief_types=TYPES.format("Plain"),
    )

    assert format_of(model_registry, {"a": 1}) == "json"
    assert format_of(model_registry, made("thief_types", "Plain")) == "joblib"


def test_a_package_that_is_found_twice_is_one(installed, model_registry: Client) -> None:
    """Its folder stands on the path twice, as with an editable install beside another one."""
    for name in ("once", "again"):
        installed(
            name,
            {"once_types.Plain": "once:One"},
            once=a_format("One", "one"),
            once_types=TYPES.format("Plain"),
        )

    assert format_of(model_registry, made("once_types", "Plain")) == "one"


def test_the_error_survives_pickling() -> None:
    """A worker process reports it as it is."""
    error = MaterializerUnusable("type 'a.B'", ("x 1.0 (x:Y)",), "ImportError: no")

    assert str(pickle.loads(pickle.dumps(error))) == str(error)
