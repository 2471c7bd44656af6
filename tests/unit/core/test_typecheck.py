"""An artifact that does not fit its parameter's annotation is refused before the step's code runs."""

from __future__ import annotations

import collections.abc as c
import enum
import io
import subprocess
import sys
import typing
from abc import ABCMeta
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, Generic, Literal, NewType, Protocol, TypedDict, TypeVar, Union

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from airflow_model_provider.exceptions import WrongType
from airflow_model_provider.handles import Artifact
from airflow_model_provider.materializers.lookup import type_names
from airflow_model_provider.typecheck import check_recorded, check_value

WHERE = {"step": "predict", "parameter": "model", "what": "iris_classifier@2/trained_model"}
T = TypeVar("T")
Number = TypeVar("Number", int, str)
Estimator = TypeVar("Estimator", bound=BaseEstimator)
Anything = tuple[Any, ...]
UserId = NewType("UserId", int)
Whim = type("Whim", (ABCMeta,), {"__instancecheck__": lambda _, value: {6: False, 7: True}[value]})
Seven = Whim("Seven", (), {"__module__": __name__})


class Level(enum.IntEnum):
    LOW = 1


@dataclass(frozen=True)
class Point:
    x: int


class Shape(metaclass=ABCMeta):  # noqa: B024
    """Point is one by registration."""


Shape.register(Point)


@typing.runtime_checkable
class Predicts(Protocol):
    def predict(self, data: Any) -> Any: ...


class Fitted(Protocol):
    classes_: Any

    def fit(self, features: Any, targets: Any) -> Any: ...


class Metrics(TypedDict):
    accuracy: float


class DataFrame(Generic[T]):
    """As pandera's: no value is one, it stands for type checkers."""


def copy_of_net(module: str) -> type:
    """A class of a program or DAG file; every process has another copy of it."""
    return type("Net", (), {"__module__": module})


def handle(*names: str) -> Artifact[Any]:
    """An unloaded artifact with this record."""
    return Artifact(SimpleNamespace(), SimpleNamespace(payload=SimpleNamespace(type_names=names)))


HERE, HANDLE = __name__, "airflow_model_provider.handles.Artifact"
FRAME = f"{pd.DataFrame.__module__}.DataFrame"
REGRESSION = "sklearn.linear_model._logistic.LogisticRegression"
CLASSIFIER = LogisticRegression().fit([[0], [1]], [0, 1])
DAG_FILE = "unusual_prefix_0123_train"
Proxy = type("Proxy", (), {"__class__": property(lambda self: Point)})
Stub = type("Stub", (Any,), {})
FITS = [
    (CLASSIFIER, [ClassifierMixin, BaseEstimator, Predicts, Fitted, Estimator]),
    (make_pipeline(LogisticRegression()), [BaseEstimator]),  # which is no ClassifierMixin
    (3, [int, float, complex, UserId, Number, T, object, Any, Annotated[int, "n"], Literal["a", 3]]),
    (None, [None, int | None, list[int] | None, Any]),
    ("text", ["Missing", list["Missing"] | str, any, (int, str)]),  # noqa: F821
    ([1, 2], [list, list[int], list[float], c.Sequence[int], list["Missing"]]),  # noqa: F821
    ({"a": [], "b": [1]}, [dict, dict[str, list[int]], dict[str, Any], c.Mapping[str, c.Sequence[int]]]),
    ((1, "a"), [tuple, tuple[int, str], Anything, tuple[*Anything], c.Iterable[int | str]]),
    ((), [tuple, tuple[()], tuple[int, ...], tuple[typing.Unpack[Anything]]]),  # noqa: UP044
    ((1,), [typing.Tuple, typing.Tuple[int]]),  # noqa: UP006
    (io.BytesIO(), [typing.IO, typing.IO[bytes], typing.BinaryIO, io.BytesIO, io.IOBase]),
    *((io.StringIO(), [typing.TextIO, typing.IO[str] | None]), (np.bool_(True), [Literal[True]])),
    *((np.int64(1), [Literal[1]]), (Level.LOW, [Literal[1], Literal[Level.LOW]])),
    (Point(1), [Point, Shape, list[int] | Shape]),
    (np.zeros(3), [np.ndarray, NDArray[np.float64], NDArray[Any], ArrayLike]),
    (np.zeros(3, "int8"), [NDArray[np.int8], NDArray[np.integer], NDArray[np.int8 | np.str_], NDArray[T]]),
    (np.float32(1), [float, complex, np.floating, float | None]),
    *(([np.int64(1)], [list[int], list[float]]), (Stub(), [Point, Metrics]), (list[int], [type[list]])),
    (copy_of_net("__main__")(), [copy_of_net("__main__"), copy_of_net(DAG_FILE)]),
    *((copy_of_net("lib")(), [copy_of_net("lib")]), (type("Explicit", (Fitted,), {})(), [Fitted])),
    *((len, [c.Callable, c.Callable[[Any], int]]), (np.bool_(True), [bool]), (bytearray(b"a"), [bytes])),
    *((7, [Seven]), (8, [Seven]), (Point, [type, type[Shape]]), (Proxy(), [Point]), (Path(), [Path])),
    *((np.str_("a"), [Literal["a"]]), (iter([1]), [c.Iterator[str]]), (handle(), [Artifact[int]])),
    *((pd.DataFrame(), [pd.DataFrame, DataFrame[int]]), ({"accuracy": 1}, [Metrics, dict[str, float]])),
    (handle(f"{HERE}.Point"), [Artifact, Artifact[Point], Artifact[Any] | None, Artifact[Shape]]),
]
REFUSED = [
    (pd.DataFrame(), ClassifierMixin, "sklearn.base.ClassifierMixin", FRAME),
    (pd.DataFrame(), pl.DataFrame, "polars.dataframe.frame.DataFrame", FRAME),
    (CLASSIFIER, RegressorMixin, "sklearn.base.RegressorMixin", REGRESSION),
    (CLASSIFIER, Shape, f"{HERE}.Shape", REGRESSION),
    (LogisticRegression(), Fitted, f"{HERE}.Fitted", REGRESSION),
    (Point(1), Predicts, f"{HERE}.Predicts", f"{HERE}.Point"),
    (3, Estimator | Artifact, f"sklearn.base.BaseEstimator | {HANDLE}", "int"),
    (np.float32(2), Number, "int | str", "numpy.float32"),
    ("3", Annotated[UserId, "n"], "int", "str"),
    (None, int, "int", "None"),
    ([1, "a"], NDArray[Any] | list[int], None, "list[int | str]"),
    (("a",), c.Sequence[int], "collections.abc.Sequence[int]", "tuple[str]"),
    ({"a": [1]}, dict[str, int], "dict[str, int]", "dict[str, list[int]]"),
    ((1,), tuple[int, str], "tuple[int, str]", "tuple[int]"),
    ((1, "a"), tuple[int, ...], "tuple[int, ...]", "tuple[int, str]"),
    ((1,), tuple[()], "tuple[()]", "tuple[int]"),
    (True, Literal[1], "Literal[1]", "bool True"),
    (np.bool_(True), Literal[1, 2], "Literal[1, 2]", "numpy.bool"),
    (1, Literal[True], "Literal[True]", "1"),
    ("c", Literal["a", "b"] | None, "Literal['a', 'b'] | None", "'c'"),
    ({}, Metrics, f"{HERE}.Metrics", 'dict (dict is missing required key(s): "accuracy")'),
    (np.zeros(2), NDArray[np.int8], None, "numpy.ndarray of dtype float64"),
    (int, type[Shape], None, f"type (class int is not a subclass of {HERE}.Shape)"),
    (3, c.Callable[[], int], "collections.abc.Callable[[], int]", "int (int is not callable)"),
    (6, Seven, f"{HERE}.Seven", "int"),
    (copy_of_net("other")(), copy_of_net("library"), "library.Net", "other.Net"),
    (handle("builtins.str"), Artifact[int], f"{HANDLE}[int]", f"{HANDLE}[str]"),
    ([handle("builtins.str")], list[Artifact[int]], None, f"list[{HANDLE}[str]]"),
]


@pytest.mark.parametrize(("value", "annotation"), [(value, item) for value, items in FITS for item in items])
def test_a_value_that_fits_is_accepted_before_and_after_loading(value: Any, annotation: Any) -> None:
    """Neither check refuses it; of a handle, the record counts."""
    names = value.record.payload.type_names if type(value) is Artifact else type_names(value)

    check_value(annotation, value, **WHERE)
    check_recorded(annotation, names, **WHERE)


@pytest.mark.parametrize(("value", "annotation", "expected", "found"), REFUSED)
def test_a_value_that_does_not_fit_is_refused(value: Any, annotation: Any, expected: Any, found: str) -> None:
    """The error prints both types as one would write them."""
    with pytest.raises(WrongType) as caught:
        check_value(annotation, value, **WHERE)

    assert (expected or caught.value.expected, found) == (caught.value.expected, caught.value.found)


OLD_FRAME = ("pandas.core.frame.DataFrame", "pandas.core.generic.NDFrame")
WRONG = [
    (OLD_FRAME, [ClassifierMixin, ClassifierMixin | None, Estimator, Artifact[ClassifierMixin]]),
    (("pandas.moved.Frame",), [ClassifierMixin, dict[str, int]]),
    (type_names(CLASSIFIER), [RegressorMixin, pd.DataFrame]),
    (("builtins.str",), [float, list[int], Literal[3], Metrics, Artifact[int], Shape, int | None]),
    (("builtins.NoneType",), [int, pd.DataFrame, c.Sized]),
    (("pathlib.PosixPath", "pathlib.PurePath"), [str]),
]
IN_DOUBT = {
    "nothing is recorded": (ClassifierMixin, ()),
    "the class may have moved": (ClassifierMixin, (REGRESSION, "sklearn.old.ClassifierMixin")),
    "and so may the type": (pl.DataFrame, OLD_FRAME),
    "a type that isn't loaded may have other bases now": (ClassifierMixin, ("lib.Forest", "lib.Model")),
    "so may one that travels by value": (ClassifierMixin, (f"{DAG_FILE}.Net", "lib.Model")),
    "a library may give its own types new bases": (pd.DataFrame, ("pandas.later.Table",)),
    "everything is an object": (object, ("pandas.later.Table",)),
    "a type's module may register it when it loads": (Shape, (REGRESSION,)),
    "an object may get members when it is made": (Predicts, ("builtins.dict",)),
    "a metaclass decides": (Seven, ("builtins.str",)),
    "any path comes back as a local one": (Path, ("pathlib.PureWindowsPath", "pathlib.PurePath")),
    "one member is enough": (Artifact[int] | ClassifierMixin, ("builtins.int",)),
    "some extensions call their types builtins": (ClassifierMixin, ("builtins.Tokenizer",)),
}


@pytest.mark.parametrize(("names", "annotation"), [(names, item) for names, items in WRONG for item in items])
def test_a_record_that_surely_does_not_fit_is_refused(names: tuple[str, ...], annotation: Any) -> None:
    """The record alone is enough."""
    with pytest.raises(WrongType):
        check_recorded(annotation, names, **WHERE)


@pytest.mark.parametrize("doubt", IN_DOUBT)
def test_in_doubt_the_artifact_is_loaded(doubt: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record that proves nothing refuses nothing."""
    annotation, names = IN_DOUBT[doubt]
    monkeypatch.setitem(sys.modules, DAG_FILE, SimpleNamespace(Net=copy_of_net(DAG_FILE)))

    check_recorded(annotation, names, **WHERE)


def test_the_error_says_who_wanted_what() -> None:
    """Step, parameter, both types, the artifact, and what to do."""
    with pytest.raises(WrongType) as caught:
        check_recorded(ClassifierMixin, OLD_FRAME, **WHERE)

    assert str(caught.value) == (
        "Parameter 'model' of step 'predict' must be sklearn.base.ClassifierMixin, but "
        "iris_classifier@2/trained_model is a pandas.core.frame.DataFrame. "
        "Pass another value, or correct the annotation."
    )


def test_a_default_of_none_accepts_none() -> None:
    """Whatever the annotation says."""
    check_value(int, None, optional=True, **WHERE)
    check_recorded(int, ("builtins.NoneType",), optional=True, **WHERE)

    with pytest.raises(WrongType, match="is a str"):
        check_recorded(int, ("builtins.str",), optional=True, **WHERE)


def test_usual_annotations_import_nothing() -> None:
    """Classes, unions and containers are checked without typeguard, which takes 100 ms to import."""
    code = f"""
import sys
from airflow_model_provider.typecheck import *
check_value(list[int], [1], **{WHERE})
check_recorded(float | None, ("numpy.float64", "builtins.float"), **{WHERE})
print({{"typeguard", "typing_extensions", "numpy", "pandas", "sqlalchemy", "inspect"}} & {{*sys.modules}})"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "set()\n"


PLAIN = [row for row in FITS if type(row[0]) is not Artifact]
LEAVES = st.sampled_from([item for _, items in PLAIN for item in items if type(item) is not tuple])
ANNOTATIONS = st.recursive(LEAVES, lambda parts: st.tuples(parts, parts).map(Union.__getitem__))
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=2) | st.binary()
JSON = st.recursive(SCALARS, lambda parts: st.lists(parts) | st.dictionaries(st.text(max_size=1), parts))
OBJECTS = st.sampled_from([*(value for value, _ in PLAIN), type, list[int], Seven()])


@given(ANNOTATIONS, JSON | OBJECTS)
def test_what_a_value_would_pass_its_record_passes(annotation: Any, value: Any) -> None:
    """Before loading, nothing is refused that would fit once loaded."""
    try:
        check_value(annotation, value, **WHERE)
    except WrongType:
        return

    check_recorded(annotation, type_names(value), **WHERE)


def test_a_class_of_a_dag_file_is_printed_by_the_name_of_its_file() -> None:
    """What Airflow puts before it is of no use to a reader."""
    found = f"unusual_prefix_{'0a' * 20}_train.Report"

    assert "but 3 is a train.Report. " in str(WrongType("predict", "model", "int", found, "3"))
