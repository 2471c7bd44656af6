"""What ``Model`` says of a model, and what a program says of its own file."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Annotated

import pytest

from airflow_model_provider import Client, Model, get_step_context, pipeline, step

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """
from airflow_model_provider import pipeline, step

@step
def one() -> int:
    return 1

@pipeline
def numbers():
    one()

numbers()
numbers()
"""


@step
def one() -> int:
    """Make a number."""
    return 1


def train(model: Model) -> None:
    """Run a pipeline that makes a version of a model."""

    @pipeline(model=model)
    def training() -> None:
        one()

    training()


def test_a_run_writes_the_card_to_a_model_that_exists(
    model_registry: Client, caplog: pytest.LogCaptureFixture
) -> None:
    """Texts are replaced, tags added, the rest stays; it is logged, and nothing is where nothing changed."""
    model_registry.create_model("iris", license="MIT", description="old", tags=["team:a"])
    said = Model("iris", description="new", audience="us", tags=["daily"])
    with caplog.at_level("INFO"):
        train(said)
        train(said)
    model = model_registry.get_model("iris")

    assert dict(model.card) == {"license": "MIT", "description": "new", "audience": "us"}
    assert model.tags == ("team:a", "daily")
    lines = [item.message for item in caplog.records if "Updated model" in item.message]
    assert lines == ["Updated model iris: description, audience, tags"]


def test_tags_reach_the_version(model_registry: Client) -> None:
    """Of a new model, too; a version keeps those it was made with."""
    train(Model("rose", tags=["daily"]))
    train(Model("rose", tags=["weekly"]))
    versions = model_registry.list_model_versions("rose")

    assert [version.record.tags for version in versions] == [("weekly",), ("daily",)]
    assert model_registry.get_model("rose").tags == ("daily", "weekly")


@pytest.mark.parametrize(("docstring", "warned"), [("", 1), ('"""Numbers, an Airflow dag."""', 0)])
def test_a_program_that_airflow_would_ignore_says_so(
    model_registry: Client, tmp_path: Path, docstring: str, warned: int
) -> None:
    """Once, with the way out; one of whose words Airflow makes a DAG file says nothing."""
    file = tmp_path / "numbers_of_today.py"
    file.write_text(docstring + PROGRAM)
    done = subprocess.run([sys.executable, file], capture_output=True, text=True, check=True)

    assert done.stderr.count(f"Airflow would ignore {file}") == warned
    assert done.stderr.count("'airflow' and 'dag'. Put both into its docstring") == warned


def test_the_page_about_cards_is_true(model_registry: Client) -> None:
    """Card, tags, name and metadata by a pipeline, and by a program."""

    # [START pipeline]
    iris = Model(
        "iris_classifier",
        version="nightly {date}",  # the name of the version that a run makes: "nightly 2026_03_01"
        description="Tells three kinds of iris apart by four lengths.",
        license="MIT",
        tags=["team:flowers"],
    )

    @step
    def train() -> Annotated[list, "trained_model"]:
        coefficients = [0.4, 1.9]
        get_step_context().model.log_metadata({"accuracy": 0.97, "rows": 150})
        return coefficients

    @pipeline(model=iris)
    def training():
        train()

    # [END pipeline]
    training()

    # [START program]
    with Client().new_model_version("iris_classifier", name="by hand") as version:
        version.save_artifact("trained_model", [0.4, 1.9])
        version.log_metadata({"accuracy": 0.96})

    Client().update_model(
        "iris_classifier", limitations="Knows no other flowers.", tags=["team:flowers", "small"]
    )
    # [END program]
    second, first = Client().list_model_versions("iris_classifier")
    assert (str(first.version_name)[:8], second.version_name) == ("nightly ", "by hand")
    assert [version.run_metadata["accuracy"] for version in (first, second)] == [0.97, 0.96]
    assert [str(version.state) for version in (first, second)] == ["ready", "ready"]
    model = Client().get_model("iris_classifier")
    assert dict(model.card) == {
        "description": "Tells three kinds of iris apart by four lengths.",
        "license": "MIT",
        "limitations": "Knows no other flowers.",
    }
    assert model.tags == ("team:flowers", "small")
    assert first.record.tags == ("team:flowers",)
