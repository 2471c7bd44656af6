"""Airflow dag: pipelines whose steps must end alike in a local run and under ``dag.test()``."""

import asyncio
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import pandas as pd
from airflow.sdk import setup, task, teardown
from airflow.sdk.exceptions import AirflowSkipException

from airflow_model_provider import (
    Client,
    Gates,
    Model,
    get_step_context,
    log_metadata,
    pipeline,
    step,
)
from airflow_model_provider.workspace import Workspace


@step
def good(_: Any = None) -> Annotated[int, "good"]:
    return 1


@step
def bad(_: Any = None) -> Annotated[int, "bad"]:
    raise ValueError("as asked")


@step
def skipping(_: Any = None) -> Annotated[int, "skipping"]:
    raise AirflowSkipException("nothing to do")


@step
async def slowly(value: int) -> Annotated[int, "slowly"]:
    await asyncio.sleep(0)
    get_step_context().add_output_metadata({"seen": value})
    return value + 1


@pipeline(schedule=None)
def asynchronous():
    slowly(slowly(1))


@step
async def notify() -> None:
    await asyncio.sleep(0)
    raise ConnectionRefusedError("no mail")


@pipeline(schedule=None)
def asynchronous_failing():
    notify()


RULES = (
    "all_success", "all_failed", "all_done", "all_done_min_one_success", "one_success", "one_failed", "one_done",
    "none_failed", "none_skipped", "always", "none_failed_min_one_success", "all_skipped",
)  # fmt: skip


def under_all_rules(*before: Any) -> None:
    for rule in RULES:
        good.with_options(name=f"after_{rule}", trigger_rule=rule).after(*before)()


@pipeline(schedule=None)
def behind_a_success():
    under_all_rules(good())


@pipeline(schedule=None)
def behind_a_failure():
    under_all_rules(bad())


@pipeline(schedule=None)
def behind_a_skip():
    under_all_rules(skipping())


@pipeline(schedule=None)
def behind_a_failure_of_another():
    under_all_rules(good.with_options(name="never")(bad()))


@pipeline(schedule=None)
def behind_a_success_and_a_skip():
    under_all_rules(good(), skipping())


@pipeline(schedule=None)
def behind_a_success_and_a_failure():
    under_all_rules(good(), bad())


@step
def even(number: int) -> Annotated[int, "even"]:
    if number % 2:
        raise AirflowSkipException(f"{number} is odd")
    return number


@pipeline(schedule=None, model=Model("partly"))
def behind_a_partly_skipped_one():
    under_all_rules(even.expand(number=[1, 2, 3, 4]))


@step
def listed(how: str) -> Annotated[list[int], "listed"]:
    if how == "fails":
        raise ValueError("as asked")
    if how == "skips":
        raise AirflowSkipException("as asked")
    return [1, 2]


@step
def each(x: int, y: Any = None) -> Annotated[int, "each"]:
    return x


@pipeline(schedule=None, model=Model("mapped"))
def mapped_over_what_is_not_there():
    failing, skipped, instances = listed("fails"), listed("skips"), even.expand(number=[1, 2])
    anyway = each.with_options(trigger_rule="all_done")
    anyway.expand(x=failing, y=skipped)
    anyway.expand_kwargs(skipped.zip(instances).map(lambda x: {"x": x}))
    each.with_options(trigger_rule="one_failed").expand(x=failing)
    anyway.expand(x=instances)
    anyway.expand(x=each.expand(x=failing))


@step
def cluster() -> str:
    return "c1"


@step
def work(cluster: str) -> int:
    raise ValueError(f"{cluster} does not work")


@step
def delete(cluster: str) -> Annotated[str, "deleted"]:
    return cluster


@pipeline(schedule=None)
def with_a_teardown():
    made = setup(cluster)()
    work(made) >> teardown(delete)(made)


@pipeline(schedule=None)
def with_a_teardown_by_output():
    made = cluster()
    failing = work(made)
    failing >> delete(made).as_teardown(setups=made)
    good.after(failing)()


@pipeline(schedule=None)
def with_a_block():
    made = cluster()
    with delete(made).as_teardown(setups=made):
        good() >> good()
        work(made)


@pipeline(schedule=None)
def with_a_failing_setup():
    made = bad().as_setup()
    good.with_options(name="first").after(made)()
    good.with_options(name="work", trigger_rule="all_done").after("first")()
    good.with_options(name="clean").after("work")().as_teardown(setups=made)


@step
def broken(_: Any = None) -> None:
    raise ValueError("can't be cleaned up")


@pipeline(schedule=None)
def with_a_failing_teardown():
    made = cluster()
    good.after(made)() >> broken(made).as_teardown(setups=made)


@pipeline(schedule=None)
def with_a_teardown_that_counts():
    made = cluster()
    good.after(made)() >> broken(made).as_teardown(setups=made, on_failure_fail_dagrun=True)


@pipeline(schedule=None)
def cleaned_up():
    good.with_options(trigger_rule="all_done")(bad())


@task.skip_if(lambda context: context["params"]["skip"], "as asked")
@step
def asked(value: Any = None) -> Annotated[int, "asked"]:
    return 2


@task.run_if(lambda context: (not context["params"]["skip"], "as asked"))
@step
def asked_otherwise() -> Annotated[int, "otherwise"]:
    return 2


@pipeline(schedule=None, model=Model("asked"))
def conditional(skip: bool = True):
    asked(good())
    asked_otherwise()


@step
def try_to_promote() -> Annotated[int, "tried"]:
    version = Client().create_model_version("softly")
    version.promote("production", gates=Gates(require={"accuracy": ">= 0.9"}, soft=True))
    return 1


@pipeline(schedule=None)
def gated_softly():
    good(try_to_promote())


@step
def named(x: int, ti=None, params=None, *, ds, run_id: str) -> Annotated[list, "named"]:  # type: ignore[no-untyped-def]
    return [x, ti.task_id, ti.map_index, params["word"], ds, run_id == ti.run_id]


@step
def keywords(x: int, **context: Any) -> Annotated[list, "keywords"]:
    return [x, context["params"]["word"], context["ti"].task_id, context["more"], "x" in context]


@step
def late(ds: str, x: int) -> Annotated[list, "late"]:
    return [ds, x]


@pipeline(schedule=None)
def in_context(word: str = "{{ ds }}"):
    named(1)
    keywords(2, more="given")
    late(x=3)
    late.with_options(name="given")("2020-01-01", 4)


@step
def measured() -> tuple[Annotated[float, "accuracy"], Annotated[float, "loss"]]:
    log_metadata({"unit": "%"}, artifact_name="accuracy")
    return 0.9, 0.1


@step
def nothing_there(value: float | None) -> Annotated[list, "seen"]:
    return [value]


@pipeline(schedule=None)
def several_outputs(skip: bool = False):
    nothing_there(measured()["accuracy"])


@pipeline(schedule=None)
def several_outputs_of_a_skipped_one():
    accuracy, _ = task.skip_if(lambda _: True)(measured)()
    nothing_there.with_options(trigger_rule="all_done")(accuracy)
    nothing_there.with_options(trigger_rule="all_done")(skipping())


@step
def fitted(c: float = 1.0) -> Annotated[float, "fitted"]:
    return c * 2


@step
def halves(value: float) -> tuple[Annotated[float, "low"], Annotated[float, "high"]]:
    return value / 2, value


@step
def log(text: str = "") -> Annotated[str, "text"]:
    return text


@pipeline(schedule=None, model=Model("inner"), default_args={"trigger_rule": "all_done"})
def fitting(c: float = 1.0):
    """Fit something."""
    log.with_options(name="note")("{{ params.word }} {{ ti.task_id }}")
    return fitted(c)


@pipeline(schedule=None)
def splitting(value: float = 8.0):
    fitting(0.25)
    return halves(value)


@pipeline(schedule=None)
def silent():
    log()
    log()


@step
def promoting_at(i: int, last: int) -> Annotated[int, "element"]:
    if i == last:
        get_step_context().model.set_stage("production", force=True)
    return i


@pipeline(schedule=None, model=Model("half"))
def promoted_by_one_of_two():
    promoting_at.partial(last=0).expand(i=[0, 1, 0])


@pipeline(schedule=None, model=Model("elements"))
def promoted_by_the_only_one():
    promoting_at.partial(last=0).expand(i=[0])


@pipeline(schedule=None, model=Model("early"))
def promoted_too_early():
    early = promoting_at.with_options(name="early")(1, 1)
    good.after(early)()


@pipeline(schedule=None, model=Model("alike"))
def named_as_an_instance():
    first = good.with_options(name="first", model=Model("beside"))()
    good.after(first)()
    bad.with_options(name="good_1", model=Model("beside")).after(first)()


@pipeline(schedule=None, model=Model("outer"))
def calling(c: float = 3.0, word: str = "hello"):
    one = fitting(c)
    two = fitting.with_options(name="another")(one)
    low, high = splitting(two)
    skipping() >> fitting(4.0)
    nothing = silent.after(one)()
    nothing >> log.with_options(name="last")()
    log.with_options(name="named").after("silent")()
    nothing_there.with_options(name="sees_low")(low)
    nothing_there.with_options(name="sees_high")(high)


@pipeline(schedule=None)
def mapped_over_lists_with_a_parameter(word: str = "hello"):
    log.expand(text=[word, "b"])
    log.expand_kwargs([{"text": word}, {"text": "b"}])


@step
def pushing(ti: Any = None) -> Annotated[int | None, "pushed"]:
    if hasattr(ti, "xcom_push"):
        ti.xcom_push("return_value", 7)
    return None


@pipeline(schedule=None)
def none_in_the_place_of_what_was_pushed():
    nothing_there(pushing())


@step
def perhaps(number: int) -> Annotated[int | None, "perhaps"]:
    return number if number % 2 == 0 else None


@step
def whole(x: float) -> Annotated[float, "whole"]:
    return x


@step
def shown(x: Any) -> Annotated[str, "shown"]:
    return repr(list(x) if isinstance(x, Sequence) else x)


def itself(element: Any) -> Any:
    return element


@pipeline(schedule=None)
def elements_that_are_none_or_whole():
    found = perhaps.expand(number=[1, 2, 3])
    shown(found)
    shown.expand(x=found)
    wholes = whole.expand(x=[1.0, 2.0])
    shown.expand(x=wholes.map(itself))
    shown.expand(x=wholes.zip(whole.expand(x=[1.0]), fillvalue=1))


ELSEWHERE = Model("elsewhere", version="production").get_model_artifact("scores")


@step
def reference_and_more() -> Any:
    return {"reference": ELSEWHERE, "more": "m" * 3000}


@pipeline(schedule=None)
def parts_that_are_no_outputs():
    reference_and_more()


@step
def odd() -> Annotated[list, "odd"]:
    return [1, 2, 3]


def made_odd(element: int) -> Any:
    """Return what Airflow can't show: an iterator, what holds itself, a key without a letter."""
    endless: list[Any] = [element]
    endless.append(endless)
    return {1: endless, 2: [map(str, [element])], 3: {"k\udcff": "v"}}[element]


@step
def looked_at(x: Any) -> Annotated[str, "looked"]:
    return ascii([next(iter(item)) if isinstance(item, Iterator) else item for item in x])


@pipeline(schedule=None)
def elements_that_are_odd():
    looked_at.expand(x=odd().map(made_odd))


class Marked:
    """A model of this file."""

    def __init__(self, mark: int) -> None:
        self.mark = mark


#: Of each kind an element by its number, and the number of an element.
KINDS = {
    "numbers": (lambda number: number, lambda element: element),
    "texts": (lambda number: f"{number} {'x' * 1500}", lambda element: int(element.split()[0])),
    "dictionaries": (lambda number: {"at": number, "of": "x" * 1500}, lambda element: element["at"]),
    "frames": (lambda number: pd.DataFrame({"at": [number]}), lambda element: int(element["at"].sum())),
    "models": (Marked, lambda element: element.mark),
}
LENGTHS = [int(length) for length in os.environ.get("MAPPED_LENGTHS", "0 1 3").split()]
LOADS: Counter[str] = Counter()
load_plainly = Workspace.load


def load_and_count(self: Workspace, record: Any, **how: Any) -> Any:
    LOADS["now"] += 1
    return load_plainly(self, record, **how)


Workspace.load = load_and_count  # type: ignore[method-assign]


@step
def many(kind: str, length: int) -> list:
    LOADS.clear()
    return [KINDS[kind][0](number) for number in range(length)]


@step
def taken(kind: str, element: Any) -> Annotated[list, "taken"]:
    return [KINDS[kind][1](element), type(element).__name__, LOADS.pop("now", 0)]


@pipeline(schedule=None)
def mapped_over_all_kinds():
    for kind in KINDS:
        for length in LENGTHS:
            made = many.with_options(name=f"{kind}_{length}")(kind, length)
            taken.with_options(name=f"taken_{kind}_{length}").partial(kind=kind).expand(element=made)
