"""What several tests of the command line share; and which files begin first."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from airflow.cli.cli_parser import get_parser

from airflow_model_provider import Client, host
from airflow_model_provider.workspace import close_workspaces

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Files that take long, the longest first.
LONGEST = ("ends_of_runs", "both_worlds", "parsing", "dag_test", "cli_edges", "hostile_data", "mapping")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run these first: the others fill what time is left, so that no worker waits for one of them at the end."""
    order = {f"test_{name}.py": number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))


@pytest.fixture
def airflow(model_registry: Client, capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., str]]:
    """Run an ``airflow model-registry`` command and return what it prints."""

    def run(*arguments: str) -> str:
        args = get_parser().parse_args(["model-registry", *arguments])
        capsys.readouterr()
        args.func(args)
        return capsys.readouterr().out

    yield run
    close_workspaces()
    host._entered = False
    os.environ.pop("_AIRFLOW_PROCESS_CONTEXT", None)
