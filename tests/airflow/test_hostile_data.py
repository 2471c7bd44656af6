"""Data stays data: hostile forms through every entry of Airflow, at every depth; with and without signing keys."""

from __future__ import annotations

import os
from contextlib import suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.plugins_manager import integrate_macros_plugins
from airflow.sdk import DAG, literal, task
from airflow.sdk.definitions.mappedoperator import MappedOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from airflow.sdk.execution_time.context import MacrosAccessor, set_current_context

from airflow_model_provider import Client, Gates, Model, host, step
from airflow_model_provider.operators.approval import ModelApprovalOperator
from airflow_model_provider.operators.promote import ModelPromoteOperator
from airflow_model_provider.operators.register import ModelRegisterOperator
from airflow_model_provider.operators.rollback import ModelRollbackOperator
from airflow_model_provider.operators.step import StepOperator
from airflow_model_provider.sensors.model_version import ModelVersionSensor
from airflow_model_provider.workspace import Workspace
from tests.support.sentinel import FORMS, WORD, listening
from tests.support.tasks import TaskInstance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CANARY = "{{ canary.sing() }}"
CALLED: list[str] = []


def sing(*_: Any) -> str:
    """Be heard: the canary of gates and of templates."""
    CALLED.append("sung")
    return "1"


@pytest.fixture(params=["", "0123456789abcdef" * 2], ids=["", "keys"])
def registry(
    request: pytest.FixtureRequest, model_registry: Client, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Client]:
    """A registry in which nothing may be loaded, nor changed, once it is set up; with signing keys, and without."""
    if request.param:
        monkeypatch.setenv("AIRFLOW__MODEL_REGISTRY__SIGNING_KEYS", request.param)
    with model_registry.new_model_version("iris") as version:
        version.save_artifact("secret", {"salary": 9})
    version.set_stage("production")
    integrate_macros_plugins()

    def load(self: Workspace, record: Any, **_: Any) -> Any:
        CALLED.append(f"{record} was loaded")

    monkeypatch.setattr(Workspace, "load", load)
    CALLED.clear()
    with listening():
        yield model_registry
    monkeypatch.undo()
    host._entered = False
    assert CALLED == []


def hostile(registry: Client) -> dict[str, Any]:
    """Forms that would do harm if they were read, rendered or called."""
    iris = Model("iris", version="production")
    secret = registry.get_model_version("iris", 1).get_artifact("secret")
    output = dict(secret.reference().to_json())
    template = dict(Model("iris", version=CANARY).to_json())
    return {
        "text": CANARY,
        "template": template,
        "template of an artifact": {
            **iris.get_artifact("secret").to_json(),
            "selector": "template",
            "version": CANARY,
        },
        "number": dict(iris.get_artifact("secret").but(selector=Model("iris", version=1).selector).to_json()),
        "stage": dict(iris.get_artifact("secret").to_json()),
        "output": output,
        "other digest": {**output, "digest": f"sha256:{'0' * 64}"},
        "set apart": {"__model_registry_data__": [["a", output]]},
        "gate": {"check": f"{__name__}:sing"},
        "class": {"__class__": "os.system", "model": CANARY},
        "class of Airflow's": FORMS[5],
        "type": {**FORMS[6], **FORMS[7]},
        "address": f"file:///{WORD}",
    }


def deep(form: Any) -> list[Any]:
    """A form at several depths."""
    return [form, [{"rows": [{"customer": 1, "comment": form}]}]]


@step
def look(x: Any = None, y: Any = None) -> None:
    """A step; it keeps what it is given."""
    GOT.append(x)


GOT: list[Any] = []


@task
def stock() -> Any:
    """Any other task."""


def go(output: Any, results: dict[Any, Any] | None = None, index: int = -1, **params: Any) -> Any:
    """Render and execute a task as Airflow does."""
    operator: Any = getattr(output, "operator", output)
    dag = operator.dag
    ti: Any = TaskInstance(
        f"ti-{len(GOT)}", dag.dag_id, task_id=operator.task_id, map_index=index, results=results or {}
    )
    context: Any = {
        "ti": ti,
        "task_instance": ti,
        "task": operator,
        "dag": dag,
        "dag_run": SimpleNamespace(conf=params),
        "params": params,
        "macros": MacrosAccessor(),
        "canary": SimpleNamespace(sing=sing),
        "task_state_store": {},
    }
    with set_current_context(context):
        if not isinstance(operator, MappedOperator):
            operator = context["task"] = operator.prepare_for_execution()
        operator.render_template_fields(context)
        context["task"].pre_execute(context)
        return context["task"].execute(context)


@pytest.fixture
def dag() -> Iterator[DAG]:
    """The DAG whose body runs."""
    with DAG("hostile", schedule=None, render_template_as_native_obj=True) as dag:
        yield dag


def entries() -> dict[str, tuple[Callable[[Any], Any], Callable[[Any], dict[str, Any]]]]:
    """How data comes to a step that is no reference: the call in the DAG file, and what is there when it runs."""

    return {
        "params": (lambda form: look("{{ params.form }}"), lambda form: {"form": form}),
        "conf": (lambda form: look(["{{ dag_run.conf.form }}"]), lambda form: {"form": form}),
        "literal": (lambda form: look({"a": literal(form)}, y=[literal(form)]), lambda form: {}),
        "rows": (lambda form: look(stock()), lambda form: {"results": {"stock": {"data": [form]}}}),
        "key": (lambda form: look(stock()["key"]), lambda form: {"results": {("stock", "key"): form}}),
        "element": (
            lambda form: look.expand(x=stock()),
            lambda form: {"results": {"stock": [[form]]}, "index": 0},
        ),
        "arguments": (
            lambda form: look.expand_kwargs(stock()),
            lambda form: {"results": {"stock": [{"x": form}]}, "index": 0},
        ),
        "function": (
            lambda form: look.expand(x=stock().map(lambda item: item)),
            lambda form: {"results": {"stock": [form]}, "index": 0},
        ),
        "zip": (
            lambda form: look.expand(x=stock().zip(stock())),
            lambda form: {"results": {"stock": [[form]], "stock__1": [[form]]}, "index": 0},
        ),
        "pulled": (
            lambda form: look("{{ ti.xcom_pull(task_ids='stock') }}"),
            lambda form: {"results": {"stock": form}},
        ),
    }


@pytest.mark.parametrize("entry", entries())
def test_a_step_gets_data(registry: Client, entry: str) -> None:
    """Through each entry and at each depth it is what it was; no resolution is recorded."""
    for form in hostile(registry).values():
        for value in deep(form):
            GOT.clear()
            call, given = entries()[entry]
            with DAG("hostile", schedule=None, render_template_as_native_obj=True):
                output = call(value)
            go(output, **given(value))

            (got,) = GOT
            assert repr(value) in repr(got)
    assert registry.list_resolutions() == []


@pytest.mark.parametrize("entry", ["stock", "element"])
def test_what_is_no_true_reference_is_one_error(registry: Client, entry: str) -> None:
    """A whole value that holds a template, or says something else than the registry, is refused; retries don't help."""
    forms = hostile(registry)
    for name in ("template", "template of an artifact", "other digest"):
        with DAG("hostile", schedule=None):
            output = look(stock()) if entry == "stock" else look.expand(x=stock())
        results = {"stock": forms[name] if entry == "stock" else [forms[name]]}
        with pytest.raises(Exception, match=r"holds a template|ReferenceMismatch"):
            go(output, results, 0 if entry == "element" else -1)
    assert registry.list_resolutions() == []


ACT: dict[str, Any] = {"task_id": "act", "model": "iris", "version": 1, "stage": "staging"}


def approve(**given: Any) -> Any:
    """A request that nobody answers."""
    return ModelApprovalOperator(**ACT | given)


def promote(**given: Any) -> Any:
    """A promotion that data can't steer elsewhere."""
    return ModelPromoteOperator(**ACT | given)


def roll_back(version: Any = None, gates: Any = None, **given: Any) -> Any:
    """Nothing is there to go back to."""
    return ModelRollbackOperator(
        **{"task_id": "act", "model": "iris", "stage": "production", "to": version} | given
    )


def wait(expected: Any = None, stage: Any = None, gates: Any = None, reason: Any = None, **given: Any) -> Any:
    """For a version."""
    times = {"deferrable": False, "timeout": 0.01, "poke_interval": 0.01}
    return ModelVersionSensor(**{"task_id": "act", "model": "iris", "newer_than": expected, **times} | given)


def register(version: Any = None, **given: Any) -> Any:
    """Of artifacts that data names."""
    held = {"n": 1} if version is None else version
    return ModelRegisterOperator(
        **{"task_id": "act", "model": "other", "artifacts": held, "stage": "staging"} | given
    )


@pytest.mark.parametrize("make", [promote, approve, roll_back, wait, register])
def test_an_operators_fields_are_data(registry: Client, make: Callable[..., Any]) -> None:
    """What params, rows and mapped rows give is neither read, nor rendered again, nor called; nothing moves."""
    before = registry.get_model("iris").history()
    for form in hostile(registry).values():
        for field in ("version", "expected", "gates", "model", "stage", "reason"):
            for value, params, results in (
                ("{{ params.form }}", {"form": form}, {}),
                (None, {}, {"stock": [{"rows": form}]}),
            ):
                with DAG("hostile", schedule=None, render_template_as_native_obj=True):
                    said = stock() if value is None else value
                    with suppress(Exception):  # any refusal will do here; which one is told elsewhere
                        go(make(**{field: said}), results, **params)
    assert CALLED == []
    assert [event for event in registry.get_model("iris").history() if event.stage == "production"] == [
        event for event in before if event.stage == "production"
    ]


@pytest.mark.parametrize("way", ["template", "rows", "mapped", "mapped rows", "mixed"])
def test_a_function_of_gates_stands_in_the_dag_file(registry: Client, way: str) -> None:
    """One that came as data is not imported; one that stands there is called."""
    gate = {"check": f"{__name__}:sing"}
    given = ACT
    with DAG("hostile", schedule=None, render_template_as_native_obj=True):
        mapped = {name: value for name, value in given.items() if name != "version"}
        one = {
            "template": lambda: ModelPromoteOperator(**given, gates="{{ params.gates }}"),
            "rows": lambda: ModelPromoteOperator(**given, gates=stock()),
            "mapped": lambda: ModelPromoteOperator.partial(**given).expand(gates=stock()),
            "mapped rows": lambda: ModelPromoteOperator.partial(**mapped).expand_kwargs(stock()),
            "mixed": lambda: ModelPromoteOperator(**given, gates=[Gates(check="json:dumps"), stock()]),
        }[way]()
    results = {"mapped": [[gate]], "mapped rows": [{"version": 1, "gates": gate}]}.get(way, gate)
    with pytest.raises(AirflowFailException, match="does not stand in the DAG file"):
        go(one, {"stock": results}, 0 if "mapped" in way else -1, gates=gate)

    assert registry.get_model_version("iris", 1).stage == "production"
    assert os.environ.get("SUNG") is None


CONNECTION = {"conn_id": "other"}
FUNCTION = {"check": f"{__name__}:sing"}


@pytest.mark.parametrize("way", ["expand", "expand_kwargs", "map"])
@pytest.mark.parametrize(
    ("kind", "given"),
    [
        *((ModelPromoteOperator, given) for given in (FUNCTION, CONNECTION, {"force": True})),
        (ModelPromoteOperator, {"allow_incomplete": True}),
        (ModelApprovalOperator, FUNCTION),
        (ModelApprovalOperator, {"assigned_users": [{"id": "1", "name": "me"}]}),
        (ModelRollbackOperator, CONNECTION),
        (ModelRegisterOperator, {"force": True}),
        (ModelVersionSensor, CONNECTION),
        (StepOperator, {"substitutions": {"name": "secret"}}),
    ],
)
def test_data_gives_fields_only(registry: Client, kind: Any, given: dict[str, Any], way: str) -> None:
    """Whatever a task is mapped over: connections, functions, permissions stand in the DAG file."""
    ((name, value),) = given.items()
    more = {
        ModelRollbackOperator: {"stage": "production"},
        ModelVersionSensor: {"deferrable": False},
        ModelRegisterOperator: {"artifacts": {"n": 1}},
        StepOperator: {"python_callable": sing},
    }.get(kind, {"version": 1, "stage": "staging"})
    fixed = {"task_id": "act", **more} | ({} if kind is StepOperator else {"model": "iris"})
    with DAG("hostile", schedule=None):
        if way == "expand":
            one = kind.partial(**fixed).expand(**{name: stock()})
        else:
            rows = stock() if way == "expand_kwargs" else stock().map(dict)
            one = kind.partial(**fixed).expand_kwargs(rows)
    results = {"stock": [value if way == "expand" else given]}

    with pytest.raises(
        AirflowFailException, match=rf"mapped over gives {name}=, which must stand in the DAG"
    ):
        go(one, results, 0)


@pytest.mark.parametrize("kind", [ModelPromoteOperator, ModelApprovalOperator])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("require", {"accuracy": CANARY}), ("require", {CANARY: "> 0"}), ("metadata", [CANARY])),
        *(("artifacts", [CANARY]), ("metric", CANARY), ("better_than", CANARY), ("max_age", CANARY)),
    ],
)
@pytest.mark.parametrize("way", ["expand", "expand_kwargs"])
def test_gates_that_data_gives_are_not_rendered(
    registry: Client, kind: Any, name: str, value: Any, way: str
) -> None:
    """As single arguments too, beside gates of the DAG file."""
    more = {"metric": {"better_than": "production"}, "better_than": {"metric": "accuracy"}}.get(name, {})
    fixed = {**ACT, **more, "gates": Gates(soft=True, metadata=["accuracy"])}
    with DAG("hostile", schedule=None):
        one = kind.partial(**fixed).expand(**{name: stock()}) if way == "expand" else (
            kind.partial(**fixed).expand_kwargs(stock())
        )  # fmt: skip
    with pytest.raises((AirflowFailException, AirflowSkipException)):
        go(one, {"stock": [value if way == "expand" else {name: value}]}, 0)


def test_data_may_give_gates_beside_a_function_of_the_dag_file(registry: Client) -> None:
    """Templates of the file are rendered, and the function is called."""
    fixed = ACT | {"check": "operator:eq", "require": {"accuracy": ">= {{ params.least }}"}}
    with DAG("hostile", schedule=None):
        one = ModelPromoteOperator.partial(**fixed).expand(metadata=stock())
    with pytest.raises(AirflowFailException, match=r"(?s)accuracy.*0\.5.*operator:eq|operator:eq.*0\.5"):
        go(one, {"stock": [["accuracy"]]}, 0, least=0.5)


def test_a_function_that_stands_in_the_dag_file_is_called(registry: Client) -> None:
    """Also where it is mapped over."""
    gates = Gates(check="operator:eq")  # the version is not the holder: False
    with DAG("hostile", schedule=None):
        one = promote(gates=gates)
        several = ModelPromoteOperator.partial(**ACT | {"task_id": "several"}).expand(gates=[gates])
    for item, index in ((one, -1), (several, 0)):
        with pytest.raises(AirflowFailException, match="operator:eq"):
            go(item, {}, index)


@pytest.mark.parametrize(
    "text",
    [
        "{{ V.load().set_stage('staging') }}",
        "{{ V._version.set_stage('staging') }}",
        "{{ V.__pinned__.set_stage('staging') }}",
        "{{ V.artifact('secret').handle._workspace.registry }}",
        "{{ V.artifact('secret')._artifact._workspace.registry }}",
        "{{ V.artifact('secret').__pinned__._workspace }}",
        "{{ V.metadata._of.resolve({'ti': ti, 'task': none}).load().set_stage('staging', force=True) }}",
        "{{ task.op_args[1].set_stage('staging', force=True) }}",
        "{{ task.op_args[1].log_metadata({'x': 1}) }}",
        "{{ task.op_args[1].resolve({'ti': ti, 'task': none}).load().set_stage('staging') }}",
        "{{ macros.model_registry.version('iris', params.form).number }}",
        "{{ macros.model_registry.version(params.form, 1).number }}",
    ],
)
def test_a_template_reads_only(registry: Client, text: str) -> None:
    """What a macro gives can't be used to write, and renders nothing that it is given."""
    with DAG("hostile", schedule=None):
        one = look(
            text.replace("V.", "macros.model_registry.version('iris', 'production')."),
            Model("iris", version="production"),
        )

    with pytest.raises(Exception, match=r"a template|unsafe|not a valid model name|has no|read values only"):
        go(one, {}, form=CANARY)
    assert [event.stage for event in registry.get_model("iris").history()] == ["production"]
    assert registry.get_model_version("iris", 1).run_metadata == {}


@pytest.mark.parametrize("kept", [CANARY, {"deep": [CANARY]}, {CANARY: 1}, "{% set x = 1 %}"], ids=str)
def test_metadata_with_template_syntax_stay_out_of_fields(registry: Client, kept: Any) -> None:
    """Airflow renders some fields twice: those of ``@task.bash``, and all of them for a listener."""
    registry.get_model_version("iris", 1).log_metadata({"note": kept})
    iris = Model("iris", version="production")

    @task
    def show(x: Any) -> None: ...

    with DAG("hostile", schedule=None):
        shown, looked = show(iris.run_metadata["note"]), look(iris.run_metadata["note"])
    with pytest.raises(AirflowFailException, match="holds template syntax"):
        go(shown)

    GOT.clear()
    go(looked)
    assert [kept] == GOT


@task.bash
def shell(x: Any) -> str:
    """What Airflow renders twice, and opens files for."""
    return "true"


@pytest.mark.parametrize("kept", ["deploy.sh", {"deep": ["deploy.sh"]}])
def test_metadata_that_name_a_file_of_templates_stay_out_of_fields(registry: Client, kept: Any) -> None:
    """Of operators that open such files, and the names of versions too."""
    registry.get_model_version("iris", 1).log_metadata({"note": kept})
    with registry.new_model_version("iris", name="v.sh") as version:
        version.save_artifact("x", 1)

    @task
    def show(x: Any) -> None:
        GOT.append(x)

    with DAG("hostile", schedule=None):
        ran = [
            shell(Model("iris", version=1).run_metadata["note"]),
            shell(Model("iris", version="v.sh").version_name),
        ]
        shown = show(Model("iris", version=1).run_metadata["note"])
    for one in ran:
        with pytest.raises(AirflowFailException, match="stands for a file that Airflow may open"):
            go(one)
    GOT.clear()
    go(shown)
    assert [kept] == GOT


@pytest.mark.parametrize(
    "how",
    ["['note']", ".get('note')", "", ".values() | list", ".items() | list", " | list", " | tojson"],
)
def test_a_template_writes_no_template(registry: Client, how: str) -> None:
    """Of an artifact's metadata too, whatever it asks of them; a step's field is rendered once."""
    with registry.new_model_version("iris") as version:
        version.save_artifact("noted", 1, metadata={"note": CANARY, "good": 1, CANARY: 2})
    asked = "macros.model_registry.version('iris', 2).artifact('noted').metadata"

    @task
    def show(x: Any) -> None:
        GOT.append(x)

    with DAG("hostile", schedule=None):
        shown, looked = show(f"{{{{ {asked}{how} }}}}"), look(f"{{{{ {asked}{how} }}}}")
        good = show(f"{{{{ {asked}['good'] }}}}")
    with pytest.raises(AirflowFailException, match="holds template syntax"):
        go(shown)
    GOT.clear()
    go(looked)
    go(good)
    assert CANARY in str(GOT[0])
    assert str(GOT[1]) == "1"


def test_a_template_still_reads(registry: Client) -> None:
    """Numbers, stages, metadata, addresses; and in an f-string a version that another template gives."""
    version = "macros.model_registry.version('iris', 'production')"
    text = f"{{{{ {version}.number }}}} {{{{ {version}.artifact('secret').digest }}}}"
    with DAG("hostile", schedule=None):
        one = look(f"{text} {Model('iris', version='{{ params.version }}').number}")
    GOT.clear()
    go(one, {}, version="production")

    digest = registry.get_model_version("iris", 1).get_artifact("secret").digest
    assert [f"1 {digest} 1"] == GOT


@pytest.mark.parametrize(
    "forged", [{"model_versions": ["iris@2"]}, {"digest": "sha256:ff"}, {"registry": "another"}]
)
def test_an_operator_looks_up_what_an_output_says(registry: Client, forged: dict[str, Any]) -> None:
    """The version in it is a claim: the one that is named must hold the very artifact."""
    registry.register_model_version("iris", metadata={"worse": True})
    output = registry.get_model_version("iris", 1).get_artifact("secret").reference().to_json()
    with DAG("hostile", schedule=None):
        one = promote(version=stock())
    with pytest.raises(AirflowFailException, match=r"ArtifactNotFound|ReferenceMismatch|WrongRegistry"):
        go(one, {"stock": output | forged})

    assert registry.get_model_version("iris", 1).stage == "production"
    assert go(one, {"stock": output})["version"] == 1
