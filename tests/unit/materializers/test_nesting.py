"""Containers that are nested deep, or are there more than once, as JSON or another way (R20)."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, Any

import pytest

from airflow_model_provider.exceptions import PickleForbidden
from airflow_model_provider.materializers import json

if TYPE_CHECKING:
    from collections.abc import Callable


def _nested(wrap: Callable[[Any], Any], levels: int) -> Any:
    return reduce(lambda inner, _: wrap(inner), range(levels), 7)


def _from_a_deep_stack(frames: int, call: Callable[[], Any]) -> Any:
    return call() if frames == 0 else _from_a_deep_stack(frames - 1, call)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda inner: [inner],
        lambda inner: (inner,),
        lambda inner: {"a": inner},
        lambda inner: {1: inner},
        lambda inner: frozenset([inner]),
    ],
    ids=["list", "tuple", "dict", "dict of numbers", "frozenset"],
)
def test_what_is_nested_deep_is_loaded_at_the_end_of_a_deep_stack(
    round_trip, wrap: Callable[[Any], Any]
) -> None:
    """A hundred levels are JSON wherever they are loaded; what is deeper is stored another way, and loaded too."""
    for levels, format in ((100, "json"), (101, "cloudpickle"), (150, "cloudpickle")):
        value = _nested(wrap, levels)
        load = round_trip.save(value)

        assert round_trip.format == format
        assert repr(_from_a_deep_stack(500, lambda: load(False))) == repr(value)  # noqa: B023 - called at once


def test_a_list_that_is_there_several_times_is_json(round_trip, monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes back as lists that are equal, whatever their number is."""
    monkeypatch.setattr(json, "_AGAIN", 10_000)
    row = [1, 2.5, "a", {"b": None}]
    for value in (
        [row] * 3,
        [[row] * 50] * 10,
        [()] * 10_000,
        [(number, row) for number in range(20_000)],
    ):
        assert round_trip(value, allow_pickle=False) == value
        assert round_trip.format == "json"


@pytest.mark.parametrize(
    "double",
    [
        lambda inner: [inner, inner],
        lambda inner: {"a": inner, "b": inner},
        lambda inner: frozenset([inner, (inner,)]),
        lambda inner: {1: (inner, inner)},
    ],
    ids=["list", "dict", "set", "tuple"],
)
def test_containers_that_double_do_not_explode(
    round_trip, monkeypatch: pytest.MonkeyPatch, double: Callable[[Any], Any]
) -> None:
    """What is there twice stays the same, and takes no room; where pickles are forbidden the error says why."""
    monkeypatch.setattr(json, "_AGAIN", 10_000)
    value = _nested(double, 40)
    with pytest.raises(PickleForbidden, match="the same containers again and again"):
        round_trip.save(value, allow_pickle=False)
    round_trip.save(value)

    assert (round_trip.format, round_trip.size < 10_000) == ("cloudpickle", True)


def test_lists_that_are_the_same_stay_so_where_they_are_not_json(
    round_trip, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty-five of them, each of which holds the one before twice, are not thirty million."""
    monkeypatch.setattr(json, "_AGAIN", 10_000)
    found = round_trip(_nested(lambda inner: [inner, inner], 25))

    for _ in range(25):
        assert found[0] is found[1]
        found = found[0]
