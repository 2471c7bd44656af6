"""Gates are a value: checked where they are written, the same after any journey (R30)."""

from __future__ import annotations

import copy
import json
import math
import pickle
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from airflow_model_provider import Gates, ModelStages
from airflow_model_provider.exceptions import InvalidDefinition, InvalidName
from airflow_model_provider.gates import GateFields
from airflow_model_provider.registry.gating import span

FULL = {
    "require": {"accuracy": ">= 0.95", "rmse": "< 3"},
    "better_than": "production",
    "metric": "rmse",
    "mode": "min",
    "min_delta": 0.01,
    "if_vacant": "fail",
    "artifacts": ["trained_model"],
    "metadata": ["data digest"],
    "max_age": 604800,
    "min_age": 0.5,
    "check": "package.module:function",
    "soft": True,
}
NUMBER = "Write an operator (>=, <=, ==, !=, >, <) and a number: {'accuracy': '>= 0.95'}."


def test_they_come_back_from_json() -> None:
    """All fields, as a mapping of JSON values; what says nothing is left out."""
    (gates,) = Gates.of(FULL)
    (again,) = Gates.of(json.loads(json.dumps(gates.to_dict())))

    assert gates.to_dict() == FULL
    assert again == gates == pickle.loads(pickle.dumps(gates)) == copy.deepcopy(gates)
    assert len({gates, again, Gates()}) == 2
    assert (gates.max_age, gates.min_age) == (timedelta(days=7), timedelta(milliseconds=500))
    assert Gates().to_dict() == {}
    assert set(GateFields.__annotations__) == set(Gates.__dataclass_fields__)


def test_several_forms_are_one() -> None:
    """None, one, a mapping, a list of both."""
    one = Gates(require={"accuracy": ">=.5"})

    assert Gates.of(None) == Gates.of([]) == ()
    assert Gates.of(one) == Gates.of({"require": {"accuracy": " >= .5 "}}) == (one,)
    assert Gates.of((one, {"better_than": ModelStages.PRODUCTION, "metric": "f1"})) == (
        one,
        Gates(better_than="production", metric="f1"),
    )


@pytest.mark.parametrize(
    ("condition", "fits", "does_not"),
    [
        (">= 0.95", 0.95, 0.949),
        ("> 1e-3", 1, 0.001),
        ("<= -2", -2, -1.5),
        ("< +3.", 2.999, 3),
        ("== 7", 7.0, 8),
        ("!= 7", math.inf, 7),
        (f"== {10**40}", 10**40, 10**40 + 1),
    ],
)
def test_a_condition_is_that_of_python(condition: str, fits: float, does_not: float) -> None:
    """Operators and numbers as Python reads them; whole numbers of any length exactly."""
    (requirement,) = Gates(require={"x": condition}).requirements.values()

    assert requirement.holds(fits)
    assert not requirement.holds(does_not)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        *(
            (
                {"require": {"accuracy": text}},
                f"require['accuracy']={text!r} cannot be parsed. {NUMBER}",
            )
            for text in (
                "=> 0.95",
                "0.95",
                ">= nan",
                ">= inf",
                ">= 95%",
                ">= 1_000",
                ">=",
                "",
                ">= 1 and < 2",
                0.95,
            )
        ),
        (
            {"require": {"accuracy": "< 1e999"}},
            "require['accuracy']='< 1e999' has a number that is too large.",
        ),
        ({"require": ">= 0.95"}, f"require='>= 0.95' must be a mapping. {NUMBER}"),
        (
            {"better_than": "production"},
            "better_than= needs metric=, the metadata key to compare. Example: metric='accuracy'.",
        ),
        *(
            (
                given,
                f"{next(iter(given))}= needs better_than=. Example: better_than='production'.",
            )
            for given in ({"metric": "f1"}, {"mode": "min"}, {"min_delta": 0.1}, {"if_vacant": "fail"})
        ),
        (
            {"better_than": "latest", "metric": "f1"},
            "better_than='latest' must be a stage. Example: better_than='production'.",
        ),
        (
            {"better_than": "production", "metric": "f1", "mode": "less"},
            "mode='less' is unknown. It is 'max' or 'min'.",
        ),
        (
            {"better_than": "production", "metric": "f1", "if_vacant": True},
            "if_vacant=True is unknown. It is 'pass' or 'fail'.",
        ),
        *(
            (
                {"better_than": "production", "metric": "f1", "min_delta": delta},
                f"min_delta={delta!r} must be a number from 0.",
            )
            for delta in (-0.1, math.nan, math.inf, "0.1", True)
        ),
        ({"artifacts": "model"}, "artifacts='model' must be a list. Example: artifacts=['model']."),
        ({"metadata": {"f1": 1}}, "metadata={'f1': 1} must be a list."),
        *(
            ({"max_age": age}, f"max_age={age!r} must be a positive timedelta. Example: timedelta(days=7).")
            for age in ("7d", timedelta(0), math.nan)
        ),
        ({"max_age": 1e300}, "max_age=1e+300 is too long."),
        (
            {"max_age": timedelta(days=1), "min_age": timedelta(days=2)},
            "min_age= is more than max_age=, so that nothing can pass.",
        ),
        *(
            (
                {"check": path},
                f"check={path!r} must be an import path. "
                "Give 'package.module:function': gates travel as text, also to other machines.",
            )
            for path in ("function", "a:b:c", "a.b c", "../a:b", "", "1a.b", 7)
        ),
        ({"soft": "yes"}, "soft='yes' is neither True nor False."),
        ({"requires": {}}, "there is no field 'requires'. Did you mean 'require'?"),
        (
            {7: 7},
            "there is no field 7. Fields: require, better_than, metric, mode, min_delta, if_vacant, "
            "artifacts, metadata, max_age, min_age, check, soft.",
        ),
    ],
)
def test_what_can_be_known_wrong_is_refused_where_it_is_written(
    fields: dict[Any, Any], sentence: str
) -> None:
    """The sentence names the field, what it was given, and what it can be."""
    with pytest.raises(InvalidDefinition) as caught:
        Gates.of(fields)

    assert str(caught.value) == f"gates: {sentence}"
    assert "test_gates.py" in caught.value.__notes__[0]


@pytest.mark.parametrize(
    "fields",
    [
        {"artifacts": ["../model"]},
        {"metadata": ["a\nb"]},
        {"require": {"": "> 1"}},
        {"require": {7: "> 1"}},
        {"better_than": "a/b", "metric": "f1"},
        {"better_than": "production", "metric": "x" * 251},
    ],
)
def test_names_are_checked_as_everywhere(fields: dict[str, Any]) -> None:
    """Artifacts, keys and stages that can't be."""
    with pytest.raises(InvalidName):
        Gates.of(fields)


@pytest.mark.parametrize("value", ["accuracy >= 0.95", 7, [None], ["better"], [[Gates()]]])
def test_what_are_no_gates_is_refused(value: object) -> None:
    """Text above all."""
    with pytest.raises(InvalidDefinition, match=r"^gates: .* must be Gates, .*Example: Gates\("):
        Gates.of(value)


def test_a_seven_day_limit_reads_as_one() -> None:
    """Units that are zero are left out; the smallest is the second, with its fractions."""
    said = [timedelta(days=7), timedelta(hours=25, seconds=1), timedelta(milliseconds=1500), timedelta(0)]

    assert [span(item) for item in said] == ["7d", "1d 1h 1s", "1.5s", "0s"]


def test_an_unknown_argument_is_refused_with_the_nearest() -> None:
    """Whether it is given by keyword or in a mapping; copies are as they were."""
    for of in (lambda given: Gates(**given), Gates.of):
        with pytest.raises(InvalidDefinition, match=r"there is no field 'reqire'. Did you mean 'require'\?"):
            of({"reqire": {"a": "> 0"}})
    gate = Gates(require={"a": "> 0"})

    assert pickle.loads(pickle.dumps(gate)) == copy.deepcopy(gate) == replace(gate) == gate
