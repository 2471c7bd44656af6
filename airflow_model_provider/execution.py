"""One task: pin its references, load its inputs, run its code, save its outputs. Shared by Airflow and local runs."""

from __future__ import annotations

import functools
import inspect
import typing
from contextlib import suppress
from hashlib import sha256
from typing import Any

from airflow_model_provider.context import StepContext, running_step
from airflow_model_provider.exceptions import InvalidDefinition, ModelRegistryError, WrongOutput
from airflow_model_provider.exceptions.base import an
from airflow_model_provider.handles import (
    USED_ELSEWHERE,
    Artifact,
    ModelVersion,
    Origin,
    resolved_value,
    save_or_adopt,
)
from airflow_model_provider.materializers.json import is_small_json
from airflow_model_provider.materializers.lookup import for_key
from airflow_model_provider.model import Model, new_version_name
from airflow_model_provider.pipelines.arguments import asked_of_context, bind
from airflow_model_provider.pipelines.calling import call
from airflow_model_provider.pipelines.definition import artifact_name, makes_version_of
from airflow_model_provider.pipelines.handed_on import (
    meant_by,
    part_of_version,
    references_held,
    resolved,
    travels,
    with_handles_loaded,
    with_parts_saved,
    without_references,
)
from airflow_model_provider.pipelines.inputs import Inputs
from airflow_model_provider.pipelines.mapping import PART_OF_OUTPUT, Part, name_of_elements, split
from airflow_model_provider.pipelines.outputs import Output, as_declared, declares_tuple, output_annotations
from airflow_model_provider.pipelines.passing import sent, written
from airflow_model_provider.pipelines.values import WALK, check_arguments, transform
from airflow_model_provider.references import JsonValue, OutputReference, Reference
from airflow_model_provider.registry.entities import (
    COMMITTED,
    FAILED,
    SKIPPED,
    Link,
    Relation,
    Resolution,
    VersionRecord,
    VersionState,
)
from airflow_model_provider.typecheck import check_output
from airflow_model_provider.workspace import Saving

if typing.TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Mapping, Sequence

    from airflow_model_provider.named_artifacts import AnyReference
    from airflow_model_provider.pipelines.mapping import MappedOver
    from airflow_model_provider.pipelines.task import Task
    from airflow_model_provider.registry.registry import Registry
    from airflow_model_provider.resolver import Resolver


class StepExecution:
    """
    One try of one task.

    :param task: what it is.
    :param resolver: pins its references; it knows which try this is.
    :param log: where it says what it makes.
    """

    def __init__(self, task: Task, resolver: Resolver, log: logging.Logger | Any) -> None:
        self.task, self.attempt, self.log = task, resolver.attempt, log
        self._resolver, self._workspace = resolver, resolver.workspace
        self._bound: inspect.BoundArguments
        self._context: Mapping[str, Any] = {}
        self._filled: Sequence[str] = ()
        self._pinned: dict[AnyReference, Resolution] = {}
        self._version: VersionRecord | None = None
        self.saved: dict[str, Artifact[Any]] = {}
        #: What the instances of the tasks that are mapped over the only output get; None where none is.
        self.entries: Any = None

    # --- before execute ------------------------------------------------------------------------------------

    def pin(
        self, args: Sequence[Any], kwargs: Mapping[str, Any], context: Mapping[str, Any] | None = None
    ) -> list[Resolution]:
        """
        Resolve every reference of the task in one read and record it, before its code starts (R8, R11).

        Only objects count: JSON that looks like a reference is data, which :mod:`pipelines.passing` has read, or not.

        :param args: positional arguments, which may hold references at any depth.
        :param kwargs: keyword arguments, likewise.
        :param context: what Airflow fills in where the function asks for it; nothing in it is a reference.
        :raises StageNotAssigned: if a stage that is asked for has no version.
        :raises VersionMissing: likewise, where the reference says what to do then.
        :raises InvalidDefinition: if the arguments don't fit the function.
        :raises UnknownFormat: if nothing installed here writes the format of an output.
        """
        signature = inspect.signature(self.task.function)
        self._context = context or {}
        self._filled = asked_of_context(signature, self._context, args, kwargs)
        own = [item for name, item in signature.parameters.items() if name not in self._filled]
        self._bound = bind(f"step {self.attempt.task_id!r}", signature.replace(parameters=own), args, kwargs)
        given = set(self._bound.arguments)
        self._bound.apply_defaults()
        defaults = [value for name, value in self._bound.arguments.items() if name not in given]
        check_arguments(f"step {self.attempt.task_id!r}", defaults)
        self._check_formats()
        wanted: dict[AnyReference, None] = {}
        transform(list(self._bound.arguments.values()), lambda value: self._collect(value, wanted))
        model = self.task.model
        belonging = (
            None if model is None or model.makes_version or model.reference in wanted else model.reference
        )
        if belonging is not None:
            wanted[belonging] = None
        found = self._resolver.resolve(list(wanted), belonging=belonging, tell_later=True)
        self._pinned = dict(zip(wanted, found, strict=True))
        if model is not None:
            pinned = self._pinned.get(model.reference) if not model.makes_version else None
            self._version = pinned.version if pinned else self._new_version(model)
        return found

    def _check_formats(self) -> None:
        """Refuse a format that nothing here writes, before the code runs whose result would be lost."""
        for output in self.task.outputs:
            if output.config.format is not None:
                for_key(output.config.format)

    def _collect(self, part: Any, wanted: dict[AnyReference, None]) -> Any:
        if isinstance(part, Artifact) and part.registry_id == self._workspace(None).registry.id:
            wanted[part.reference()] = None  # taken elsewhere, it is an input like its reference
            return part
        if (reference := meant_by(part)) is None:
            return WALK
        wanted[reference] = None
        return part

    def _new_version(self, model: Model) -> VersionRecord:
        registry = self._workspace(model.conn_id).registry
        again: list[str] = []

        def asked() -> list[str]:
            again.extend(self.task.again())
            return again

        version = registry.version_for_run(
            model.name,
            self.attempt.run,
            producer=self.attempt.producer,
            producers=self.task.producers,
            again=asked,
            running=self.task.running,
            passed_over=self.task.passed_over,
            is_first_try=self.attempt.try_number <= 1,
            name=new_version_name(model.version, self.attempt.run.run_id, self._resolver.logical_date),
            card=model.card,
            run_mark=self.attempt.run_mark,
        )
        self.log.info("This run makes %s", version)
        if version.state is VersionState.FAILED:
            self._excuse(registry, version)
        if again:
            self._leave_behind_what_is_gone(registry, version)
        return version

    # --- execute -------------------------------------------------------------------------------------------

    def run(self) -> dict[str, Any]:
        """
        Load the inputs, run the code, save the outputs.

        :return: what travels in XCom, by output name: small JSON values as they are, else artifact
            references.
        :raises DigestMismatch: if stored bytes are not those that were registered; the code did not run then.
        """
        outputs = self._run()
        self.committed()
        return outputs

    def _run(self) -> dict[str, Any]:
        self._resolver.tell()
        inputs = Inputs(self.attempt.task_id, self._bound, self._resolved)
        bound = self._with_context(inputs.load(self.task.function).arguments)
        context = self.context(inputs.handles)
        with running_step(context):
            result = call(f"step {self.attempt.task_id!r}", self.task.function, bound.args, bound.kwargs)
        values = as_declared(self.task.function, self._split(result))
        self._check_outputs(values)
        self._check_mappable(values)
        return {  # what is done later to an object that was returned does not count
            output.name: sent(self._save(output, value, context.output_metadata.get(output.name)))
            for output, value in zip(self.task.outputs, values, strict=True)
        }

    def context(self, inputs: Mapping[str, Any]) -> StepContext:
        """Return what the task's code can ask for while it runs."""
        return StepContext(
            step=self.attempt.task_id,
            attempt=self.attempt,
            inputs=inputs,
            output_names=[output.name for output in self.task.outputs],
            _model=self.model_version(),
            _resolve=functools.partial(self._resolver.resolve, in_code=True),
            _workspace=self._workspace,
            promotions=self._resolver.promotions,
            named_outputs=[output.name for output in self.task.outputs if output.config.name is not None],
        )

    def _with_context(self, arguments: Mapping[str, Any]) -> inspect.BoundArguments:
        """Add what Airflow's context fills in: parameters of its names, and all of it in ``**context``."""
        signature = inspect.signature(self.task.function)
        filled = {**arguments, **{name: self._context[name] for name in self._filled}}
        for name, parameter in signature.parameters.items():
            if parameter.kind is parameter.VAR_KEYWORD:
                rest = {key: value for key, value in self._context.items() if key not in filled}
                filled[name] = {**rest, **arguments.get(name, {})}
        return inspect.BoundArguments(
            signature,
            {name: filled[name] for name in signature.parameters if name in filled},
        )

    def model_version(self) -> ModelVersion | None:
        """Return the version that this task makes or pinned for its model, or None where it has no model."""
        if self._version is None or self.task.model is None:
            return None
        conn_id = self.task.model.conn_id
        origin = Origin(self.attempt, self.task.settled, conn_id=conn_id)
        return ModelVersion(self._workspace(conn_id), self._version, origin)

    def _resolved(self, reference: AnyReference) -> Any:
        pinned = self._pinned[reference]
        return resolved_value(self._workspace(pinned.conn_id), pinned, Origin(self.attempt))

    def _check_outputs(self, values: Sequence[Any]) -> None:
        """Refuse a result that does not fit the return annotation, before any part of it is saved."""
        annotations = output_annotations(self.task.function)
        for output, annotation, value in zip(self.task.outputs, annotations, values, strict=True):
            check_output(annotation, value, step=self.attempt.task_id, output=output.name)

    def _split(self, result: Any) -> Sequence[Any]:
        count = len(self.task.outputs)
        if count == 0:
            if result is not None:
                raise WrongOutput(self.attempt.task_id, None, "None", type(result).__name__)
            return ()
        if not declares_tuple(self.task.function):
            return (result,)
        if not isinstance(result, tuple | list) or len(result) != count:
            got = f"{len(result)}" if isinstance(result, tuple | list) else an(type(result).__name__)
            raise InvalidDefinition(
                f"step {self.attempt.task_id!r}",
                f"it declares {count} outputs and returned {got}",
                "None of its outputs was saved.",
            )
        return result

    @property
    def _mapped_over(self) -> MappedOver | None:
        """Outputs of a step that declares several can't be mapped over."""
        return None if declares_tuple(self.task.function) else self.task.mapped_over

    def _check_mappable(self, values: Sequence[Any]) -> None:
        if self._mapped_over is not None and values:
            self._mapped_over.check(values[0], self._called(self.task.outputs[0]))

    def _called(self, output: Output) -> str:
        return f"output {output.name!r} of step {self.attempt.task_id!r}"

    def _save(self, output: Output, value: Any, metadata: Mapping[str, Any] | None) -> Any:
        if references_held(value, self._called(output)):
            if (
                self._makes_version
            ):  # it lacks nothing that the step declares, though the step only hands it on
                value = resolved(value, self._resolver, part_of_version, in_code=True)
                if isinstance(value, Artifact):
                    return self._adopt(output, value, metadata)
                value = with_handles_loaded(value, self._called(output))
            if (passed := self._passed_on(output, value)) is not None:
                if self._mapped_over is not None:
                    self.entries = sent(passed)
                return passed
            value = without_references(value, self._called(output))
        conn_id = self.task.model.conn_id if self.task.model is not None else None
        workspace = self._workspace(conn_id)
        versions = self._belongs_to(conn_id)
        entries, parts = self._entries(output, value)
        record, *records = workspace.save_with_parts(
            value,
            self._saving(output, metadata),
            [(part.value, self._saving_of(output, part.place, part.key)) for part in parts],
            attempt=self.attempt,
            links=[Link(version.id, relation) for version, relation in versions],
        )
        label = str(versions[0][0]) if versions else None
        self.saved[output.name] = Artifact(workspace, record, label, conn_id)
        self.log.info("Saved %s as %r", output.name, self.saved[output.name])
        labels = [str(version) for version, _ in versions]
        for part, saved in zip(parts, records, strict=True):
            part.put(workspace.output_reference(saved, labels, conn_id).to_json())
        if self._mapped_over is not None:
            self.entries = sent(entries)
            self.log.info("%s has %d elements, %d of them saved", output.name, len(entries), len(parts))
        return value if travels(value) else workspace.output_reference(record, labels, conn_id).to_json()

    def _saving(self, output: Output, metadata: Mapping[str, Any] | None) -> Saving:
        return Saving(
            artifact_name(self.attempt.run.dag_id, self.attempt.task_id, output),
            what=self._called(output),
            kind=output.config.kind,
            format=output.config.format,
            output=output.name,
            metadata={**output.config.run_metadata, **(metadata or {}), **self._used_elsewhere()},
            environment=_code_digest(self.task.function),
        )

    def _used_elsewhere(self) -> dict[str, Any]:
        """The versions of other registries that the task used: theirs know the task, the output's doesn't."""
        conn_id = self.task.model.conn_id if self.task.model is not None else None
        home = self._workspace(conn_id).registry.id
        used = [
            {"conn_id": other, "model": version.model, "number": version.number}
            for other, version in self._resolver.versions
            if other != conn_id and self._workspace(other).registry.id != home
        ]
        return {USED_ELSEWHERE: used} if used else {}

    @property
    def _makes_version(self) -> bool:
        return self._version is not None and makes_version_of(self.task.model) is not None

    def _adopt(self, output: Output, handle: Artifact[Any], metadata: Mapping[str, Any] | None) -> Any:
        """Make the artifact of a handle that was returned the declared output of the version in the making."""
        assert self._version is not None
        assert self.task.model is not None
        workspace, links = self._workspace(self.task.model.conn_id), [Link(self._version.id, Relation.OUTPUT)]
        record = save_or_adopt(
            workspace, handle, self._saving(output, metadata), attempt=self.attempt, links=links
        )
        self.saved[output.name] = Artifact(workspace, record, str(self._version), self.task.model.conn_id)
        self.log.info("Linked %r as %r", handle, self.saved[output.name])
        return self.saved[output.name].reference().to_json()

    def _entries(self, output: Output, value: Any) -> tuple[Any, Sequence[Part]]:
        """Return what travels for each element, where something is mapped over the output, and what it lacks."""
        over = self._mapped_over
        return (None, ()) if over is None else split(value, over, travels)

    def _saving_of(self, output: Output, place: int, key: str | None = None) -> Saving:
        said = f"element {place}" + (f", argument {key!r}," if key is not None else "")
        whole = artifact_name(self.attempt.run.dag_id, self.attempt.task_id, output)
        return Saving(
            name_of_elements(whole),
            what=f"{said} of {self._called(output)}",
            kind=output.config.kind,
            output=f"{output.name}{PART_OF_OUTPUT}" + (f".{key}" if key is not None else ""),
            place=place,
            environment=_code_digest(self.task.function),
        )

    def _passed_on(self, output: Output, value: Any) -> Any:
        """Return the form in which references and handles travel, alone or in containers; else None."""
        if not references_held(value, self._called(output)):
            return None

        def reference(part: Any) -> dict[str, Any] | None:
            if isinstance(part, Artifact | ModelVersion):
                return part.reference().to_json()
            if isinstance(part, JsonValue | OutputReference):
                return self._as_meant_here(part).to_json()
            return None

        if isinstance(value, Artifact):
            self.saved[output.name] = value
        with suppress(TypeError):
            if is_small_json(passed := written(value, reference)):
                return passed
        try:
            written(with_parts_saved(value, lambda parts: [None] * len(parts)), reference)
        except TypeError:
            return None
        return written(with_parts_saved(value, functools.partial(self._save_parts, output)), reference)

    def _save_parts(self, output: Output, values: Sequence[Any]) -> list[OutputReference]:
        """Save the large parts of a container that also holds references, each by itself."""
        conn_id = self.task.model.conn_id if self.task.model is not None else None
        workspace, versions = self._workspace(conn_id), self._belongs_to(conn_id)
        first, *others = [(value, self._saving_of(output, place)) for place, value in enumerate(values)]
        links = [Link(version.id, relation) for version, relation in versions]
        records = workspace.save_with_parts(*first, others, attempt=self.attempt, links=links)
        self.log.info("Saved %d parts of %s by themselves", len(records), output.name)
        labels = [str(version) for version, _ in versions]
        return [workspace.output_reference(record, labels, conn_id) for record in records]

    def _as_meant_here(self, part: JsonValue | OutputReference) -> JsonValue | OutputReference:
        """A reference that is returned means what it means in this task: no template leaves it."""
        reference = part.reference if isinstance(part, Model) and not part.makes_version else part
        return self._resolver.concrete(reference) if isinstance(reference, Reference) else reference

    def _belongs_to(self, conn_id: str | None) -> list[tuple[VersionRecord, Relation]]:
        if self._version is not None and self._makes_version:
            return [(self._version, Relation.OUTPUT)]
        return [(version, Relation.DERIVED) for used, version in self._resolver.versions if used == conn_id]

    def committed(self) -> None:
        """Tell the version that is being made that this task has made its part of it."""
        if (version := self._made()) is not None:
            self._settle(version, COMMITTED)

    def ended(self, state: str) -> None:
        """
        Tell the version that is being made that this task did not make its part of it.

        :param state: ``failed`` for good, ``skipped``, or ``pending``: another try is to come.
        """
        try:
            version, model = self._made(), self.task.model
            if version is None and model is not None and model.makes_version:
                version = self._version = self._version_that_waits(model, state)
            if version is not None:
                self._settle(version, state)
        except ModelRegistryError as err:  # the task's own error is the one to be seen
            self.log.warning("Could not note that %s %s: %s", self.attempt.producer, state, err)

    def _version_that_waits(self, model: Model, state: str) -> VersionRecord | None:
        """The version of which this task makes a part; if it failed, one is made: others would wait for it."""
        if state == FAILED:
            return self._new_version(model)
        registry, attempt = self._workspace(model.conn_id).registry, self.attempt
        return registry.awaiting_version(model.name, attempt.run, attempt.producer)

    def _made(self) -> VersionRecord | None:
        return self._version if makes_version_of(self.task.model) else None

    def _settle(self, version: VersionRecord, state: str) -> None:
        assert self.task.model is not None
        ran_before = self.attempt.try_number > 1
        # Of an instance in its first try a closing task tells.
        stops = state in (FAILED, SKIPPED) and (self.attempt.map_index < 0 or ran_before)
        stopped = self.task.stopped(state) if stops else ()
        registry = self._workspace(self.task.model.conn_id).registry
        now = registry.settle_producer(
            version.id, self.attempt.producer, state, declares=bool(self.task.outputs), stopped=stopped
        )
        if now is not VersionState.PRODUCING or not ran_before:
            return
        waiting = registry.pending_instances(version.id)  # of a cleared run: some may never come
        over = self._mapped_over
        empty = over.tasks if over is not None and over.is_nothing(self.entries) else ()
        if waiting and (removed := self.task.removed(waiting, empty)):
            registry.leave_out(version.id, removed)

    def _leave_behind_what_is_gone(self, registry: Registry, version: VersionRecord) -> None:
        """Take out the elements of instances that Airflow has removed from a run that was cleared."""
        instances = registry.unskipped_instances(version.id)
        if instances and (removed := self.task.removed(instances, ())):
            registry.leave_out(version.id, removed)

    def _excuse(self, registry: Registry, version: VersionRecord) -> None:
        """A person may have marked what has failed; nothing is missing where it declares no outputs."""
        failed = [part for part, declares in registry.failed_parts(version.id).items() if not declares]
        for part in self.task.succeeded(failed) if failed else ():
            registry.settle_producer(version.id, part, COMMITTED, declares=False)

    @property
    def used_versions(self) -> list[VersionRecord]:
        """The versions this task makes or uses, that which it belongs to first."""
        own = [self._version] if self._version else []
        used = {
            version.id: version for version in [*own, *(version for _, version in self._resolver.versions)]
        }
        return list(used.values())


def _code_digest(function: Callable[..., Any]) -> dict[str, str]:
    try:
        source = inspect.getsource(inspect.unwrap(function))
    except (OSError, TypeError):
        return {}
    return {"code": f"sha256:{sha256(source.encode()).hexdigest()}"}
