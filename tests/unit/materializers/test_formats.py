"""Which format a value gets, what may be loaded, and what errors say (R20, R21, R39, R41, R44)."""

from __future__ import annotations

import enum
import os
import pickle
import sys
import threading
import types
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
import polars
import pyarrow as pa
import pytest
from sklearn.datasets import load_iris
from sklearn.ensemble import (
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from airflow_model_provider.exceptions import (
    DigestMismatch,
    LoadFailed,
    MissingDependency,
    NotSerializable,
    PickleForbidden,
    UnknownFormat,
    UntrustedTypes,
)
from airflow_model_provider.materializers import codec, environment, lookup
from airflow_model_provider.materializers.json import is_small_json

FLOWERS, SPECIES = load_iris(return_X_y=True, as_frame=True)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "json"),
        ({"a": [1, (2, 3)]}, "json"),
        ("text", "text.utf8"),
        (b"bytes", "bytes.raw"),
        (np.arange(3), "numpy.npy"),
        (np.float32(1), "numpy.scalar"),
        (pd.DataFrame({"a": [1]}), "pandas.frame"),
        (pd.Series([1]), "pandas.series"),
        (pd.Index([1]), "pandas.index"),
        (pa.table({"a": [1]}), "arrow.file"),
        (polars.DataFrame({"a": [1]}), "polars.ipc"),
        (LogisticRegression(), "sklearn.pickle"),
        (threading.local, "cloudpickle"),
        (PurePosixPath("/nope/nothing"), "cloudpickle"),
    ],
)
def test_each_type_has_its_format(round_trip, value: object, expected: str) -> None:
    """Data gets formats that execute nothing; only models and the rest are pickles."""
    round_trip.save(value)

    assert round_trip.format == expected
    assert lookup.for_key(expected).executes_code == (expected in ("sklearn.pickle", "cloudpickle"))


@pytest.mark.parametrize(
    "value",
    [
        pa.table({"a": [1, 2], "b": ["x", None]}, metadata={"k": "v"}),
        pa.table({"a": [1]}).to_batches()[0],
        pa.array([1, None]),
        pa.chunked_array([[1], [2]]),
        pa.schema([("a", pa.int8())]),
        polars.DataFrame({"a": [1, None], "b": ["x", "y"]}),
        polars.Series("s", [1.5, None]),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("mmap", [False, True])
def test_arrow_data_comes_back(round_trip, value: object, mmap: bool) -> None:
    """Tables, batches, arrays, schemas, polars."""
    found = round_trip(value, mmap=mmap)

    assert type(found) is type(value)
    assert found.equals(value)


@pytest.mark.parametrize("sklearn_format", ["pickle", "skops"])
@pytest.mark.parametrize(
    "model",
    [
        LogisticRegression(max_iter=500),
        RandomForestClassifier(5),
        HistGradientBoostingClassifier(max_iter=3),
        GradientBoostingRegressor(n_estimators=3),
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)),
    ],
    ids=lambda model: type(model).__name__,
)
def test_models_predict_the_same(round_trip, model, sklearn_format: str) -> None:
    """As pickle, and as skops with the audited list of trusted types."""
    model.fit(FLOWERS, SPECIES)
    found = round_trip(model, sklearn_format=sklearn_format)

    assert round_trip.format == ("skops.file" if sklearn_format == "skops" else "sklearn.pickle")
    assert (found.predict(FLOWERS) == model.predict(FLOWERS)).all()


def test_a_skops_file_is_trusted_by_our_list_only(round_trip) -> None:
    """A type that is not on it is refused when it is saved, unless the team declares it."""
    odd = types.ModuleType("odd_module")
    exec("from sklearn.base import BaseEstimator\nclass Odd(BaseEstimator): pass", vars(odd))
    odd.Odd.__module__ = "odd_module"
    sys.modules["odd_module"] = odd
    with pytest.raises(UntrustedTypes, match=r"odd_module\.Odd"):
        round_trip.save(odd.Odd(), format="skops.file")

    assert type(round_trip(odd.Odd(), format="skops.file", trusted=["odd_module.Odd"])) is odd.Odd
    del sys.modules["odd_module"]


def test_a_class_of_a_dag_file_travels_by_value(round_trip) -> None:
    """Its module has a name that no other process can import."""
    module = types.ModuleType("unusual_prefix_0123_training")
    exec(
        "from sklearn.base import BaseEstimator\n"
        "class Constant(BaseEstimator):\n"
        "    def predict(self, data): return [7] * len(data)\n"
        "class Plain:\n"
        "    value = 7\n",
        vars(module),
    )
    for name in ("Constant", "Plain"):
        getattr(module, name).__module__ = module.__name__
    sys.modules[module.__name__] = module
    loads = [round_trip.save(value) for value in (module.Constant(), module.Plain())]
    del sys.modules[module.__name__]

    assert loads[0](False).predict([1, 2]) == [7, 7]
    assert loads[1](False).value == 7


@pytest.mark.parametrize("mmap", [False, True])
def test_a_mapped_array_is_data(round_trip, tmp_path: Path, mmap: bool) -> None:
    """It is stored as the array that it is, also where it was loaded mapped, or is a part of one that was."""
    array = np.memmap(tmp_path / "mapped", dtype="i4", mode="w+", shape=(3, 4), order="F")
    array[:] = np.arange(12).reshape(3, 4)
    loaded = round_trip(np.arange(12), mmap=True)
    for value in (array, array[1:, ::2], array[0], loaded, loaded[2:5], np.memmap(tmp_path / "mapped")):
        found = round_trip(value, mmap=mmap, allow_pickle=False)

        assert round_trip.format == "numpy.npy"
        assert isinstance(found, np.memmap) if mmap else type(found) is np.ndarray
        assert np.array_equal(found, value)
        assert found.dtype == value.dtype


def test_loads_are_writable_unless_mapped(round_trip) -> None:
    """A frame or array can be changed in place; a mapped one can not, and the file stays what it was."""
    for value in (np.arange(10.0), pd.DataFrame({"a": np.arange(10.0)})):
        load = round_trip.save(value)
        copied, mapped = load(False), load(True)
        if isinstance(value, pd.DataFrame):
            copied.iloc[0, 0] = 99.0
            assert not mapped["a"].to_numpy().flags.writeable
        else:
            copied[0] = 99.0
            assert not mapped.flags.writeable
        again = load(False)
        assert (np.asarray(again) == np.asarray(value)).all()


def test_files_and_folders_come_back_as_private_copies(round_trip, tmp_path: Path) -> None:
    """Under the same name, and the same content is the same bytes."""
    folder = tmp_path / "weights"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.txt").write_text("a")
    (folder / "deep" / "b.bin").write_bytes(bytes(range(256)))
    found, file = round_trip(folder), round_trip(folder / "a.txt")

    assert found.name == "weights"
    assert found != folder
    assert (found / "deep" / "b.bin").read_bytes() == bytes(range(256))
    assert (file.name, file.read_text()) == ("a.txt", "a")


def test_links_come_back_as_what_they_lead_to(round_trip, tmp_path: Path) -> None:
    """A file by the link's own name; in a folder, links to files elsewhere are these files, others stay links."""
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / "5f3a").write_text("weights")
    folder = tmp_path / "snapshot"
    folder.mkdir()
    for name in ("model.bin", "copy.bin"):
        (folder / name).symlink_to("../blobs/5f3a")
    (folder / "config").write_text("{}")
    (folder / "latest").symlink_to("config")
    file, found = round_trip(folder / "model.bin"), round_trip(folder)

    assert (file.name, file.read_text(), file.is_symlink()) == ("model.bin", "weights", False)
    texts = {path.name: (path.read_text(), path.is_symlink()) for path in found.iterdir()}
    assert texts == {
        "model.bin": ("weights", False),
        "copy.bin": ("weights", False),
        "config": ("{}", False),
        "latest": ("{}", True),
    }


def test_a_folder_that_could_not_be_unpacked_is_not_saved(round_trip, tmp_path: Path) -> None:
    """A link to a folder elsewhere, one that leads nowhere, a pipe: an error that names it."""
    for name, make in {
        "elsewhere": lambda path: path.symlink_to(tmp_path),
        "nowhere": lambda path: path.symlink_to("/nope/nothing"),
        "pipe": os.mkfifo,
    }.items():
        folder = tmp_path / f"folder of {name}"
        folder.mkdir()
        make(folder / name)
        with pytest.raises(NotSerializable, match=name):
            round_trip.save(folder)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (threading.Lock(), "cannot pickle"),
        (Path("/nope/nothing"), "No such file"),
        ([threading.Lock()], "cannot pickle"),
        (memoryview(b"x"), "would come back as bytes"),
        ({"view": [memoryview(b"x")]}, "would come back as bytes"),
        (FunctionTransformer(kw_args={"view": memoryview(b"x")}), "would come back as bytes"),
        ([np.str_("a\0")], "takes the NULs off"),
        (FunctionTransformer(kw_args={"text": np.bytes_(b"a\0")}), "takes the NULs off"),
        (np.str_("a\0"), "takes the NULs off"),
        (np.bytes_(b"a\0"), "takes the NULs off"),
    ],
)
def test_what_cannot_be_saved_is_one_error(round_trip, value: object, said: str) -> None:
    """It names the type and the reason, and leaves nothing."""
    before = list(round_trip.store.iter_blobs())
    with pytest.raises(NotSerializable, match=said):
        round_trip.save(value)

    assert list(round_trip.store.iter_blobs()) == before


@pytest.mark.parametrize(
    ("format", "value"),
    [
        ("bytes.raw", np.arange(3)),
        ("bytes.raw", memoryview(b"x")),
        ("path", "/etc/hostname"),
        ("text.utf8", enum.StrEnum("Word", ["YES"]).YES),
        ("text.utf8", b"bytes"),
        ("numpy.npy", [1, 2]),
        ("numpy.scalar", 1.5),
        ("json", pd.DataFrame({"a": [1]})),
        ("pandas.frame", polars.DataFrame({"a": [1]})),
        ("pandas.series", [1]),
        ("pandas.index", pd.Series([1])),
        ("arrow.file", pd.DataFrame({"a": [1]})),
        ("polars.ipc", pd.DataFrame({"a": [1]})),
        ("joblib", memoryview(b"x")),
    ],
)
def test_a_format_that_is_not_the_values_is_refused(round_trip, format: str, value: object) -> None:
    """What was asked for by name holds the value as it is, or the error says which format and which type."""
    kind = lookup.type_names(value)[0]
    with pytest.raises(
        NotSerializable, match=rf"of type {kind} .*format '{format}' does not hold it"
    ) as refused:
        round_trip.save(value, format=format)

    assert "AttributeError" not in str(refused.value)


def test_forbidden_pickles_are_refused_both_ways(round_trip) -> None:
    """Neither saved nor loaded; a frame that would need one says why."""
    with pytest.raises(PickleForbidden, match=r"sklearn\.linear_model"):
        round_trip.save(LogisticRegression(), allow_pickle=False)
    with pytest.raises(PickleForbidden, match="holds int, str"):
        round_trip.save(pd.DataFrame({"mixed": [1, "a"]}), allow_pickle=False)
    with round_trip.store.new_file() as path:
        written = codec.write(LogisticRegression(), path, what="a model")
        data = path.read_bytes()

    with pytest.raises(PickleForbidden):
        round_trip.read(data, written.materializer, allow_pickle=False)
    assert round_trip(LogisticRegression(), sklearn_format="skops", allow_pickle=False).get_params()


class _Exploding:
    """Raises when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return int, ("not a number",)


def test_a_load_that_fails_names_what_changed(round_trip) -> None:
    """The environment since then is quiet while loading works, and named when it does not."""
    data = pickle.dumps(_Exploding())
    recorded = {**environment.capture(["numpy.ndarray"]), "python": "2.7.18"}
    with pytest.raises(LoadFailed, match=r"not a number.*python 2\.7\.18, here 3"):
        round_trip.read(data, "cloudpickle", environment=recorded)

    assert environment.differences(environment.capture(["numpy.ndarray"])) == []


@pytest.mark.parametrize("nested", [False, True])
def test_the_environment_names_the_libraries_of_all_parts(round_trip, nested: bool) -> None:
    """A step of a pipeline is of another library, also in a container: its version is what a failed load tells."""
    model = make_pipeline(StandardScaler(), FunctionTransformer(polars.from_numpy))
    with round_trip.store.new_file() as path:
        written = codec.write({"model": model} if nested else model, path, what="a value")

    assert written.environment["libraries"]["polars"] == polars.__version__
    assert "scikit-learn" in written.environment["libraries"]
    older = {"libraries": {**written.environment["libraries"], "polars": "0.1"}}
    with pytest.raises(LoadFailed, match=rf"polars 0\.1, here {polars.__version__}"):
        round_trip.read(pickle.dumps(_Exploding()), "cloudpickle", environment=older)


@pytest.mark.parametrize(("key", "version"), [("nope.format", 1), ("json", 99)])
def test_an_unknown_format_is_named(round_trip, key: str, version: int) -> None:
    """A newer release's format, or one of a package that isn't installed."""
    with pytest.raises(UnknownFormat, match=key):
        codec.read(None, materializer=key, format_version=version, attributes={}, what="x")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "format", "library"),
    [(polars.DataFrame({"a": [1]}), None, "polars"), (LogisticRegression(), "skops.file", "skops")],
)
def test_a_library_that_is_missing_is_named_with_its_extra(
    round_trip, monkeypatch: pytest.MonkeyPatch, value: object, format: str | None, library: str
) -> None:
    """A worker without it says what to install."""
    load = round_trip.save(value, format=format)
    for name in [name for name in sys.modules if name.partition(".")[0] == library]:
        monkeypatch.setitem(sys.modules, name, None)

    with pytest.raises(MissingDependency, match=rf"airflow-model-provider\[{library}\]"):
        load(False)


def test_nothing_is_unpickled_that_does_not_match_its_digest(round_trip) -> None:
    """Changed bytes are refused before any of them is looked at (R39)."""
    load = round_trip.save({"model": LogisticRegression})
    path = Path(round_trip.store.uri(round_trip.digest))
    path.chmod(0o600)
    path.write_bytes(b"\x80" * round_trip.size)

    with pytest.raises(DigestMismatch):
        load(False)


@pytest.mark.parametrize(
    ("value", "travels"),
    [
        *((value, True) for value in (None, True, 2**52, 0.0, 0.1, 1e15, "text", ["a", {"b": [1.5]}])),
        *(
            (value, False)
            for value in (2**53, -0.0, 1e16, float("nan"), "a\0b", "\udce9", {"\0": 1}, (1,), "a" * 2000)
        ),
    ],
)
def test_small_values_travel_only_if_they_come_back(value: object, travels: bool) -> None:
    """Airflow's database may be PostgreSQL, whose JSON has no NUL, no sign of zero, and 1e16 as a whole number."""
    assert is_small_json(value) is travels
