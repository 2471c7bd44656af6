"""The contract, as our own materializers are under it."""

from __future__ import annotations

from pathlib import Path

from airflow_model_provider.testing import MaterializerContract


class BuiltIn(MaterializerContract):
    """Of a materializer that is found without an entry point."""

    golden = Path(__file__).parents[1] / "golden" / "formats"
    #: A table says where it is: its module is imported when it is used, and may import what it is for.
    test_finding_it_imports_no_library = None
