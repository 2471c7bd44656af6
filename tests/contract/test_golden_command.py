"""``python -m airflow_model_provider.testing.golden``: what it says to whoever calls it."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from airflow_model_provider.testing.golden import main

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MODULE = """
from pathlib import Path

from airflow_model_provider.materializers.json import BytesMaterializer
from airflow_model_provider.testing import MaterializerContract


class TestBytes(MaterializerContract):
    materializer = BytesMaterializer
    examples = {"short": b"short"}
    golden = Path(__file__).with_name("golden")
"""


def golden(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it in a folder with a module of tests."""
    (folder / "my_tests.py").write_text(MODULE)
    command = [sys.executable, "-m", "airflow_model_provider.testing.golden", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


class Ended(NamedTuple):
    """How the command ended."""

    code: Any
    out: str
    err: str


@pytest.fixture
def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., Ended]]:
    """Run it in this process, where it ends before it does anything."""
    (tmp_path / "my_tests.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])

    def command(*arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["golden", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return Ended(ended.value.code, *capsys.readouterr())

    yield command
    sys.modules.pop("my_tests", None)


def test_missing_files_are_written_once(tmp_path: Path) -> None:
    """And named."""
    done, again = golden(tmp_path, "my_tests:TestBytes"), golden(tmp_path, "my_tests:TestBytes")

    assert (done.returncode, done.stdout.split("-v")[1], done.stderr) == (0, "1-short\n", "")
    assert (again.returncode, again.stdout) == (0, "")
    assert (tmp_path / "golden" / done.stdout.strip()).read_bytes() == b"short"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "the following arguments are required: module:Class"),
        (("no_tests:TestBytes",), "there is no module 'no_tests'"),
        (("my_tests.deeper:TestBytes",), "there is no module 'my_tests.deeper'"),
        (("my_tests:TestOther",), "'my_tests' has no class 'TestOther'"),
        (("my_tests:Path",), "'Path' of 'my_tests' is not a MaterializerContract"),
        (("my_tests",), "'my_tests' is not module:Class"),
    ],
)
def test_what_names_no_contract_is_refused(
    run: Callable[..., Ended], arguments: tuple[str, ...], said: str
) -> None:
    """In one line below the usage."""
    done = run(*arguments)

    assert (done.code, done.out) == (2, "")
    assert said in done.err.splitlines()[-1]


def test_help_says_what_it_does(run: Callable[..., Ended]) -> None:
    """As every command's."""
    done = run("--help")

    assert done.code == 0
    assert "module:Class" in done.out
