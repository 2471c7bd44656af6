"""Which file defines a class: programs and DAG files that save values of their own classes and load them again."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

PROGRAM = """
import dataclasses, enum, sys
from pathlib import Path
from airflow_model_provider import Client

class Color(enum.Enum):
    RED = 1

@dataclasses.dataclass
class Conf:
    depth: int

folder = Path(__file__).parent
client = Client(f"sqlite:///{folder / 'registry.db'}", store=str(folder / "store"))
if sys.argv[1:] == ["load"]:
    color, conf, seen = client.get_model_version("colors", 1).load_artifact("values")
    print(color is Color.RED, conf == Conf(3), isinstance(conf, Conf), seen[Color.RED])
else:
    with client.new_model_version("colors") as version:
        version.save_artifact("values", (Color.RED, Conf(3), {Color.RED: True}))
"""


KEEPER = """
import dataclasses, enum, pathlib, sys
from airflow_model_provider import Client

class Size(enum.Enum):
    SMALL = 1

@dataclasses.dataclass
class Price:
    amount: float
    def net(self):
        return "CODE"

def main(client):
    if sys.argv[1] == "save":
        with client.new_model_version("prices") as version:
            version.save_artifact("values", [Price(1.0), Size.SMALL])
    else:
        price, size = client.get_model_version("prices", "latest").load_artifact("values")
        print(isinstance(price, Price), size is Size.SMALL, price.net())

if __name__ == "__main__":
    main(Client())
"""
#: Loads a file as Airflow does, with the DAGs folder in the path.
AS_AIRFLOW = """
import importlib.util, sys
from airflow_model_provider import Client
folder, file = sys.argv.pop(1), sys.argv.pop(1)
sys.path.append(folder)
spec = importlib.util.spec_from_file_location("unusual_prefix_0123_train", f"{folder}/{file}")
module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
module.main(Client())
"""


@pytest.fixture
def price_file(tmp_path: Path) -> Callable[..., tuple[str, str]]:
    """Run a file that saves or loads its own values; returns what it printed and warned of."""

    def run(file: str, action: str, *, code: str = "A", dags: str | None = None) -> tuple[str, str]:
        path = tmp_path / (dags or "") / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(KEEPER.replace("CODE", code))
        loader = tmp_path / "as_airflow.py"
        loader.write_text(AS_AIRFLOW)
        command = [str(path)] if dags is None else [str(loader), str(tmp_path / dags), file]
        done = subprocess.run(
            [sys.executable, *command, action],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "AIRFLOW_HOME": str(tmp_path / "home"), "PYTHONDONTWRITEBYTECODE": "1"},
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip(), done.stderr

    return run


def test_a_file_in_a_subfolder_is_the_same_in_both_worlds(price_file: Callable[..., tuple[str, str]]) -> None:
    """Airflow knows it relative to the DAGs folder, and a program relative to its own; one machine, or two."""
    price_file("team/train.py", "save", dags="dags")

    assert price_file("dags/team/train.py", "load")[0] == "True True A"
    assert price_file("dags/team/train.py", "load", code="B")[0] == "True True B"
    assert price_file("elsewhere/team/train.py", "load")[0] == "True True A"
    price_file("clone/team/train.py", "save")
    assert price_file("team/train.py", "load", dags="dags")[0] == "True True A"


def test_another_file_of_the_name_lends_no_classes(price_file: Callable[..., tuple[str, str]]) -> None:
    """Two programs called train.py; one that is a clone of the other has the very same class."""
    price_file("one/train.py", "save")
    shown, warned = price_file("two/train.py", "load", code="B")

    assert shown == "False True A"  # nothing tells the enums apart
    assert "Class 'Price' of train.py is another one than the value was saved with" in warned
    assert price_file("clone/train.py", "load")[0] == "True True A"


def test_bundle_versions_are_one_file(price_file: Callable[..., tuple[str, str]]) -> None:
    """A file at the root of a bundle, of which a later version changes a method."""
    price_file("train.py", "save", dags="bundles/git/versions/1a")

    assert price_file("train.py", "load", dags="bundles/git/versions/2b", code="B")[0] == "True True B"
    assert price_file("train.py", "load", dags="bundles/git/tracking_repo", code="B")[0] == "True True B"


def test_a_program_that_runs_again_knows_its_classes(tmp_path: Path) -> None:
    """The second run of a program finds its own classes in what the first one saved."""
    (tmp_path / "colors.py").write_text(PROGRAM)
    for argument in ("save", "load"):
        done = subprocess.run(
            [sys.executable, tmp_path / "colors.py", argument], capture_output=True, text=True, check=False
        )

        assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["True"] * 4
