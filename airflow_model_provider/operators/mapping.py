"""Steps and task mapping in Airflow: what is mapped over a step's output, and how the output reaches who is."""

from __future__ import annotations

import inspect
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.configuration import conf
from airflow.sdk.bases.xcom import BaseXCom
from airflow.sdk.definitions import xcom_arg
from airflow.sdk.definitions._internal import expandinput
from airflow.sdk.definitions._internal.expandinput import ListOfDictsExpandInput, MappedArgument
from airflow.sdk.definitions._internal.types import NOTSET, is_arg_set
from airflow.sdk.definitions.mappedoperator import MappedOperator
from airflow.sdk.definitions.xcom_arg import ConcatXComArg, MapXComArg, PlainXComArg, XComArg, ZipXComArg
from airflow.sdk.exceptions import AirflowFailException, UnmappableXComTypePushed, XComNotFound
from airflow.sdk.execution_time.xcom import XCom

from airflow_model_provider.deferring import Uncomputed, called_by_machinery
from airflow_model_provider.exceptions import NotMappable
from airflow_model_provider.pipelines.deferred import nothing_to_map, one_of_several, unknown_output
from airflow_model_provider.pipelines.mapping import (
    ELEMENT,
    MappedOver,
    arguments_for_handles,
    check_fillvalue,
    check_mapping_function,
)
from airflow_model_provider.pipelines.outputs import (
    declared_outputs,
    declares_tuple,
    is_float,
    output_annotations,
)
from airflow_model_provider.pipelines.values import held_in
from airflow_model_provider.task_context import hopeless_fails_at_once, resolver_for

if TYPE_CHECKING:
    from airflow.sdk.definitions._internal.abstractoperator import AbstractOperator
    from airflow.sdk.definitions._internal.expandinput import ExpandInput

    from airflow_model_provider.pipelines.outputs import Output

#: Airflow's own limit, where an installation sets no other.
_LONGEST = 1024


def mapped_over(task: AbstractOperator, ti: Any = None) -> MappedOver | None:
    """
    Return how tasks and task groups of its DAG are mapped over what a task returns, or over what is composed of it.

    Composed are ``map()``, ``zip()`` and ``concat()``, whose elements other tasks may also take as a list.

    :param ti: the instance that runs, if it does; an instance of a mapped task or group is an element itself.
    :return: None where nothing is.
    """
    if ti is not None and ti.map_index is not None and ti.map_index >= 0:
        return None
    found: dict[str, set[str]] = {}
    for node in task.iter_mapped_dependants():
        found[str(node.node_id)] = set(_uses(expand_input(node), task))
    for consumer in task.downstream_list:
        for arg in held_in(_fields(consumer), lambda part: isinstance(part, XComArg)):
            if not isinstance(arg, PlainXComArg) and (uses := set(_uses_in(arg, task, ""))):
                found.setdefault(consumer.node_id, set()).update(uses)
    found = {name: uses for name, uses in found.items() if uses}
    if ti is None or not found:
        return MappedOver.by(found) if found else None
    handles = {name for node in task.iter_mapped_dependants() for name in _handles(node, task)}
    return MappedOver.by(found, partial(_check_length, ti, task), handles)


def _handles(node: Any, task: AbstractOperator) -> set[str]:
    """Return the arguments that get handles of artifacts, where steps are mapped over what a task returns."""
    over = expand_input(node)
    value: Any = over.value
    asking = _asking(node)
    if isinstance(over, ListOfDictsExpandInput):
        return asking
    return {ELEMENT for name, arg in value.items() if name in asking and any(_uses_in(arg, task, "elements"))}


def _asking(node: Any) -> set[str]:
    """Return the names, among those that a step or a task group is mapped over, of which steps get handles."""
    if isinstance(node, MappedOperator):
        function = node.partial_kwargs.get("python_callable") or getattr(node, "python_callable", None)
        is_step = hasattr(node.operator_class, "pins_in_pre_execute")
        return arguments_for_handles(function) if is_step and function is not None else set()
    found: set[str] = set()
    for task in node.iter_tasks():
        if _is_called_here(task):
            bound = inspect.signature(task.python_callable).bind_partial(*task.op_args, **task.op_kwargs)
            asking = arguments_for_handles(task.python_callable)
            found |= {
                arg._key
                for name, arg in bound.arguments.items()
                if name in asking and isinstance(arg, MappedArgument)
            }
    return found


def _is_called_here(task: Any) -> bool:
    """Whether a task is a step of which the arguments are known, and not returned by another task."""
    if not (hasattr(task, "pins_in_pre_execute") and hasattr(task, "python_callable")):
        return False
    return not any(isinstance(given, XComArg) for given in (task.op_args, task.op_kwargs))


def expand_input(node: Any) -> Any:
    """Return what a mapped task or task group is mapped over, as it was written or as Airflow keeps it."""
    specified = getattr(node, "_get_specified_expand_input", None)
    return node._expand_input if specified is None else specified()


def instances(node: Any, length: Callable[[PlainXComArg], int | None]) -> int | None:
    """
    Return how many instances what a mapped task or task group is mapped over gives it; None where that is not known.

    :param length: of what a task returned.
    """
    value: Any = expand_input(node).value
    values = value.values() if isinstance(value, Mapping) else [value]
    found = [_length(part, length) for part in values]
    known = [part for part in found if part is not None]
    return math.prod(known) if len(known) == len(found) or 0 in known else None


def _length(value: Any, length: Callable[[PlainXComArg], int | None]) -> int | None:
    if isinstance(value, PlainXComArg):
        return length(value)
    if isinstance(value, MapXComArg):
        return _length(value.arg, length)
    if not isinstance(value, ZipXComArg | ConcatXComArg):
        return len(value) if isinstance(value, Sized) else None
    found = [_length(part, length) for part in value.args]
    known = [part for part in found if part is not None]
    if len(known) < len(found):
        return None
    if isinstance(value, ConcatXComArg):
        return sum(known)
    return max(known) if is_arg_set(value.fillvalue) else min(known)


def _uses(over: ExpandInput, task: AbstractOperator) -> Iterator[str]:
    """Yield as what an output of a task stands in what is mapped over."""
    value: Any = over.value
    if not isinstance(over, ListOfDictsExpandInput):
        for arg in value.values():
            yield from _uses_in(arg, task, "elements")
    elif isinstance(value, XComArg):
        yield from _uses_in(value, task, "kwargs")
    else:
        for arg in value:
            yield from _uses_in(arg, task, "arguments")


def _uses_in(arg: Any, task: AbstractOperator, plain: str) -> Iterator[str]:
    if not isinstance(arg, XComArg) or all(
        operator.task_id != task.task_id for operator, _ in arg.iter_references()
    ):
        return
    if isinstance(arg, PlainXComArg):
        yield plain
        return
    yield "composed"
    if isinstance(arg, ConcatXComArg):  # the others make elements of their own of what they get
        for part in arg.args:
            yield from _uses_in(part, task, plain)


def _fields(task: Any) -> list[Any]:
    holder = task.partial_kwargs if task.is_mapped else vars(task)
    return [holder.get(name) for name in task.template_fields]


def _check_length(ti: Any, task: AbstractOperator, length: int) -> None:
    """
    Let Airflow refuse more elements than it maps over, with its own error, before they are saved.

    The limit that counts is the API server's. What is longer than this worker's is shown to the server first.
    """
    if length <= conf.getint("core", "max_map_length", fallback=_LONGEST):
        return
    if next(task.iter_mapped_dependants(), None) is None:
        return
    where = {"dag_id": ti.dag_id, "task_id": ti.task_id, "run_id": ti.run_id}
    try:
        XCom.set(BaseXCom.XCOM_RETURN_KEY, None, **where, _mapped_length=length)
    except Exception as err:
        err.add_note(f"Step {task.task_id!r} returned {length} elements. See [core] max_map_length.")
        raise


class UnmappableOutput(UnmappableXComTypePushed, AirflowFailException):
    """Airflow's error for what can't be mapped over, with what to do. A retry cannot help; correct the step."""

    def __init__(self, error: NotMappable) -> None:
        super().__init__(error)
        self.error = error

    def __str__(self) -> str:
        return f"{UnmappableXComTypePushed.__name__}: {self.error}"


@contextmanager
def unmappable_as_airflow_says() -> Iterator[None]:
    """
    Make of our error the one that Airflow has for it.

    :raises UnmappableOutput: where a step returned what can't be mapped over.
    """
    try:
        yield
    except NotMappable as err:
        raise UnmappableOutput(err) from err


class StepXComArg(Uncomputed, PlainXComArg):
    """
    What a step returns: an XComArg that gives the whole or an element as it is asked for.

    In XCom are the entries of an output that something is mapped over (see :mod:`pipelines.mapping`), and apart from
    them the whole, as if nothing were. Whoever takes the whole gets that. A function that is given to ``map()`` gets
    elements, and no references to them; each instance loads its own. Computing with it in a body is refused.
    """

    def _describe(self) -> str:
        return f"The output of step {self.operator.task_id!r}"

    def __bool__(self) -> bool:
        return called_by_machinery() or self._refuse("testing it")

    def __eq__(self, other: object) -> bool:
        if not (isinstance(other, XComArg) or called_by_machinery()):
            self._refuse("comparing it")
        return bool(super().__eq__(other))

    __hash__ = PlainXComArg.__hash__

    def __iter__(self) -> NoReturn:
        self._refuse("iterating over it")

    def refuse_part(self) -> None:
        """
        Refuse to stand in what is mapped over if it is one of several outputs.

        :raises InvalidDefinition: in that case.
        """
        if self.key != BaseXCom.XCOM_RETURN_KEY:
            raise one_of_several(self.operator.task_id, self.key)

    def refuse_unmappable(self) -> None:
        """
        Refuse to be mapped over unless it is the only output of its step.

        :raises InvalidDefinition: if it is one of several, or there is none.
        """
        self.refuse_part()
        operator: Any = self.operator
        if not operator.is_mapped and not operator.outputs:
            raise nothing_to_map(operator.task_id)

    def __getitem__(self, item: str) -> XComArg:
        """Return the output of that name; a part of a value is not one."""
        names = tuple(output.name for output in outputs_of(self.operator))
        if (item,) != names or self.key != BaseXCom.XCOM_RETURN_KEY:
            whole = self.key == BaseXCom.XCOM_RETURN_KEY
            raise unknown_output(self.operator.task_id, item, names if whole else ())
        return self

    def map(self, f: Callable[[Any], Any]) -> MapXComArg:
        """Apply a function to each element, in the task that gets it. See ``XComArg.map()``."""
        check_mapping_function(f)
        self.refuse_unmappable()
        return super().map(f)

    def zip(self, *others: XComArg, fillvalue: Any = NOTSET) -> ZipXComArg:
        """Make tuples of elements. See ``XComArg.zip()``."""
        self.refuse_unmappable()
        if is_arg_set(fillvalue):
            check_fillvalue(fillvalue)
        return super().zip(*others, fillvalue=fillvalue)

    def concat(self, *others: XComArg) -> ConcatXComArg:
        """Put elements one after the other. See ``XComArg.concat()``."""
        self.refuse_unmappable()
        return super().concat(*others)

    def resolve(self, context: Mapping[str, Any]) -> Any:
        """Return what the task gets whose fields Airflow renders."""
        mapped, composed = _asked_for()
        if not composed:
            return super().resolve(context) if mapped else self._whole(context)
        found = super().resolve(context)
        if MapXComArg in composed and isinstance(found, Sequence):
            return _Loaded(found, context, is_float=gives_float(self))
        return found

    def _whole(self, context: Mapping[str, Any]) -> Any:
        name = _name_of_only_output(self.operator) if self.key == BaseXCom.XCOM_RETURN_KEY else None
        if name is not None and mapped_over(self.operator) is not None:
            with suppress(
                XComNotFound
            ):  # if it ran before the DAG file said that something is mapped over it
                return PlainXComArg(self.operator, name).resolve(context)
        return super().resolve(context)


def gives_float(arg: PlainXComArg) -> bool:
    """Return whether an output of a step is declared as a float."""
    declared = output_annotations(function_of(arg.operator))
    if arg.key == BaseXCom.XCOM_RETURN_KEY:
        return len(declared) == 1 and is_float(declared[0])
    names = (output.name for output in outputs_of(arg.operator))
    return is_float(dict(zip(names, declared, strict=True)).get(arg.key))


def as_float(value: Any) -> Any:
    """Return a value that was declared as a float; SQLite's JSON columns make the number 1 of a lone 1.0."""
    return float(value) if type(value) is int else value


def entries(arg: XComArg, context: Mapping[str, Any]) -> Any:
    """Return what an XComArg holds for the tasks that are mapped over it."""
    return PlainXComArg.resolve(arg, context) if isinstance(arg, PlainXComArg) else arg.resolve(context)


_RESOLVERS = {kind.resolve.__code__: kind for kind in (MapXComArg, ZipXComArg, ConcatXComArg)}


def _asked_for() -> tuple[bool, set[type[XComArg]]]:
    """
    Return whether an XComArg is resolved for what is mapped over, and of which others it is a part.

    Airflow resolves each as if it stood alone. Only the frames above know.
    """
    composed: set[type[XComArg]] = set()
    frame = sys._getframe(2)
    while frame.f_globals.get("__name__") == xcom_arg.__name__ and frame.f_back is not None:
        if frame.f_code in _RESOLVERS:
            composed.add(_RESOLVERS[frame.f_code])
        frame = frame.f_back
    return frame.f_globals.get("__name__") == expandinput.__name__, composed


def outputs_of(operator: Any) -> tuple[Output, ...]:
    """Return the outputs that a step declares, mapped or not."""
    if not operator.is_mapped:
        return operator.outputs  # type: ignore[no-any-return]
    return declared_outputs(function_of(operator), operator.partial_kwargs.get("substitutions") or {})


def function_of(operator: Any) -> Callable[..., Any]:
    """Return the function of a step, mapped or not."""
    found: Callable[..., Any] | None = getattr(operator, "python_callable", None)
    return found or operator.partial_kwargs["python_callable"]


def writes_key(operator: Any, key: str) -> bool:
    """Return whether a step writes a key in XCom, and not the code of its function."""
    outputs = outputs_of(operator)
    if key == BaseXCom.XCOM_RETURN_KEY:
        return bool(outputs)
    if key not in {output.name for output in outputs}:
        return False
    return declares_tuple(function_of(operator)) or mapped_over(operator) is not None


def _name_of_only_output(operator: Any) -> str | None:
    """Return the name of a step's only output; None if it is mapped, or declares none or several."""
    outputs: Sequence[Any] = () if operator.is_mapped else operator.outputs
    return outputs[0].name if len(outputs) == 1 and not operator.returns_tuple else None


class _Loaded(Sequence[Any]):
    """Elements that are loaded when they are taken, for the function of a ``map()``."""

    def __init__(self, entries: Sequence[Any], context: Mapping[str, Any], *, is_float: bool) -> None:
        self._entries, self._context, self._is_float = entries, context, is_float

    def __getitem__(self, index: Any) -> Any:
        from airflow_model_provider.pipelines.handed_on import loaded

        with hopeless_fails_at_once():
            found = loaded(self._entries[index], resolver_for(self._context))
        return as_float(found) if self._is_float else found

    def __len__(self) -> int:
        return len(self._entries)
