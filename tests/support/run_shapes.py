"""
Random shapes of runs that make a version, run to their end by ``dag.test()`` and as programs, and what must be true.

As a program: with their seeds in ``RUN_SHAPES``, and a DAG file that calls :func:`define`.
"""

from __future__ import annotations

import json
import os
import random
import sys
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any

from airflow.sdk import dag, task, task_group
from airflow.sdk.exceptions import AirflowSkipException

from airflow_model_provider import (
    Client,
    Model,
    get_step_context,
    log_metadata,
    pipeline,
    save_artifact,
    step,
)

WRITING = ("returns", "saves", "logs", "idle", "promotes", "promotes_and_returns")
DECLARING = ("returns", "promotes_and_returns")
STOCK = ("plain", "branch", "sensor")
WELL = ("ok", "ok", "ok", "ok", "skip", "fail", "flaky")
RULES = (
    "all_success",
    "all_success",
    "all_success",
    "none_failed",
    "all_done",
    "none_failed_min_one_success",
    "one_success",
)


@dataclass
class Node:
    """One task: what it is, what happens in each of its instances, what it stands behind."""

    name: str
    kind: str
    does: list[str]
    before: list[str] = field(default_factory=list)
    rule: str = "all_success"
    mapped: bool = False
    grouped: bool = False


@dataclass
class Shape:
    """A run: its tasks in order; ``local`` if it can also run as a program; as a ``@dag`` or a ``@pipeline``."""

    name: str
    nodes: list[Node]
    local: bool
    as_dag: bool

    def __getitem__(self, task_id: str) -> Node:
        return next(node for node in self.nodes if node.name == task_id.rpartition(".")[2])


SHAPES: dict[str, Shape] = {}
PIPELINES: dict[str, Any] = {}
TRIED: Counter[tuple[str, str, int]] = Counter()
HEALED: set[str] = set()


def shape_of(seed: int) -> Shape:
    """Make the shape of a seed."""
    some = random.Random(seed)
    local = some.random() < 0.6
    nodes: list[Node] = []
    promotes = some.random() < 0.4
    for number in range(some.randint(1, 4)):
        nodes.append(_node(some, f"t{number}", nodes, local=local))
    if promotes:
        kind = some.choice(("promotes", "promotes_and_returns"))
        last = Node(
            "p", kind, [some.choice(("ok", "ok", "ok", "flaky", "skip"))], [node.name for node in nodes]
        )
        last.rule = some.choice(RULES[:5])
        nodes.append(last)
        if some.random() < 0.4:
            nodes.append(Node("q", some.choice(("logs", "idle", "saves")), [some.choice(WELL)], ["p"]))
    if not any(node.kind in WRITING for node in nodes):
        nodes.append(Node("w", "returns", ["ok"], [nodes[-1].name]))
    return Shape(f"shape_{seed}", nodes, local, as_dag=not local and some.random() < 0.4)


def _node(some: random.Random, name: str, nodes: list[Node], *, local: bool) -> Node:
    before = [node.name for node in nodes if some.random() < 0.5]
    if not local and some.random() < 0.35:
        return Node(
            name, some.choice(STOCK), [some.choice(("ok", "skip", "fail"))], before, some.choice(RULES[:4])
        )
    kind = some.choice(("returns", "returns", "returns", "saves", "logs", "idle"))
    node = Node(name, kind, [some.choice(WELL)], before, some.choice(RULES))
    if kind != "logs" and some.random() < 0.35:
        node.mapped, node.does = True, [some.choice(WELL) for _ in range(some.randint(0, 3))]
        node.grouped = not local and bool(node.does) and some.random() < 0.5
    return node


def act() -> tuple[str, int]:
    """Do what the plan says of this instance, at this try."""
    attempt = get_step_context().attempt
    shape, index = SHAPES[attempt.run.dag_id], max(attempt.map_index, 0)
    key = (attempt.run.run_id + shape.name, attempt.task_id, index)
    TRIED[key] += 1
    does = shape[attempt.task_id].does[index]
    if does == "skip":
        raise AirflowSkipException("as planned")
    if (does == "fail" and attempt.run.run_id not in HEALED) or (does == "flaky" and TRIED[key] == 1):
        raise ValueError("as planned")
    return attempt.task_id.rpartition(".")[2], index


@step
def returns(i: int = 0) -> Annotated[dict, "made"]:
    """Declare an output."""
    return {"made": act(), "i": i}


@step
def saves(i: int = 0) -> None:
    """Save an artifact and return nothing."""
    name, _ = act()
    save_artifact({"i": i}, f"{get_step_context().attempt.run.dag_id}_{name}")


@step
def logs() -> None:
    """Log onto the version."""
    log_metadata({act()[0]: 1}, infer_model=True)


@step
def idle(i: int = 0) -> None:
    """Write nothing."""
    act()


@step
def promotes() -> None:
    """Promote."""
    act()
    get_step_context().model.set_stage("staging", force=True)


@step
def promotes_and_returns() -> Annotated[bool, "promoted"]:
    """Promote, and return something."""
    act()
    get_step_context().model.set_stage("staging", force=True)
    return True


STEPS = {item.definition.name: item for item in (returns, saves, logs, idle, promotes, promotes_and_returns)}


def body_of(shape: Shape) -> Any:
    """Return a body that adds the shape's tasks."""
    model = Model(shape.name) if shape.as_dag else None

    def body() -> None:
        made: dict[str, Any] = {}
        for node in shape.nodes:
            before = [made[name] for name in node.before]
            made[node.name] = (
                _stock(shape, node, before) if node.kind in STOCK else _step(node, model, before)
            )

    return body


def _step(node: Node, model: Model | None, before: list[Any]) -> Any:
    options = {"retries": 1, "retry_delay": 0, "trigger_rule": node.rule, "name": node.name}
    one = STEPS[node.kind].with_options(model=model, **options)
    if not node.grouped:
        one = one.after(*before)
        return one.expand(i=list(range(len(node.does)))) if node.mapped else one()

    @task_group(group_id=f"group_{node.name}")
    def group(i: int) -> Any:
        return one(i)

    expanded = group.expand(i=list(range(len(node.does))))
    for item in before:
        getattr(item, "operator", item) >> expanded
    return expanded


def _stock(shape: Shape, node: Node, before: list[Any]) -> Any:
    options = {"task_id": node.name, "trigger_rule": node.rule}
    if node.kind == "sensor":

        @task.sensor(soft_fail=True, timeout=0.001, poke_interval=0.001, **options)
        def stock() -> bool:
            return node.does == ["ok"]

    elif node.kind == "branch":
        behind = [item.name for item in shape.nodes if node.name in item.before and not item.grouped]

        @task.branch(**options)
        def stock() -> list[str]:
            return behind[:1]

    else:

        @task(**options)
        def stock() -> None:
            if node.does == ["skip"]:
                raise AirflowSkipException("as planned")
            if node.does == ["fail"]:
                raise ValueError("as planned")

    one = stock()
    for item in before:
        item >> one
    return one


def define() -> dict[str, Any]:
    """Define the DAGs of the shapes that the environment names."""
    start, found = datetime(2026, 1, 1), {}
    for seed in map(int, os.environ["RUN_SHAPES"].split()):
        shape = shape_of(seed)
        SHAPES[shape.name] = shape
        if shape.as_dag:
            found[shape.name] = dag(dag_id=shape.name, schedule=None, start_date=start)(body_of(shape))()
        else:
            made = pipeline(name=shape.name, model=Model(shape.name), schedule=None, start_date=start)(
                body_of(shape)
            )
            PIPELINES[shape.name] = made
            found[shape.name] = made.dag
    return found


def expected(shape: Shape, states: list[tuple[str, int, str]]) -> str | None:
    """Return what became of the version, given the final states of all instances; None if there is none."""
    writers = [(shape[name], state) for name, _, state in states if shape[name].kind in WRITING]
    if any(node.kind.startswith("promotes") and state == "success" for node, state in writers):
        return "ready"
    ended = [state for _, state in writers]
    if {"failed", "upstream_failed"} & set(ended):
        return "failed"
    declared = [state for node, state in writers if node.kind in DECLARING]
    counts = ("saves",) if declared else ("saves", "logs")
    wrote = any(node.kind in counts and state == "success" for node, state in writers)
    missed = "success" not in (declared or ended) or (not declared and "skipped" in ended)
    return "failed" if missed and not wrote else "ready"


def look(name: str, run_id: str | None = None) -> dict[str, Any]:
    """Return what is there of a model's newest version."""
    versions = Client().workspace.registry.list_versions(name) if _is_there(name) else []
    if run_id is not None:
        versions = [item for item in versions if item.run is not None and item.run.run_id == run_id]
    if not versions:
        return {"state": None}
    version = Client().get_model_version(name, versions[0].number)
    held = sorted((item.name, item.record.map_index) for item in version.list_artifacts())
    return {
        "state": str(version.state),
        "stage": version.stage,
        "holds": held,
        "metadata": sorted(version.run_metadata),
    }


def _is_there(name: str) -> bool:
    return name in {model.name for model in Client().list_models()}


def check(shape: Shape, states: list[tuple[str, int, str]], run_id: str) -> dict[str, Any]:
    """Compare a version with what it must be."""
    found, wanted = look(shape.name, run_id), expected(shape, states)
    ran = [
        name for name, _, state in states if shape[name].kind in WRITING and state in ("success", "failed")
    ]
    if found["state"] is None:
        assert not ran or wanted == "failed", ("no version", states)
    else:
        assert found["state"] == wanted, (found, wanted, states)
        if found["state"] == "ready":
            assert not (lost := missing(shape, states, found)), (lost, found, states)
    newest = [
        item
        for item in (Client().list_model_versions(shape.name) if _is_there(shape.name) else [])
        if item.state == "ready"
    ]
    if newest:
        assert Client().get_model_version(shape.name, "latest").number == newest[0].number
    return found


def missing(shape: Shape, states: list[tuple[str, int, str]], found: dict[str, Any]) -> list[Any]:
    """Return what instances that succeeded have written, and a ready version lacks."""
    well = [(shape[name], index) for name, index, state in states if state == "success"]
    names = {"returns": "made", "promotes_and_returns": "promoted"}
    artifacts = [
        (names.get(node.kind, f"{shape.name}_{node.name}"), index)
        for node, index in well
        if node.kind in (*DECLARING, "saves")
    ]
    logged = [node.name for node, _ in well if node.kind == "logs"]
    return [item for item in artifacts if item not in found["holds"]] + [
        key for key in logged if key not in found["metadata"]
    ]


def ended(run: Any) -> list[tuple[str, int, str]]:
    """Return the states of all instances of a run; the closing task is no part of the shape."""
    found = [(item.task_id, item.map_index, str(item.state)) for item in run.get_task_instances()]
    return sorted(item for item in found if not item[0].startswith("close_"))


def go_on(shape_dag: Any, run_id: str, task_ids: list[str]) -> Any:
    """Clear tasks of a run, and let it run to its end again, as ``dag.test()`` does."""
    from airflow import settings
    from airflow.models.dagrun import DagRun
    from airflow.sdk import timezone
    from airflow.sdk.definitions.dag import _run_task
    from airflow.serialization.serialized_objects import DagSerialization
    from airflow.utils.state import DagRunState, TaskInstanceState

    session = settings.Session()
    scheduler_dag = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(shape_dag))
    scheduler_dag.clear(run_id=run_id, task_ids=task_ids, dag_run_state=DagRunState.QUEUED, session=session)
    session.commit()
    run = session.query(DagRun).filter_by(dag_id=shape_dag.dag_id, run_id=run_id).one()
    run.dag = scheduler_dag
    run.state, run.start_date = DagRunState.RUNNING, timezone.utcnow()
    session.commit()
    while run.state == DagRunState.RUNNING:
        session.expire_all()
        for item in run.update_state(session=session)[0]:
            item.try_number += 1
            item.state = TaskInstanceState.SCHEDULED
        session.commit()
        for item in run.get_task_instances(state=[TaskInstanceState.SCHEDULED], session=session):
            _run_task(ti=item, task=shape_dag.task_dict[item.task_id], run_triggerer=True)
    return run


def run_shape(shape: Shape, shape_dag: Any) -> None:
    """Run a shape in both worlds, then again with some of its tasks cleared."""
    from airflow_model_provider import local_run

    some = random.Random(shape.name)
    run = shape_dag.test()
    states = ended(run)
    found = check(shape, states, run.run_id)
    if shape.local:
        result = local_run.run(PIPELINES[shape.name].definition, (), {}, raise_on_failure=False)
        theirs = check(shape, _local_states(result), result.run_id)
        assert found == theirs, (found, theirs, states, _local_states(result))
    failed = sorted({name for name, _, state in states if state in ("failed", "upstream_failed")})
    chosen = failed or ([some.choice(states)[0]] if some.random() < 0.5 else [])
    if chosen and "." not in "".join(chosen):
        HEALED.add(run.run_id)
        behind = set(chosen)
        if failed or some.random() < 0.5:
            for name in chosen:
                behind |= {
                    item.task_id for item in shape_dag.get_task(name).get_flat_relatives(upstream=False)
                }
        run = go_on(shape_dag, run.run_id, sorted(behind))
        check(shape, ended(run), run.run_id)


def _local_states(result: Any) -> list[tuple[str, int, str]]:
    return [
        (name, index if item.mapped else -1, state)
        for name, item in result.steps.items()
        for index, state in enumerate(item.states)
    ]


def main() -> None:
    """Run as many shapes as asked for, and some scenes, and print which of them are wrong."""
    import airflow.dag_processing.dagbag as bags
    import cleared_runs
    import ended_runs
    import shorter_list
    from airflow.dag_processing.bundles.manager import DagBundlesManager

    from tests.support.hurry import hurry

    folder = os.environ["AIRFLOW_HOME"] + "/dags"
    hurry()
    DagBundlesManager().sync_bundles_to_db()
    bag = bags.BundleDagBag(dag_folder=folder, bundle_path=folder, bundle_name="dags-folder")
    assert not bag.import_errors, bag.import_errors
    bags.sync_bag_to_db(bag, "dags-folder", None)
    bags.BundleDagBag = lambda **_: None  # all is there; dag.test() would write it again for each run
    bags.sync_bag_to_db = lambda *_: None
    wrong = ended_runs.wrong(bag.dags)
    wrong |= cleared_runs.wrong(bag.dags, go_on)
    if (said := shorter_list.wrong(bag.dags[shorter_list.NAME], go_on)) is not None:
        wrong[shorter_list.NAME] = said
    for name, shape in SHAPES.items():
        try:
            run_shape(shape, bag.dags[name])
        except Exception as err:
            wrong[name] = f"{type(err).__name__}: {err}"
            if "-v" in sys.argv:
                raise
    sys.stdout.write("\n" + json.dumps({"shapes": len(SHAPES), "wrong": wrong}) + "\n")


if __name__ == "__main__":
    import run_shapes

    run_shapes.main()
