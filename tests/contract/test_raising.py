"""A format version is raised: what the release before wrote is read, by the class that wrote it (R20)."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from airflow_model_provider import Client
from airflow_model_provider.exceptions import PickleForbidden, UnknownFormat
from airflow_model_provider.materializers.base import Materializer, Source


class Scale(NamedTuple):
    """A value of another package."""

    factor: float


# [START raising]
class ScaleMaterializerV1(Materializer):
    """A Scale, as releases up to 1.4 wrote it: the class stays as it was, under another name."""

    key = "scales"
    executes_code = True

    def save(self, value: Scale, path: Path) -> Mapping[str, Any]:
        path.write_bytes(pickle.dumps(value.factor))
        return {}

    def load(self, source: Source, attributes: Mapping[str, Any], *, mmap: bool = False) -> Scale:
        return Scale(pickle.loads(source.read()))


class ScaleMaterializer(Materializer):
    """A Scale, as JSON."""

    key = "scales"
    format_version = 2
    older = {1: ScaleMaterializerV1}

    def save(self, value: Scale, path: Path) -> Mapping[str, Any]:
        path.write_text(json.dumps({"factor": value.factor}))
        return {}

    def load(self, source: Source, attributes: Mapping[str, Any], *, mmap: bool = False) -> Scale:
        return Scale(json.loads(source.read())["factor"])


# [END raising]


class ScaleMaterializerV3(ScaleMaterializer):
    """The next release's, which reads version 2 itself."""

    format_version = 3

    def load(self, source: Source, attributes: Mapping[str, Any], *, mmap: bool = False) -> Scale:
        return Scale(json.loads(source.read())["factor"])


def release(installed: Any, materializer: type[Materializer]) -> None:
    """Install a release of the package."""
    installed("scales", {f"{Scale.__module__}.Scale": f"{__name__}:{materializer.__name__}"})


def test_older_files_are_read_by_the_classes_that_wrote_them(
    installed, model_registry: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each by the version in its row; whether it executes code is what its own class says."""
    saved = []
    for materializer in (ScaleMaterializerV1, ScaleMaterializer, ScaleMaterializerV3):
        release(installed, materializer)
        saved.append(model_registry.create_model_version("m").save_artifact("scale", Scale(len(saved) + 0.5)))

    assert [item.record.payload.format_version for item in saved] == [1, 2, 3]
    assert [item.load() for item in saved] == [Scale(0.5), Scale(1.5), Scale(2.5)]
    monkeypatch.setenv("AIRFLOW__MODEL_REGISTRY__ALLOW_PICKLE", "False")
    assert [item.load() for item in saved[1:]] == [Scale(1.5), Scale(2.5)]
    with pytest.raises(PickleForbidden):
        saved[0].load()


def test_an_import_asks_the_class_that_wrote_the_file(
    installed, model_registry: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An old file that executes code is not let in because new ones of its format don't."""
    for model, materializer in (("old", ScaleMaterializerV1), ("new", ScaleMaterializer)):
        release(installed, materializer)
        model_registry.create_model_version(model).save_artifact("scale", Scale(0.5))
        model_registry.export_model(model, tmp_path / model)
    monkeypatch.setenv("AIRFLOW__MODEL_REGISTRY__ALLOW_PICKLE", "False")

    with pytest.raises(PickleForbidden):
        model_registry.import_model(tmp_path / "old", "copy")
    assert model_registry.import_model(tmp_path / "new", "copy").versions[0].is_new


def test_a_newer_file_names_what_is_read_here(installed, model_registry: Client) -> None:
    """A worker that is not upgraded yet says which version it lacks."""
    release(installed, ScaleMaterializer)
    saved = model_registry.create_model_version("m").save_artifact("scale", Scale(1.5))
    release(installed, ScaleMaterializerV1)

    with pytest.raises(UnknownFormat, match=r"'scales' version 2.*scales up to 1"):
        saved.load()
