"""
Files that releases have written, kept for good beside the tests: every later release reads them.

A folder holds them as ``<key>-v<format version>-<example>``, and ``payloads.json``, which has for each what its row
in a registry had: digest, attributes, types. Entries and files are added and never changed or removed.

``python -m airflow_model_provider.testing.golden tests.test_booster:TestBooster`` adds what is missing.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import tempfile
from argparse import ArgumentParser, ArgumentTypeError
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from airflow_model_provider.client import Client
from airflow_model_provider.exceptions.base import quoted
from airflow_model_provider.registry.artifacts import NewArtifact
from airflow_model_provider.registry.entities import Payload
from airflow_model_provider.selectors import ArtifactType
from airflow_model_provider.workspace import close_workspaces

if TYPE_CHECKING:
    from airflow_model_provider.materializers.base import Materializer
    from airflow_model_provider.testing.materializers import MaterializerContract

PAYLOADS: Final = "payloads.json"
_COMMAND: Final = "python -m airflow_model_provider.testing.golden module:Class"


class Kept(NamedTuple):
    """A golden file: the example that it holds, and what its row in a registry had."""

    file: str
    example: str
    payload: Payload


def kept(folder: Path, key: str) -> list[Kept]:
    """Return the golden files of a format, oldest versions first."""
    found = []
    for file, facts in _payloads(folder).items():
        payload = Payload(**{**facts, "type_names": tuple(facts["type_names"])})
        named = re.fullmatch(rf"{re.escape(key)}-v{payload.format_version}-(.+)", file)
        if payload.materializer == key and named:
            found.append(Kept(file, named[1], payload))
    return sorted(found, key=lambda item: item.payload.format_version)


def problem(folder: Path, materializer: type[Materializer]) -> str | None:
    """Return what a folder lacks for a format; None where nothing is missing."""
    files = kept(folder, materializer.key)
    versions = {item.payload.format_version for item in files}
    for version in range(1, materializer.format_version + 1):
        if version not in versions:
            advice = f"Write them with the release that has it: {_COMMAND}"
            return f"no file in {folder.name} is of {materializer.key} version {version}. {advice}"
    listed = {item.file for item in files}
    there = {path.name for path in folder.glob(f"{materializer.key}-v*")}
    if listed != there:
        return f"{folder.name} keeps its files for good; lost {listed - there}, not in {PAYLOADS} {there - listed}"
    return None


def load(folder: Path, item: Kept, client: Client) -> Any:
    """
    Load a golden file as what it was when it was written: registered, by the same row.

    :param client: of a throw-away registry.
    """
    workspace, payload = client.workspace, item.payload
    with workspace.store.new_file() as path:
        shutil.copyfile(folder / item.file, path)
        life = workspace.put(path, payload.digest, payload.size)
    record = workspace.registry.register_artifact(NewArtifact(item.example, payload, ArtifactType.DATA, life))
    return workspace.load(record, what=item.file)


def write(contract: type[MaterializerContract]) -> list[str]:
    """Save the examples of a contract that the present format version has no file of, and return the files' names."""
    folder, key, written = contract.golden, contract.materializer.key, []
    folder.mkdir(parents=True, exist_ok=True)
    payloads = _payloads(folder)
    with tempfile.TemporaryDirectory() as place:
        client = Client(f"sqlite:///{place}/registry.db", store=f"{place}/store")
        version = client.create_model_version("golden")
        for name, value in contract.examples.items():
            file = f"{key}-v{contract.materializer.format_version}-{name}"
            if file in payloads:
                continue
            saved = version.save_artifact(name, value, format=contract.format)
            shutil.copyfile(saved.uri, folder / file)
            payloads[file] = saved.record.payload._asdict()
            written.append(file)
        close_workspaces()
    lines = [f"{json.dumps(file)}: {json.dumps(payloads[file])}" for file in sorted(payloads)]
    (folder / PAYLOADS).write_text("{\n" + ",\n".join(lines) + "\n}\n")
    return written


def _payloads(folder: Path) -> dict[str, dict[str, Any]]:
    path = folder / PAYLOADS
    found: dict[str, dict[str, Any]] = json.loads(path.read_text()) if path.exists() else {}
    return found


def _contract(text: str) -> type[MaterializerContract]:
    """
    Return the test class that ``module:Class`` names.

    :raises ArgumentTypeError: if there is none. What its module raises when it is imported, is raised.
    """
    from airflow_model_provider.testing.materializers import MaterializerContract

    name, _, attribute = text.partition(":")
    if not name or not attribute:
        raise ArgumentTypeError(f"{quoted(text)} is not module:Class")
    try:
        module = import_module(name)
    except ModuleNotFoundError as err:
        if err.name is None or not f"{name}.".startswith(f"{err.name}."):
            raise
        raise ArgumentTypeError(f"there is no module {quoted(name)}") from None
    found = getattr(module, attribute, None)
    if found is None:
        raise ArgumentTypeError(f"{quoted(name)} has no class {quoted(attribute)}")
    if not (isinstance(found, type) and issubclass(found, MaterializerContract)):
        raise ArgumentTypeError(f"{quoted(attribute)} of {quoted(name)} is not a MaterializerContract")
    return found


def main() -> None:
    """Write the missing files of test classes, each named as ``module:Class``."""
    parser = ArgumentParser(
        prog="python -m airflow_model_provider.testing.golden",
        description="Write the golden files that contract test classes lack, and print their names.",
    )
    parser.add_argument(
        "contracts", nargs="+", type=_contract, metavar="module:Class", help="a test class, from this folder"
    )
    sys.path.insert(0, str(Path.cwd()))
    for contract in parser.parse_args().contracts:
        for file in write(contract):
            sys.stdout.write(f"{file}\n")


if __name__ == "__main__":
    main()
