"""Two registries that hold models of one name are told apart wherever something of them is shown."""

from __future__ import annotations

import json
import logging
import pickle
from typing import TYPE_CHECKING, Annotated, Any

import pytest

from airflow_model_provider import (
    Artifact,
    Client,
    Model,
    get_step_context,
    load_artifact,
    log_metadata,
    pipeline,
    save_artifact,
    step,
)
from airflow_model_provider.exceptions import InvalidDefinition, ModelNotFound, StageNotAssigned
from airflow_model_provider.gates import Gates

if TYPE_CHECKING:
    from pathlib import Path

TEAMS = ("team_a", "team_b")
A, B = (Model("reco", version="production", conn_id=team) for team in TEAMS)
BOTH = (A.get_artifact("weights"), B.get_artifact("weights"))


@pytest.fixture(autouse=True)
def teams(model_registry: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry of each team, in which a version of reco is in production."""
    for value, team in enumerate(TEAMS):
        extra = {"url": f"sqlite:///{tmp_path}/{team}.db", "store": str(tmp_path / team)}
        said = json.dumps({"conn_type": "model_registry", "extra": extra})
        monkeypatch.setenv(f"AIRFLOW_CONN_{team.upper()}", said)
        Client(conn_id=team).register_model_version("reco", {"weights": [value]}, stage="production")


def blended(model: Model | None = None) -> tuple[Any, list[str]]:
    """Use both in one step; return its output, and how it calls its inputs."""
    seen: list[str] = []

    @step
    def blend(a: list[int], b: list[int]) -> list[int]:
        seen.extend(repr(get_step_context().inputs[name]) for name in ("a", "b"))
        return a + b

    @pipeline(model=model)
    def blending() -> None:
        blend(*BOTH)

    return blending().steps["blend"].output, seen


def test_the_log_names_the_registry(caplog: pytest.LogCaptureFixture) -> None:
    """So do references, handles and records."""
    with caplog.at_level(logging.INFO):
        _, seen = blended()

    assert seen == ["reco@1/weights@1 in team_a", "reco@1/weights@1 in team_b"]
    assert [repr(item) for item in BOTH] == [f"reco[production]/weights in {team}" for team in TEAMS]
    for item in BOTH:
        assert repr(item) in caplog.text
    assert [item.wanted for item in Client(conn_id="team_a").list_resolutions()] == [repr(BOTH[0])]
    assert repr(Model("reco", version=1, conn_id="model_registry_default").reference) == "reco@1"


def test_errors_name_the_registry() -> None:
    """Of the client, of a step and of its code, after a journey between processes too."""
    client = Client(conn_id="team_b")
    with pytest.raises(ModelNotFound, match=r"\(registry: connection 'team_b'\)$") as raised:
        client.get_model_version("recoo", "production")
    with pytest.raises(StageNotAssigned, match=r"--conn-id team_a$"):
        Model("reco", version="staging", conn_id="team_a").load()

    @step
    def use(value: Any) -> None: ...

    @pipeline
    def using() -> None:
        use(Model("reco", version="staging", conn_id="team_b"))

    with pytest.raises(StageNotAssigned, match=r"--conn-id team_b$"):
        using()
    with pytest.raises(ModelNotFound) as plain:
        Client().get_model("reco")

    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)
    assert "connection" not in str(plain.value)


@pytest.mark.parametrize("model", [None, A])
def test_an_output_knows_the_versions_of_all_registries(model: Model | None) -> None:
    """Also those of registries in which it is not stored itself."""
    output, _ = blended(model)
    used = output.used_versions()

    assert [repr(version) for version in used] == ["reco@1 in team_a", "reco@1 in team_b"]
    assert [version.load_artifact("weights") for version in used] == [[0], [1]]


def test_a_version_that_is_passed_on_stays_one_of_its_registry(model_registry: Client) -> None:
    """A reference to it names the connection, so that no other version of the name is taken."""
    model_registry.register_model_version("reco", {"weights": [7]}, stage="production")

    @step
    def choose(version: Any) -> Any:
        return version

    @step
    def use(version: Any) -> list[int]:
        loaded: list[int] = version.load_artifact("weights")
        return loaded

    @pipeline
    def passing() -> None:
        use(choose(B))

    assert passing().steps["use"].output.load() == [1]
    assert repr(Client(conn_id="team_b").get_model_version("reco", 1).reference()) == "reco@1 in team_b"


def test_the_functions_act_in_the_registry_of_the_step_s_model(model_registry: Client) -> None:
    """What a step saves belongs to its version; a version of the same id in the default registry gets nothing."""
    model_registry.register_model_version("fraud", {"weights": "of fraud"})
    seen: list[Any] = []

    @step
    def outside() -> Annotated[list[int], "outside"]:
        return list(range(2000))

    @step
    def report(given: Artifact[list[int]]) -> None:
        save_artifact("of reco", "weights")
        log_metadata({"unit": "kg"}, artifact_name="weights")
        seen.extend([load_artifact("weights"), load_artifact(given.reference().to_json())[-1]])

    @pipeline
    def training() -> None:
        report.with_options(model=Model("reco", conn_id="team_a"))(outside())

    training()
    made = Client(conn_id="team_a").get_model_version("reco", "latest")

    assert seen == ["of reco", 1999]
    assert [repr(item) for item in made.list_artifacts()] == ["reco@2/weights@2 in team_a"]
    assert dict(made.get_artifact("weights").metadata) == {"unit": "kg"}
    assert [str(item) for item in model_registry.get_model_version("fraud", 1).list_artifacts()] == [
        "fraud@1/weights@1"
    ]


def test_a_gate_compares_within_one_registry() -> None:
    """The answer says what can be done instead."""
    candidate = Client(conn_id="team_a").get_model_version("reco", 1)
    for other in (B, Client(conn_id="team_b").get_model_version("reco", 1)):
        with pytest.raises(
            InvalidDefinition, match=r"better_than=reco.* in team_b is a version, not a stage"
        ):
            candidate.promote("staging", better_than=other, metric="auc")
    with pytest.raises(InvalidDefinition, match="is a version, not a stage"):
        Gates(better_than=A, metric="auc")  # type: ignore[arg-type]
