"""What surrounds the code that runs now: a pipeline body being built, or a step being executed."""

from __future__ import annotations

import functools
import importlib
import threading
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from airflow_model_provider import host
from airflow_model_provider.exceptions import InvalidDefinition, LoadingWhileBuilding, MissingModelContext

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from airflow_model_provider.handles import Artifact, ModelVersion
    from airflow_model_provider.model import Model
    from airflow_model_provider.named_artifacts import AnyReference
    from airflow_model_provider.registry.entities import Attempt, Resolution, StageEvent
    from airflow_model_provider.resolver import Resolver
    from airflow_model_provider.workspace import Workspace


#: Knows the pins of a task that is no step; by name, because the core does not import what stands above it.
_TASKS: Final = "airflow_model_provider.task_context"
#: Under this name a thread keeps its crew.
_CREW: Final = "_model_crew"


@dataclass(frozen=True)
class PipelineContext:
    """
    The pipeline whose body runs now.

    :param name: the pipeline's name, which is the DAG's id.
    """

    name: str
    _model: Model | None = None
    #: Its function, behind those of the pipelines whose bodies call it.
    _bodies: tuple[Any, ...] = ()
    #: The steps that its body and those around it have prepared and not called, by id, and how.
    _uncalled: dict[int, tuple[Any, str]] = field(default_factory=dict, repr=False, compare=False)

    @property
    def model(self) -> Model:
        """
        The pipeline's model; everything reached from it is lazy.

        :raises MissingModelContext: if the pipeline was defined without ``model=``.
        """
        if self._model is None:
            raise MissingModelContext(
                f"pipeline {self.name!r}", "Define it with @pipeline(model=Model(name=..., version=...))."
            )
        return self._model


@dataclass
class StepContext:
    """
    The step that runs now.

    :param step: its task id.
    :param attempt: the Dag run, task, map index and try.
    :param inputs: handles of the artifacts that its parameters came from, by parameter.
    """

    step: str
    attempt: Attempt
    inputs: Mapping[str, Artifact[Any]]
    output_names: Sequence[str]
    _model: ModelVersion | None
    _resolve: Callable[[Sequence[AnyReference]], list[Resolution]]
    _workspace: Callable[[str | None], Workspace]
    #: The promotions that the Dag run has claimed, in their order: what started it, and what came meanwhile (R32).
    promotions: Sequence[StageEvent] = ()
    output_metadata: dict[str, dict[str, Any]] = field(default_factory=dict)
    #: Those of the outputs whose annotation names the artifact.
    named_outputs: Sequence[str] = ()

    @property
    def model(self) -> ModelVersion:
        """
        The concrete version that this task produces or pinned.

        :raises MissingModelContext: if neither the step nor its pipeline has a model.
        """
        if self._model is None:
            raise MissingModelContext(
                f"step {self.step!r}", "Give the step or its pipeline model=Model(name=..., version=...)."
            )
        return self._model

    @property
    def has_model(self) -> bool:
        """Whether the step or its pipeline has a model."""
        return self._model is not None

    def add_output_metadata(self, metadata: Mapping[str, Any], output_name: str | None = None) -> None:
        """
        Attach metadata to an output of this step; it is registered together with the output.

        :param output_name: which one; may be left out where the step has one output.
        :raises InvalidDefinition: for an unknown output, or if ``metadata`` is not a mapping.
        :raises NotJson: for a value that JSON cannot hold.
        """
        from airflow_model_provider.registry.values import plain_metadata

        name = output_name or (self.output_names[0] if len(self.output_names) == 1 else None)
        if name not in self.output_names or name is None:
            known = ", ".join(self.output_names) or "none"
            raise InvalidDefinition(
                f"step {self.step!r}",
                f"there is no output {output_name!r} to attach metadata to",
                f"Outputs: {known}.",
            )
        plain = plain_metadata(metadata, f"output {name!r} of step {self.step!r}")
        self.output_metadata.setdefault(name, {}).update(plain)

    def resolve(self, reference: AnyReference) -> Resolution:
        """Pin a reference under this task's pins and record it."""
        return self._resolve([reference])[0]

    def workspace(self, conn_id: str | None = None) -> Workspace:
        """Return the registry and store this task is connected to."""
        return self._workspace(conn_id)


class ActingTask(NamedTuple):
    """
    The task whose code runs here: a step, or any other of Airflow's.

    :param attempt: which try of it.
    :param resolve: pins references under the task's pins, and records them.
    :param workspace: the registry and store of a connection id.
    """

    attempt: Attempt
    resolve: Callable[[Sequence[AnyReference]], list[Resolution]]
    workspace: Callable[[str | None], Workspace]


class _Crew:
    """The thread that steps run in, and those that were started meanwhile, by it or by one of them."""

    def __init__(self, thread: threading.Thread) -> None:
        self.thread = thread
        self.runs = 0
        #: The steps that run within each other, the innermost last.
        self.steps: list[StepContext] = []


_pipeline: ContextVar[PipelineContext | None] = ContextVar("model_pipeline", default=None)
_step: ContextVar[StepContext | None] = ContextVar("model_step", default=None)
#: The crews of the tasks that this process of Airflow runs: usually one.
_of_this_process: list[_Crew] = []


@contextmanager
def building_pipeline(context: PipelineContext) -> Iterator[PipelineContext]:
    """Make this the pipeline whose body runs."""
    token = _pipeline.set(context)
    try:
        yield context
    finally:
        _pipeline.reset(token)


@contextmanager
def running_step(context: StepContext) -> Iterator[StepContext]:
    """Make this the step that runs, for the threads that its code starts too."""
    with own_threads() as steps:
        token = _step.set(context)
        steps.append(context)
        try:
            yield context
        finally:
            steps.pop()
            _step.reset(token)


@contextmanager
def own_threads() -> Iterator[list[StepContext]]:
    """
    Take the threads that start from here on for those of the steps that run in this thread, now and later.

    In a process of Airflow's task runner a thread that nobody is known to have started is the task's too.
    """
    me = threading.current_thread()
    inherited = _crew_of(me)
    crew = inherited if inherited is not None and inherited.thread is me else _Crew(me)
    setattr(me, _CREW, crew)
    crew.runs += 1
    in_airflow = crew.runs == 1 and host.running_task_context() is not None
    if in_airflow:
        _of_this_process.append(crew)
    _note_who_starts_threads()
    try:
        yield crew.steps
    finally:
        crew.runs -= 1
        if in_airflow:
            _of_this_process.remove(crew)
        if inherited is not None:
            setattr(me, _CREW, inherited)


def get_pipeline_context() -> PipelineContext:
    """
    Return the context of the pipeline whose body runs now.

    :raises MissingModelContext: outside of a pipeline's body.

    >>> model = get_pipeline_context().model  # doctest: +SKIP
    >>> predict(model=model.get_model_artifact("trained_model"))  # doctest: +SKIP
    """
    context = _pipeline.get()
    if context is None:
        raise MissingModelContext(
            "get_pipeline_context()",
            "Call it in the body of a @pipeline. In the code of a step, call get_step_context().",
            "was called outside of a pipeline's body",
        )
    return context


def get_step_context() -> StepContext:
    """
    Return the context of the step that runs now.

    :raises MissingModelContext: outside of a running step.

    >>> get_step_context().model.set_stage("production", force=True)  # doctest: +SKIP
    """
    return running("get_step_context()", "In the body of a pipeline, call get_pipeline_context().")


def running(call: str, otherwise: str) -> StepContext:
    """
    Return the context of the step that runs now.

    :param call: what the user's code called.
    :param otherwise: what to do where no step runs.
    :raises MissingModelContext: outside of a running step.
    """
    context = current_step()
    if context is None:
        advice = "Run the pipeline, or call the step in airflow_model_provider.testing.step_context()."
        problem = (
            "was called where no step runs: a step that is called outside of a pipeline is a plain function"
        )
        raise MissingModelContext(call, f"{advice} {otherwise}", problem)
    return context


def current_pipeline() -> PipelineContext | None:
    """Return the pipeline whose body runs now, or None."""
    return _pipeline.get()


def current_step() -> StepContext | None:
    """Return the step whose code runs here, in its own thread or in one that it has started; None outside of one."""
    step = _step.get()
    return step if step is not None or _pipeline.get() is not None else _step_of_this_thread()


def _step_of_this_thread() -> StepContext | None:
    """Return the innermost step that this thread acts for, or None."""
    crew = _crew_of(threading.current_thread())
    if crew is None and len(_of_this_process) == 1:
        crew = _of_this_process[0]
    return None if crew is None else next(reversed(crew.steps), None)  # they may end meanwhile


def _crew_of(thread: threading.Thread) -> _Crew | None:
    return getattr(thread, _CREW, None)


@functools.cache
def _note_who_starts_threads() -> None:
    """
    From the first run on, a thread keeps whose it is: Python's threads don't inherit a context.

    What is handed to a pool belongs to who has handed it over: its threads may be another run's.
    """
    from concurrent.futures import ThreadPoolExecutor  # of no use to a DAG file

    start, submit = threading.Thread.start, cast("Any", ThreadPoolExecutor.submit)

    @functools.wraps(start)
    def noting(self: threading.Thread) -> None:
        crew = _crew_of(threading.current_thread())
        if crew is not None and crew.runs:
            setattr(self, _CREW, crew)
        start(self)

    @functools.wraps(submit)
    def handing_over(self: ThreadPoolExecutor, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        crew = _crew_of(threading.current_thread())
        work = functools.partial(_work_for, crew, function) if crew is not None and crew.runs else function
        return submit(self, work, *args, **kwargs)

    threading.Thread.start = noting  # type: ignore[method-assign]
    ThreadPoolExecutor.submit = handing_over  # type: ignore[method-assign, assignment]


def _work_for(crew: _Crew, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Call a function in a thread that acts for a crew meanwhile."""
    me = threading.current_thread()
    own = _crew_of(me)
    setattr(me, _CREW, crew)
    try:
        return function(*args, **kwargs)
    finally:
        setattr(me, _CREW, own)


def acting_task() -> ActingTask | None:
    """Return the task whose code runs here, in whatever thread or callback of it, or None."""
    step = current_step()
    if step is not None:
        return ActingTask(step.attempt, step._resolve, step._workspace)
    task = None if in_definition() else host.running_task_context()
    if task is None:
        return None
    resolver: Resolver = importlib.import_module(_TASKS).resolver_for(task)
    return ActingTask(resolver.attempt, functools.partial(resolver.resolve, in_code=True), resolver.workspace)


def in_definition() -> bool:
    """Return whether a pipeline or DAG body runs, or Airflow reads a DAG file: references stay lazy there."""
    if current_step() is not None:
        return False
    if _pipeline.get() is not None or host.dag_being_built() is not None:
        return True
    return host.airflow_is_parsing() and host.running_task_context() is None


def refuse_io_in_definition(operation: str) -> None:
    """
    Refuse to read the registry while a DAG is built (R1).

    :raises LoadingWhileBuilding: naming the line.
    """
    if in_definition():
        raise LoadingWhileBuilding(operation)
