"""Values whose classes a program or a DAG file defines itself: loaded where that file runs, they are of its classes."""

from __future__ import annotations

import fnmatch
import importlib.util
import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from functools import cached_property, lru_cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from sklearn.preprocessing import FunctionTransformer

from airflow_model_provider.exceptions import WrongType
from airflow_model_provider.typecheck import check_value

SOURCE = """
import dataclasses, enum, functools, typing
import attrs, pydantic

class Verdict(enum.Enum):
    BETTER = "better"
    WORSE = "worse"

class Level(enum.IntFlag):
    LOW = 1
    HIGH = 2

@dataclasses.dataclass(frozen=True)
class Report:
    accuracy: float

Made = dataclasses.make_dataclass("Made", [("accuracy", float)])

class Shard(typing.NamedTuple):
    country: str

class Settings(pydantic.BaseModel):
    depth: int

@attrs.frozen
class Bounds:
    low: float

class Outer:
    class Inner:
        def __eq__(self, other):
            return isinstance(other, Outer.Inner)
        def __hash__(self):
            return 1

class Model:
    factor = 2
    @functools.cached_property
    def size(self):
        return 3
    def predict(self, rows):
        return [Verdict.BETTER if row > self.factor else Verdict.WORSE for row in rows]

class Derived(Model):
    pass

def make_values():
    return {
        "enum": Verdict.BETTER,
        "flag": Level.LOW | Level.HIGH,
        "dataclass": Report(0.9),
        "made": Made(0.9),
        "tuple": Shard("at"),
        "pydantic": Settings(depth=3),
        "attrs": Bounds(0.5),
        "nested": Outer.Inner(),
        "container": {Verdict.WORSE: [Report(0.1)]},
        "class": Report,
    }
"""
Load = Callable[..., ModuleType]


@pytest.fixture
def dag_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """Load a DAG file as Airflow does in a task's process: under a name of its own, its bundle's folder in the path."""
    loaded: list[str] = []

    def load(
        bundle: str, file: str = "team/train.py", source: str = SOURCE, *, beside: bool = False
    ) -> ModuleType:
        while loaded and not beside:
            del sys.modules[loaded.pop()]
        path = tmp_path / bundle / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
        monkeypatch.syspath_prepend(str(tmp_path / bundle))
        name = f"unusual_prefix_{bundle}{len(loaded)}_{path.stem}"
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        loaded.append(name)
        spec.loader.exec_module(module)
        return module

    yield load
    for name in loaded:
        del sys.modules[name]


def test_values_are_of_the_classes_of_the_file_that_runs(round_trip, dag_file: Load) -> None:
    """Another process has the file of another bundle version, and equal values of its own classes."""
    loads = {name: round_trip.save(value) for name, value in dag_file("v1").make_values().items()}
    here = dag_file("v2")
    expected = here.make_values()
    found = {name: load(False) for name, load in loads.items()}

    assert found == expected
    assert {name: type(value) for name, value in found.items()} == {
        name: type(value) for name, value in expected.items()
    }
    assert found["enum"] is here.Verdict.BETTER
    assert found["class"] is here.Report
    assert {here.Report(0.9): "found"}[found["dataclass"]] == "found"
    assert found["container"][here.Verdict.WORSE] == [here.Report(0.1)]


def test_a_model_of_the_file_is_of_its_class_and_gives_its_values(round_trip, dag_file: Load) -> None:
    """Also with a cached property, which Python 3.11 locks, and through a base class of the file."""
    load = round_trip.save(dag_file("v1").Derived())
    here = dag_file("v2")
    model = load(False)

    assert isinstance(model, here.Model)
    assert type(model) is here.Derived
    assert model.predict([3]) == [here.Verdict.BETTER]
    assert model.size == 3


@pytest.mark.parametrize(
    "other", [("elsewhere.py", SOURCE), ("other/train.py", SOURCE), ("team/train.py", "")]
)
def test_elsewhere_the_class_comes_along(round_trip, dag_file: Load, other: tuple[str, str]) -> None:
    """Another file, a file of that name in another folder, or the file without the class: the saved class serves."""
    load = round_trip.save(dag_file("v1").Model())
    here = dag_file("v2", *other)
    model = load(False)

    assert [verdict.name for verdict in model.predict([3, 1])] == ["BETTER", "WORSE"]
    assert model.size == 3
    assert not isinstance(model, getattr(here, "Model", ()))


@pytest.mark.parametrize(
    ("name", "edit"),
    [
        ("Report", ("accuracy: float", "accuracy: float\n    recall: float = 0.0")),
        ("Model", ("row > self.factor", "row > self.factor + 1")),
        ("Derived", ("factor = 2", "factor = 7")),
    ],
)
def test_a_class_that_changed_is_the_saved_one_and_it_is_said(
    round_trip, dag_file: Load, caplog: pytest.LogCaptureFixture, name: str, edit: tuple[str, str]
) -> None:
    """New fields, or other code: the value keeps the class that it was made with, and fits the present one's name."""
    made = getattr(dag_file("v1"), name)
    load = round_trip.save(made(0.9) if name == "Report" else made())
    here = dag_file("v2", source=SOURCE.replace(*edit))
    value = load(False)

    assert not isinstance(value, getattr(here, name))
    assert f"Class {name!r} of team/train.py is another one than the value was saved with" in caplog.text
    assert getattr(value, "accuracy", 0.9) == 0.9
    check_value(getattr(here, name), value, step="use", parameter="value", what="it")
    with pytest.raises(WrongType):
        check_value(here.Shard, value, step="use", parameter="value", what="it")


@pytest.mark.parametrize("first", ["one", "other"])
def test_of_files_of_one_name_the_one_in_the_same_folder_counts(
    round_trip, dag_file: Load, first: str
) -> None:
    """Two DAG files of a bundle define a class of one name, and both are loaded."""
    load = round_trip.save(dag_file("v1", "one/train.py").Verdict.BETTER)
    folders = [first, *({"one", "other"} - {first})]
    here = {folder: dag_file("v2", f"{folder}/train.py", beside=folder != first) for folder in folders}

    assert load(False) is here["one"].Verdict.BETTER


def test_functions_of_the_file_use_its_classes(round_trip, dag_file: Load) -> None:
    """A function, a lambda or a closure comes along by value; the classes that it names are those of the file."""
    module = dag_file("v1")
    verdict = module.Verdict.WORSE
    saved = round_trip.save([module.make_values, lambda: verdict, {"kind": module.Report}])
    here = dag_file("v2")
    make_values, give_verdict, kinds = saved(False)

    assert make_values() == here.make_values()
    assert give_verdict() is here.Verdict.WORSE
    assert kinds["kind"] is here.Report


def test_an_enum_that_has_more_members_is_the_same(round_trip, dag_file: Load) -> None:
    """A member that was saved is the member of today."""
    load = round_trip.save(dag_file("v1").Verdict.BETTER)
    here = dag_file("v2", source=SOURCE.replace('WORSE = "worse"', 'WORSE = "worse"\n    EQUAL = "equal"'))

    assert load(False) is here.Verdict.BETTER


@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [
        ("Enum", "LOW = auto()", "NONE = auto()\n    LOW = auto()"),
        ("Flag", "LOW = auto()", "NONE = auto()\n    LOW = auto()"),
        ("StrEnum", "LOW = 'a'", "LOW = 'b'"),
        ("Enum", "LOW = 1", "LOW = 'low'"),
        ("Enum", "LOW = 1", "LOW = 1.0"),
        ("Enum", "LOW = (1, frozenset('ab'))", "LOW = (1, frozenset('bc'))"),
    ],
)
def test_a_member_stays_the_one_that_was_saved(
    round_trip, dag_file: Load, caplog: pytest.LogCaptureFixture, kind: str, before: str, after: str
) -> None:
    """A member in front, or other values: the saved enum is used, also in keys, and it is said."""
    source = (
        "from enum import Enum, Flag, StrEnum, auto\nclass Risk({kind}):\n    {members}\n    HIGH = 'h'\n"
    )
    if "auto" in before:
        source = source.replace("'h'", "auto()")
    risk = dag_file("v1", source=source.format(kind=kind, members=before)).Risk
    load = round_trip.save([risk.LOW, {risk.LOW: 0.1}])
    here = dag_file("v2", source=source.format(kind=kind, members=after))
    found, table = load(False)

    assert (found.name, found.value) == ("LOW", risk.LOW.value)
    assert table == {found: 0.1}
    assert not isinstance(found, here.Risk)
    assert "Class 'Risk' of team/train.py is another one" in caplog.text


@pytest.mark.parametrize(
    "value", ["1", "'a'", "(1, frozenset('abcdef'))", "Point(1)", "partial(print, 1)", "Odd()", "'a' * 999"]
)
def test_a_member_is_the_same_whatever_its_value(round_trip, dag_file: Load, value: str) -> None:
    """Values of the file's own classes, and those of which each process makes another text, are compared too."""
    source = f"""
import dataclasses, enum
from functools import partial
@dataclasses.dataclass(frozen=True)
class Point:
    x: int
class Odd:
    def __repr__(self):
        raise LookupError
    def __eq__(self, other):
        return isinstance(other, Odd)
    def __hash__(self):
        return 1
class Kind(enum.Enum):
    ONE = {value}
"""
    one = dag_file("v1", source=source).Kind
    load = round_trip.save([one])
    here = dag_file("v2", source=source)

    assert load(False) == [here.Kind]


def test_a_changed_comment_changes_no_class(round_trip, dag_file: Load) -> None:
    """What only moves lines is no change."""
    load = round_trip.save(dag_file("v1").Model())
    here = dag_file("v2", source=SOURCE.replace("class Model:", "# moved\n\nclass Model:"))

    assert isinstance(load(False), here.Model)


def test_nothing_is_imported_for_a_class(round_trip, dag_file: Load, tmp_path: Path) -> None:
    """The file stands in the path and is not loaded: it stays so."""
    load = round_trip.save(dag_file("v1").Report(0.5))
    dag_file("v2", "other.py", "")
    (tmp_path / "v2" / "team").mkdir()
    (tmp_path / "v2" / "team" / "train.py").write_text("raise SystemExit")

    assert load(False).accuracy == 0.5


class Slots:
    """Stands among the modules, and is none: it has no names of its own."""

    __slots__ = ()


class Lazy(ModuleType):
    """Loads when it is asked for anything."""

    def __getattribute__(self, name: str) -> Any:
        raise AssertionError(name)


def test_odd_modules_are_passed_over(round_trip, dag_file: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no module, is none any more, or would load something, stays as it is."""
    load = round_trip.save(dag_file("v1").Verdict.BETTER)
    here = dag_file("v2")
    for name, odd in {"odd_none": None, "odd_slots": Slots(), "odd_lazy": Lazy("odd_lazy")}.items():
        monkeypatch.setitem(sys.modules, name, odd)  # type: ignore[arg-type]

    assert load(False) is here.Verdict.BETTER


CACHING = """
import enum, functools, typing
UserId = typing.NewType("UserId", int)
@functools.cache
def fibonacci(number):
    return number if number < 2 else fibonacci(number - 1) + fibonacci(number - 2)
class Tokenizer:
    owner: UserId = UserId(1)
    @functools.lru_cache(maxsize=3, typed=True)
    def tokens(self, text):
        return [fibonacci(len(word)) for word in text.split()]
    @staticmethod
    @functools.cache
    def name():
        return "tokenizer"
"""


def test_functions_with_a_cache_come_along(round_trip, dag_file: Load) -> None:
    """In a class, a global that a method calls, alone, or given to an estimator: with an empty cache."""
    module = dag_file("v1", source=CACHING)
    module.fibonacci(7)
    values = [module.Tokenizer(), module.fibonacci, FunctionTransformer(module.fibonacci)]
    loads = [round_trip.save(value) for value in values]
    dag_file("v2", "other.py", "")
    tokenizer, fibonacci, transformer = (load(False) for load in loads)

    assert (tokenizer.tokens("a of abc"), tokenizer.name()) == ([1, 1, 2], "tokenizer")
    assert type(tokenizer).tokens.cache_parameters() == {"maxsize": 3, "typed": True}
    assert fibonacci.cache_info().currsize == 0
    assert (fibonacci(30), fibonacci.__name__, fibonacci.cache_info().currsize) == (832040, "fibonacci", 31)
    assert fibonacci.cache_parameters() == {"maxsize": None, "typed": False}
    assert transformer.transform(10) == 55
    assert type(tokenizer).__annotations__["owner"].__supertype__ is int


def test_functions_with_a_cache_that_can_be_imported_are_named(round_trip) -> None:
    """They stay the ones of their library; one without a name comes along."""
    nameless = lru_cache(partial(int, base=2))
    compiled, made = round_trip([fnmatch._compile_pattern, nameless])

    assert compiled is fnmatch._compile_pattern
    assert made("101") == 5


def test_large_globals_that_come_along_are_named(
    round_trip, dag_file: Load, caplog: pytest.LogCaptureFixture
) -> None:
    """A class of the file takes the globals with it that its methods use; above a megabyte that is said."""
    source = """
import numpy as np
TABLE = np.zeros(200_000)
class Lookup:
    def predict(self, rows):
        return TABLE[: len(rows)]
"""
    with caplog.at_level(logging.WARNING):
        round_trip(dag_file("v1", source=source).Lookup())

    assert (
        "The global 'TABLE' (1.6 MB) was saved along with the value, because Lookup.predict() uses it"
        in caplog.text
    )


@pytest.mark.parametrize(
    "name",
    ["DataFrame", "Series", "Index", "np.ndarray", "np.float64", "pa.Table", "pa.Array", "broken", "endless"],
)
def test_code_may_name_what_has_a_size(round_trip, dag_file: Load, name: str) -> None:
    """Classes that measure their instances are not measured, and what fails to say its size is no trouble."""
    source = f"""
import numpy as np
import pyarrow as pa
from pandas import DataFrame, Index, Series
class Broken:
    def __getattr__(self, name):
        raise LookupError(name)
class Endless:
    nbytes = float("inf")
broken, endless = Broken(), Endless()
class Scaler:
    def fit(self, rows):
        return {name} is not None
"""
    assert round_trip(dag_file("v1", source=source).Scaler()).fit([]) is True


def test_a_subclass_of_a_frame_is_saved(round_trip, dag_file: Load) -> None:
    """Its constructor names the class, which is no large global."""
    source = """
from pandas import DataFrame
class Sales(DataFrame):
    @property
    def _constructor(self):
        return Sales
"""
    found = round_trip(dag_file("v1", source=source).Sales({"amount": [1, 2]}))

    assert (type(found).__name__, found.amount.tolist()) == ("Sales", [1, 2])


def test_cached_properties_of_local_classes_are_saved(round_trip) -> None:
    """A class that nothing can find comes along as it is."""

    class Local:
        @cached_property
        def size(self) -> int:
            return 4

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = round_trip([Local(), np.int64])[0]

    assert (found.size, vars(found)) == (4, {"size": 4})
