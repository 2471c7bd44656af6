"""A training and a scoring pipeline with a model that says which version it is of."""

from __future__ import annotations

from typing import Annotated

from airflow_model_provider import (
    ArtifactConfig,
    Model,
    ModelStages,
    get_pipeline_context,
    get_step_context,
    log_metadata,
    pipeline,
    step,
)


class Marked:
    """A model that says which version it is of."""

    def __init__(self, mark: int) -> None:
        self.mark = mark

    def predict(self, values: list[int]) -> list[int]:
        return [value * self.mark for value in values]


@step
def make(mark: int) -> Annotated[Marked, ArtifactConfig(name="trained_model", is_model_artifact=True)]:
    log_metadata({"mark": mark}, infer_model=True)
    return Marked(mark)


@step
def promote(model: Marked, stage: str | None) -> None:
    if stage is not None:
        get_step_context().model.set_stage(stage, force=True, reason=f"mark {model.mark}")


@pipeline(model=Model("marked"))
def training(mark: int, stage: str | None = "production") -> None:
    promote(make(mark), stage)


@step
def use(model: Marked, values: list[int]) -> Annotated[list[int], "predictions"]:
    return model.predict(values)


@pipeline(model=Model("marked", version=ModelStages.PRODUCTION))
def scoring() -> None:
    use(get_pipeline_context().model.get_model_artifact("trained_model"), [1, 2])
