"""Values of metadata: what becomes JSON, how much of it, and what is refused with advice that helps."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np
import pandas as pd
import pytest

from airflow_model_provider.exceptions import InvalidName, NotJson
from airflow_model_provider.limits import LARGEST_METADATA, check_number
from airflow_model_provider.registry.values import plain_json, plain_metadata
from airflow_model_provider.selectors import Selector

if TYPE_CHECKING:
    from airflow_model_provider.registry.registry import Registry


class Color(Enum):
    RED = (1, Decimal("0.5"))


class Grade(StrEnum):
    GOOD = "good"


class Size(IntEnum):
    BIG = 3


NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (Decimal("0.97"), 0.97),
        (Decimal(10**20), 10**20),
        (Decimal("1E+999999"), float("inf")),
        (Decimal("-Infinity"), float("-inf")),
        (NOON, "2026-03-01T12:00:00+00:00"),
        (date(2026, 3, 1), "2026-03-01"),
        (time(12, 30), "12:30:00"),
        (pd.Timestamp(NOON), "2026-03-01T12:00:00+00:00"),
        (np.datetime64("2026-03-01T12:00:00.000000001", "ns"), "2026-03-01T12:00:00.000000001"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (PurePosixPath("/data/a"), "/data/a"),
        (Color.RED, [1, 0.5]),
        (Grade.GOOD, "good"),
        (Size.BIG, 3),
        ({Grade.GOOD: [np.float32(0.5), np.int64(3), np.bool_(True)]}, {"good": [0.5, 3, True]}),
        (np.array(7), 7),
    ],
)
def test_values_become_json(value: Any, plain: Any) -> None:
    """Of the plain types alone, in containers too."""
    found = plain_json(value, "metadata 'x'")

    assert found == plain
    assert type(found) is type(plain)
    assert plain_json([value], "metadata 'x'") == [plain]


@pytest.mark.parametrize(
    ("value", "type_name", "advice"),
    [
        (timedelta(hours=1), "datetime.timedelta", r"value\.total_seconds\(\)"),
        (np.timedelta64(1, "h"), "numpy.timedelta64", r"value\.total_seconds\(\)"),
        ({1, 2}, "set", r"sorted\(value\)"),
        (np.zeros(3), "numpy.ndarray", r"value\.tolist\(\)"),
        (pd.Series([1]), "pandas.*Series", r"value\.tolist\(\)"),
        (object(), "object", "Log a number, a text"),
        (b"x", "bytes", "save_artifact"),
        ({"recall": {0: 0.9}}, "dict", "its key 0 is an int, not text. Write text: '0'"),
        ([{(1, 2): 3}], "list", r"its key \(1, 2\) is a tuple, not text. Write text: 'name'"),
        ({b"x": 1}, "dict", "its key b'x' is a bytes, not text"),
        (np.longdouble(1), "numpy.*longdouble", "Log a number, a text"),
    ],
)
def test_what_is_no_json_is_refused_with_advice(value: Any, type_name: str, advice: str) -> None:
    """The error names the key, the type and what can be logged instead."""
    with pytest.raises(NotJson, match=rf"metadata 'x' of type {type_name} cannot be saved: .*{advice}"):
        plain_metadata({"x": value})


def test_one_call_logs_a_million_bytes(registry: Registry) -> None:
    """More is refused before anything is written; the largest value is named."""
    version = registry.create_version("iris").id
    registry.log_version_metadata(version, {"text": "x" * (LARGEST_METADATA - 2)})
    for values in ({"text": "x" * LARGEST_METADATA}, {"text": "x" * 600_000, "list": [1] * 134_000}):
        with pytest.raises(NotJson, match=r"metadata 'text' .* one call can log 1,000,000 bytes in total"):
            registry.log_version_metadata(version, {"small": 1, **values})

    assert list(registry.get_metadata(version)) == ["text"]


def test_whole_numbers_of_any_type_are_version_numbers(registry: Registry) -> None:
    """NumPy's too; neither flags nor fractions."""
    registry.create_version("iris")
    one = np.int64(1)
    registry.set_stage("iris", one, "staging", expected=None)
    registry.set_stage("iris", registry.create_version("iris").number, "staging", expected=one)
    registry.rollback("iris", "staging", to=one, expected=np.int32(2))
    registry.update_version("iris", one, name="first")

    assert registry.get_version("iris", Selector.parse(one)).stages == ("staging",)
    assert registry.resolutions(model="iris", number=one) == []
    assert [item.number for item in registry.list_versions("iris", limit=one)] == [2]
    assert type(Selector.parse(np.uint8(3)).value) is int
    for odd in (True, np.bool_(True), np.float64(1), 1.0, "1"):
        with pytest.raises(InvalidName):
            check_number("version number", odd)
