"""``scripts/bench [question ...]``: one table of medians and ratios; what was measured now is kept."""

from __future__ import annotations

import importlib
import json
import os
import platform
import sys
from dataclasses import asdict, fields
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.harness import Row, chosen

QUESTIONS = (
    *("import_cost", "program", "cold_load", "resolving", "large", "parsing", "real_run"),
    *("throughput", "promoting", "upkeep", "waking"),
)
RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Measure what was asked for; a broken budget is exit code 1."""
    asked = chosen("scripts/bench", __doc__, "question", QUESTIONS)
    console = Console(width=None if sys.stdout.isatty() else 130, highlight=False)
    rows: list[Row] = []
    for name in asked:
        console.print(f"[dim]measuring {name}[/]")
        rows += (measured := importlib.import_module(f"benchmarks.{name}").measure())
        keep(measured)
    console.print(table(rows))
    sys.exit(any(row.kept is False for row in rows))


def _cells(row: Row) -> list[str]:
    figure = f"+{row.figure:.1f} {row.unit}" if row.difference else f"{row.figure:.3g} x"
    budget = "" if row.budget is None else f"{row.budget:.3g} {row.unit if row.difference else 'x'}"
    kept = {None: "", True: "yes", False: "NO"}[row.kept]
    return [
        row.question,
        row.case,
        f"{row.ours:.3g} {row.unit}",
        f"{row.bare:.3g} {row.unit}",
        figure,
        budget,
        kept,
    ]


def keep(rows: list[Row]) -> None:
    """Put what was measured now in the place of what is kept of the same questions."""
    file = RESULTS / "results.json"
    kept = json.loads(file.read_text())["rows"] if file.exists() else []
    now = datetime.now(UTC).isoformat(timespec="seconds")
    for question in dict.fromkeys(row.question for row in rows):
        new = [as_fact(row, now) for row in rows if row.question == question]
        place = next((index for index, item in enumerate(kept) if item["question"] == question), len(kept))
        others = [item for item in kept if item["question"] != question]
        kept = [*others[:place], *new, *others[place:]]
    RESULTS.mkdir(exist_ok=True)
    file.write_text(as_json(kept))
    (RESULTS / "results.md").write_text(as_markdown([as_row(fact) for fact in kept]))


def as_fact(row: Row, at: str) -> dict[str, Any]:
    """A row as it is kept."""
    return {**asdict(row), "figure": row.figure, "kept": row.kept, "at": at}


def as_row(fact: dict[str, Any]) -> Row:
    """And back."""
    return Row(**{field.name: fact[field.name] for field in fields(Row)})


HEAD = ("question", "case", "ours", "bare", "figure", "budget", "kept")


def table(rows: list[Row]) -> Table:
    """The table on the console."""
    made = Table(*HEAD)
    for row in rows:
        made.add_row(*_cells(row))
    return made


def as_markdown(rows: list[Row]) -> str:
    """The table as Markdown."""
    lines = [" | ".join(cells) for cells in (HEAD, ["---"] * len(HEAD), *map(_cells, rows))]
    return "".join(f"| {line} |\n" for line in lines)


def as_json(rows: list[dict[str, Any]]) -> str:
    """Everything, and what it was measured on."""
    packages = ("apache-airflow", "pandas", "scikit-learn", "sqlalchemy", "pyarrow")
    return json.dumps(
        {
            "python": platform.python_version(),
            "cores": os.cpu_count(),
            "packages": {name: version(name) for name in packages},
            "rows": rows,
        },
        indent=1,
    )


if __name__ == "__main__":
    main()
