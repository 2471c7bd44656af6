"""Airflow dag: pipelines that one test runs as programs and under the scheduler."""

import threading
from datetime import timedelta
from typing import Annotated, Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression

from airflow_model_provider import (
    ArtifactConfig,
    Model,
    ModelStages,
    get_pipeline_context,
    get_step_context,
    log_metadata,
    pipeline,
    save_artifact,
    step,
)

production = Model("both_ways", version=ModelStages.PRODUCTION)


@step
def load(rows: int) -> tuple[Annotated[pd.DataFrame, "both_features"], Annotated[pd.Series, "both_labels"]]:
    features = pd.DataFrame({"x": np.arange(rows, dtype="float64"), "y": np.arange(rows)[::-1] / 7})
    return features, pd.Series(features["x"] > rows / 2, name="label")


@step
def train(
    features: pd.DataFrame, labels: pd.Series, c: float
) -> Annotated[BaseEstimator, ArtifactConfig(name="both_model", is_model_artifact=True)]:
    log_metadata({"c": c, "shape": list(features.shape)}, infer_model=True)
    return LogisticRegression(C=c).fit(features, labels)


@step
def fold(model: BaseEstimator, features: pd.DataFrame, part: int) -> Annotated[float, "both_fold"]:
    return float(model.predict_proba(features.iloc[part::3])[:, 1].mean().round(6))


@step
def summarize(scores: list[float], before: float | None) -> Annotated[dict, "both_summary"]:
    log_metadata({"best": max(scores)}, infer_model=True)
    get_step_context().add_output_metadata({"folds": len(scores)})
    return {"scores": scores, "before": before}


@step
def promote(summary: dict) -> None:
    get_step_context().model.set_stage(
        ModelStages.PRODUCTION, force=True, reason=f"{len(summary['scores'])} folds"
    )


@pipeline(model=Model("both_ways"))
def both_training(c: float = 1.0):
    features, labels = load(40)
    model = train(features, labels, c)
    scores = (
        fold.with_options(max_active_tis_per_dag=1)
        .partial(model=model, features=features)
        .expand(part=[0, 1, 2])
    )
    promote(summarize(scores, production.run_metadata.get("best", default=None)))


@step
def predict(
    model: BaseEstimator, features: pd.DataFrame, c: float
) -> Annotated[pd.Series, "both_predictions"]:
    return pd.Series(model.predict(features), index=features.index, name=f"c={c}")


@pipeline(model=production)
def both_scoring():
    model = get_pipeline_context().model
    features, _ = load(10)
    predict(model.get_model_artifact("both_model"), features, model.run_metadata["c"])


@pipeline(model=Model("both_ways", version=ModelStages.STAGING))
def both_empty_stage():
    promote(summarize([1.0], None))


@step(retries=2)
def use(value: Any) -> Annotated[Any, "both_used"]:
    return value


@pipeline
def both_no_artifact():
    use(production.get_artifact("both_modle"))


@pipeline
def both_no_key():
    use(production.run_metadata["accuracy"])


@step
def lock() -> Annotated[Any, "both_lock"]:
    return threading.Lock()


@pipeline
def both_unserializable():
    use(lock())


@step
def fail(c: float) -> Annotated[BaseEstimator, ArtifactConfig(name="both_model", is_model_artifact=True)]:
    log_metadata({"c": c}, infer_model=True)
    raise ValueError(f"c={c} is no good")


@pipeline(model=Model("both_ways"))
def both_failing(c: float = 0.5):
    use(fail(c))


@step
def shards(count: int) -> Annotated[tuple, "both_shards"]:
    return tuple(pd.DataFrame({"x": np.full(500, index)}) for index in range(count))


@step
def measure(shard: pd.DataFrame, label: str) -> str:
    return f"{label}: {len(shard)} of {shard['x'].max()}"


@step
def gather(shards: tuple, said: list[str]) -> Annotated[list, "both_gathered"]:
    return [type(shards).__name__, *said]


@pipeline
def both_mapping(count: int = 3):
    parts = shards(count)
    pairs = parts.zip(parts.map(lambda shard: f"up to {shard['x'].max()}"))
    said = measure.expand_kwargs(pairs.map(lambda pair: {"shard": pair[0], "label": pair[1]}))
    gather(parts, said)


@step(retries=1, retry_delay=timedelta(0), model=Model("retried"))
def fail_first(
    ti: Any = None,
) -> Annotated[list, ArtifactConfig(name="retried_model", is_model_artifact=True)]:
    log_metadata({"try": ti.try_number}, infer_model=True)
    save_artifact([ti.try_number], "retried_extra")
    if ti.try_number == 1:
        raise ConnectionError("the first try always fails")
    return [ti.try_number]


@pipeline
def retried():
    fail_first()
