"""The formats of plain values and files, under the contract that materializers of others are under too (R20)."""

from __future__ import annotations

import collections
import enum
import filecmp
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from functools import reduce
from pathlib import Path, PureWindowsPath
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from airflow_model_provider.materializers.files import PathMaterializer
from airflow_model_provider.materializers.json import BytesMaterializer, JsonMaterializer, TextMaterializer
from tests.contract.built_in import BuiltIn
from tests.support.sameness import same

FILES = Path(__file__).with_name("files")


class _Count(enum.IntEnum):
    ONE = 1


class _Word(enum.StrEnum):
    YES = "yes"


_ENDLESS: list[Any] = []
_ENDLESS.append(_ENDLESS)


class TestJson(BuiltIn):
    materializer = JsonMaterializer
    examples = {
        "none": None,
        "true": True,
        "whole": -(2**70),
        "fraction": -0.0,
        "infinite": float("-inf"),
        "complex": complex(-0.0, float("inf")),
        "nested": {"b": [1, 2.5, None, "ü"], "a": {"deep": [[], {}]}},
        "keys": {1: "one", "1": "text", None: (), (1, "a"): b"\0\xff"},
        "tagged": {"__type__": "int", "value": "7"},
        "sets": [{3, 1, 2}, frozenset({"b", "a"}), set()],
        "times": [
            datetime(2026, 3, 29, 2, 30, 0, 1),
            datetime(2026, 3, 29, 2, 30, tzinfo=UTC),
            datetime(2026, 3, 29, 2, 30, tzinfo=timezone(timedelta(hours=5, minutes=30))),
            date(2024, 2, 29),
            time(23, 59, 59, 999999),
            timedelta(-1, 5, 7),
        ],
        "exact": [Decimal("1.20"), Decimal("-Infinity"), UUID(int=7)],
    }
    refused = {
        "of-another-type": [object()],
        "a-subclass": collections.OrderedDict(a=1),
        "an-enum": [_Count.ONE],
        "a-zone": datetime(2026, 3, 29, tzinfo=ZoneInfo("Europe/Berlin")),
        "the-second-hour": datetime(2026, 10, 25, 2, 30, fold=1),
        "a-named-zone": datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=1), "CET")),
        "no-text": ["\ud800"],
        "endless": _ENDLESS,
        "too-deep": reduce(lambda inner, _: [inner], range(101), []),
        "doubled-again-and-again": reduce(lambda inner, _: [inner, inner], range(60), []),
    }

    def same(self, found: Any, expected: Any) -> bool:
        return same(found, expected)


class TestText(BuiltIn):
    materializer = TextMaterializer
    examples = {"empty": "", "words": "größer \0 als\r\n☃", "json": '{"a": 1}'}
    refused = {"no-text": "\ud800", "an-enum": _Word.YES}


class TestBytes(BuiltIn):
    materializer = BytesMaterializer
    examples = {"empty": b"", "all": bytes(range(256)), "array": bytearray(b"\0\1")}
    refused = {"a-view": memoryview(b"abc"), "a-subclass": type("Bytes", (bytes,), {})(b"abc")}


class TestPath(BuiltIn):
    materializer = PathMaterializer
    examples = {"file": FILES / "weights" / "a.txt", "folder": FILES / "weights"}
    refused = {"a-text": str(FILES / "weights" / "a.txt"), "no-path-of-this-system": PureWindowsPath("a.txt")}

    def same(self, found: Path, expected: Path) -> bool:
        if found.is_file() and expected.is_file():
            return (found.name, found.read_bytes()) == (expected.name, expected.read_bytes())
        names = sorted(path.relative_to(expected) for path in expected.rglob("*") if path.is_file())
        there = sorted(path.relative_to(found) for path in found.rglob("*") if path.is_file())
        _, other, odd = filecmp.cmpfiles(found, expected, names, shallow=False)
        return found.name == expected.name and there == names and not (other or odd)
