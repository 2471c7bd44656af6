"""What releases have written: each built-in format, in each of its versions, is kept and read (R20)."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from airflow_model_provider.materializers import lookup
from airflow_model_provider.testing import golden
from tests.contract import test_data, test_models, test_plain
from tests.contract.built_in import BuiltIn

FOLDER = BuiltIn.golden
CONTRACTS = [
    item
    for module in (test_plain, test_data, test_models)
    for item in vars(module).values()
    if isinstance(item, type) and issubclass(item, BuiltIn) and item is not BuiltIn
]


@pytest.mark.parametrize("key", list(lookup._KEYS))
def test_every_built_in_format_is_under_the_contract(key: str) -> None:
    """It has a test class."""
    found = [item for item in CONTRACTS if item.materializer.key == key]

    assert [item.materializer for item in found] == [lookup.for_key(key)]


def test_every_golden_file_is_of_a_built_in_format() -> None:
    """None lies there unread."""
    listed = [item.file for key in lookup._KEYS for item in golden.kept(FOLDER, key)]

    assert sorted([*listed, golden.PAYLOADS]) == sorted(path.name for path in FOLDER.iterdir())
    assert sorted(listed) == sorted(json.loads((FOLDER / golden.PAYLOADS).read_text()))


def test_looking_for_a_format_imports_no_library() -> None:
    """Of all of ours, one is imported: that of the value's type."""
    heavy = ("numpy", "pandas", "polars", "pyarrow", "sklearn", "skops", "cloudpickle", "joblib")
    code = (
        "import sys; from airflow_model_provider.materializers import lookup; lookup.for_value({1: 2.5});"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "[]"
