"""The formats of models and of everything else, under the contract (R20, R39)."""

from __future__ import annotations

import types
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from airflow_model_provider.materializers.pickles import (
    CloudpickleMaterializer,
    JoblibMaterializer,
    SklearnPickleMaterializer,
    SkopsMaterializer,
)
from tests.contract.built_in import BuiltIn

X, Y = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 1.0], [3.0, 0.0]]), np.array([0, 0, 1, 1])
MODELS = {
    "unfitted": LogisticRegression(C=0.5),
    "line": LinearRegression().fit(X, Y),
    "pipeline": make_pipeline(StandardScaler(), LogisticRegression()).fit(X, Y),
    "forest": RandomForestClassifier(2, max_depth=2, random_state=0).fit(X, Y),
}


def same_model(found: Any, expected: Any) -> bool:
    """Of the same parameters, and with the same predictions where it is fitted."""
    if type(found) is not type(expected) or repr(found) != repr(expected):
        return False  # the values of plain data show in their repr, as the parameters of models do
    return not hasattr(expected, "n_features_in_") or np.allclose(
        found.predict(X), expected.predict(X), rtol=1e-9
    )


@pytest.mark.filterwarnings("ignore:Trying to unpickle estimator:UserWarning")  # of a golden file
class TestSklearnPickle(BuiltIn):
    materializer = SklearnPickleMaterializer
    examples = MODELS

    def same(self, found: Any, expected: Any) -> bool:
        return same_model(found, expected)


@pytest.mark.filterwarnings("ignore:Trying to unpickle estimator:UserWarning")
class TestSkops(BuiltIn):
    materializer = SkopsMaterializer
    examples = MODELS
    format = "skops.file"
    deterministic = False  # it holds the time, and addresses of objects

    def same(self, found: Any, expected: Any) -> bool:
        return same_model(found, expected)


class TestCloudpickle(BuiltIn):
    materializer = CloudpickleMaterializer
    examples = {
        "fraction": Fraction(1, 3),
        "data": types.SimpleNamespace(weights=[1.5, 2.5], name="ü"),
        "a-type": Fraction,
    }


@pytest.mark.filterwarnings("ignore:Trying to unpickle estimator:UserWarning")
class TestJoblib(BuiltIn):
    materializer = JoblibMaterializer
    examples = {"line": MODELS["line"], "pipeline": MODELS["pipeline"], "plain": {"weights": [1.5, 2.5]}}
    format = "joblib"

    def same(self, found: Any, expected: Any) -> bool:
        return same_model(found, expected)
