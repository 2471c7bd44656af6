"""Packages of third parties, installed for one test."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from airflow_model_provider.materializers import third_parties
from tests.support.packages import install

#: Its tests are run as its authors run them, in a process of their own.
collect_ignore = ["third_party"]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Installs packages for one test, each into a folder of its own on the path. See :func:`install`."""
    before = set(sys.modules)

    def add(name: str, points: dict[str, str], **modules: str) -> None:
        install(tmp_path / "sites" / name, name, points, **modules)
        monkeypatch.syspath_prepend(tmp_path / "sites" / name)
        forget()

    def forget() -> None:
        third_parties._points.cache_clear()
        third_parties._loaded.cache_clear()

    yield add
    forget()
    for module in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[module], "__file__", None)):
            del sys.modules[module]
