"""Nothing is rendered, imported, executed, opened or resolved of what comes as data, through every entry there is."""

from __future__ import annotations

import importlib
import os
import re
import sys
import zipfile
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import jinja2
import pytest
from sqlalchemy import Column, Engine, String, select, update
from sqlalchemy.exc import DBAPIError

from airflow_model_provider import Client, pipeline, step
from airflow_model_provider.exceptions import DigestMismatch, ModelRegistryError, NotSigned, PickleForbidden
from airflow_model_provider.pipelines.passing import read_result, read_whole
from airflow_model_provider.pipelines.values import references_in
from airflow_model_provider.registry import tables
from airflow_model_provider.registry.columns import FreeText, Json
from airflow_model_provider.settings import variable
from airflow_model_provider.workspace import close_workspaces
from tests.support.sentinel import FORMS, TEXTS, WORD, depths, listening
from tests.unit.hostile import definitions, places
from tests.unit.hostile.conftest import World, judged, working
from tests.unit.transfer.test_hostile import Box, said

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DOCS = Path(__file__).parents[3] / "docs" / "security.md"
#: Whoever can write something, in the words of the documentation, and the tests that write it in bad faith.
WRITERS = {
    "DAG files": "",
    "run parameters and `conf`": "airflow/test_hostile_data.py::test_a_step_gets_data",
    "rows, API answers, files": "airflow/test_hostile_data.py::test_a_step_gets_data",
    "the whole return value of a standard task": "airflow/test_hostile_data.py::test_what_is_no_true_reference_is"
    "_one_error",
    "XCom": "unit/hostile/test_entries.py::test_xcom",
    "the registry's database": "unit/hostile/test_entries.py::test_what_stands_in_the_database",
    "the artifact store": "unit/hostile/test_entries.py::test_what_lies_in_the_store",
    "registry and store together": "unit/hostile/test_entries.py::test_code_in_registry_and_store",
    "export files": "unit/hostile/test_entries.py::test_an_export_file",
    "Airflow connections and variables": "unit/hostile/test_entries.py::test_a_definition",
}
#: Places of which the very sense is that something is opened: what a DAG file or a connection names.
OPENED = {"url", "path", "store", "uri", "file_name"}
KEY = "0123456789abcdef" * 2
_NAMES = count()


def test_every_writer_of_the_documentation_is_tried() -> None:
    """By a test that exists."""
    text = DOCS.read_text()
    table = text[text.index("## Who can do what") : text.index("## How data stays data")]
    rows = re.findall(r"^\| (.*?) \|", table, re.MULTILINE)[2:]
    named = [" ".join(re.findall(r"\*\*(.*?)\*\*", row)) for row in rows]

    assert named == list(WRITERS)
    for place in filter(None, WRITERS.values()):
        file, _, test = place.partition("::")
        assert f"def {test}(" in (DOCS.parents[1] / "tests" / file).read_text()


@pytest.mark.parametrize(
    "do",
    [
        *(
            lambda: jinja2.Template(TEXTS[0]),
            lambda: importlib.import_module(WORD),
            lambda: Path(TEXTS[4]).read_text(),
        ),
        *(lambda: os.system(TEXTS[10]), lambda: urlopen(TEXTS[6]), lambda: exec(TEXTS[9])),
    ],
)
def test_whatever_is_done_would_be_heard(
    do: Callable[[], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Templates, imports, files, commands, connections, code."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AssertionError), listening(), suppress(Exception):
        do()


@pytest.fixture(scope="module", params=["", KEY], ids=["", "keys"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A registry; without signing keys and with them."""
    folder = tmp_path_factory.mktemp("entries")
    with pytest.MonkeyPatch.context() as patch:
        if request.param:
            patch.setenv(variable("signing_keys"), request.param)
        made = World(folder, f"sqlite:///{folder / 'registry.db'}")
        with working(made):
            yield made
        close_workspaces()


def tried(judge: Callable[[Any], object], given: list[Any]) -> None:
    """Give each of them, and listen."""
    with listening():
        for item in given:
            judge(item)


@pytest.mark.parametrize("place", sorted({*definitions.PLACES, *definitions.SETTINGS} - OPENED))
def test_a_definition(place: str) -> None:
    """Names, selectors, gates, fields and extras of connections, settings."""
    put = {**definitions.PLACES, **definitions.SETTINGS}[place]
    tried(lambda text: judged(put, text), TEXTS)


@pytest.mark.parametrize("place", sorted({*places.NAMES, *places.TEXTS, *places.XCOM} - OPENED))
def test_a_text(world: World, place: str) -> None:
    """Names, cards, tags, reasons, ids of runs and tasks, metadata, the parts of references."""
    put = {**places.NAMES, **places.TEXTS, **places.XCOM}[place]
    tried(lambda text: world.accepts(put, text), TEXTS)
    assert world.client.list_resolutions(model=WORD) == []


@pytest.mark.parametrize("place", places.VALUES)
def test_a_value(world: World, place: str) -> None:
    """Metadata, defaults and saved values come back as they were."""
    tried(
        lambda form: world.accepts(places.VALUES[place], form),
        [deep for form in FORMS for deep in depths(form)],
    )


def test_xcom(world: World) -> None:
    """As the result of a step and of any other task; what is read as a reference is not found, or refused."""
    with listening():
        for deep in (deep for form in FORMS for deep in depths(form)):
            for read in (read_result, read_whole):
                with suppress(ModelRegistryError):
                    world.registry.resolve(references_in(read(deep)))
    assert world.client.list_resolutions(model=WORD) == []


GOT: list[Any] = []


@step
def take(x: Any) -> None:
    """Keep what it is given."""
    GOT.append(x)


@step
def give(x: Any) -> Any:
    """Hand it on, as a task that reads rows does."""
    return x


@pipeline
def running(form: Any = None) -> None:
    """Data on all ways: a parameter, an output, an element, an argument of a row."""
    take(form)
    take([give(form)])
    take.expand(x=give.with_options(name="wrapped")([form]))
    take.expand_kwargs(give.with_options(name="rows")([{"x": form}]))


@pytest.mark.parametrize("form", [TEXTS[0], TEXTS[8], *FORMS], ids=lambda form: min(form))
def test_a_local_run(world: World, form: Any) -> None:
    """Steps get what it was."""
    with listening():
        for deep in depths(form):
            GOT.clear()
            running.run(deep, registry=world.client)
            assert [deep, [deep], deep, deep] == GOT


# --- files -----------------------------------------------------------------------------------------------


def leaves(value: Any, way: str = "") -> list[str]:
    """The places of a manifest."""
    pairs: Any = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    found = [place for key, item in pairs for place in leaves(item, f"{way}.{key}".lstrip("."))]
    return found + [way] * bool(way)


def read_all(client: Client, model: str, refusal: type[Exception] = ModelRegistryError) -> None:
    """Whatever is there of a model, as pages, commands and tasks read it."""
    for ask in (
        lambda: client.get_model(model).history(),
        lambda: client.compare(model, [item.number for item in client.list_model_versions(model)]),
        lambda: [repr(item) for item in client.list_resolutions(model=model)],
        lambda: client.get_model_version(model, "production"),
    ):
        with suppress(refusal):
            ask()
    with suppress(refusal):
        for version in client.list_model_versions(model):
            read_version(version, refusal)


def read_version(version: Any, refusal: type[Exception]) -> None:
    """A version with its artifacts."""
    _ = repr(version.record), dict(version.run_metadata)
    for artifact in version.list_artifacts():
        _ = artifact.environment, artifact.signature, artifact.made_by, artifact.uri
        with suppress(refusal):
            artifact.load()


def test_an_export_file(world: World) -> None:
    """Each part of its manifest, and names of its members: refused, or data."""
    client, file = world.client, world.folder / "work" / "export.zip"
    with client.new_model_version("exported", "first") as version:
        version.save_artifact("text", "text", metadata={"of": "text"})
        version.log_metadata({"accuracy": 0.97})
    client.update_model("exported", description="flowers", tags=["team blue"])
    client.export_model("exported", file)
    given = [*TEXTS, *FORMS]
    ways = leaves(Box(file).said)
    changes: list[Any] = [
        said(way, given[(index + turn * 5) % len(given)])
        for index, way in enumerate(ways)
        for turn in range(2)
    ]
    changes += [
        lambda box, name=name: box.members.append((zipfile.ZipInfo(name), b"#!/bin/sh")) for name in TEXTS
    ]
    accepted = 0
    for change in changes:
        box = Box(file)
        change(box)
        box.write(world.folder / "work" / "hostile.zip")
        name = f"imported {next(_NAMES)}"
        with listening(), suppress(ModelRegistryError):
            client.import_model(world.folder / "work" / "hostile.zip", name)
            accepted += 1
            read_all(client, name)
    for left in (file, world.folder / "work" / "hostile.zip"):
        left.unlink()

    assert len(changes) > 100
    assert accepted > 10


@contextmanager
def written(engine: Engine, column: Column[Any], value: Any) -> Iterator[bool]:
    """Write a value into all rows of a column; gives whether the database took it, and puts back what was there."""
    table = column.table
    with engine.connect() as connection:
        before = connection.execute(select(table)).mappings().all()
    try:
        with engine.begin() as connection:
            connection.execute(update(table).values({column.name: value}))
    except DBAPIError:  # a key, or rows that never change
        yield False
        return
    yield True
    with engine.begin() as connection:
        for row in before:
            mine = [item == row[item.name] for item in table.primary_key]
            connection.execute(update(table).where(*mine).values({column.name: row[column.name]}))


def test_what_stands_in_the_database(world: World, tmp_path: Path) -> None:
    """Each text and each JSON value of each table: an error, or data. Nothing of it runs."""
    client = Client(f"sqlite:///{tmp_path / 'written.db'}", store=str(tmp_path / "written"))
    with client.new_model_version("written", "first") as version:
        version.save_artifact("text", "text")
        version.log_metadata({"accuracy": 0.97})
    version.set_stage("production", reason="good")
    engine, given = client.workspace.registry._database.engine, [*TEXTS, *FORMS]
    start = 7 if variable("signing_keys") in os.environ else 0
    everything = [column for table in tables.metadata.sorted_tables for column in table.columns]
    columns = [column for column in everything if isinstance(column.type, String | FreeText | Json)]
    taken = 0
    for index, column in enumerate(columns, start):
        form = given[index % len(given)]
        value = form if isinstance(form, str) or isinstance(column.type, Json) else str(form)
        with written(engine, column, value) as is_there, listening():
            taken += is_there
            read_all(client, "written", Exception)

    assert taken > 15


def test_what_lies_in_the_store(world: World) -> None:
    """Bytes that are not those registered are never read as anything."""
    with world.client.new_model_version("stored") as version:
        saved = version.save_artifact("plain", [1, 2])
    path = saved.path()
    original = path.read_bytes()
    for data in (f"c{WORD}\nsing\n.".encode(), f'{{"__type__": "{WORD}"}}'.encode()):
        path.chmod(0o600)
        path.write_bytes(data)
        with listening(), pytest.raises(DigestMismatch):
            version.get_artifact("plain").load()
    path.write_bytes(original)


class Evil:
    """What imports something when it is loaded."""

    def __reduce__(self) -> Any:
        return importlib.import_module, (WORD,)


def test_code_in_registry_and_store(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not loaded where keys are set that have not signed it, nor where pickles are forbidden."""
    monkeypatch.delenv(variable("signing_keys"), raising=False)
    with world.client.new_model_version("forged") as version, monkeypatch.context() as importable:
        importable.setitem(sys.modules, WORD, ModuleType(WORD))
        version.save_artifact("evil", Evil())
    for name, value, error in (("signing_keys", KEY, NotSigned), ("allow_pickle", "False", PickleForbidden)):
        monkeypatch.setenv(variable(name), value)
        with listening(), pytest.raises(error):
            version.get_artifact("evil").load()
        monkeypatch.delenv(variable(name))
