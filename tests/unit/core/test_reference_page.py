"""The page this project was born from, as a program: nothing prepared, no Airflow (which this job can't import)."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_model_provider import Client
from airflow_model_provider.workspace import close_workspaces

ROOT = Path(__file__).parents[3]
PAGES = ROOT / "tests" / "pages"
FORMS = ["load_artifacts_from_model", "load_artifacts_with_client"]


def python(home: Path, *arguments: str | Path) -> str:
    """Run Python as a user with an empty home folder, and return what it prints."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("AIRFLOW")}
    done = subprocess.run(
        [sys.executable, *arguments],
        env={**environment, "HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=PAGES,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def code(text: str) -> list[str]:
    """Return the lines that must be the reference page's: all but imports and the added ``load_data``."""
    text = re.sub(
        r'^""".*?"""\n|^@step\ndef load_data.*?(?=^@)|^(from|import) .*?\n', "", text, flags=re.S | re.M
    )
    return [line for line in text.splitlines() if line.strip()]


def test_only_imports_are_changed() -> None:
    """Line by line, both forms are the page's."""
    page = (ROOT / "tests" / "pages" / "load-artifacts-from-model.md").read_text()
    first, second = (code(block) for block in re.findall(r"```python\n(.*?)```", page, re.S))
    ours = [code((PAGES / f"{form}.py").read_text()) for form in FORMS]

    assert ours[0] == first
    start = ours[1].index("@pipeline")
    assert ours[1][:start] == first[: first.index("@pipeline(")]
    assert ours[1][start:] == second + first[-2:]


def test_the_reference_page_runs_as_a_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both forms, after one training program in an empty home folder, which is all the set-up there is."""
    trained = python(tmp_path, ROOT / "dags" / "example_training.py")
    said = [python(tmp_path, f"{form}.py").splitlines() for form in FORMS]

    assert trained.startswith(f"Model registry sqlite:///{tmp_path}/airflow/model_registry.db")
    for lines in said:
        assert [line.strip() for line in lines[1:]] == ["load_data: success", "predict: success"]
    assert sorted(path.name for path in (tmp_path / "airflow").iterdir()) == [
        "model_artifacts",
        "model_registry.db",
    ]
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("AIRFLOW_HOME")
    assert [len(Client().get_artifact("predictions", number).load()) for number in (1, 2)] == [150, 150]
    close_workspaces()


def test_importing_the_page_builds_and_runs_nothing(tmp_path: Path) -> None:
    """No file is made, no Airflow and no SQLAlchemy imported."""
    look = "print([name for name in ('airflow', 'sqlalchemy') if name in sys.modules])"

    assert python(tmp_path, "-c", f"import sys, {', '.join(FORMS)}; {look}") == "[]\n"
    assert list(tmp_path.iterdir()) == []
