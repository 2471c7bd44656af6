"""Values that exist only when a task runs. Computing with one while a pipeline is built is a clear error."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NoReturn

from airflow_model_provider.deferring import Uncomputed, called_by_machinery
from airflow_model_provider.exceptions import InvalidDefinition
from airflow_model_provider.exceptions.base import quoted
from airflow_model_provider.pipelines.elements import UNFILLED, Element, concatenated, mapped, zipped
from airflow_model_provider.pipelines.mapping import check_fillvalue, check_mapping_function

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


#: Looks for the outputs of tasks in whatever a task is mapped over.
_LOOKS_FOR_OUTPUTS: Final = "airflow.sdk.definitions.mappedoperator"


class Deferred(Uncomputed):
    """A value that a task will have. Pass it to a step; nothing else can be done with it here."""

    def __bool__(self) -> bool:
        return True if called_by_machinery() else self._refuse("testing it")

    def __eq__(self, other: object) -> bool:
        return self is other if called_by_machinery() or other is self else self._refuse("comparing it")

    def __hash__(self) -> int:
        return id(self)

    def __format__(self, spec: str) -> str:
        self._refuse("formatting it")

    def __iter__(self) -> Any:
        looks = sys._getframe(1).f_globals.get("__name__") == _LOOKS_FOR_OUTPUTS
        return iter(()) if looks else self._refuse("iterating over it")

    def __len__(self) -> int:
        self._refuse("taking its length")


class PipelineParameter(Deferred):
    """
    A pipeline's parameter inside its body; a task gets its value, from the Dag run's params.

    :param name: the parameter's name.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def resolve(self, context: Mapping[str, Any]) -> Any:
        """Return the value; Airflow calls this while it renders a task's fields."""
        return context["params"][self.name]

    def iter_references(self) -> list[Any]:
        """Return the operators it depends on: none."""
        return []

    def serialize(self) -> str:
        """Return what Airflow shows for it."""
        return str(self)

    def _describe(self) -> str:
        return f"Pipeline parameter {self.name!r}"

    def __getitem__(self, key: object) -> NoReturn:
        self._refuse("taking a part of it")

    def __repr__(self) -> str:
        return f"params.{self.name}"

    def __str__(self) -> str:
        return "{{ params." + self.name + " }}"


class Mappable(Deferred, ABC):
    """What steps can be mapped over in a local run: the output of a step, and what is composed of outputs."""

    @abstractmethod
    def steps(self) -> list[Any]:
        """Return the places of the steps behind it."""

    def refuse_part(self) -> None:
        """
        Refuse to stand in what is mapped over, where Airflow can't have it there.

        :raises InvalidDefinition: saying why.
        """

    def refuse_unmappable(self) -> None:
        """
        Refuse to be mapped over, where that can be known while the pipeline is built.

        :raises InvalidDefinition: saying why.
        """

    def map(self, f: Callable[[Any], Any]) -> ComposedOutput:
        """Return what a function makes of each element, in the instance that gets it."""
        check_mapping_function(f)
        return self._composed(partial(mapped, f))

    def zip(self, *others: Any, fillvalue: Any = UNFILLED) -> ComposedOutput:
        """Return tuples of elements: as many as the shortest has, or with a ``fillvalue`` the longest."""
        if fillvalue is not UNFILLED:
            check_fillvalue(fillvalue)
        return self._composed(partial(zipped, fillvalue), *others)

    def concat(self, *others: Any) -> ComposedOutput:
        """Return the elements of several outputs, one after the other."""
        return self._composed(concatenated, *others)

    def _composed(self, compose: Callable[..., list[Element]], *others: Any) -> ComposedOutput:
        parts = (self, *others)
        for part in parts:
            if not isinstance(part, Mappable):
                raise InvalidDefinition(
                    repr(self), f"it can't be composed with {quoted(part)}", "Pass the output of a step."
                )
            part.refuse_unmappable()
        return ComposedOutput(parts, compose)


class ComposedOutput(Mappable):
    """
    What ``map()``, ``zip()`` and ``concat()`` make of outputs.

    :param parts: the outputs.
    :param compose: makes its elements of theirs, once they are there.
    """

    def __init__(self, parts: tuple[Mappable, ...], compose: Callable[..., list[Element]]) -> None:
        self.parts, self.compose = parts, compose

    def steps(self) -> list[Any]:
        """Return the places of the steps behind it."""
        return [step for part in self.parts for step in part.steps()]

    def _describe(self) -> str:
        return f"What is composed of the outputs of {self!r}"

    def __repr__(self) -> str:
        return ", ".join(dict.fromkeys(f"step {step.task_id!r}" for step in self.steps()))


class Ordered(ABC):
    """What runs before and after other steps, as Airflow's tasks and groups do: ``>>``, ``<<`` and ``.after``."""

    @abstractmethod
    def roots(self) -> list[Any]:
        """Return the places of the steps that go first."""

    @abstractmethod
    def leaves(self) -> list[Any]:
        """Return the places of the steps that go last."""

    def set_upstream(self, other: Any) -> None:
        """Run after ``other``."""
        for item in other if isinstance(other, list | tuple) else [other]:
            for root in self.roots():
                root.after.update(item.leaves())

    def set_downstream(self, other: Any) -> None:
        """Run before ``other``."""
        for item in other if isinstance(other, list | tuple) else [other]:
            item.set_upstream(self)

    def __rshift__(self, other: Any) -> Any:
        self.set_downstream(other)
        return other

    def __lshift__(self, other: Any) -> Any:
        self.set_upstream(other)
        return other

    def __rrshift__(self, other: Any) -> Any:
        self.set_upstream(other)
        return self

    def __rlshift__(self, other: Any) -> Any:
        self.set_downstream(other)
        return self


class StepGroup(Ordered, Deferred):
    """
    The steps of a pipeline that is called in another one's body, in a local run.

    :param group_id: the group's id, with those of the groups around it.
    """

    not_an_argument = "a pipeline that returns nothing"

    def __init__(self, group_id: str) -> None:
        self.group_id, self.nodes = group_id, list[Any]()

    def roots(self) -> list[Any]:
        """Return the places of the steps that wait for no other step of the group."""
        return [node for node in self.nodes if not node.upstream() & set(self.nodes)]

    def leaves(self) -> list[Any]:
        """Return the places of the steps, no teardowns, for which no other step of the group waits."""
        nodes = [node for node in self.nodes if not node.role.is_teardown]
        before = set().union(*(node.upstream() for node in nodes))
        return [node for node in nodes if node not in before]

    def _describe(self) -> str:
        return f"Pipeline {self.group_id!r}, which returns nothing,"

    def __repr__(self) -> str:
        return f"<pipeline {self.group_id}>"


class StepOutput(Ordered, Mappable):
    """
    What a step will return, in a local run: the whole of it, or one named output.

    :param node: the step's place in the pipeline.
    :param names: the names of the step's outputs.
    :param name: the output that this is; None for all.
    :param group: the called pipeline that returned it, whose steps all go before what is ordered behind it.
    """

    def __init__(
        self, node: Any, names: tuple[str, ...], name: str | None = None, group: StepGroup | None = None
    ) -> None:
        self.node, self.names, self.name, self.group = node, names, name, group

    def roots(self) -> list[Any]:
        """Return the place of the step, or those of the group that returned it."""
        return [self.node] if self.group is None else self.group.roots()

    def leaves(self) -> list[Any]:
        """Return the place of the step, or those of the group that returned it."""
        return [self.node] if self.group is None else self.group.leaves()

    def returned_by(self, group: StepGroup) -> StepOutput:
        """Return the same output, ordered as what a called pipeline returned."""
        return StepOutput(self.node, self.names, self.name, group)

    def steps(self) -> list[Any]:
        """Return the place of the step."""
        return [self.node]

    def refuse_part(self) -> None:
        """
        Refuse to stand in what is mapped over if it is one of several outputs, or all of them.

        :raises InvalidDefinition: in that case.
        """
        if self.name is not None or len(self.names) > 1:
            raise one_of_several(self.node.task_id, self.name or ", ".join(self.names))

    def refuse_unmappable(self) -> None:
        """
        Refuse to be mapped over unless it is the only output of its step, as Airflow does.

        :raises InvalidDefinition: if it is one of several, or there is none.
        """
        if not self.names:
            raise nothing_to_map(self.node.task_id)
        self.refuse_part()

    def __getitem__(self, key: object) -> StepOutput:
        if len(self.names) == 1 and not isinstance(key, str):
            raise unknown_output(self.node.task_id, key, self.names)
        index = index_of_output(self.node.task_id, key, self.names)
        return StepOutput(self.node, self.names, self.names[index], self.group)

    def __iter__(self) -> Any:
        if len(self.names) < 2 or self.name is not None:
            self._refuse("iterating over it")
        return iter([self[name] for name in self.names])

    def as_setup(self) -> StepOutput:
        """Make the step a setup, as Airflow's outputs do."""
        self.node.role.is_setup = True
        return self

    def as_teardown(self, *, setups: Any = None, on_failure_fail_dagrun: bool | None = None) -> StepOutput:
        """
        Make the step a teardown, as Airflow's outputs do.

        :param setups: the output of its setup, or those of several.
        :param on_failure_fail_dagrun: whether the run fails if it does.
        """
        self.node.become_teardown()
        if on_failure_fail_dagrun is not None:
            self.node.role.on_failure_fail_dagrun = on_failure_fail_dagrun
        for item in setups if isinstance(setups, list | tuple) else [setups] if setups is not None else []:
            item.as_setup().set_downstream(self)
        return self

    def __enter__(self) -> StepOutput:
        """Put the steps that are called in the block behind this setup, or before this teardown."""
        self.node.builder.enter(self.node)
        return self

    def __exit__(self, *_: object) -> None:
        self.node.builder.leave()

    def _describe(self) -> str:
        return f"The output of step {self.node.task_id!r}"

    def __str__(self) -> str:
        """Return the template that means it, as Airflow's outputs do; it can stand in a ``Model``'s version."""
        return f"{{{{ task_instance.xcom_pull(task_ids='{self.node.task_id}', key='{self.name or 'return_value'}') }}}}"

    def __repr__(self) -> str:
        return f"{self.node.task_id}.{self.name}" if self.name else str(self.node.task_id)


def one_of_several(step: str, name: str) -> InvalidDefinition:
    """Return the error for an output that Airflow can't map over."""
    return InvalidDefinition(
        f"step {step!r}",
        f"its output {name!r} can't be mapped over, because Airflow maps only over the only output of a task",
        "Pass it to a step that returns it, and map over that step's output.",
    )


def nothing_to_map(step: str) -> InvalidDefinition:
    """Return the error for a step that returns nothing to map over."""
    return InvalidDefinition(
        f"step {step!r}",
        "it can't be mapped over, because it declares to return nothing",
        "Return a list, a tuple or a dict, and annotate it.",
    )


def index_of_output(step: str, key: object, names: tuple[str, ...]) -> int:
    """
    Return the place of one of a step's outputs.

    :param key: its name or its place.
    :raises InvalidDefinition: if there is none.
    """
    if isinstance(key, str) and key in names:
        return names.index(key)
    if isinstance(key, int) and not isinstance(key, bool) and -len(names) <= key < len(names):
        return key
    raise unknown_output(step, key, names)


def unknown_output(step: str, key: object, names: tuple[str, ...]) -> InvalidDefinition:
    """Return the error for an output that a step doesn't declare."""
    known = f"It has: {', '.join(names) or 'none'}."
    if len(names) == 1:
        known += " Several are declared as -> tuple[Annotated[float, 'accuracy'], ...]."
    return InvalidDefinition(f"step {step!r}", f"it has no output {key!r}", known)
