"""What a step receives from other tasks: references where one can be, and data as it was; nothing is rendered."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Any

import pytest
from airflow.sdk import DAG, Param, XComArg, literal, task, task_group
from airflow.sdk.definitions.mappedoperator import MappedOperator
from airflow.sdk.exceptions import AirflowFailException
from airflow.sdk.execution_time import comms, task_runner

from airflow_model_provider import Model, step
from airflow_model_provider.operators.step import StepOperator
from airflow_model_provider.references import OutputReference, Reference
from airflow_model_provider.selectors import Selector
from tests.support.tasks import TaskInstance

if TYPE_CHECKING:
    from collections.abc import Iterator

OUTPUT = OutputReference("r", 7, "predictions", 3, "pandas.Series", "ab" * 32, "/s/ab", 12)
REFERENCE = Reference("iris", Selector.parse(1))
TEMPLATE = "{{ canary.sing() }}"
FORMS = [OUTPUT.to_json(), REFERENCE.to_json()]
READ = [OUTPUT, REFERENCE]
#: What a stock task may return that no reference is: forms inside of others, text with Jinja in it.
DATA = [*[{"rows": [form]} for form in FORMS], [FORMS[1]], TEMPLATE, {"a": [TEMPLATE]}]


class Canary:
    """Sings where a template is rendered."""

    sung = 0

    def sing(self) -> str:
        """Be heard."""
        Canary.sung += 1
        return "sung"


@pytest.fixture(autouse=True)
def _silence() -> Iterator[None]:
    Canary.sung = 0
    yield
    assert Canary.sung == 0


@step
def look(x: Any = None, y: Any = None) -> Any:
    """Something that is given things."""


@step
def nothing() -> None:
    """A step that returns nothing."""


@step
def give() -> Any:
    """A step whose result is looked at."""


@task
def stock() -> Any:
    """Any other task."""


@task
def other() -> Any:
    """One more."""


def received(output: Any, results: dict[Any, Any], index: int = -1, **params: Any) -> dict[str, Any]:
    """The arguments of a step once they are rendered."""
    dag = output.operator.dag
    one = dag.get_task(output.operator.task_id)
    ti: Any = TaskInstance(map_index=index, results=results)
    context = {
        "ti": ti,
        "task": one,
        "dag": dag,
        "dag_run": SimpleNamespace(conf={}),
        "canary": Canary(),
        "params": params,
        "conf": params,
    }
    if not isinstance(one, MappedOperator):
        one = copy.copy(one)
    context["task"] = one
    one.render_template_fields(context)
    rendered: Any = context["task"]
    again = copy.deepcopy(rendered)
    again.render_template_fields(context)
    assert again.op_kwargs == rendered.op_kwargs, "a listener's second look renders data"
    found: dict[str, Any] = rendered.op_kwargs
    return found


@pytest.fixture
def dag() -> Iterator[DAG]:
    """The DAG whose body runs."""
    with DAG("looking", schedule=None, params={"form": Param({})}) as dag:
        yield dag


def test_a_stock_tasks_whole_value_is_a_reference(dag: DAG) -> None:
    """And nothing within it, nor another key's value, nor text with Jinja in it."""
    output = look(x=stock(), y={"deep": [other()["key"]]})
    for form, read in zip(FORMS, READ, strict=True):
        found = received(output, {"stock": form, ("other", "key"): form})

        assert found == {"x": read, "y": {"deep": [form]}}
        assert type(found["x"]) is type(read)
    for data in DATA:
        assert received(output, {"stock": data, ("other", "key"): data}) == {"x": data, "y": {"deep": [data]}}


def test_what_a_step_returned_is_read_to_any_depth(dag: DAG) -> None:
    """Its data is set apart."""
    result = {"a": [*FORMS, {"__model_registry_data__": [["__artifact__", FORMS[0]]]}]}
    output = look(x=give(), y=[give()])

    found = received(output, {"give": result, "give__1": result})
    assert found["x"] == found["y"][0]
    assert found["x"]["a"] == [*READ, {"__artifact__": OUTPUT}]


def test_what_the_code_of_a_step_pushed_by_itself_is_data(dag: DAG) -> None:
    """Under another key, or under that of its only output, which Airflow does not write."""
    rows = [{"row": FORMS[1]}]
    for source, key in ((give, "rows"), (give, "output"), (nothing, "return_value")):
        output = look(x=XComArg(source().operator, key), y=FORMS[1])  # type: ignore[attr-defined]
        task_id = dag.task_ids[-2]
        pushed = task_id if key == "return_value" else (task_id, key)

        assert received(output, {pushed: rows}) == {"x": rows, "y": FORMS[1]}


def test_parameters_and_literals_are_never_read(dag: DAG) -> None:
    """Rendered natively too, and whatever they are within."""
    dag.render_template_as_native_obj = True
    output = look(x=["{{ params.form }}", "{{ conf.form }}", FORMS[0], literal(FORMS[1])], y=FORMS[1])

    for form in (*FORMS, {"a": FORMS}):
        found = received(output, {}, form=form)
        assert found == {"x": [form, form, FORMS[0], FORMS[1]], "y": FORMS[1]}
        assert [type(item) for item in found["x"]] == [dict] * 4
        assert type(found["y"]) is dict


def test_what_templates_give_is_not_rendered_again(dag: DAG) -> None:
    """A parameter's text is text."""
    output = look(x="{{ params.text }}", y=["{{ ti.xcom_pull(task_ids='stock') }}"])

    assert received(output, {"stock": TEMPLATE}, text=TEMPLATE) == {"x": TEMPLATE, "y": [TEMPLATE]}


def test_elements_of_a_stock_tasks_list(dag: DAG) -> None:
    """Each is a reference as a whole only."""
    output = look.partial(y=TEMPLATE.replace("canary.sing()", "1 + 1")).expand(x=stock())
    values = [*FORMS, *DATA]

    found = [received(output, {"stock": values}, index) for index in range(len(values))]
    assert found == [{"x": value, "y": "2"} for value in [*READ, *DATA]]


def test_elements_of_a_steps_list(dag: DAG) -> None:
    """Each is read to any depth."""
    output = look.expand(x=give(), y=["{{ 1 + 1 }}", TEMPLATE[:0]])
    values = [FORMS[0], {"a": FORMS}, TEMPLATE]

    found = [received(output, {"give": values}, index)["x"] for index in (0, 2, 4)]
    assert found == [OUTPUT, {"a": READ}, TEMPLATE]
    assert received(output, {"give": values}, 0)["y"] == "2"


@pytest.mark.parametrize("strict", [True, False])
def test_rows_of_arguments(dag: DAG, strict: bool) -> None:
    """The fields of a stock task's rows are data, and Airflow renders none of them; those of a step's are read."""
    values = [{"x": value} for value in [*FORMS, *DATA]]
    rows = look.partial(y="{{ 1 + 1 }}").expand_kwargs(stock())
    ours = look.expand_kwargs(give())
    mixed = StepOperator.partial(task_id="mixed", python_callable=len, op_args=["{{ 1 + 1 }}"]).expand_kwargs(
        stock(), strict=strict
    )

    for index, row in enumerate(values):
        assert received(rows, {"stock": values}, index) == {**row, "y": "2"}
        given = [{"op_kwargs": value, "op_args": [TEMPLATE]} for value in values]
        if strict:
            given = [{"op_kwargs": value} for value in values]
        assert received(mixed.output, {"stock__1": given}, index) == row
    found = [received(ours, {"give": values}, index) for index in range(3)]
    assert found == [{"x": OUTPUT}, {"x": REFERENCE}, {"x": {"rows": [OUTPUT]}}]


def test_rows_that_stand_in_the_dag_file(dag: DAG) -> None:
    """They may hold templates, references, and what other tasks return."""
    model = Model("iris", version="{{ 1 + 1 }}")
    output = look.expand_kwargs([{"x": "{{ 1 + 1 }}"}, {"x": model}, {"x": stock()}])

    found = [received(output, {"stock": value}, index)["x"] for index, value in enumerate([0, 0, FORMS[0]])]
    assert found == ["2", model, OUTPUT]
    assert received(output, {"stock": DATA[0]}, 2)["x"] == DATA[0]


def test_parts_of_what_is_put_together(dag: DAG) -> None:
    """Each part is read by the task it is of; what a function has made of one is data, unless it made an object."""
    zipped = look.expand(x=stock().zip(give(), fillvalue=FORMS[0]))
    joined = look.expand(x=stock().concat(give()), y=[1, 2])
    made = look.expand(x=stock().map(lambda form: form if form != 1 else REFERENCE))
    plain = look(x=stock().zip(give()), y=stock().map(lambda form: form))
    nested = [{"a": FORMS[0]}]
    results = {f"stock{tail}": nested for tail in ("", "__1", "__3", "__4")} | {
        f"give{tail}": nested for tail in ("", "__1", "__2")
    }

    assert received(zipped, {**results, "give": []}, 0)["x"] == (nested[0], FORMS[0])
    assert received(zipped, results, 0)["x"] == (nested[0], {"a": OUTPUT})
    assert [received(joined, results, index)["x"] for index in (0, 2)] == [nested[0], {"a": OUTPUT}]
    maps = [received(made, {"stock__2": [FORMS[0], 1]}, index)["x"] for index in (0, 1)]
    assert maps == [FORMS[0], REFERENCE]
    assert received(plain, results) == {"x": [(nested[0], {"a": OUTPUT})], "y": nested}


def test_rendered_fields_stay_readable() -> None:
    """An output shows as its JSON on Airflow's page."""
    from airflow.serialization.helpers import serialize_template_field

    shown = serialize_template_field({"x": [OUTPUT]}, "op_kwargs")

    assert isinstance(shown, dict)
    assert shown["x"][0]["__artifact__"] == "predictions@3"


class Supervisor:
    """Answers what a lazy sequence asks: the results of a mapped task's instances."""

    def __init__(self, results: list[Any]) -> None:
        self._results = results

    def send(self, asked: Any) -> Any:
        """A count, or one result."""
        if isinstance(asked, comms.GetXComCount):
            return comms.XComCountResponse(len=len(self._results))
        if asked.offset < len(self._results):
            return comms.XComSequenceIndexResult(root=self._results[asked.offset])
        return comms.ErrorResponse()


def test_each_instance_of_a_mapped_task_returns_a_whole(dag: DAG, monkeypatch: pytest.MonkeyPatch) -> None:
    """One by one, or all of them as a list; also those of a task in a mapped group, seen from outside of it."""

    @task_group
    def group(one: int) -> None:
        other()

    group.expand(one=[1, 2])
    inner = dag.get_task("group.other").output
    mapped = task(stock.function, task_id="mapped").expand_kwargs([{}, {}])
    several, each = look(x=mapped, y=inner), look.expand(x=mapped)
    results = [FORMS[0], {"rows": FORMS}, FORMS[1], DATA[0]]
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", Supervisor(results), raising=False)

    found = received(several, {"group.other": results})
    assert found == {"x": [OUTPUT, results[1], REFERENCE, results[3]], "y": found["x"]}
    assert received(several, {"group.other": [FORMS]})["y"] == [FORMS]
    assert [received(each, {}, index)["x"] for index in range(4)] == found["x"]


def test_what_came_from_outside_chooses_no_connection(dag: DAG) -> None:
    """A standard task's value names artifacts of the default registry only; a step's may name another."""
    elsewhere = Reference("iris", Selector.parse(1), conn_id="team").to_json()
    fallback = Reference(
        "iris", Selector.parse(1), default=Reference("rose", Selector.parse(1), conn_id="team")
    )
    output = look(x=stock())
    for form in (elsewhere, fallback.to_json()):
        with pytest.raises(AirflowFailException, match="names the connection 'team'"):
            received(output, {"stock": form})

    assert received(look(x=give()), {"give": elsewhere})["x"].conn_id == "team"


@pytest.mark.parametrize(
    "annotation",
    [
        float,
        Annotated[float, "accuracy"],
        float | None,
        float | str,
        list[int] | float,
        int,
        int | float,
        Any,
    ],
)
def test_a_lone_float_stays_one(dag: DAG, annotation: Any) -> None:
    """SQLite gives 1 for the JSON number 1.0."""

    def measure() -> Any: ...

    measure.__annotations__["return"] = annotation
    measured = step(measure)()
    found = received(look(x=measured), {"measure": 1})

    assert type(found["x"]) is (int if annotation in (int, int | float, Any) else float)


def test_each_float_of_several_outputs_stays_one(dag: DAG) -> None:
    """By what is said of that output."""

    @step(name="scored")
    def score() -> tuple[Annotated[float, "mean_{place}"], Annotated[int, "rows"]]: ...

    mean, rows = score.with_options(substitutions={"place": "Ulm"})()
    found = received(look(x=mean, y=rows), {("scored", "mean_Ulm"): 1, ("scored", "rows"): 1})

    assert [type(found[name]) for name in "xy"] == [float, int]
