"""
Does a promotion, or finding what was promoted, take longer the more versions a model has? Beside MLflow.

Ours: ``version.set_stage("production", force=True)``. MLflow's: ``set_registered_model_alias``, its present form of a
stage, and the deprecated ``transition_model_version_stage``. Two versions take turns, so that each promotion changes
something. Versions beyond the first are copied in bulk on both sides.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_model_provider.registry.registry import Registry
from benchmarks.filling import fill
from benchmarks.harness import Row, paired
from benchmarks.sides import Side, databases

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS, CALLS = 15, 10
#: Calls where both sides are ours, and take half a millisecond each.
MANY_CALLS = 100
FEW, MANY, HUGE = 10, 10_000, 1_000_000


def measure() -> list[Row]:
    """SQLite and PostgreSQL; promote, resolve, load."""
    rows = []
    with tempfile.TemporaryDirectory() as name, databases(Path(name)) as kinds:
        for database, new in kinds.items():
            with ExitStack() as stack:
                rows += _rows(database, Sides(stack, new, Path(name) / database))
    return rows


class Sides:
    """
    Processes that have one model of few, of many, and of very many versions; the last only on our side.

    :param stack: ends them.
    :param new: gives the URL of a new database.
    """

    def __init__(self, stack: ExitStack, new: Callable[[], str], folder: Path) -> None:
        def opened(name: str, url: str, size: int) -> Side:
            store = folder / f"{name}-{size}"
            store.mkdir(parents=True)
            return stack.enter_context(Side(name, url, store))

        self.ours, self.theirs = {}, {}
        for size in (FEW, MANY, HUGE):
            url = new()
            with Registry.open(url) as registry:
                fill(registry, size, 10)
            self.ours[size] = opened("ours", url, size)
        for size in (FEW, MANY):
            self.theirs[size] = opened("mlflow", new(), size)
            self.theirs[size].ask("fill", model="iris", count=size)
        os.sync()  # else the disk is still busy with a million rows when promotions wait for it

    def train(self) -> None:
        """Give both a classifier to load, as the newest version."""
        for side in (self.ours[FEW], self.theirs[FEW]):
            side.ask("train", model="iris")


def _rows(database: str, sides: Sides) -> list[Row]:
    ours, theirs = sides.ours, sides.theirs

    def moves(side: Side, size: int, what: str = "promote", calls: int = CALLS) -> Callable[[], float]:
        # The newest is the holder, so the first to move is the one before.
        return lambda: _ms(side.ask(what, model="iris", numbers=[size - 1, size] * (calls // 2)))

    def asks(side: Side, what: str) -> Callable[[], float]:
        return lambda: _ms(side.ask(what, model="iris", count=CALLS))

    def row(
        case: str, first: Callable[[], float], second: Callable[[], float], budget: float | None = None
    ) -> Row:
        pair = paired(first, second, rounds=ROUNDS)
        return Row("promote", f"{database}, {case}", *pair, "ms", budget, rounds=ROUNDS)

    rows = []
    for size in (MANY, HUGE):
        case = f"promote with {size:,} versions / with {FEW}"
        mine, few = (moves(ours[count], count, calls=MANY_CALLS) for count in (size, FEW))
        rows.append(row(case, mine, few, 1.2))
    for size in (FEW, MANY):
        case = f"promote with {size:,} versions"
        mine = moves(ours[size], size)
        rows.append(row(f"{case} / MLflow's alias", mine, moves(theirs[size], size), 0.2))
        rows.append(row(f"{case} / MLflow's stage", mine, moves(theirs[size], size, "transition")))
        case = f"resolve among {size:,} versions / MLflow's alias"
        rows.append(row(case, asks(ours[size], "resolve"), asks(theirs[size], "resolve")))
    sides.train()
    rows.append(row("load a classifier / MLflow's", asks(ours[FEW], "load"), asks(theirs[FEW], "load")))
    return rows


def _ms(seconds: Any) -> float:
    return float(seconds) * 1000
