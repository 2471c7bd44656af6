"""tinyboost's models in Airflow's model registry, as their own model files."""

# [START materializer]
from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_model_provider.materializers.base import ExactnessLost, Materializer, Source

if TYPE_CHECKING:
    from tinyboost import Booster


class BoosterMaterializer(Materializer):
    """A Booster, as its own model file: nothing is executed when it is loaded."""

    key = "tinyboost.text"

    def save(self, value: Booster, path: Path) -> Mapping[str, Any]:
        if value.objective is not None:
            raise ExactnessLost("the model file does not hold an objective that is Python code")
        value.save_model(str(path))
        return {}

    def load(self, source: Source, attributes: Mapping[str, Any], *, mmap: bool = False) -> Booster:
        from tinyboost import Booster

        return Booster(model_file=str(source.path()))


# [END materializer]
