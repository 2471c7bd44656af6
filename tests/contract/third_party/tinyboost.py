"""A stand-in for LightGBM: a booster that writes itself to a model file, and is made from one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path


class Booster:
    """Stumps that are added up; ``lightgbm.Booster`` has these three methods, and the same first argument."""

    def __init__(
        self, model_file: str | None = None, *, objective: Callable[[float], float] | None = None
    ) -> None:
        self.stumps: list[tuple[int, float, float, float]] = []
        self.objective = objective
        if model_file is not None:
            header, *lines = Path(model_file).read_text().splitlines()
            if header != f"tinyboost {len(lines)}":
                raise ValueError(f"{model_file} is no model file")
            for line in lines:
                feature, *numbers = line.split()
                threshold, low, high = map(float.fromhex, numbers)
                self.stumps.append((int(feature), threshold, low, high))

    def add(self, feature: int, threshold: float, low: float, high: float) -> Booster:
        """Add a stump."""
        self.stumps.append((feature, threshold, low, high))
        return self

    def predict(self, rows: Sequence[Sequence[float]]) -> list[float]:
        """Return one number per row."""
        sums = [sum(high if row[at] > than else low for at, than, low, high in self.stumps) for row in rows]
        return list(map(self.objective, sums)) if self.objective else sums

    def save_model(self, filename: str) -> None:
        """Write the stumps; an objective is Python code, and is not written."""
        lines = [f"{at} {than.hex()} {low.hex()} {high.hex()}" for at, than, low, high in self.stumps]
        Path(filename).write_text("\n".join([f"tinyboost {len(lines)}", *lines]))
