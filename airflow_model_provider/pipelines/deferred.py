"""Values that exist only when a task runs. Computing with one while a pipeline is built is a clear error."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_model_provider.exceptions import DeferredValueUsed, InvalidDefinition

if TYPE_CHECKING:
    from collections.abc import Mapping


def _called_by_airflow() -> bool:
    """Airflow compares and tests what it is given; only the user's own computing is refused."""
    return str(sys._getframe(2).f_globals.get("__name__", "")).split(".")[0] in ("airflow", "attr", "copy")


class Deferred:
    """A value that a task will have. Pass it to a step; nothing else can be done with it here."""

    def _describe(self) -> str:
        return repr(self)

    def _refuse(self, operation: str) -> NoReturn:
        raise DeferredValueUsed(self._describe(), operation)

    def __bool__(self) -> bool:
        return True if _called_by_airflow() else self._refuse("testing it")

    def __eq__(self, other: object) -> bool:
        return self is other if _called_by_airflow() or other is self else self._refuse("comparing it")

    def __hash__(self) -> int:
        return id(self)

    def __format__(self, spec: str) -> str:
        self._refuse("formatting it")

    def __iter__(self) -> Any:
        self._refuse("iterating over it")

    def __len__(self) -> int:
        self._refuse("taking its length")


def _refusing(symbol: str) -> Any:
    def operator(self: Deferred, *_: object) -> NoReturn:
        self._refuse(symbol)

    return operator


_OPERATORS = {
    "add": "adding", "radd": "adding", "sub": "subtracting", "rsub": "subtracting", "mul": "multiplying",
    "rmul": "multiplying", "truediv": "dividing", "rtruediv": "dividing", "floordiv": "dividing",
    "rfloordiv": "dividing", "mod": "taking a remainder", "rmod": "taking a remainder", "pow": "raising to a power",
    "rpow": "raising to a power", "neg": "negating it", "abs": "taking its absolute value", "lt": "comparing it",
    "le": "comparing it", "gt": "comparing it", "ge": "comparing it", "int": "converting it",
    "float": "converting it", "index": "using it as an index", "round": "rounding it",
}  # fmt: skip
for _name, _operation in _OPERATORS.items():
    setattr(Deferred, f"__{_name}__", _refusing(_operation))


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


class StepOutput(Deferred):
    """
    What a step will return, in a local run: the whole of it, or one named output.

    :param node: the step's place in the pipeline; it orders with ``>>``, ``<<`` and ``.after``.
    :param names: the names of the step's outputs.
    :param name: the output that this is; None for all.
    """

    def __init__(self, node: Any, names: tuple[str, ...], name: str | None = None) -> None:
        self.node, self.names, self.name = node, names, name

    def __getitem__(self, key: object) -> StepOutput:
        if key in self.names:
            return StepOutput(self.node, self.names, str(key))
        if (
            isinstance(key, int)
            and not isinstance(key, bool)
            and len(self.names) > 1
            and key < len(self.names)
        ):
            return StepOutput(self.node, self.names, self.names[key])
        raise unknown_output(self.node.task_id, key, self.names)

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

    def set_upstream(self, other: Any) -> None:
        """Run after ``other``."""
        for item in other if isinstance(other, list | tuple) else [other]:
            self.node.after.add(item.node)

    def set_downstream(self, other: Any) -> None:
        """Run before ``other``."""
        for item in other if isinstance(other, list | tuple) else [other]:
            item.node.after.add(self.node)

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

    def _describe(self) -> str:
        return f"The output of step {self.node.task_id!r}"

    def __str__(self) -> str:
        """Return the template that means it, as Airflow's outputs do; it can stand in a ``Model``'s version."""
        return f"{{{{ task_instance.xcom_pull(task_ids='{self.node.task_id}', key='{self.name or 'return_value'}') }}}}"

    def __repr__(self) -> str:
        return f"{self.node.task_id}.{self.name}" if self.name else str(self.node.task_id)


def unknown_output(step: str, key: object, names: tuple[str, ...]) -> InvalidDefinition:
    """Return the error for an output that a step doesn't declare."""
    return InvalidDefinition(
        f"step {step!r}", f"it has no output {key!r}", f"It has: {', '.join(names) or 'none'}."
    )
