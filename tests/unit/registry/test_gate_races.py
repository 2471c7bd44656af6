"""What happens between a gate's question and the promotion: nothing slips past (R27, R30)."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from airflow_model_provider import Client, Gates
from airflow_model_provider.exceptions import PromotionOvertaken, PromotionRefused, StageOccupied
from airflow_model_provider.registry.registry import Registry
from airflow_model_provider.selectors import Selector
from tests.support import gate_checks
from tests.support.processes import FORK
from tests.support.soak import TIMES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from airflow_model_provider.handles import ModelVersion

PRODUCTION = Selector.parse("production")
BEAT = Gates(better_than="production", metric="accuracy")
SCRIPTED = "tests.support.gate_checks:scripted"
PROCESSES = 3
ROUNDS = 40 if TIMES == 1 else 1000


def race(url: str, mine: int, barrier: Any) -> tuple[int, int]:
    """Promote a better and a worse version of each round in random order; return promotions and refusals."""
    order, promoted, refused = random.Random(mine), 0, 0
    with Registry.open(url) as registry:
        for turn in range(ROUNDS):
            model, numbers = f"iris {turn}", [1, 2]
            if mine == 0:
                for accuracy in (0.97, 0.95) if turn % 2 else (0.95, 0.97):
                    version = registry.create_version(model)
                    registry.log_version_metadata(version.id, {"accuracy": accuracy})
            order.shuffle(numbers)
            barrier.wait(120)
            for number in numbers:
                try:
                    event = registry.set_stage(model, number, "production", gates=(BEAT,))
                    promoted += event is not None
                except PromotionRefused:
                    refused += 1
            barrier.wait(120)
            holder = registry.get_version(model, PRODUCTION)
            assert registry.get_metadata(holder.id) == {"accuracy": 0.97}
    return promoted, refused


def test_the_better_one_holds_the_stage_after_every_round(
    url: str, record_property: Callable[[str, object], None]
) -> None:
    """The number that a version is compared with is that of the holder which it replaces; no other error comes."""
    with Registry.open(url):
        pass
    with FORK.Manager() as manager, FORK.Pool(PROCESSES) as pool:
        barrier = manager.Barrier(PROCESSES)
        running = [pool.apply_async(race, (url, index, barrier)) for index in range(PROCESSES)]
        done = [job.get(120 + ROUNDS * 2) for job in running]
    promoted, refused = (sum(counts) for counts in zip(*done, strict=True))
    with Registry.open(url) as registry:
        for turn in range(ROUNDS):
            values = [
                registry.get_metadata(registry.get_version(f"iris {turn}", Selector.parse(item.version)).id)
                for item in registry.history(f"iris {turn}")[::-1]
                if item.version is not None
            ]
            assert [value["accuracy"] for value in values] in ([0.97], [0.95, 0.97])

    assert ROUNDS <= promoted <= 2 * ROUNDS
    record_property("promotions", promoted)
    record_property("refusals", refused)


@pytest.fixture
def client(url: str, tmp_path: Path) -> Iterator[Client]:
    """A registry with three versions of iris, the first of which is production."""
    made = Client(url, store=str(tmp_path / "store"))
    for accuracy in (0.95, 0.96, 0.97):
        made.create_model_version("iris").log_metadata({"accuracy": accuracy})
    made.get_model_version("iris", 1).set_stage("production")
    yield made
    made.workspace.close()


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[..., Any]], list[tuple[int, int | None]]]:
    """Say what the check does; gives of what it was asked."""

    def write(function: Callable[..., Any]) -> list[tuple[int, int | None]]:
        monkeypatch.setattr(gate_checks, "script", function)
        monkeypatch.setattr(gate_checks, "asked", [])
        return gate_checks.asked

    return write


def test_a_number_that_changes_after_the_check_is_asked_as_it_is_then(client: Client, script: Any) -> None:
    """Declarative gates hold in the transaction, whatever the check has seen."""
    script(lambda version, holder: version.log_metadata({"accuracy": 0.5}))
    with pytest.raises(PromotionRefused, match=r"accuracy 0\.5 of iris@2 is not better than 0\.95 of iris@1"):
        client.get_model_version("iris", 2).set_stage("production", gates=[BEAT, {"check": SCRIPTED}])
    asked = script(lambda version, holder: version.log_metadata({"accuracy": 0.99}))
    client.get_model_version("iris", 2).set_stage("production", gates=[BEAT, {"check": SCRIPTED}])

    assert asked == [(2, 1)]
    assert client.get_model_version("iris", "production").number == 2


def test_a_check_is_asked_again_when_another_version_came_first(client: Client, script: Any) -> None:
    """With the holder that is there then; what it has said before counts no more."""

    def check(version: ModelVersion, holder: ModelVersion) -> Any:
        if holder.number == 1:
            client.get_model_version("iris", 3).set_stage("production", force=True)
            return True
        return f"{holder} is good enough"

    asked = script(check)
    with pytest.raises(PromotionRefused) as caught:
        client.get_model_version("iris", 2).promote("production", check=SCRIPTED, force=True)

    assert asked == [(2, 1), (2, 3)]
    assert caught.value.objections == (f"check {SCRIPTED} refuses iris@2: iris@3 is good enough",)
    assert client.get_model_version("iris", "production").number == 3


def test_any_change_of_the_models_stages_asks_again_and_no_other_models(client: Client, script: Any) -> None:
    """A promotion of another model, and metadata, are no reason to."""
    rose = [client.create_model_version("rose") for _ in range(2)]

    def check(version: ModelVersion, holder: ModelVersion | None) -> None:
        rose[len(gate_checks.asked) % 2].set_stage("production", force=True)
        version.log_metadata({"looked": True})
        if len(gate_checks.asked) == 1:
            client.get_model_version("iris", 1).set_stage("archived")

    asked = script(check)
    client.get_model_version("iris", 2).promote(
        "staging", check=SCRIPTED, better_than="production", metric="accuracy"
    )

    assert asked == [(2, 1), (2, None)]
    assert client.get_model_version("iris", "staging").number == 2


def test_a_check_that_is_always_overtaken_ends(client: Client, script: Any) -> None:
    """Twenty times, and then an error that says so, and that a retry may help."""

    def check(version: ModelVersion, holder: ModelVersion) -> None:
        client.get_model_version("iris", 4 - holder.number).set_stage("production", force=True)

    asked = script(check)
    with pytest.raises(PromotionOvertaken, match=r"^iris@2 was checked 20 times for 'production'") as caught:
        client.get_model_version("iris", 2).promote("production", check=SCRIPTED, force=True)

    assert asked == [(2, 1), (2, 3)] * 10
    assert caught.value.transient
    assert client.get_model_version("iris", "production").number == 1


def test_a_check_is_not_asked_where_nothing_can_come_of_it(client: Client, script: Any) -> None:
    """The stage is occupied, or the version holds it already, or came into it while the check ran."""
    asked = script(lambda version, holder: None)
    with pytest.raises(StageOccupied):
        client.get_model_version("iris", 2).promote("production", check=SCRIPTED)
    assert client.get_model_version("iris", 1).promote("production", check=SCRIPTED) is None
    assert asked == []

    asked = script(lambda version, holder: version.set_stage("production", force=True) and None)
    assert client.get_model_version("iris", 2).promote("production", check=SCRIPTED, force=True) is None
    assert asked == [(2, 1)]


def test_a_holder_that_is_deleted_meanwhile_is_a_change_as_any_other(client: Client, script: Any) -> None:
    """The function is asked again, of the version that holds the stage then: none."""

    def check(version: ModelVersion, holder: ModelVersion | None) -> None:
        if holder is not None:
            holder.set_stage("archived")
            client.delete_model_version("iris", holder.number, purge=True)

    asked = script(check)
    gates = [Gates(check=SCRIPTED), Gates(check=SCRIPTED, soft=True)]
    client.get_model_version("iris", 2).set_stage("production", force=True, gates=gates)

    assert asked == [(2, 1), (2, None), (2, None)]
    assert client.get_model_version("iris", "production").number == 2
