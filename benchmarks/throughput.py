"""
How long does registering and promoting take, in one process and in eight at once, beside MLflow on the same database?

Ours is ``register_model_version(..., stage="production", force=True)``: it knows who did it and in which task, writes
the history, seals what was promoted, and a file of 1 kB is synced to the disk before. MLflow's is
``create_model_version`` and ``set_registered_model_alias``, in three forms:

- **in a run**: its documentation's way, by which it knows where a version comes from; the file is logged to the run.
- **no file**: nothing but the two calls, and ours without a file as well.
- **bare calls**: the file is copied by its artifact repository, without a run. Nobody is told to do this; it is the
  least that MLflow can be made to do for a version with bytes.

Models without versions are where MLflow is at its fastest; what becomes of it, the cases with versions show, and
``promoting.py``.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.harness import Row, paired
from benchmarks.sides import Side, databases, together

if TYPE_CHECKING:
    from collections.abc import Sequence

ROUNDS, PROCESSES = 5, 8
#: Versions that a process makes in one turn: alone, beside others, and beside others that make versions of its model.
#: A turn is long beside the change of sides, and a new model still has few versions when all turns are over.
ALONE, BESIDE, SHARED = 40, 20, 8
#: Promotions of each of two versions.
MOVES = 40
OWN = [f"own_{number}" for number in range(PROCESSES)]
#: Versions of a model that has been trained daily for three years.
YEARS = 1000


FORMS = ("in a run", "no file", "bare calls")
#: What our time may be of MLflow's time.
GOAL = 0.2
#: The model of each process, and how many versions it makes of it in a turn.
CASES = {
    "1 process": (["alone"], ALONE),
    f"{PROCESSES} processes, a model each": (OWN, BESIDE),
    f"{PROCESSES} processes, one model": (["shared"] * PROCESSES, SHARED),
    f"1 process, {YEARS:,} versions": (["old"], ALONE),
    f"{PROCESSES} processes, one model of {YEARS:,} versions": (["old"] * PROCESSES, SHARED),
}


def measure() -> list[Row]:
    """SQLite and PostgreSQL, each in the cases above."""
    rows = []
    with tempfile.TemporaryDirectory() as name, databases(Path(name)) as kinds:
        for (database, new), form in product(kinds.items(), FORMS):
            with ExitStack() as stack:
                folder = Path(name) / database / form
                ours, theirs = (Team(stack, side, new(), folder, form) for side in ("ours", "mlflow"))
                rows += [_made(f"{database}, {case}", ours, theirs, *CASES[case]) for case in CASES]
                if form == "no file":
                    rows.append(_moved(f"{database}, {PROCESSES} processes, a model each", ours, theirs))
    return rows


def _made(case: str, ours: Team, theirs: Team, models: Sequence[str], count: int) -> Row:
    pair = paired(lambda: ours.turn(models, count), lambda: theirs.turn(models, count), rounds=ROUNDS)
    ours.check(models)
    lost = theirs.check(models)
    beside = f"MLflow's, {theirs.form}{f', which lost {lost}' if lost else ''}"
    return Row("throughput", f"{case}: register and promote / {beside}", *pair, "ms", GOAL, rounds=ROUNDS)


def _moved(case: str, ours: Team, theirs: Team) -> Row:
    pair = paired(ours.promotions, theirs.promotions, rounds=ROUNDS)
    return Row("throughput", f"{case}: promote / MLflow's alias", *pair, "ms", GOAL, rounds=ROUNDS)


class Team:
    """
    The processes of one side, all on one database.

    :param stack: ends them.
    :param form: one of :data:`FORMS`.
    """

    def __init__(self, stack: ExitStack, name: str, url: str, folder: Path, form: str) -> None:
        self.form = form
        self._name, self._asked = name, dict.fromkeys([*OWN, "alone", "shared"], 0)
        store = folder / name
        store.mkdir(parents=True)
        first = stack.enter_context(Side(name, url, store))
        for model in self._asked:
            first.ask("create", model=model)  # the schema, too, is made by one
        first.ask("fill", model="old", count=YEARS)
        self._asked["old"] = YEARS
        self._sides = [first, *(stack.enter_context(Side(name, url, store)) for _ in OWN[1:])]
        self.turn(OWN, 2)

    def turn(self, models: Sequence[str], count: int) -> float:
        """Let each process make versions of its model; return milliseconds per version that was made."""
        facts = [{"model": model, "count": count, "form": self.form} for model in models]
        os.sync()  # ours waits for the disk, and would wait for what the other side has left to it
        taken, refused = together(self._sides[: len(models)], "register_and_promote", facts)
        for model in models:
            self._asked[model] += count
        return taken * 1000 / (len(models) * count - sum(refused))

    def promotions(self) -> float:
        """Let each process promote two versions of its model in turns; return milliseconds per promotion."""
        numbers = [1, 2] * MOVES
        facts = [{"model": model, "numbers": numbers} for model in OWN]
        os.sync()
        return together(self._sides, "promote", facts)[0] * 1000 / (len(OWN) * len(numbers))

    def check(self, models: Sequence[str]) -> int:
        """Return how many versions are missing that were asked for; with us none may be."""
        models = sorted(set(models))
        there = sum(self._sides[0].ask("count", model=model, form=self.form) for model in models)
        lost = sum(self._asked[model] for model in models) - there
        if lost and self._name == "ours":
            raise RuntimeError(f"{lost} versions of {models} are lost")
        return lost
