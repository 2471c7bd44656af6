"""Gates of a promotion: what passes, what is refused and in which words, and that it holds in a race (R30)."""

from __future__ import annotations

import math
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event

from airflow_model_provider import Client, Gates, exceptions
from airflow_model_provider.exceptions import (
    InvalidDefinition,
    PromotionRefused,
    StageConflict,
    StageOccupied,
)
from tests.support import gate_checks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from airflow_model_provider.handles import ModelVersion

HOUR = timedelta(hours=1)
BEAT = {"better_than": "production", "metric": "accuracy"}


@pytest.fixture
def client(url: str, tmp_path: Path) -> Iterator[Client]:
    """
    A registry of iris: version 1 is production, and 2 to 4 are candidates.

    2 is better and holds an artifact, 3 is worse, and of 4 nothing useful was logged.
    """
    made = Client(url, store=str(tmp_path / "store"))
    for metadata in (
        {"accuracy": 0.95, "rmse": 3.0},
        {"accuracy": 0.96, "rmse": 2.9, "runs": 10**40},
        {"accuracy": 0.93, "rmse": 3.5},
        {"accuracy": math.nan, "rmse": "high", "passed": True},
    ):
        made.create_model_version("iris").log_metadata(metadata)
    made.get_model_version("iris", 1).set_stage("production")
    made.get_model_version("iris", 2).save_artifact("trained_model", 7)
    yield made
    made.workspace.close()


def candidate(client: Client, number: int = 2) -> ModelVersion:
    """A version of iris."""
    version: ModelVersion = client.get_model_version("iris", number)
    return version


@pytest.mark.parametrize(
    "fields",
    [
        {"require": {"accuracy": ">= 0.95", "rmse": "< 3", "runs": f"== {10**40}"}},
        BEAT,
        {**BEAT, "min_delta": 0.01},
        {**BEAT, "metric": "rmse", "mode": "min", "min_delta": 0.1},
        {**BEAT, "if_vacant": "fail"},
        {"better_than": "staging", "metric": "accuracy"},
        {"artifacts": ["trained_model"], "metadata": ["accuracy", "runs"]},
        {"max_age": HOUR},
        {"min_age": timedelta(microseconds=1), "max_age": HOUR},
        {"check": "tests.support.gate_checks:Checks.passes"},
        {"check": "tests.support.gate_checks.passes_numpy"},
        {"soft": True},
    ],
)
def test_what_passes_is_promoted(client: Client, fields: dict[str, Any]) -> None:
    """With each kind of gate; 0.96 is better than 0.95 by 0.01, whatever binary fractions say."""
    promoted = candidate(client).promote("production", expected=1, reason="gates", **fields)

    assert promoted is not None
    assert (promoted.version, promoted.previous, promoted.reason) == (2, 1, "gates")
    assert candidate(client).stage == "production"


REFUSED: list[tuple[int, dict[str, Any], str]] = [
    (3, {"require": {"accuracy": ">= 0.95"}}, "accuracy 0.93 of iris@3 is not >= 0.95"),
    (
        4,
        {"require": {"accuracy": ">= 0.95"}},
        "accuracy nan of iris@4 is not a finite number; required: >= 0.95",
    ),
    (4, {"require": {"passed": "== 1"}}, "passed True of iris@4 is not a finite number; required: == 1"),
    (4, {"require": {"rmse": "< 3"}}, "rmse 'high' of iris@4 is not a finite number; required: < 3"),
    (
        2,
        {"require": {"f1": "> 0"}},
        "iris@2 has no metadata 'f1' (it has: accuracy, rmse, runs); required: > 0",
    ),
    (3, BEAT, "accuracy 0.93 of iris@3 is not better than 0.95 of iris@1, which is production"),
    (
        2,
        {**BEAT, "min_delta": 0.02},
        "accuracy 0.96 of iris@2 is not better than 0.95 of iris@1, which is production (min_delta 0.02)",
    ),
    (
        3,
        {**BEAT, "metric": "rmse", "mode": "min", "min_delta": 1},
        "rmse 3.5 of iris@3 is not better than 3.0 of iris@1, which is production (less is better, min_delta 1)",
    ),
    (
        4,
        BEAT,
        "accuracy nan of iris@4 is not a finite number; required: better than the holder of 'production'",
    ),
    (
        2,
        {**BEAT, "metric": "runs"},
        "iris@1 has no metadata 'runs' (it has: accuracy, rmse), which is production",
    ),
    (
        2,
        {"better_than": "staging", "metric": "accuracy", "if_vacant": "fail"},
        "no version of iris is in 'staging'; required: iris@2 is better than one",
    ),
    (
        2,
        {"better_than": "staging", "metric": "f1"},
        "iris@2 has no metadata 'f1' (it has: accuracy, rmse, runs); required: better than the holder of 'staging'",
    ),
    (3, {"artifacts": ["trained_model"]}, "iris@3 has no artifact 'trained_model' (it has: none)"),
    (2, {"artifacts": ["report"]}, "iris@2 has no artifact 'report' (it has: trained_model)"),
    (3, {"metadata": ["runs"]}, "iris@3 has no metadata 'runs' (it has: accuracy, rmse)"),
    (
        3,
        {"check": "tests.support.gate_checks:refuses"},
        "check tests.support.gate_checks:refuses refuses iris@3",
    ),
]


def test_what_is_refused_says_which_gate_and_both_numbers(client: Client) -> None:
    """One sentence to the letter; nothing has changed, whatever else is said in its favour."""
    for number, fields, objection in REFUSED:
        with pytest.raises(PromotionRefused) as caught:
            candidate(client, number).promote("production", force=True, **fields)

        assert caught.value.objections == (objection,)
        assert str(caught.value) == (
            f"iris@{number} was not promoted to 'production': {objection}. "
            "Promote another version, or change the gates."
        )
    assert [item.version for item in client.get_model("iris").history()] == [1]


@pytest.mark.parametrize(("limit", "word"), [("max_age", "more"), ("min_age", "less")])
def test_an_age_is_of_the_database(client: Client, limit: str, word: str) -> None:
    """Both times are in the sentence."""
    age = timedelta(microseconds=1) if limit == "max_age" else HOUR
    said = {"max_age": "0.000001s", "min_age": "1h"}[limit]
    with pytest.raises(PromotionRefused, match=rf"iris@2 was made [0-9.]+s ago, {word} than {said}\."):
        candidate(client).set_stage("staging", gates={limit: age})


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_what_is_not_finite_passes_no_gate(client: Client, value: float) -> None:
    """Neither a condition, nor a comparison, in either direction; nor does a comparison with a holder that is not."""
    odd = client.register_model_version("iris", metadata={"loss": value})
    candidate(client, 1).set_stage("staging")
    for gates in (
        Gates(require={"loss": f"{'<' if value < 0 else '>'} 0"}),
        Gates(better_than="staging", metric="loss", mode="min"),
        Gates(better_than="staging", metric="loss", mode="max"),
    ):
        with pytest.raises(PromotionRefused, match=f"loss {value} of iris@5 is not a finite number"):
            odd.promote("staging", gates=gates, force=True)
    odd.set_stage("staging", force=True)
    with pytest.raises(
        PromotionRefused, match=f"loss {value} of iris@5 is not a finite number, which is staging"
    ):
        candidate(client, 2).promote("staging", better_than="staging", metric="loss", mode="min")

    assert [event.version for event in client.get_model("iris").history("staging")] == [5, 1]


def test_all_objections_are_in_one_refusal(client: Client) -> None:
    """Those of functions too, in the order of the gates, each once; soft only if all are."""
    soft = Gates(require={"accuracy": ">= 0.95"}, check="tests.support.gate_checks:refuses", soft=True)
    hard = Gates(require={"rmse": "< 3"}, artifacts=["report"])
    low, high = "accuracy 0.93 of iris@3 is not >= 0.95", "rmse 3.5 of iris@3 is not < 3"
    check, report = (
        "check tests.support.gate_checks:refuses refuses iris@3",
        "iris@3 has no artifact 'report' (it has: none)",
    )
    asked: list[tuple[Any, tuple[str, ...], bool]] = [
        (soft, (low, check), True),
        ([soft, hard], (low, check, high, report), False),
        ([hard.to_dict(), soft, soft, hard], (high, report, low, check), False),
        ([Gates(require={"accuracy": "> 0"}), soft], (low, check), True),
    ]
    for gates, objections, is_soft in asked:
        with pytest.raises(PromotionRefused) as caught:
            candidate(client, 3).set_stage("staging", gates=gates)
        assert (caught.value.objections, caught.value.soft) == (objections, is_soft)
    with pytest.raises(PromotionRefused) as caught:
        candidate(client, 3).promote("staging", gates=hard, require={"accuracy": ">= 0.95"})
    assert caught.value.objections == (low, high, report)


def test_to_be_better_than_the_holder_is_the_permission_to_replace_it(client: Client) -> None:
    """Of this very stage only; and a holder that is expected is still asked for."""
    with pytest.raises(StageOccupied):
        candidate(client).promote("production", require={"accuracy": "> 0"})
    candidate(client, 3).set_stage("staging")
    with pytest.raises(StageOccupied):
        candidate(client).promote("production", better_than="staging", metric="accuracy")
    with pytest.raises(StageConflict):
        candidate(client).promote("production", **BEAT, expected=3)
    candidate(client).promote("production", **BEAT)

    assert candidate(client).stage == "production"


def test_a_dry_run_refuses_what_would_be_refused_and_changes_nothing(client: Client) -> None:
    """Gates, functions too, another holder; what would pass is not promoted, nor is anything archived."""
    before = client.get_model("iris").history()
    gate_checks.asked.clear()
    gate_checks.script = lambda version, holder: "no" if version.number == 3 else True
    scripted = Gates(check="tests.support.gate_checks:scripted")
    with pytest.raises(StageOccupied):
        candidate(client).set_stage("production", dry_run=True)
    with pytest.raises(StageConflict):
        candidate(client).set_stage("production", expected=3, dry_run=True)
    with pytest.raises(PromotionRefused, match=r"scripted refuses iris@3: no"):
        candidate(client, 3).set_stage("production", True, gates=scripted, dry_run=True)
    passing = candidate(client)
    assert passing.set_stage("production", gates=[BEAT, scripted], dry_run=True) is None
    assert client.get_model_version("iris", 1).set_stage("archived", dry_run=True) is None

    assert gate_checks.asked == [(3, 1), (2, 1)]
    assert passing.record.stages == ()
    assert client.get_model("iris").history() == before
    event = passing.set_stage("production", gates=BEAT)
    assert event is not None
    assert event.sequence == before[0].sequence + 1


def test_the_holder_itself_is_not_asked(client: Client) -> None:
    """It stays where it is, whatever the gates are; into another stage it is not better than itself."""
    impossible = Gates(**BEAT, require={"accuracy": "> 2"}, check="tests.support.gate_checks:raises")  # type: ignore[arg-type]

    assert candidate(client, 1).set_stage("production", gates=impossible) is None
    with pytest.raises(
        PromotionRefused, match=r"0\.95 of iris@1 is not better than 0\.95 of iris@1, which is"
    ):
        candidate(client, 1).promote("staging", **BEAT)


def test_what_came_after_the_seal_counts_too(client: Client) -> None:
    """Metadata and artifacts that were added to a promoted version are seen beside the sealed ones."""
    version = candidate(client, 3)
    version.set_stage("staging")
    version.log_metadata({"drift": 0.1})
    version.save_artifact("report", "fine")
    version.promote(
        "production", force=True, require={"drift": "< 1", "accuracy": "< 1"}, artifacts=["report"]
    )

    assert set(version.record.stages) == {"staging", "production"}


def test_a_version_is_made_with_what_its_gates_ask_or_not_at_all(client: Client) -> None:
    """Asked in the transaction that makes it: no version, no number is left behind."""
    gates = Gates(**BEAT, artifacts=["trained_model"])  # type: ignore[arg-type]
    with pytest.raises(PromotionRefused) as caught:
        client.register_model_version("iris", metadata={"accuracy": 0.9}, stage="production", gates=gates)
    made = client.register_model_version(
        "iris", {"trained_model": 1}, metadata={"accuracy": 0.99}, stage="production", gates=[gates.to_dict()]
    )

    assert caught.value.objections == (
        "accuracy 0.9 of iris@5 is not better than 0.95 of iris@1, which is production",
        "iris@5 has no artifact 'trained_model' (it has: none)",
    )
    assert (made.number, made.stage, candidate(client, 1).stage) == (5, "production", "archived")


UNASKABLE: list[tuple[Any, str, str]] = [
    (
        lambda client: candidate(client).promote("staging", better_than="prodction", metric="accuracy"),
        "UnknownStage",
        "'prodction' is not a declared stage. Did you mean 'production'?",
    ),
    (
        lambda client: candidate(client).set_stage("archived", gates=Gates()),
        "InvalidDefinition",
        "gates for 'archived': they are asked of what comes into a stage. Leave them out.",
    ),
    (
        lambda client: client.register_model_version("iris", gates=Gates()),
        "InvalidDefinition",
        "register_model_version('iris'): gates= needs stage=. Example: stage='production'.",
    ),
    (
        lambda client: client.register_model_version("iris", stage="staging", gates={"check": "a:b"}),
        "InvalidDefinition",
        "gates for 'staging': check='a:b' can't be called here. "
        "A function is asked of a version that is there, by version.promote(...).",
    ),
    (
        lambda client: candidate(client).promote("staging", requires={}),
        "InvalidDefinition",
        "gates: there is no field 'requires'. Did you mean 'require'?",
    ),
    (
        lambda client: candidate(client).promote("staging", check="no_such_module:function"),
        "InvalidDefinition",
        "gates: check='no_such_module:function': it cannot be imported "
        "(ModuleNotFoundError: No module named 'no_such_module'). Name a function that is there.",
    ),
    (
        lambda client: candidate(client).promote("staging", check="tests.support.gate_checks:nothing"),
        "InvalidDefinition",
        "gates: check='tests.support.gate_checks:nothing': it cannot be imported (AttributeError: module "
        "'tests.support.gate_checks' has no attribute 'nothing'). Name a function that is there.",
    ),
    (
        lambda client: candidate(client).promote("staging", check="tests.support.gate_checks:not_a_function"),
        "InvalidDefinition",
        "gates: check='tests.support.gate_checks:not_a_function': 7 cannot be called.",
    ),
    (
        lambda client: candidate(client).promote("staging", check="tests.support.gate_checks:raises"),
        "GateFailed",
        "Gate check tests.support.gate_checks:raises gave no answer for iris@2: "
        "ConnectionError: the feature store is away. Nothing was changed. "
        "It must return None or True to pass; False, or its objection as text, to refuse.",
    ),
    (
        lambda client: candidate(client).promote(
            "staging", check="tests.support.gate_checks:returns_a_number"
        ),
        "GateFailed",
        "Gate check tests.support.gate_checks:returns_a_number gave no answer for iris@2: it returned 1. Nothing "
        "was changed. It must return None or True to pass; False, or its objection as text, to refuse.",
    ),
]


def test_gates_that_cannot_be_asked(client: Client) -> None:
    """The sentence says why, and what to do; nothing has changed."""
    for ask, error, sentence in UNASKABLE:
        with pytest.raises(getattr(exceptions, error)) as caught:
            ask(client)

        assert str(caught.value).startswith(sentence)
        if "feature store" in sentence:
            assert isinstance(caught.value.__cause__, ConnectionError)
    assert [item.version for item in client.get_model("iris").history()] == [1]


def test_who_asks_no_gates_pays_for_none(client: Client) -> None:
    """The statements of a promotion are the same as ever; a gate adds those that it asks."""
    statements: list[str] = []
    engine = client.workspace.registry._database.engine

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        # Several are one call.
        said = re.sub(r"CASE WHEN concat\(.*? END", "NULL", " ".join(statement.split())).split("; ")
        statements.extend(part[:27] for part in said)

    event.listen(engine, "before_cursor_execute", note)
    candidate(client).set_stage("staging")
    plain = statements.copy()
    statements.clear()
    candidate(client, 3).promote("staging", force=True, require={"accuracy": "> 0", "rmse": "> 0"})
    gated = statements.copy()

    reads = ["SELECT v.id, NULL FROM mr_m", "SELECT v.id, v.number, v.st", "SELECT e.sequence, e.versio"]
    sqlite = ["UPDATE mr_registry SET last", "INSERT INTO mr_stage_event "]
    writes = sqlite if engine.dialect.name == "sqlite" else ["WITH line AS (UPDATE mr_reg"]
    length = len(reads) + len(writes)
    assert plain[-length:] == reads + writes
    assert gated[-length - 2 :] == [*reads, *["SELECT value FROM mr_metada"] * 2, *writes]
    assert len(gated) == len(plain) + 2


def test_gates_are_refused_with_a_hint_where_they_are_text(client: Client) -> None:
    """Before anything is asked."""
    with pytest.raises(InvalidDefinition, match=r"Example: Gates\("):
        candidate(client).set_stage("staging", gates="accuracy >= 0.95")
