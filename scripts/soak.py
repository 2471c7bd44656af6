"""``scripts/soak [form ...]``: tests with many more examples, kills, rounds, and what they have shown."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

from benchmarks.harness import chosen

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"


class Form(NamedTuple):
    """
    One long form.

    :param times: how much longer it is than among the ordinary tests: ``tests/support/soak.py``.
    :param says: what it is.
    :param tests: what pytest is told to run.
    :param processes: how many tests run at once.
    """

    times: int
    says: str
    tests: tuple[str, ...]
    processes: int = 2


REGISTRY, UPKEEP = "tests/unit/registry", "tests/unit/upkeep"
FORMS = {
    "values": Form(
        30,
        "Values of all kinds are saved and come back equal; writers of a store are killed.",
        ("tests/unit/materializers/test_exactness.py", "tests/unit/artifacts/test_store.py"),
    ),
    "writers": Form(
        30,
        "Processes race for versions, promotions and pins, and are killed; random operations against a model in plain "
        "Python; histories checked for linearizability.",
        tuple(
            f"{REGISTRY}/test_{name}.py" for name in ("concurrency", "pins", "stateful", "linearizability")
        ),
    ),
    "champions": Form(
        30,
        "2, 4 and 8 processes race for a stage, round after round: the best has to hold it at the end of each.",
        (f"{REGISTRY}/test_champions.py",),
        1,
    ),
    "gates": Form(
        25,
        "Processes promote a good and a better version in random order, through a gate: the better one has to stay.",
        (f"{REGISTRY}/test_gate_races.py",),
        1,
    ),
    "mapping": Form(
        2,
        "Tasks mapped over 0, 1, 90, 200 and 1,000 numbers, texts, dictionaries, frames, models, in both worlds: each "
        "instance gets its element and loads no other.",
        (
            "tests/airflow/test_mapping.py::test_each_instance_gets_its_own_element",
            "tests/airflow/test_both_worlds.py::test_each_instance_gets_its_own_element",
        ),
        0,
    ),
    "kills": Form(10, "Processes are killed while they save and register.", (f"{UPKEEP}/test_kills.py",)),
    "collectors": Form(
        60,
        "Writers of two registries on one store beside collectors that wait for nobody.",
        (f"{UPKEEP}/test_upkeep.py::test_collectors_and_writers_run_together",),
        3,
    ),
    "forms": Form(
        100,
        "JSON that looks like references, through all that reads: nothing is rendered, and nothing more is looked up "
        "than is named.",
        ("tests/unit/hostile/test_json_forms.py",),
    ),
    "hostile": Form(
        12,
        "Hostile texts wherever the registry takes one; every number at every place of a table.",
        tuple(f"tests/unit/hostile/test_{name}.py" for name in ("tables", "hostile_texts")),
    ),
    "commands": Form(
        12,
        "Hostile texts in all options of the command line; DAG files that are parsed again and again.",
        tuple(f"tests/airflow/test_{name}.py" for name in ("hostile_cli", "parsing")),
    ),
    "faults": Form(
        2,
        "A fault at every call of database, disk and object store: done, not done, or said to be not known.",
        ("tests/unit/faults",),
    ),
    "runs": Form(
        25,
        "Runs of random shapes end by dag.test() and as programs: no version stays open, none is ready that is not.",
        ("tests/airflow/test_ends_of_runs.py",),
        0,
    ),
    "promotions": Form(
        10,
        "Promotions in bursts while scheduler and triggerer are killed: each is claimed by one run of each DAG.",
        ("tests/timing/test_woken_by_promotions.py",),
        0,
    ),
    "stages": Form(
        10,
        "2,000 task instances under a real scheduler while stages move.",
        ("tests/timing/test_race.py",),
        0,
    ),
}


def main() -> None:
    """Run what was asked for; a failure is exit code 1."""
    asked = chosen("scripts/soak", __doc__, "form", list(FORMS))
    failed = [name for name in asked if not run(name, FORMS[name])]
    sys.exit(f"Failed: {', '.join(failed)}" if failed else 0)


def run(name: str, form: Form) -> bool:
    """Run a form, and keep what it has shown if it passed."""
    sys.stdout.write(f"── {name}: {form.says}\n")
    sys.stdout.flush()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        options = (
            "--timeout",
            "7200",
            "--quiet",
            "--numprocesses",
            str(form.processes),
            "--junitxml",
            report,
        )
        done = subprocess.run(  # noqa: S603 - our own tests
            [sys.executable, "-m", "pytest", *options, *form.tests],
            cwd=ROOT,
            env={**os.environ, "SOAK": str(form.times)},
            check=False,
        )
        if done.returncode == 0:
            keep(name, [fact(case) for case in ElementTree.parse(report).iter("testcase")])  # noqa: S314 - pytest's
    return done.returncode == 0


def fact(case: ElementTree.Element) -> dict[str, Any]:
    """A test, how long it took, and what it says that it has done."""
    said = {item.attrib["name"]: item.attrib["value"] for item in case.iter("property")}
    return {"test": case.attrib["name"], "seconds": round(float(case.attrib["time"])), "said": said}


def keep(name: str, tests: list[dict[str, Any]]) -> None:
    """Put what a form has shown in the place of what it had shown before."""
    file = RESULTS / "soak.json"
    kept = json.loads(file.read_text()) if file.exists() else {}
    where = {
        "at": f"{datetime.now(UTC):%Y-%m-%d}",
        "python": platform.python_version(),
        "cores": os.cpu_count(),
    }
    kept[name] = {**where, "times": FORMS[name].times, "tests": tests}
    kept = {form: kept[form] for form in FORMS if form in kept}
    file.write_text(json.dumps(kept, indent=1) + "\n")
    (RESULTS / "soak.md").write_text(
        "# The long forms\n\nWhat `scripts/soak` has shown last; all tests passed.\n"
        + "".join(map(told, kept.items()))
    )


def told(entry: tuple[str, dict[str, Any]]) -> str:
    """A form's section."""
    name, kept = entry
    rows = [test for test in kept["tests"] if test["said"] or test["seconds"] >= 5]
    lines = [
        f"| `{row['test']}` | {row['seconds']:,} s | "
        f"{', '.join(f'{value} {what}' for what, value in row['said'].items())} |\n"
        for row in rows
    ]
    ran = f"{kept['at']}, Python {kept['python']}, {kept['cores']} cores, {kept['times']} times the ordinary form"
    taken = sum(test["seconds"] for test in kept["tests"])
    head = f"\n## {name}\n\n{FORMS[name].says}\n\n{ran}: {len(kept['tests'])} tests, {taken:,} s of them.\n\n"
    return f"{head}| test | took | did |\n| --- | --- | --- |\n{''.join(lines)}"


if __name__ == "__main__":
    main()
