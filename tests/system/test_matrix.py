"""Each place, each thing wanted, operator and decorator: under a real scheduler, and what Airflow shows of it."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from airflow_model_provider import Client
from airflow_model_provider.registry.entities import Attempt, Link, Relation, RunKey
from airflow_model_provider.workspace import Saving
from tests.system.dags import matrix

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_model_provider.registry.entities import ResolutionRecord
    from tests.support.airflow_runtime import AirflowRuntime

STEPS, STOCK = "matrix_steps", "matrix_stock"
FLAVOURS = ("decorator", "operator")
#: What is in which artifact.
HELD = {
    "any_artifact": ("m", 7, "deployment of 2"),
    "model_artifact": ("m", 5, "model of 2"),
    "data_artifact": ("m", 6, "data of 2"),
    "deployment_artifact": ("m", 7, "deployment of 2"),
    "artifact_version": ("m", 4, "an older model of 2"),
    "map_index": ("c", 5, "1 of 2"),
}


class Place(NamedTuple):
    """Where references, f-strings of them or Jinja stand: in which task, and the way through its arguments."""

    task: str
    path: tuple[Any, ...]
    map_index: int = -1
    form: str = "references"
    visible: bool = True


COMMON = {
    "positional": Place("direct", ("args",)),
    "keyword": Place("direct", ("kwargs",)),
    "nested": Place("nested", ("args", 0)),
    "partial": Place("partial", ("kwargs", "things"), 0),
    "expand": Place("expand", ("kwargs", "item"), 1),
}
PLACES = {
    STEPS: {
        **COMMON,
        "dataclass": Place("nested", ("kwargs", "box", "Box", 0, "deep"), visible=False),
        "default": Place("default", ("args", 1), visible=False),
        "expand_kwargs": Place("expand_kwargs", ("kwargs",), 0),
        "from_step": Place("received", ("kwargs", "several")),
        "f-string": Place("default", ("kwargs", "texts"), form="texts"),
        "jinja": Place("default", ("kwargs", "jinja"), form="jinja"),
    },
    STOCK: {
        **COMMON,
        "f-string": Place("nested", ("kwargs", "texts"), form="texts"),
        "jinja": Place("nested", ("kwargs", "jinja"), form="jinja"),
    },
}
CASES = [
    pytest.param(dag_id, f"{place.task}_{flavour}", place, id=f"{dag_id}-{name}-{flavour}")
    for dag_id, places in PLACES.items()
    for name, place in places.items()
    for flavour in FLAVOURS
]
SHOWN = [case for case in CASES if case.values[2].visible]
TASKS = sorted(
    {(dag_id, task_id, place.map_index) for dag_id, task_id, place in (case.values for case in CASES)}
)
SELECTING = [(STEPS, "decorator"), (STEPS, "operator"), (STOCK, "operator")]


class Ran:
    """What the runs of the matrix, by DAG, left behind."""

    def __init__(self, airflow: AirflowRuntime, registry: Client, runs: Mapping[str, str]) -> None:
        self.airflow, self.registry, self.runs = airflow, registry, runs
        self._tasks = {dag_id: airflow.task_instances(dag_id, run_id) for dag_id, run_id in runs.items()}

    def tasks(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Every task instance with its name."""
        for dag_id, tasks in self._tasks.items():
            for task_id, items in tasks.items():
                for item in items:
                    yield f"{dag_id}.{task_id}[{item['map_index']}]", item

    def task(self, dag_id: str, task_id: str, map_index: int = -1) -> dict[str, Any]:
        """One task instance."""
        return {item["map_index"]: item for item in self._tasks[dag_id][task_id]}[map_index]

    def xcom(self, item: Mapping[str, Any], key: str = "return_value") -> Any:
        """What Airflow shows on the XCom page of a task instance."""
        assert item["state"] == "success", f"{item['task_id']} {item['state']}"
        return self.airflow.xcom(item["dag_id"], item["dag_run_id"], item["task_id"], key, item["map_index"])

    def told(self, dag_id: str, task_id: str, map_index: int = -1) -> Any:
        """What a task said that it was given."""
        value = self.xcom(self.task(dag_id, task_id, map_index))
        if "__artifact__" not in value:
            return value
        name, _, number = value["__artifact__"].rpartition("@")
        return self.registry.get_artifact(name, int(number)).load()

    def records(self, dag_id: str, task_id: str, map_index: int = -1) -> list[ResolutionRecord]:
        """What was recorded for a task instance."""
        found = self.registry.list_resolutions(dag_id=dag_id, run_id=self.runs[dag_id], limit=10_000)
        wanted = task_id, map_index
        return [item for item in found if (item.attempt.task_id, item.attempt.map_index) == wanted]


@pytest.fixture(scope="module")
def ran(airflow: AirflowRuntime) -> Ran:
    """A filled registry, and the matrix run on it."""
    registry = Client(airflow.registry_url, store=str(airflow.store))
    fill(registry)
    runs = {"matrix_other": airflow.trigger("matrix_other")}
    runs[STOCK] = airflow.trigger(STOCK, conf={"version": "first"})
    assert airflow.wait_run("matrix_other", runs["matrix_other"]) == "success"
    runs[STEPS] = airflow.trigger(STEPS, conf={"version": "first", "other": runs["matrix_other"]})
    for dag_id in (STOCK, STEPS):
        airflow.wait_run(dag_id, runs[dag_id], timeout=240)
    return Ran(airflow, registry, runs)


def fill(registry: Client) -> None:
    """Three versions of one model; the second is production and holds one more artifact than the others."""
    for number, name in ((1, "first"), (2, "second"), (3, None)):
        with registry.new_model_version("matrix", name) as version:
            if number == 2:
                version.save_artifact("m", "an older model of 2", kind="model")
            for kind in ("model", "data", "deployment"):
                metadata = {"k": f"{kind} {number}"}
                version.save_artifact("m", f"{kind} of {number}", kind=kind, metadata=metadata)
            version.log_metadata({"acc": number / 4})
            run, links = RunKey("default", "fold", f"run {number}"), [Link(version.id, Relation.OUTPUT)]
            for index in range(3):
                attempt = Attempt(run, "fold", f"fold {number} {index}", map_index=index)
                saving = Saving("c", what="a fold", place=index)
                registry.workspace.save(f"{index} of {number}", saving, attempt=attempt, links=links)
    registry.get_model_version("matrix", 2).set_stage("production")


def expected(registry: Client, dag_id: str, form: str, *, shown: bool = False) -> dict[str, Any]:
    """What each thing has to be in a task, or ``shown`` on Airflow's pages."""
    files = {name: registry.get_artifact(*held[:2]) for name, held in HELD.items()}
    uris, newest = {name: file.uri for name, file in files.items()}, files["any_artifact"]
    plain = {
        "metadata": 0.5,
        "metadata_default": "none",
        "stage_default": "nobody",
        "artifact_metadata": "deployment 2",
        "artifact_default": [0],
        "number": 2,
        "name": "second",
        "stage": "production",
        "id": registry.get_model_version("matrix", 2).id,
        "uri": newest.uri,
        "digest": newest.digest,
        "artifact_number": 7,
    }
    rendered = {**plain, **uris, "version": "matrix@2", "local_path": newest.uri}
    if form != "references":
        names = matrix.JINJA if form == "jinja" else matrix.TEXTS
        return {name: str(rendered[name]) for name in names}
    if shown:
        return {name: item.to_json() for name, item in matrix.THINGS.items()} if dag_id == STEPS else rendered
    if dag_id == STEPS:
        plain |= {"version": ["ModelVersion", "matrix@2", 2], "local_path": ["Path", newest.uri]}
        return {**plain, **{name: held[2] for name, held in HELD.items()}}
    handles = {name: ["PinnedArtifact", uri, HELD[name][2]] for name, uri in uris.items()}
    return {**rendered, **handles, "version": ["PinnedVersion", "matrix@2", 2]}


def found_at(arguments: Any, path: tuple[Any, ...]) -> Any:
    """The things at a place, by name."""
    for part in path:
        arguments = arguments[part]
    if isinstance(arguments, list) and isinstance(arguments[0], dict) and len(arguments[0]) == 1:
        return {name: held[1][0] for item in arguments for name, held in item.items()}
    return dict(zip(matrix.THINGS, arguments, strict=True)) if isinstance(arguments, list) else arguments


def differences(got: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """The things that are not what they have to be."""
    names = {**wanted, **got}
    return {name: (got.get(name), wanted.get(name)) for name in names if got.get(name) != wanted.get(name)}


def test_every_task_succeeds(ran: Ran) -> None:
    """Wherever its references stand, at the first try."""
    ends = {name: (item["state"], item["try_number"]) for name, item in ran.tasks()}
    text = "".join(ran.airflow.failures(dag_id, run_id) for dag_id, run_id in ran.runs.items())

    assert {name: end for name, end in ends.items() if end != ("success", 1)} == {}, text


@pytest.mark.parametrize(("dag_id", "task_id", "place"), CASES)
def test_a_task_is_given_what_it_wants(ran: Ran, dag_id: str, task_id: str, place: Place) -> None:
    """Everything that can be wanted arrives at every place."""
    got = found_at(ran.told(dag_id, task_id, place.map_index), place.path)

    assert differences(got, expected(ran.registry, dag_id, place.form)) == {}


@pytest.mark.parametrize(("dag_id", "task_id", "place"), SHOWN)
def test_rendered_templates_are_readable(ran: Ran, dag_id: str, task_id: str, place: Place) -> None:
    """The page shows references as objects in steps, and addresses, printed versions and values elsewhere."""
    fields = ran.task(dag_id, task_id, place.map_index)["rendered_fields"]
    got = found_at({"args": fields["op_args"], "kwargs": fields["op_kwargs"]}, place.path)

    assert differences(got, expected(ran.registry, dag_id, place.form, shown=True)) == {}


def test_pages_hold_small_json(ran: Ran) -> None:
    """No memory addresses, class names, pickles or cut text in rendered templates and XComs."""
    pages = {f"{name} rendered": item["rendered_fields"] for name, item in ran.tasks()}
    done = {name: item for name, item in ran.tasks() if item["state"] == "success" and "two" not in name}
    pages |= {f"{name} xcom": ran.xcom(item) for name, item in done.items()}
    ugly = (" object at 0x", "__classname__", "gAS", "\\x80", "...")
    bad = {name: part for name, page in pages.items() for part in ugly if part in json.dumps(page)}
    large = [name for name, page in pages.items() for part in references_in(page) if len(str(part)) >= 1000]

    assert (bad, large) == ({}, [])
    assert pages[f"{STEPS}.give[-1] xcom"] == expected(ran.registry, STEPS, "references", shown=True)
    box = pages[f"{STEPS}.nested_operator[-1] rendered"]["op_kwargs"]["box"]
    assert box == repr(matrix.Box([{"deep": matrix.THINGS}]))


def references_in(value: Any) -> Iterator[Any]:
    """The JSON forms of references in a JSON value."""
    if isinstance(value, dict) and {"__model_reference__", "__artifact__"} & set(value):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from references_in(item)


@pytest.mark.parametrize(("dag_id", "task_id", "map_index"), TASKS)
def test_each_reference_is_recorded_once(ran: Ran, dag_id: str, task_id: str, map_index: int) -> None:
    """However often and where it stands in the task: one record of the try, and all name one version."""
    things = dict.fromkeys(getattr(thing, "reference", thing) for thing in matrix.THINGS.values())
    wanted = Counter(repr(thing) for thing in things if thing.selector.value == "production")
    records = [item for item in ran.records(dag_id, task_id, map_index) if item.selector == "production"]

    assert Counter(item.wanted for item in records) == wanted
    assert {(item.number, item.attempt.try_number) for item in records} == {(2, 1)}
    assert len({item.attempt.attempt_id for item in records}) == 1


@pytest.mark.parametrize(("dag_id", "flavour"), SELECTING)
def test_each_selector_finds_its_version(ran: Ran, dag_id: str, flavour: str) -> None:
    """A stage, the latest, a number, a name, and what the trigger form says."""
    given = ran.told(dag_id, f"selectors_{flavour}")["kwargs"]
    numbers = {"stage": 2, "latest": 3, "number": 1, "name": 1, "form": 1}
    records = [(item.selector, item.number) for item in ran.records(dag_id, f"selectors_{flavour}")]
    loaded = {name: given[name] if dag_id == STEPS else given[name][-1] for name in numbers}

    assert loaded == {name: f"deployment of {number}" for name, number in numbers.items()}
    assert sorted(records) == [("1", 1), ("first", 1), ("latest", 3), ("production", 2)]


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_version_that_a_task_chooses_makes_a_dependency(ran: Ran, flavour: str) -> None:
    """The step runs after the task whose output says which version, and gets that."""
    choose, step = ran.task(STEPS, "choose"), ran.task(STEPS, f"selectors_{flavour}")

    assert step["task_id"] in ran.airflow._get(f"/dags/{STEPS}/tasks/choose")["downstream_task_ids"]
    assert step["start_date"] > choose["end_date"]
    assert ran.told(STEPS, step["task_id"])["kwargs"]["upstream"] == "deployment of 1"


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_references_within_what_other_tasks_return_are_data(ran: Ran, flavour: str) -> None:
    """Of a standard task, here and in another DAG: only as a whole would its value be a reference."""
    data = expected(ran.registry, STEPS, "references", shown=True)

    assert differences(ran.told(STEPS, f"received_{flavour}")["args"][0], data) == {}
    assert differences(ran.told(STEPS, f"other_{flavour}")["kwargs"]["things"], data) == {}


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_outputs_that_are_references_travel_as_they_are(ran: Ran, flavour: str) -> None:
    """What a step returns is not pickled: XCom has the JSON of one reference, or of a container of them."""
    one, several = (ran.xcom(ran.task(STEPS, "give_two"), f"matrix_{name}") for name in ("one", "several"))

    assert one == matrix.ARTIFACT.to_json()
    assert differences(several, expected(ran.registry, STEPS, "references", shown=True)) == {}
    assert ran.told(STEPS, f"received_{flavour}")["kwargs"]["one"] == "deployment of 2"


def test_a_command_and_its_environment_are_texts(ran: Ran) -> None:
    """BashOperator: variables, f-strings and Jinja in the command."""
    texts, jinja = (expected(ran.registry, STOCK, form) for form in ("texts", "jinja"))
    bash = ran.task(STOCK, "bash")

    assert differences(bash["rendered_fields"]["env"], texts) == {}
    assert ran.xcom(bash).split("|") == [*texts.values(), *texts.values(), *jinja.values()]
    assert {record.number for record in ran.records(STOCK, "bash")} == {2, None}
