"""
What other tasks returned, as a task of this package receives it.

The only place where Airflow's XCom becomes references: in a task's template fields, where an ``XComArg`` stands, by
what is known of the task behind it. What a step returned was written by this package, and holds references at any
depth; what its code pushed by itself is data. What any other task returned is a reference as a whole (of a mapped one,
each instance's result; of a list that is mapped over, each element), or else data. All other data of a task (params,
run configuration, literals, templates' results) is never read, and nothing that was received is rendered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator, BaseXCom, XComArg
from airflow.sdk.definitions._internal.expandinput import DictOfListsExpandInput, MappedArgument
from airflow.sdk.definitions.xcom_arg import ConcatXComArg, PlainXComArg, ZipXComArg
from airflow.sdk.execution_time.lazy_sequence import LazyXComSequence

from airflow_model_provider.exceptions import InvalidDefinition
from airflow_model_provider.exceptions.base import listing
from airflow_model_provider.operators.mapping import as_float, entries, gives_float, writes_key
from airflow_model_provider.pipelines.passing import read_result, read_whole
from airflow_model_provider.pipelines.values import WALK, as_airflow, transform
from airflow_model_provider.selectors import is_template
from airflow_model_provider.task_context import hopeless_fails_at_once

if TYPE_CHECKING:
    import jinja2
    from airflow.sdk import Context

#: Marks an operator whose results this package has written.
WRITES_RESULTS = "writes_results"


def received(arg: Any, value: Any, context: Mapping[str, Any]) -> Any:
    """
    Return what a task receives where an ``XComArg`` stands in its fields.

    :param arg: the ``XComArg``, or the argument of a mapped task group.
    :param value: what Airflow has resolved it to.
    :param context: of the task that receives it.
    """
    if isinstance(arg, MappedArgument):
        return _argument_of_group(arg, value, context)
    if not isinstance(arg, PlainXComArg):
        return [received_element(arg, item, index, context) for index, item in enumerate(value)]
    read = _reader(arg)
    if isinstance(value, LazyXComSequence):
        return [read(item) for item in value]
    if isinstance(value, list) and _is_of_several(arg, value, context):
        return [read(item) for item in value]
    return read(value)


def received_element(arg: Any, item: Any, index: int, context: Mapping[str, Any]) -> Any:
    """
    Return what one instance of a mapped task receives of what it is mapped over.

    :param arg: the ``XComArg`` that is mapped over.
    :param item: the element, as Airflow has taken it from what the arg was resolved to.
    :param index: its place there.
    :param context: of the instance.
    """
    if isinstance(arg, ZipXComArg):
        parts = zip(arg.args, item, strict=True)
        return tuple(
            part
            if _is_fill(arg, each, part, index, context)
            else received_element(each, part, index, context)
            for each, part in parts
        )
    if isinstance(arg, ConcatXComArg):
        return received_element(*_part_at(arg, index, item, context), context)
    if isinstance(arg, PlainXComArg):
        return _reader(arg)(item)
    return item  # what a function of the DAG file has returned: objects count, and JSON is data


def received_row(
    arg: Any, row: Mapping[str, Any], index: int, context: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Return the arguments of one instance of ``expand_kwargs``; those of a row that is data are data."""
    if isinstance(arg, ConcatXComArg):
        return received_row(*_part_at(arg, index, row, context), context)
    if isinstance(arg, PlainXComArg) and _wrote_results(arg):
        return {name: read_result(value) for name, value in row.items()}
    return row


def _is_fill(arg: ZipXComArg, each: Any, part: Any, index: int, context: Mapping[str, Any]) -> bool:
    """Whether a part of a zipped element is its ``fillvalue``; small integers are one object wherever they are."""
    return part is arg.fillvalue and index >= len(entries(each, context))


def _part_at(arg: ConcatXComArg, index: int, item: Any, context: Mapping[str, Any]) -> tuple[Any, Any, int]:
    """Which of the parts an element is of, and its index there."""
    for part in arg.args:
        length = len(entries(part, context))
        if index < length:
            return part, item, index
        index -= length
    raise IndexError(f"{arg!r} has become shorter")


def _reader(arg: PlainXComArg) -> Callable[[Any], Any]:
    if _wrote_results(arg):
        return (lambda value: as_float(read_result(value))) if gives_float(arg) else read_result
    return read_whole if arg.key == BaseXCom.XCOM_RETURN_KEY else _as_it_is


def _as_it_is(value: Any) -> Any:
    return value


def _wrote_results(arg: PlainXComArg) -> bool:
    operator = arg.operator
    kind = getattr(operator, "operator_class", type(operator))
    return bool(getattr(kind, WRITES_RESULTS, False)) and writes_key(operator, arg.key)


def _is_of_several(arg: PlainXComArg, value: list[Any], context: Mapping[str, Any]) -> bool:
    """Whether a list holds the results of all instances of a task in a mapped group, seen from outside of it."""
    group = arg.operator.get_closest_mapped_task_group()
    if group is None or group.has_task(context["task"]):
        return False
    instances = len(LazyXComSequence(xcom_arg=arg, ti=context["ti"]))
    return instances != 1 and instances == len(value)


def _argument_of_group(arg: MappedArgument, value: Any, context: Mapping[str, Any]) -> Any:
    mapping = _Mapping(arg._input, context)
    return mapping.received(arg._key, value)


class _Mapping:
    """What a task, or its group, is mapped over, for one instance."""

    def __init__(self, expand_input: Any, context: Mapping[str, Any]) -> None:
        self._input, self._context = expand_input, context
        self._index = context["ti"].map_index

    def received(self, name: str, value: Any) -> Any:
        """Return the argument of a name as the instance receives it."""
        given = self._input.value
        if isinstance(self._input, DictOfListsExpandInput):
            arg = given[name]
            if isinstance(arg, MappedArgument):
                return value
            return received_element(arg, value, self._place(name), self._context)
        return received_row(self._row(given), {name: value}, self._index, self._context)[name]

    def is_data(self, name: str) -> bool:
        """Whether an argument came from another task, and does not stand in the DAG file."""
        given = self._input.value
        if isinstance(self._input, DictOfListsExpandInput):
            return isinstance(given.get(name), XComArg | MappedArgument)
        return isinstance(self._row(given), XComArg)

    def names_from_data(self) -> set[str]:
        """The names of all arguments that came from other tasks."""
        given = self._input.value
        if isinstance(self._input, DictOfListsExpandInput):
            return {name for name in given if self.is_data(name)}
        return set(self._input.resolve(self._context)[0]) if isinstance(self._row(given), XComArg) else set()

    def names_of_row(self, *, strict: bool) -> set[str]:
        """The names in a row that may also replace arguments that are the same for all."""
        if isinstance(
            self._input, DictOfListsExpandInput
        ):  # to resolve it would call functions of map() again
            return set(self._input.value)
        return set() if strict else set(self._input.resolve(self._context)[0])

    def _row(self, given: Any) -> Any:
        return given[self._index] if isinstance(given, Sequence) else given

    def _place(self, name: str) -> int:
        """The index among the elements of one argument: the last one varies fastest."""
        given: dict[str, Any] = self._input.value
        if not isinstance(given[name], ConcatXComArg | ZipXComArg):
            return 0  # no matter
        index: int = self._index
        for other in reversed(given):
            length = len(
                entries(given[other], self._context) if isinstance(given[other], XComArg) else given[other]
            )
            if other == name:
                return index % length
            index //= length
        raise KeyError(name)


class Receiving(BaseOperator):
    """A task that reads references from what other tasks returned: mixed into an operator."""

    #: What stands in its fields is data from then on.
    renders_once: ClassVar[bool] = True
    _is_rendered = False
    #: The template fields, and arguments of its function, that came from tasks over whose results it is mapped.
    received_names: frozenset[str] = frozenset()
    #: The arguments that are parts of a template field, by name, and which data may give as it may give the field.
    parts_of_fields: ClassVar[Mapping[str, str]] = {}

    def render_template(
        self,
        content: Any,
        context: Context,
        jinja_env: jinja2.Environment | None = None,
        seen_oids: set[int] | None = None,
    ) -> Any:
        """Return a field's content as the task receives it: Airflow calls this for each part."""
        if isinstance(content, XComArg | MappedArgument):
            return received(content, content.resolve(context), context)
        if id(content) in (seen_oids or ()) or self._is_text(content):
            return content
        if as_airflow(content) is WALK:  # Airflow makes plain ones of them

            def visit(part: Any) -> Any:
                return WALK if part is content else self.render_template(part, context, jinja_env, seen_oids)

            return transform(content, visit)
        return super().render_template(content, context, jinja_env, seen_oids)

    def _is_text(self, content: Any) -> bool:
        """Whether it is a text without a template, of which Jinja would change the ends of lines, and the class."""
        if not isinstance(content, str):
            return False
        text = str.__str__(content)
        return not (is_template(text) or text.endswith(tuple(self.template_ext)))

    def _do_render_template_fields(
        self, parent: Any, template_fields: Any, context: Any, jinja_env: Any, seen_oids: set[int]
    ) -> None:
        if parent is not self:
            super()._do_render_template_fields(parent, template_fields, context, jinja_env, seen_oids)
        elif not self._is_rendered:  # it is in a listener's copy
            with hopeless_fails_at_once():
                self._receive_mapped(context, seen_oids)
                self._is_rendered = True
                super()._do_render_template_fields(parent, template_fields, context, jinja_env, seen_oids)

    def _receive_mapped(self, context: Any, seen: set[int]) -> None:
        """Read what this instance is mapped over; Airflow would render the rows of ``expand_kwargs``."""
        mapped: Any = self.dag.get_task(self.task_id) if self.has_dag() else self  # type: ignore[no-untyped-call]
        if not mapped.is_mapped:
            return
        mapping = _Mapping(mapped._get_specified_expand_input(), context)
        values: dict[str, Any] = vars(self)
        names, fixed = set(self.template_fields), mapped.partial_kwargs
        if hasattr(mapped, "op_kwargs_expand_input"):  # a decorated function is mapped over its own arguments
            values, fixed = self.op_kwargs, fixed["op_kwargs"]  # type: ignore[attr-defined]
            names = set(values)
        else:
            seen.update(map(id, self._parts_from_data(mapping.names_from_data() - names)))
        names -= set(fixed) - mapping.names_of_row(strict=mapped._disallow_kwargs_override)
        self.received_names = frozenset(name for name in names if mapping.is_data(name))
        for name in self.received_names:
            values[name] = mapping.received(name, values[name])
            seen.add(id(values[name]))

    def _parts_from_data(self, names: set[str]) -> Iterator[Any]:
        """
        Yield the parts of fields that data gives, as the fields hold them.

        :raises InvalidDefinition: if data gives any other argument: a connection, a function, a permission.
        """
        if refused := sorted(names - self.parts_of_fields.keys()):
            name = refused[0]
            raise InvalidDefinition(
                f"{type(self).__name__} {self.task_id!r}",
                f"the data that it is mapped over gives {name}=, which must stand in the DAG file",
                f"Give it there: .partial({name}=...). Data may give "
                f"{listing(sorted({*self.template_fields, *self.parts_of_fields}))}.",
            )
        for name in names:
            held = getattr(self, self.parts_of_fields[name])
            yield from (item[name] for item in held or () if type(item) is dict and name in item)
