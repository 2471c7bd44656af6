"""Rules that the house keeps."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pickle
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from airflow_model_provider import exceptions, get_provider_info, settings
from airflow_model_provider.cli.definition import get_model_registry_cli_commands
from airflow_model_provider.exceptions import ModelRegistryError

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "airflow_model_provider"
HEAVY = (
    "airflow",
    "sqlalchemy",
    "alembic",
    "pandas",
    "numpy",
    "sklearn",
    "pyarrow",
    "fsspec",
    "upath",
    "cloudpickle",
)
CORE = [
    "airflow_model_provider." + ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
    for path in PACKAGE.rglob("*.py")
    if path.relative_to(PACKAGE).parts[0]
    not in (
        "hooks",
        "operators",
        "sensors",
        "dag_builder.py",
        "dag_test.py",
        "cli",
        "links",
        "rendering.py",
        "task_context.py",
        "assets.py",
        "triggers",
        "plugins",
        "testing",
        "__init__.py",
        "migrations",
    )
    and path.name != "__init__.py"
    and "migrations" not in path.parts
]


def tracked(*patterns: str) -> list[Path]:
    """The files of the repository that match."""
    done = subprocess.run(
        ["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [ROOT / line for line in done.stdout.splitlines() if (ROOT / line).exists()]


def python(code: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_no_file_is_long() -> None:
    """500 lines at most; example DAGs 40 to 80."""
    lengths = {path: len(path.read_text().splitlines()) for path in tracked("*.py")}

    assert [str(path) for path, length in lengths.items() if length > 500] == []
    examples = [
        length
        for path, length in lengths.items()
        if path.parent.name == "dags" and path.parent.parent == ROOT
    ]
    assert len(examples) >= 4
    assert all(40 <= length <= 80 for length in examples), examples


def errors() -> list[type[ModelRegistryError]]:
    """Every class of error that is raised: all but the two that others only derive from."""
    found = [item for item in vars(exceptions).values() if inspect.isclass(item)]
    bases = (ModelRegistryError, exceptions.DefinitionError)
    return [item for item in found if issubclass(item, ModelRegistryError) and item not in bases]


@pytest.mark.parametrize("error", errors())
def test_errors_survive_pickling_with_their_facts(error: type[ModelRegistryError]) -> None:
    """Between processes an error keeps its class, its attributes and its sentence; its docstring speaks of retries."""
    samples = {"int": 3, "float": 3.5, "int | None": 3, "str | None": "text", "Sequence[str]": ("a", "b")}
    parameters = list(inspect.signature(error).parameters.values())
    made = error(*[samples.get(str(item.annotation), "text") for item in parameters])
    found = pickle.loads(pickle.dumps(made))

    assert type(found) is error
    assert (vars(found), str(found), repr(found)) == (vars(made), str(made), repr(made))
    assert [getattr(found, item.name) for item in parameters if hasattr(made, item.name)]
    assert re.search(r"retr(y|ies)", inspect.getdoc(error) or ""), "say whether a retry helps"


def test_the_root_imports_nothing_heavy() -> None:
    """Neither the root nor the provider info brings in Airflow or a data library."""
    code = "import sys, airflow_model_provider, airflow_model_provider.get_provider_info as i; i.get_provider_info();"
    assert python(f"{code} print([name for name in {HEAVY!r} if name in sys.modules])") == "[]"


def test_what_a_dag_file_imports_is_light() -> None:
    """All names of the root, used: no database, no data library, no Airflow (R1)."""
    code = (
        "import sys; from airflow_model_provider import *; from airflow_model_provider import pipeline, step, Model;"
        "step(len); Model('iris', version='production').get_model_artifact('m');"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    assert python(code) == "[]"


def test_the_core_does_not_bring_in_airflow() -> None:
    """Every module below the hooks, imported in a fresh interpreter (import-linter sees static imports only)."""
    assert len(CORE) > 50
    code = f"import importlib, sys; [importlib.import_module(name) for name in {CORE!r}];"
    code += "print('airflow' in sys.modules)"

    assert python(code) == "False"


def test_everything_the_provider_info_names_can_be_imported() -> None:
    """Hooks, decorators, commands, fixtures."""
    info = get_provider_info.get_provider_info()
    named = [item["hook-class-name"] for item in info["connection-types"]]
    named += [item["class-name"] for item in info["task-decorators"]] + info["cli"]
    for kind in ("hooks", "operators", "sensors", "triggers"):
        listed = {name for item in info[kind] for name in item["python-modules"]}
        there = {f"airflow_model_provider.{kind}.{path.stem}" for path in (PACKAGE / kind).glob("*.py")}
        assert listed <= there, kind
        for name in listed:
            assert importlib.import_module(name)
    named += [item["handler"] for item in info["asset-uris"]]
    for path in named:
        module, _, name = path.rpartition(".")
        assert callable(getattr(importlib.import_module(module), name))

    assert importlib.import_module("airflow_model_provider.testing.fixtures").model_registry


def blocks() -> list[tuple[str, str, str]]:
    """The documentation's code blocks that come from a file which tests run: file, block, code."""
    pages = "".join(path.read_text() for path in tracked("README.md", "docs/*.md"))
    return re.findall(r"<!-- ((?:dags|tests)/\S+) (\w+) -->\n```(?:python|toml)\n(.*?)```", pages, re.DOTALL)


def test_the_documentation_shows_code_that_tests_run() -> None:
    """Its code is that of the example DAGs, and of the examples under test."""
    assert len(blocks()) >= 7
    for file, name, code in blocks():
        source = (ROOT / file).read_text()
        found = re.search(
            rf"^ *# \[START {name}\]\n(.*?)^ *# \[END {name}\]", source, re.DOTALL | re.MULTILINE
        )
        assert found is not None, (file, name)
        assert textwrap.dedent(found.group(1)).strip("\n") == code.strip("\n"), (file, name)


def test_every_command_and_setting_is_documented() -> None:
    """What can be typed and what can be configured stands in the README."""
    readme = (ROOT / "README.md").read_text()
    (group,) = get_model_registry_cli_commands()
    for command in group.subcommands:
        names = [f"{command.name} {item.name}" for item in getattr(command, "subcommands", ())] or [
            command.name
        ]
        for name in names:
            assert re.search(rf"(airflow model-registry |`){name}\b", readme), name
    options = get_provider_info.get_provider_info()["config"][settings.SECTION]["options"]
    for option in options:
        assert f"`{option}`" in readme
    assert tuple(options) == settings.SETTINGS


def test_examples_in_docstrings_are_true() -> None:
    """Those that need no registry; the others say that they are skipped."""
    modules = [*CORE, "airflow_model_provider.decorators.pipeline", "airflow_model_provider.decorators.step"]
    found = {name: doctest.testmod(importlib.import_module(name)) for name in modules}

    assert [name for name, result in found.items() if result.failed] == []
    assert sum(result.attempted for result in found.values()) >= 15


def test_no_path_of_a_machine_is_in_a_file() -> None:
    """The repository works wherever it is."""
    texts = {path: path.read_text(errors="ignore") for path in tracked() if path.is_file()}
    here = (str(ROOT), str(Path.home()) + "/")

    assert [str(path) for path, text in texts.items() if any(place in text for place in here)] == []


def test_versions_are_said_once() -> None:
    """The changelog's newest entry is the package's version."""
    from airflow_model_provider import __version__

    newest = re.search(r"^## \[?([0-9][^\] ]*)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert newest.group(1) == __version__


def test_the_source_distribution_is_whole(tmp_path: Path) -> None:
    """It holds what the README links to, the changelog, and tests that can be run with what is beside them."""
    subprocess.run(
        [
            sys.executable,
            "-c",
            "import setuptools; setuptools.setup()",
            "-q",
            "egg_info",
            "--egg-base",
            tmp_path,
        ],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (sources,) = tmp_path.glob("*/SOURCES.txt")
    held = set(sources.read_text().splitlines())
    linked = re.findall(r"\]\(((?!https?:)[^)#]+)", (ROOT / "README.md").read_text())
    wanted = {
        *linked,
        "CHANGELOG.md",
        "LICENSE",
        "tests/conftest.py",
        "scripts/test",
        "requirements/lock.txt",
    }

    assert wanted - held == set()
