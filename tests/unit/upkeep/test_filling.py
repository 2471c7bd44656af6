"""What the benchmarks put into a registry in bulk is what the registry itself would have made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_model_provider.addresses import Address
from airflow_model_provider.workspace import connect
from benchmarks import filling, upkeep

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from airflow_model_provider.workspace import Workspace


@pytest.fixture(params=["sqlite", "postgresql"])
def workspace(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Workspace]:
    """On a store in a folder, as in the benchmarks."""
    url = f"sqlite:///{tmp_path / 'registry.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").new_database()
    opened = connect(Address(url, str(tmp_path / "store"), "test"))
    yield opened
    opened.close()


def test_bytes_and_their_rows(workspace: Workspace) -> None:
    """Those of which no version needs any more are collected; the others are there and whole."""
    upkeep._fill(workspace, 6, spare=True)

    upkeep._collected(workspace, 6)
    upkeep._verified(workspace, 3)


def test_versions(workspace: Workspace) -> None:
    """Each has its artifact, and the next one gets the next number."""
    registry = workspace.registry
    filling.fill(registry, 5, 20)

    found = registry.list_versions("iris")
    assert [item.number for item in found] == [5, 4, 3, 2, 1]
    assert {registry.list_artifacts(item.id)[0].name for item in found} == {"trained_model"}
