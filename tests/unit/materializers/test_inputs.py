"""The schema of a model's inputs, as it is taken when the model is saved (R41)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from airflow_model_provider.materializers import codec

if TYPE_CHECKING:
    from pathlib import Path

FLOWERS, SPECIES = load_iris(return_X_y=True, as_frame=True)


def test_a_model_says_what_its_inputs_are(tmp_path: Path) -> None:
    """Names and number, from the model or the first step of a pipeline; and what it was made with."""
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(FLOWERS, SPECIES)
    written = codec.write(pipeline, tmp_path / "model", what="a model")

    assert written.is_model
    assert written.signature is not None
    assert written.signature == {"columns": [{"name": name} for name in FLOWERS.columns], "count": 4}
    assert set(written.environment["libraries"]) >= {"scikit-learn", "numpy"}
    assert codec.write(FLOWERS, tmp_path / "data", what="data").signature is None
    unfitted = codec.write(LogisticRegression(), tmp_path / "unfitted", what="a model")
    assert (unfitted.is_model, unfitted.signature) == (True, None)


class _Talkative:
    """
    A model that says something of its inputs.

    :param said: what; an exception is raised.
    """

    def __init__(self, said: object) -> None:
        self.said = said

    def _say(self) -> object:
        if isinstance(self.said, Exception):
            raise self.said
        return self.said

    feature_names_in_ = n_features_in_ = steps = property(_say)

    def predict(self, data: object) -> object:
        """Make it a model."""
        return data


class _Shy:
    """What predicts only once it is fitted."""

    @property
    def predict(self) -> object:
        """Raise."""
        raise RuntimeError("fit me first")


@pytest.mark.parametrize(
    "said",
    [
        ValueError("not fitted"),
        NotImplementedError(),
        RecursionError(),
        7.5,
        object(),
        "abc",
        [object()],
        {"a": 1},
    ],
    ids=lambda said: type(said).__name__,
)
def test_a_model_that_says_nothing_sensible_of_its_inputs_is_saved(tmp_path: Path, said: object) -> None:
    """Its properties may raise, or be of any type: then the schema of its inputs is not known."""
    written = codec.write(_Talkative(said), tmp_path / "model", what="a model")

    assert (written.is_model, written.signature) == (True, None)


def test_a_model_with_steps_of_its_own_says_what_its_inputs_are(tmp_path: Path) -> None:
    """Steps that are no pipeline's are left alone."""
    model = LogisticRegression(max_iter=500).fit(FLOWERS.to_numpy(), SPECIES)
    for steps in (1000, [], [7], {"a": 1}):
        model.steps = steps

        assert codec.write(model, tmp_path / "model", what="a model").signature == {"count": 4}


def test_what_does_not_say_whether_it_predicts_is_no_model(tmp_path: Path) -> None:
    """Its property raises; it is saved like any other value."""
    written = codec.write(_Shy(), tmp_path / "value", what="a value")

    assert (written.is_model, written.signature) == (False, None)
