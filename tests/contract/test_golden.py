"""What releases have written: each built-in format, in each of its versions, is kept and read (R20)."""

from __future__ import annotations

import json

import pytest

from airflow_model_provider.materializers import lookup
from airflow_model_provider.testing import MaterializerContract, golden
from tests.contract import test_data, test_models, test_plain

FOLDER = test_plain.GOLDEN
CONTRACTS = [
    item
    for module in (test_plain, test_data, test_models)
    for item in vars(module).values()
    if isinstance(item, type) and issubclass(item, MaterializerContract) and item is not MaterializerContract
]


@pytest.mark.parametrize("key", list(lookup._KEYS))
def test_every_built_in_format_is_under_the_contract(key: str) -> None:
    """It has a test class, whose golden files are those of the repository."""
    found = [item for item in CONTRACTS if item.materializer.key == key]

    assert [item.materializer for item in found] == [lookup.for_key(key)]
    assert found[0].golden == FOLDER


def test_every_golden_file_is_of_a_built_in_format() -> None:
    """None lies there unread."""
    listed = [item.file for key in lookup._KEYS for item in golden.kept(FOLDER, key)]

    assert sorted([*listed, golden.PAYLOADS]) == sorted(path.name for path in FOLDER.iterdir())
    assert sorted(listed) == sorted(json.loads((FOLDER / golden.PAYLOADS).read_text()))
