"""A model that holds one of each kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars
import pyarrow as pa
import pytest
from sklearn.linear_model import LogisticRegression

from airflow_model_provider import Client
from airflow_model_provider.registry.entities import Attempt, Relation, RunKey, VersionState
from tests.unit.transfer.conftest import made, simple

RUN = RunKey("blue", "training", "scheduled__2026-03-01")


def values(folder: Path) -> dict[str, Any]:
    """One value of each kind."""
    tree = folder / "tree"
    (tree / "below").mkdir(parents=True)
    (tree / "below" / "labels.txt").write_text("setosa\n")
    (folder / "one.csv").write_text("a,b\n1,2\n")
    table = {"a": [1, None, 3], "b": ["x", "y", None]}
    days = pd.date_range("2026-01-01", periods=3, tz="Europe/Berlin")
    frame = pd.DataFrame({"kind": pd.Categorical(["s", "v", "s"]), "width": [0.1, np.nan, 0.3]}, index=days)
    return {
        "model": LogisticRegression().fit(frame[["width"]].fillna(0), frame["kind"]),
        "frame": frame,
        "series": frame["width"],
        "array": np.arange(12, dtype=np.float32).reshape(3, 4),
        "polars": polars.DataFrame(table),
        "arrow": pa.table(table),
        "tree": tree,
        "file": folder / "one.csv",
        "plain": {"a": (1, 2.5), "b": {3}},
        "text": "Grüße",
        "bytes": b"\x00\xff",
        "odd": ValueError,
    }


def fill(client: Client, folder: Path) -> None:
    """
    Make the model iris.

    Version 1 is plain; 2 holds everything and was promoted; 3 failed, 4 is deleted, 5 is not ready, a task made 6.
    """
    client.create_model("iris", license="MIT", description="flowers", tags=["team blue"])
    simple(client, "first")
    registry = client.workspace.registry
    with client.new_model_version("iris", "champion") as version:
        for name, value in values(folder).items():
            version.save_artifact(name, value, metadata={"of": name})
        for index in range(3):
            attempt = Attempt(RUN, "split", f"split {index}", index)
            made(client, version, "shards", index, attempt, Relation.LINKED)
        version.log_metadata({"accuracy": 0.97, "loss": float("inf"), "nested": {"a": [1, None, "ü"]}})
    registry.update_version("iris", 2, description="the best\nof all", tags=("blue", "good"))
    version.set_stage("production", reason="good")
    version.set_stage("staging")
    version.log_metadata({"later": True})
    made(client, version, "linked later", "l", None, Relation.LINKED)
    made(client, version, "predictions", "p", Attempt(RUN, "predict", "predict"), Relation.DERIVED)
    with pytest.raises(RuntimeError), client.new_model_version("iris"):
        raise RuntimeError
    client.create_model_version("iris")
    client.delete_model_version("iris", 4)
    registry.create_version("iris", state=VersionState.PRODUCING)
    last = registry.version_for_run("iris", RUN, producer="train")
    made(client, client.get_model_version("iris", 6), "text", "first", Attempt(RUN, "train", "train"))
    registry.commit_producer(last.id, "train")


def facts(client: Client, model: str, number: int) -> dict[str, Any]:
    """All that is known of a version, but for what is this registry's own: times, ids, numbers of artifacts."""
    version = client.get_model_version(model, number)
    contents = client.workspace.registry.contents(version.id)
    record = version.record
    metadata = {**contents.sealed, **contents.later}
    metadata.pop("imported_from", None)
    return {
        "version": (record.version_name, record.description, record.tags, record.environment, record.state),
        "metadata": metadata,
        "artifacts": {
            (item.name, item.map_index): (item.kind, item.payload, item.metadata, relation)
            for item, relation in contents.artifacts
        },
    }


def check_values(client: Client, model: str, number: int, folder: Path, *, but: tuple[str, ...] = ()) -> None:
    """Load what version 2 of :func:`fill` holds, and compare it with what was saved."""
    version = client.get_model_version(model, number)
    for name, expected in values(folder).items():
        if name in but:
            continue
        found = version.get_artifact(name).load()
        assert type(found) is type(expected), name
        if isinstance(expected, Path):
            assert found.name == expected.name
            assert contents_of(found) == contents_of(expected)
        elif isinstance(expected, pd.DataFrame):
            pd.testing.assert_frame_equal(found, expected, check_exact=True, check_freq=True)
        elif isinstance(expected, pd.Series):
            pd.testing.assert_series_equal(found, expected, check_exact=True, check_freq=True)
        elif isinstance(expected, polars.DataFrame | pa.Table):
            assert found.equals(expected)
        elif isinstance(expected, LogisticRegression):
            assert (found.coef_ == expected.coef_).all()
        else:
            assert np.array_equal(found, expected)
    assert [version.get_artifact("shards", map_index=index).load() for index in range(3)] == [0, 1, 2]


def contents_of(path: Path) -> dict[str, bytes]:
    """The files below a path, or the file itself."""
    files = [path] if path.is_file() else sorted(item for item in path.rglob("*") if item.is_file())
    return {item.relative_to(path).as_posix(): item.read_bytes() for item in files}
