"""Airflow dag: what steps get and give, in a file in a folder, run as a program and under the scheduler."""

import dataclasses
import enum
import functools
from datetime import datetime
from typing import Annotated, Any, NamedTuple

import attrs
import pydantic

from airflow_model_provider import Artifact, get_step_context, pipeline, step

START = datetime(2026, 1, 1)
GRID = {"a": [1]}


class Verdict(enum.Enum):
    BETTER = "better"
    WORSE = "worse"


@dataclasses.dataclass(frozen=True)
class Report:
    accuracy: float


class Shard(NamedTuple):
    country: str


class Settings(pydantic.BaseModel):
    depth: int


@attrs.frozen
class Bounds:
    low: float


class Model:
    @functools.cached_property
    def size(self) -> int:
        return 3

    def predict(self, rows: list[float]) -> list[Verdict]:
        return [Verdict.BETTER if row > 2 else Verdict.WORSE for row in rows]


@step
def judge() -> Verdict:
    return Verdict.BETTER


@step
def make() -> tuple[
    Annotated[Report, "own_report"],
    Annotated[Shard, "own_shard"],
    Annotated[Settings, "own_settings"],
    Annotated[Bounds, "own_bounds"],
    Annotated[Model, "own_model"],
    Annotated[dict[Verdict, list[Report]], "own_table"],
]:
    return Report(0.9), Shard("at"), Settings(depth=3), Bounds(0.5), Model(), {Verdict.WORSE: [Report(0.1)]}


@step
def recognize(
    verdict: Verdict,
    report: Report,
    shard: Shard,
    settings: Settings,
    bounds: Bounds,
    model: Model,
    table: dict[Verdict, list[Report]],
) -> Annotated[dict[str, bool], "own_recognized"]:
    match report:
        case Report(accuracy=0.9):
            matched = True
        case _:
            matched = False
    return {
        "is": verdict is Verdict.BETTER and model.predict([3.0])[0] is verdict,
        "equal": (report, shard, settings, bounds)
        == (Report(0.9), Shard("at"), Settings(depth=3), Bounds(0.5)),
        "instances": all(
            isinstance(value, kind)
            for value, kind in ((report, Report), (shard, Shard), (settings, Settings), (model, Model))
        ),
        "match": matched,
        "key": {Verdict.BETTER: True, Report(0.9): False}.get(verdict, False),
        "in": Verdict.WORSE in table and table[Verdict.WORSE] == [Report(0.1)],
        "cached": model.size == 3,
    }


@pipeline(schedule=None, start_date=START)
def own_classes():
    recognize(judge(), *make())


@step
def short() -> Annotated[list[int], "own_short"]:
    return [1, 2, 3]


@step
def long() -> Annotated[list[int], "own_long"]:
    return list(range(2000))


@step
def twice(number: int) -> Annotated[int, "own_twice"]:
    return 2 * number


@step
def handles(
    a: Artifact[list], b: Artifact[list], c: list[Artifact[int]]
) -> Annotated[list[str], "own_handles"]:
    return [repr(a), repr(b), *(f"{item.load()} of {item.record.map_index}" for item in c)]


@step
def handle_of_each(number: Artifact[int]) -> Annotated[str, "own_element"]:
    return f"{number.load()} of {number.record.map_index}"


@step
def inputs(a: list, b: list, constant: int) -> Annotated[list[str], "own_inputs"]:
    known = get_step_context().inputs
    return [*map(repr, known.values()), *(str(name in known) for name in ("a", "b", "constant"))]


@step
def grow(grid: dict[str, list[int]]) -> Annotated[int, "own_grown"]:
    grid["a"].append(2)
    return len(grid["a"])


@step
def file_name() -> Annotated[str, "own_file_name"]:
    return b"scores-\xe9.csv".decode("utf-8", "surrogateescape")


@step
def read_name(name: str, ti: Any = None) -> Annotated[str, "own_name"]:
    return ascii(name)


@pipeline(schedule=None, start_date=START)
def own_inputs(number: int = 3):
    a, b = short(), long()
    doubled = twice.expand(number=[3, 4])
    handles(a, b, doubled)
    handle_of_each.expand(number=doubled)
    inputs(a, b, number)
    grow.after(grow(GRID))(GRID)
    read_name(file_name())


@step
def takes_dict(value: dict) -> None: ...


@step
def takes_whole(value: int) -> None: ...


@step
def lies() -> Annotated[int, "own_lie"]:
    return "text"


@pipeline(schedule=None, start_date=START)
def own_wrong_types(number: int = 1):
    takes_dict(short())
    takes_dict(long())
    takes_whole("abc")
    takes_whole(number)
    lies()
