"""A reference is a value without contents: nothing is computed with it, or with the JSON beneath it."""

from __future__ import annotations

import copy
import json
import logging
import pickle
from typing import TYPE_CHECKING, Any

import pytest

from airflow_model_provider import Client, Model, pipeline, step
from airflow_model_provider.exceptions import DeferredValueUsed

if TYPE_CHECKING:
    from collections.abc import Callable

IRIS = Model("iris", version="production")
ACCURACY, ROWS = IRIS.run_metadata["accuracy"], IRIS.get_artifact("rows")

COMPUTING: dict[str, Callable[[Any], object]] = {
    "equal": lambda item: item == 0.9,
    "unequal": lambda item: item != "production",
    "equal to None": lambda item: item == None,  # noqa: E711 - that is what is tried
    "equal to its JSON": lambda item: item == json.loads(json.dumps(item)),
    "is in a list": lambda item: item in [1, 2],
    "greater": lambda item: item > 0.9,
    "maximum": lambda item: max(0.9, item),
    "sorted": lambda item: sorted([item, item]),
    "sum": lambda item: 1 + item,
    "negated": lambda item: -item,
    "rounded": lambda item: round(item, 2),
    "number": int,
    "index": lambda item: [1, 2][item],
    "formatted": lambda item: f"{item:.2f}",
    "length": len,
    "list": list,
    "loop": lambda item: [part for part in item if part],
    "backwards": lambda item: list(reversed(item)),
    "membership": lambda item: "model" in item,
    "item": lambda item: item["model"],
    "position": lambda item: item[0],
    "get": lambda item: item.get("accuracy", 0.5),
    "keys": lambda item: item.keys(),
    "values": lambda item: item.values(),
    "items": lambda item: item.items(),
    "copy": lambda item: item.copy(),
    "dict": dict,
    "unpacked": lambda item: {**item},
    "keywords": lambda item: dict(**item),
    "union": lambda item: item | {"x": 1},
    "reflected union": lambda item: {"x": 1} | item,
    "either": lambda item: item | IRIS,
}


@pytest.mark.parametrize("item", [ACCURACY, ROWS, IRIS, ROWS.uri], ids=["value", "artifact", "model", "uri"])
@pytest.mark.parametrize("how", COMPUTING)
def test_computing_with_a_reference_is_refused_by_name(item: Any, how: str) -> None:
    """The error names the reference and what was tried."""
    with pytest.raises(DeferredValueUsed) as raised:
        COMPUTING[how](item)

    assert str(raised.value).startswith(f"{item!r} has no value until a task runs, so ")


@pytest.mark.parametrize("item", [ACCURACY, ROWS, IRIS])
def test_what_the_object_has_a_reference_has_not(item: Any) -> None:
    """The error says where it can be had; whoever merely asks is answered."""
    with pytest.raises(
        AttributeError, match=r"using its 'predict' is not possible here\. Pass it to a step"
    ) as raised:
        item.predict([1])

    assert isinstance(raised.value, DeferredValueUsed)
    assert not hasattr(item, "predict")
    assert copy.deepcopy(item) == item


def test_a_mistyped_method_is_named_with_the_nearest() -> None:
    """To pass the reference to a step would not help."""
    with pytest.raises(DeferredValueUsed) as raised:
        _ = IRIS.get_artefact("rows")

    assert str(raised.value) == f"{IRIS!r} has no 'get_artefact'. Did you mean 'get_artifact'?"
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)


@pytest.mark.parametrize("item", [ACCURACY, ROWS, ROWS.uri])
def test_a_reference_is_neither_true_nor_false(item: Any) -> None:
    """But a model is there, so that a default can stand in for one that was not given."""
    with pytest.raises(DeferredValueUsed, match="testing it is not possible here"):
        _ = 1 if item else 2

    assert (IRIS or None) is IRIS


@pytest.mark.parametrize("how", [
    "equal", "unequal", "is in a list", "length", "list", "membership", "keys", "values", "items", "dict",
    "formatted", "text",
])  # fmt: skip
def test_lazy_metadata_is_no_mapping(how: str) -> None:
    """Its keys are known when a task runs."""
    with pytest.raises(
        DeferredValueUsed, match=r"^iris\[production\]\.metadata has no value until a task runs"
    ):
        {**COMPUTING, "text": lambda item: f"{item}"}[how](IRIS.run_metadata)


def test_metadata_is_a_mapping_in_a_running_step(model_registry: Client) -> None:
    """There it is read at once, that of a version and of an artifact."""
    version = model_registry.create_model_version("iris")
    version.save_artifact("rows", [1], metadata={"folds": 5})
    version.log_metadata({"accuracy": 0.9})
    version.set_stage("production")

    @step
    def look() -> list[Any]:
        here = Model("iris", version="production").run_metadata
        same = [here == {"accuracy": 0.9}, here != {"accuracy": 0.9}, here in [{"accuracy": 0.9}]]
        text = f"{here:>20}"
        return [dict(here), "accuracy" in here, "rmse" in here, len(here), list(here.items()), same, text]

    @pipeline
    def looking() -> None:
        look()

    found = looking().steps["look"].output.load()

    same, text = [True, False, True], "   {'accuracy': 0.9}"
    assert found == [{"accuracy": 0.9}, True, False, 1, [("accuracy", 0.9)], same, text]


@pytest.mark.parametrize("item", [ACCURACY, ROWS, IRIS])
def test_what_writes_and_copies_values_still_does(item: Any, caplog: pytest.LogCaptureFixture) -> None:
    """JSON in both of its forms, copies, pickles and logs; references are compared and looked up by value."""
    plain = item.to_json()

    assert json.loads(json.dumps({"a": [item]})) == {"a": [plain]}
    assert json.loads(json.dumps({"a": [item]}, indent=1, sort_keys=True)) == {"a": [plain]}
    assert [copy.deepcopy(item), copy.copy(item), pickle.loads(pickle.dumps(item))] == [item] * 3
    assert {item: 1}[copy.deepcopy(item)] == 1
    assert (item in [item], item != copy.copy(item)) == (True, False)
    assert isinstance(item, dict)
    logging.getLogger("a body").warning("%s", item)
    assert caplog.messages == [str(item)]
