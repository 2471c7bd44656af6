"""What operators that act on the registry share: who acts, which version is meant, errors, the link in the UI."""

from __future__ import annotations

from abc import abstractmethod
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from airflow_model_provider.exceptions import PromotionRefused, WrongRegistry
from airflow_model_provider.links.model_version import ModelVersionLink
from airflow_model_provider.operators import fields
from airflow_model_provider.operators.received import Receiving
from airflow_model_provider.operators.upstream import settled_in_run, upstream_in
from airflow_model_provider.references import OutputReference, Reference, Wanted
from airflow_model_provider.selectors import Selector, SelectorKind, check_conn_id
from airflow_model_provider.task_context import hopeless_fails_a_running_task, resolver_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airflow_model_provider.handles import ModelVersion
    from airflow_model_provider.promoting import Origin
    from airflow_model_provider.registry.entities import VersionRecord
    from airflow_model_provider.resolver import Resolver
    from airflow_model_provider.workspace import Workspace


class RegistryTask(Receiving):
    """
    What a task that acts on the registry has; mixed into an operator, whose ``__init__`` calls :meth:`_set_up`.

    Everything is read after Airflow has rendered the fields: nothing is opened before ``execute``.
    """

    operator_extra_links: Any = (ModelVersionLink(),)
    shallow_copy_attrs: Sequence[str] = ("_context", "_resolver", "_ti", "_used")
    ui_color = "#d7ecf3"
    conn_id: str | None
    #: What the link in Airflow's UI leads to: a version, or model and number of one that is read then.
    _used: VersionRecord | tuple[str, int | None] | None = None
    _resolver: Resolver | None = None
    _context: Any = None
    _ti: Any = None
    _checks: frozenset[str] = frozenset()

    @property
    def called(self) -> str:
        """How errors call it: ``ModelPromoteOperator 'promote'``."""
        return f"{type(self).__name__} {getattr(self, 'task_id', '')!r}"

    @property
    def used_versions(self) -> Sequence[VersionRecord]:
        """The version that the task is about."""
        from airflow_model_provider.registry.entities import VersionRecord

        if isinstance(self._used, VersionRecord):
            return [self._used]
        model, number = self._used or ("", None)
        return [] if number is None else [self.workspace.registry.get_version(model, Selector.parse(number))]

    def _set_up(self, conn_id: str | None) -> None:
        """Check the arguments; wait for the tasks whose output names a version in a reference."""
        with hopeless_fails_a_running_task():
            self._check_arguments()
            self._checks = fields.checks_in(getattr(self, "gates", None))
            self.conn_id = None if conn_id is None else check_conn_id(conn_id)
        task: Any = self
        if task.has_dag():
            task.set_upstream(upstream_in(task.dag, [getattr(task, name) for name in task.template_fields]))

    @abstractmethod
    def _check_arguments(self) -> None:
        """Refuse what can be known to be wrong while the DAG file is parsed; templates and outputs come later."""

    def _begin(self, context: Mapping[str, Any]) -> None:
        """Say who acts: this try of this task."""
        self._ti, self._context, self._resolver = context["ti"], context, resolver_for(context)

    @property
    def resolver(self) -> Resolver:
        """The resolver of the task's try."""
        assert self._resolver is not None
        return self._resolver

    @property
    def workspace(self) -> Workspace:
        """The registry and store that the task acts on."""
        return self.resolver.workspace(self.conn_id)

    def _origin(self, person: str | None) -> Origin:
        """Which try of which task acts, once; the tasks before it are done."""
        from airflow_model_provider.promoting import Origin

        task: Any = self

        def settled() -> set[str]:
            return settled_in_run(task, self._ti, task.dag.task_ids)

        return Origin(self.resolver.attempt, settled, person, once=True)

    def _asked_gates(self) -> Any:
        """The rendered gates; functions that they name must stand in the DAG file."""
        known = frozenset[str]() if "gates" in self.received_names else self._checks
        return fields.asked_gates(self.called, getattr(self, "gates", None), known)

    def _meant(self, model: str, value: Any) -> Any:
        """
        What a rendered field says of a version: a step's output says the one that it belongs to.

        :raises ReferenceMismatch: if the registry says something else of the output.
        :raises ArtifactNotFound: if the version does not hold it.
        """
        if not isinstance(value, OutputReference):
            return value
        number = fields.number_of_output(self.called, model, value)
        self.workspace.check_own(value)
        selector = Selector(SelectorKind.NUMBER, number)
        held = Reference(model, selector, Wanted.ARTIFACT, value.artifact, artifact_version=value.number)
        self.workspace.registry.resolve([value, held])
        return number

    def _expected_number(self, model: str, value: Any) -> Any:
        """The number in ``expected=``. See :func:`fields.expected`."""
        return fields.expected(self.called, model, self._meant(model, value))

    def _version(self, model: str, value: Any, person: str | None = None) -> ModelVersion:
        """
        Return the version that a rendered field means, pinned and recorded.

        :param person: who has approved what is done with it.
        :raises WrongRegistry: if it is one of another registry.
        """
        from airflow_model_provider.handles import ModelVersion
        from airflow_model_provider.pinned import PinnedVersion

        if isinstance(value, PinnedVersion):
            record, registry = value.record, value.registry_id
        else:
            reference = fields.reference(self.called, model, self._meant(model, value), self.conn_id)
            (found,) = self.resolver.resolve([reference])
            assert found.version is not None
            record, registry = found.version, self.resolver.workspace(reference.conn_id).registry.id
        fields.check_same_model(self.called, model, record.model)
        if registry != self.workspace.registry.id:
            advice = "Name the connection of that registry: conn_id='...'."
            raise WrongRegistry(repr(value), registry, self.workspace.registry.id, advice=advice)
        self._used = record
        return ModelVersion(self.workspace, record, self._origin(person))


@contextmanager
def refused_softly() -> Iterator[None]:
    """
    Skip the task where only soft gates refuse.

    :raises AirflowSkipException: saying what they object to.
    """
    try:
        yield
    except PromotionRefused as refused:
        if refused.soft:
            raise AirflowSkipException(str(refused)) from refused
        raise
