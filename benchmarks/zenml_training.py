"""ZenML: train ``iris_classifier`` and promote it, so that the reference page finds it."""

from sklearn.base import ClassifierMixin
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from typing_extensions import Annotated
from zenml import ArtifactConfig, Model, get_step_context, pipeline, step
from zenml.enums import ArtifactType, ModelStages


@step(enable_cache=False)
def train() -> Annotated[
    ClassifierMixin, ArtifactConfig(name="trained_model", artifact_type=ArtifactType.MODEL)
]:
    clf = LogisticRegression(max_iter=500).fit(*load_iris(return_X_y=True, as_frame=True))
    get_step_context().model.set_stage(ModelStages.PRODUCTION, force=True)
    return clf


@pipeline(model=Model(name="iris_classifier"), enable_cache=False)
def training():
    train()


if __name__ == "__main__":
    training()
