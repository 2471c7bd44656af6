"""Artifacts by address, where there is neither the registry nor Airflow (R6, R39)."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars
import pyarrow as pa
import pytest
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression

from airflow_model_provider import Client, exceptions, isolated
from airflow_model_provider.handles import Artifact
from airflow_model_provider.registry.entities import Payload
from tests.support.s3 import s3_server

DAYS = pd.date_range("2026-03-28", periods=3, freq="D", tz="Europe/Berlin", name="$(DAY)")
PAIRS = pd.MultiIndex.from_tuples([(0, "a"), (0, "b"), (1, "a")], names=["part", None])
FRAME = pd.DataFrame({"é": [1.5, None, 3.0], "kind": pd.Categorical(["b", "a", "b"])}, index=PAIRS)
MODEL = LogisticRegression().fit([[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1])


class Odd(BaseEstimator):
    """An estimator that no audited list has."""


class Trap:
    """Makes a folder in the current one when it is unpickled."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, ("trapped",)


#: Values whose format can be told from their bytes, and the format they are saved in where it isn't their own.
TOLD: dict[str, tuple[Any, str | None]] = {
    "list": ([1, (2, {3}), Decimal("1.20"), float("inf")], None),
    "dict": ({"a": None, "b": {1: b"x"}}, None),
    "array": (np.arange(6.0).reshape(2, 3), None),
    "records": (np.array([(1, 2.5)], dtype=[("'shape': ()", "i4"), ("b", "f8")]), None),
    "model": (MODEL, None),
    "skops": (MODEL, "skops.file"),
    "function": (lambda x: x + 1, None),
}
#: Values whose format can't, and what is said of their bytes.
UNTOLD: dict[str, tuple[Any, str]] = {
    "number": (7, "of no format"),
    "str": ("grüß\0dich", "of no format"),
    "str like JSON": ('{"a": 1}', "may have been a string, a file or JSON"),
    "bytes": (bytes(range(256)), "of no format"),
    "scalar": (np.float32(1.5), "may have been an array or a scalar"),
    "frame": (FRAME, "Arrow file"),
    "series": (pd.Series(["a", None, "b"], index=DAYS, name=("a", 1), dtype="string"), "Arrow file"),
    "index": (DAYS, "Arrow file"),
    "range": (pd.RangeIndex(0, 30, 10, name="step"), "Arrow file"),
    "table": (pa.table({"a": [1, None]}, metadata={"k": "v"}), "Arrow file"),
    "polars": (polars.DataFrame({"a": [1, None]}), "Arrow file"),
}
EVERYTHING = {**TOLD, **{name: (value, None) for name, (value, _) in UNTOLD.items()}}


def save(value: Any, format: str | None = None) -> Any:
    """Register a value, in a model that is as good as any other."""
    return Client().create_model_version("m").save_artifact("value", value, format=format)


def load(saved: Artifact[Any], **options: Any) -> Any:
    """What an isolated task gets from the variables."""
    found = isolated.environment("A", saved.uri, saved.record.payload)
    return isolated.load(found["A_URI"], found["A_DIGEST"], found["A_FORMAT"], **options)


def assert_same(found: Any, value: Any) -> None:
    """Equal, whatever it is."""
    if isinstance(value, LogisticRegression):
        found, value = (model.predict_proba([[1.2]]).tolist() for model in (found, value))
    elif isinstance(value, np.ndarray):
        found, value = ((array.dtype, array.shape, array.tobytes()) for array in (found, value))
    elif callable(value):
        found, value = found(1), value(1)
    assert (type(found), repr(found)) == (type(value), repr(value))
    assert found.equals(value) if hasattr(value, "equals") else found == value


def assert_comes_back(name: str, **options: Any) -> Artifact[Any]:
    """By address, digest and format, and without the format where the bytes tell it."""
    value, format = EVERYTHING[name]
    saved: Artifact[Any] = save(value, format)
    assert_same(load(saved, **options), value)
    if name in TOLD:
        assert_same(isolated.load(saved.uri, f"sha256:{saved.digest}", **options), value)
    return saved


@pytest.mark.parametrize("name", EVERYTHING)
def test_a_value_comes_back_from_a_folder(model_registry: Client, name: str) -> None:
    """Of every kind; its format is one line that survives any environment."""
    text = isolated.format_text(assert_comes_back(name).record.payload)

    assert (text.isascii(), text.isprintable(), "$" in text) == (True, True, False)


def test_a_value_comes_back_from_s3(model_registry: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same from a bucket; what isn't there, or in a folder, is named."""
    with s3_server("isolated") as bucket:
        extra = {"url": model_registry.workspace.address.url, "store": bucket.url}
        connection = {"conn_type": "model_registry", "extra": {**extra, "storage_options": bucket.options}}
        monkeypatch.setenv("AIRFLOW_CONN_MODEL_REGISTRY_DEFAULT", json.dumps(connection))
        saved = [assert_comes_back(name, storage_options=bucket.options) for name in EVERYTHING]

        assert saved[0].uri.startswith("s3://isolated/prefix/")
        for place in (bucket.url, str(Path(__file__).parent)):
            for format in (None, isolated.format_text(saved[0].record.payload)):
                with pytest.raises(exceptions.PayloadMissing, match=f"{place}/no/{'0' * 64}"):
                    isolated.load(f"{place}/no/{'0' * 64}", "0" * 64, format, storage_options=bucket.options)


@pytest.mark.parametrize("name", UNTOLD)
def test_a_format_that_the_bytes_do_not_tell_must_be_given(model_registry: Client, name: str) -> None:
    """Nothing is guessed: the error says what the bytes look like and where the format is to be had."""
    value, said = UNTOLD[name]
    saved = save(value)

    with pytest.raises(exceptions.InvalidDefinition, match=rf"{saved.digest}.*{said}.*format=.*MODEL_FORMAT"):
        isolated.load(saved.uri, saved.digest)


def test_files_and_folders_come_back_as_private_copies(model_registry: Client, tmp_path: Path) -> None:
    """Under their own names."""
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "a.bin").write_bytes(b"abc")
    found, file = load(save(folder)), load(save(folder / "a.bin"))

    assert (found.name, [path.name for path in found.iterdir()]) == ("weights", ["a.bin"])
    assert (file.name, file.read_bytes()) == ("a.bin", b"abc")
    assert tmp_path not in file.parents


def test_large_arrays_can_be_mapped(model_registry: Client) -> None:
    """Read-only, with and without the format."""
    saved = save(np.arange(5))

    for found in (load(saved, mmap=True), isolated.load(saved.uri, saved.digest, mmap=True)):
        assert isinstance(found, np.memmap)
        assert not found.flags.writeable


def test_a_wide_frame_fits_into_a_variable(model_registry: Client) -> None:
    """What is said of 5,000 columns is compressed; what still is too long for Linux is refused."""
    saved = save(pd.DataFrame(np.zeros((1, 5000)), columns=[f"column {number}" for number in range(5000)]))
    found = isolated.environment("WIDE", saved.uri, saved.record.payload)
    noise = Payload("0" * 64, 1, "json", 1, ("x",), {"noise": os.urandom(100_000).hex()})

    assert len(found["WIDE_FORMAT"]) < 100_000
    assert load(saved).shape == (1, 5000)
    with pytest.raises(exceptions.InvalidDefinition, match=r"Variable WIDE_FORMAT.*128 KiB"):
        isolated.environment("WIDE", saved.uri, noise)


def test_changed_bytes_are_not_unpickled(model_registry: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pickle that would run code is refused by its digest, of the same length or another."""
    saved, trap = save({Odd: b"x" * 1000}), pickle.dumps(Trap(), protocol=5)
    monkeypatch.chdir(Path(saved.uri).parent)
    Path(saved.uri).chmod(0o600)
    for data in (trap[:-1] + b"N" * (saved.size - len(trap)) + b".", trap):
        Path(saved.uri).write_bytes(data)
        for format in (None, isolated.format_text(saved.record.payload)):
            with pytest.raises(exceptions.DigestMismatch) as caught:
                isolated.load(saved.uri, saved.digest, format)
            assert (caught.value.uri, caught.value.found) == (saved.uri, hashlib.sha256(data).hexdigest())

    assert not Path("trapped").exists()
    isolated.load(saved.uri, hashlib.sha256(trap).hexdigest())
    assert Path("trapped").exists(), "the trap works where its own digest is given"


def test_pickles_obey_the_settings(model_registry: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """allow_pickle = False refuses them with and without the format, and nothing else; so does the trusted list."""
    model, array = save(MODEL), save(np.arange(3))
    monkeypatch.setenv("AIRFLOW__MODEL_REGISTRY__SKOPS_TRUSTED_TYPES", f"{Odd.__module__}.Odd")
    odd = save(Odd(), "skops.file")
    assert type(isolated.load(odd.uri, odd.digest)) is Odd
    monkeypatch.delenv("AIRFLOW__MODEL_REGISTRY__SKOPS_TRUSTED_TYPES")
    monkeypatch.setenv("AIRFLOW__MODEL_REGISTRY__ALLOW_PICKLE", "False")

    for artifact, error in ((model, exceptions.PickleForbidden), (odd, exceptions.UntrustedTypes)):
        with pytest.raises(error):
            load(artifact)
        with pytest.raises(error):
            isolated.load(artifact.uri, artifact.digest)
    assert_same(isolated.load(array.uri, array.digest), np.arange(3))


FACTS = {"materializer": "json", "version": 1, "attributes": {}, "size": 1}
WRONG = [{"version": True}, {"attributes": "x"}, {"attributes": []}, {"size": -1}, {"size": None}]
#: What each argument can't be, and what is said then.
MALFORMED: dict[str, tuple[str, list[Any]]] = {
    "uri": (r"Pass handle\.uri", [None, " ", "file://relative", "s3://bucket/model"]),
    "digest": ("64 hexadecimal digits", [None, "", "abc", "A" * 64, f"md5:{'0' * 64}"]),
    "format": ("MODEL_FORMAT", [7, "", "numpy.npy", "{}", *(json.dumps(FACTS | wrong) for wrong in WRONG)]),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_arguments_say_what_was_expected(name: str) -> None:
    """Before anything is read."""
    said, values = MALFORMED[name]

    for value in values:
        with pytest.raises(exceptions.InvalidDefinition, match=said):
            isolated.load(**{"uri": "/m", "digest": "0" * 64, name: value})


@pytest.mark.parametrize("prefix", ["", "1MODEL", "MY-MODEL", "MODEL=", "M\n", None])
def test_a_prefix_must_be_a_variable_name(prefix: Any) -> None:
    """Letters, digits and underscores."""
    with pytest.raises(exceptions.InvalidName, match="environment variable"):
        isolated.environment(prefix, "/m", Payload("0" * 64, 1, "json", 1, ("x",)))


def test_an_isolated_process_needs_nothing_else(model_registry: Client, tmp_path: Path) -> None:
    """Variables, the store's bytes and this package, without Airflow, SQLAlchemy or a registry."""
    variables = {"HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[3])}
    for name, value in (("MODEL", MODEL), ("FRAME", FRAME)):
        saved = save(value)
        variables |= isolated.environment(name, saved.uri, saved.record.payload)
    code = """
import sys
sys.modules |= dict.fromkeys(("airflow", "sqlalchemy", "alembic"))
from os import environ
from airflow_model_provider.isolated import load
frame = load(environ["FRAME_URI"], environ["FRAME_DIGEST"], environ["FRAME_FORMAT"])
print(load(environ["MODEL_URI"], environ["MODEL_DIGEST"]).predict([[3.0]]), frame.index.names)
"""
    done = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "[1] ['part', None]\n"
