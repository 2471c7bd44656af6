"""What became of a run as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_model_provider.exceptions.base import ModelRegistryError, listing

if TYPE_CHECKING:
    from collections.abc import Sequence


class PipelineFailed(ModelRegistryError, RuntimeError):
    """Tasks of a pipeline failed under ``dag.test()``. Whether a retry helps is said by their errors, in the log."""

    def __init__(self, pipeline: str, tasks: Sequence[str]) -> None:
        super().__init__(pipeline, tasks)
        self.pipeline, self.tasks = pipeline, tasks

    def __str__(self) -> str:
        return (
            f"Pipeline {self.pipeline!r} failed. Failed tasks: {listing(self.tasks)}. The log above says why."
        )
