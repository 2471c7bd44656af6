"""``python -m airflow_model_provider.testing.golden``: what it says to whoever calls it."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
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
        (("my_tests:Path",), "'Path' of 'my_tests' is no MaterializerContract"),
        (("my_tests",), "'my_tests' is not module:Class"),
    ],
)
def test_what_names_no_contract_is_refused(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    """In one line below the usage."""
    done = golden(tmp_path, *arguments)

    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_help_says_what_it_does(tmp_path: Path) -> None:
    """As every command's."""
    done = golden(tmp_path, "--help")

    assert done.returncode == 0
    assert "module:Class" in done.stdout
