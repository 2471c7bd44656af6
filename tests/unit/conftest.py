"""Core tests: none of them needs Airflow, and the test command runs them where it can't be imported."""

from __future__ import annotations

import importlib.util


def pytest_report_header() -> str:
    """Say whether this run shows that Airflow is not needed."""
    try:
        found = importlib.util.find_spec("airflow") is not None
    except ModuleNotFoundError:
        found = False
    return f"Airflow importable: {found}"
