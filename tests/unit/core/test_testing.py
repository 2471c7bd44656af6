"""What users' own tests of steps rely on."""

from __future__ import annotations

from typing import Annotated

import pytest

import airflow_model_provider
from airflow_model_provider import Client, Model, get_step_context, log_metadata, save_artifact, step, testing
from airflow_model_provider.exceptions import InvalidDefinition, MissingModelContext, StageNotAssigned
from airflow_model_provider.testing import step_context


@step
def train(rows: int) -> Annotated[int, "trained"]:
    log_metadata({"rows": rows}, infer_model=True)
    log_metadata({"unit": "rows"}, artifact_name="trained")
    save_artifact([rows], "kept")
    return rows


@step(model=Model("tested", version="production"))
def promote() -> None:
    get_step_context().model.set_stage("staging")


def test_a_step_can_be_called_in_a_context(model_registry: Client) -> None:
    """It logs, saves and promotes as in a run; afterwards the test looks at what that gave."""
    with step_context(train, model=Model("tested")) as context:
        assert train(3) == 3

    assert (str(context.model.state), dict(context.model.run_metadata)) == ("ready", {"rows": 3})
    version = model_registry.get_model_version("tested", "latest")
    assert (version.number, str(version.state), dict(version.run_metadata)) == (1, "ready", {"rows": 3})
    assert version.load_artifact("kept") == [3]
    assert context.output_metadata == {"trained": {"unit": "rows"}}
    with pytest.raises(StageNotAssigned), step_context(promote):
        raise AssertionError
    version.set_stage("production")
    with step_context(promote):
        promote()
    assert model_registry.get_model_version("tested", "staging").number == 1


def test_what_fails_in_a_context_fails_its_version(model_registry: Client) -> None:
    """As a step would; outside of a block there is no context."""
    with pytest.raises(ZeroDivisionError), step_context(model=Model("tested")) as context:
        raise ZeroDivisionError
    with pytest.raises(MissingModelContext, match="step"), step_context():
        train(1)

    assert [str(item.state) for item in model_registry.list_model_versions("tested")] == ["failed"]
    assert str(context.model.state) == "failed"
    with pytest.raises(MissingModelContext):
        get_step_context()


def test_what_is_no_step_has_no_context(model_registry: Client) -> None:
    """Nor does a model's name stand for a model; nothing is made."""
    for arguments, said in (
        (
            {"step": train.function},
            r"step_context\(\): it was given <function train.*, which is not a step. Put @step",
        ),
        ({"model": "tested"}, r"step_context\(\): model='tested' is not a Model. Write model=Model"),
    ):
        with pytest.raises(InvalidDefinition, match=said), step_context(**arguments):  # type: ignore[arg-type]
            raise AssertionError

    assert model_registry.list_models() == []


def test_lazy_modules_list_their_names() -> None:
    """As notebooks and editors ask for them."""
    for module in (airflow_model_provider, testing):
        assert set(module.__all__) <= set(dir(module))
