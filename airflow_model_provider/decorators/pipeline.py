"""``@pipeline``: a DAG where Airflow parses the file, a program everywhere else. No Airflow is imported here."""

from __future__ import annotations

import functools
import inspect
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, overload

from airflow_model_provider import host
from airflow_model_provider.context import current_step, in_definition
from airflow_model_provider.exceptions import InvalidDefinition
from airflow_model_provider.pipelines.arguments import check_dag_arguments, check_defaults
from airflow_model_provider.pipelines.bodies import Prepared, undefined_names
from airflow_model_provider.pipelines.definition import PipelineDefinition, check_model, first_id

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from airflow_model_provider.client import Client
    from airflow_model_provider.model import Model
    from airflow_model_provider.pipelines.results import PipelineResult

P = ParamSpec("P")


class Pipeline(Prepared, Generic[P]):
    """
    A function that is a pipeline.

    While Airflow parses the file it is registered as a DAG as soon as it is decorated, and calling it returns
    that DAG. Anywhere else decorating builds nothing, and calling runs it here and now. In the body of another
    pipeline or DAG its call makes its steps a group there, and returns what its body returns.

    :param definition: what the decorator was given.
    :param after: what its steps run after where it is called in a body.
    """

    not_an_argument = "a pipeline that was not called"
    _kind = "pipeline"

    def __init__(self, definition: PipelineDefinition, after: tuple[Any, ...] = ()) -> None:
        self.definition: PipelineDefinition = definition
        self._after = after
        self.dag: Any = None
        functools.update_wrapper(self, definition.function)
        if host.dag_being_built() is None:  # in a body it is a group, if called
            self._build()

    def _build(self) -> None:
        if host.airflow_is_parsing():
            from airflow_model_provider.dag_builder import build_dag

            self.dag = build_dag(self.definition)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> PipelineResult:  # noqa: D102 - see the class
        add = _adder()
        self._note_call()
        if add is not None:
            group: Any = add(self.definition, args, kwargs, after=self._after)
            return group  # type: ignore[no-any-return]  # what its body returns
        if self.dag is None or not host.knows_dag(self.dag):  # it was imported before this DAG file was read
            self._build()
        if self.dag is not None:
            dag: Any = self.dag
            return dag  # type: ignore[no-any-return]  # Airflow only needs the DAG to be there
        return self._run(args, kwargs)

    def run(
        self,
        *args: Any,
        logical_date: datetime | None = None,
        registry: Client | str | None = None,
        raise_on_failure: bool = True,
        **kwargs: Any,
    ) -> PipelineResult:
        """
        Run the pipeline here and now: without Airflow, or, if it holds other Airflow tasks, by ``dag.test()``.

        :param logical_date: the date the run is for; now if None.
        :param registry: another registry than the configured one: its URL, or a client.
        :param raise_on_failure: raise the first step's error instead of returning a failed result.
        :return: ``.state``, ``.model_version``, ``.steps["predict"].output.load()``.

        >>> do_predictions.run(registry="sqlite:///registry.db").state  # doctest: +SKIP
        'success'
        """
        return self._run(
            args, kwargs, logical_date=logical_date, registry=registry, raise_on_failure=raise_on_failure
        )

    def after(self, *upstream: Any) -> Pipeline[P]:
        """Where it is called in a body: run its steps after others, given by their outputs or names."""
        return self._prepared(Pipeline(self.definition, (*self._after, *upstream)), "after")

    def _refuse_running(self) -> None:
        """In the code of a task nothing can be added, and while a DAG file is parsed nothing must run."""
        step, subject = current_step(), self._subject
        if step is not None or (host.running_task_context() is not None and not host.airflow_is_parsing()):
            raise InvalidDefinition(
                subject,
                "it was called in the code of a task",
                "Call it in the body of a pipeline or DAG, where its steps become a group.",
            )
        if in_definition() or host.airflow_is_parsing():
            raise InvalidDefinition(
                subject,
                "it was run while a DAG is built",
                "Call it without .run(): its steps become a group of the pipeline that calls it.",
            )

    def _run(self, args: Any, kwargs: Any, *, registry: Any = None, **options: Any) -> PipelineResult:
        self._refuse_running()
        from airflow_model_provider import local_run
        from airflow_model_provider.pipelines.nesting import bound_arguments, given_arguments

        registry = getattr(registry, "workspace", registry)
        if host.airflow_is_imported():
            from airflow_model_provider import dag_test

            dag = dag_test.dag_with_other_tasks(self.definition)
            if dag is not None:
                conf = given_arguments(bound_arguments(self.definition, args, kwargs), args, kwargs)
                workspace = None if registry is None else local_run.chosen_workspace(registry)
                return dag_test.run(self.definition, dag, conf, registry=workspace, **options)
        return local_run.run(self.definition, args, kwargs, registry=registry, **options)

    def with_options(
        self, *, name: str | None = None, model: Model | None = None, **dag_arguments: Any
    ) -> Pipeline[P]:
        """Return the pipeline with other options: a name, a model, any argument of an Airflow DAG."""
        old = self.definition
        dag_id = dag_arguments.pop("dag_id", None)
        check_dag_arguments(self._subject, dag_arguments)
        definition = replace(
            old,
            name=first_id("dag_id", name, dag_id, old.name),
            model=check_model(self._subject, model) or old.model,
            options={**old.options, **dag_arguments},
        )
        return self._prepared(Pipeline(definition, self._after), "with_options")

    def __repr__(self) -> str:
        return f"<pipeline {self.definition.name}>"


def _adder() -> Callable[..., Any] | None:
    """What makes a called pipeline a group here: a local run's builder, Airflow's, or None outside of a body."""
    if current_step() is not None:
        return None
    from airflow_model_provider.pipelines.building import current_builder

    local = current_builder()
    if local is not None:
        return local.call
    if host.dag_being_built() is None:
        return None
    from airflow_model_provider.dag_builder import add_pipeline

    return add_pipeline


@overload
def pipeline(function: Callable[P, Any], /) -> Pipeline[P]: ...
@overload
def pipeline(
    *, name: str | None = None, model: Model | None = None, **dag_arguments: Any
) -> Callable[[Callable[P, Any]], Pipeline[P]]: ...
def pipeline(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    model: Model | None = None,
    **dag_arguments: Any,
) -> Any:
    """
    Make a function whose body calls steps a pipeline: an Airflow DAG, and a program.

    :param name: the DAG's id; the function's name if None.
    :param model: the model of its steps. Without a version each run makes one new version.
    :param dag_arguments: any argument of an Airflow DAG: ``schedule``, ``start_date``, ``params``, ...
    :raises InvalidDefinition: if it isn't a function, or ``model`` isn't a ``Model``.

    >>> from airflow_model_provider import Model
    >>> @pipeline(model=Model(name="iris_classifier", version="production"))
    ... def do_predictions(): ...
    >>> do_predictions
    <pipeline do_predictions>
    """

    def decorate(decorated: Callable[..., Any]) -> Pipeline[Any]:
        if not callable(decorated):
            raise InvalidDefinition(
                "@pipeline", f"{decorated!r} is not a function", "Put @pipeline above a function."
            )
        if inspect.iscoroutinefunction(decorated) or inspect.isgeneratorfunction(decorated):
            problem = "its function is asynchronous, or has a yield: its body would not run"
            raise InvalidDefinition(f"pipeline {decorated.__name__!r}", problem, "Steps may be async def.")
        options = dict(dag_arguments)
        dag_id = first_id("dag_id", name, options.pop("dag_id", None), getattr(decorated, "__name__", None))
        check_dag_arguments(f"pipeline {dag_id!r}", options)
        check_defaults(f"pipeline {dag_id!r}", inspect.signature(decorated))
        model_of_all = check_model(f"pipeline {dag_id!r}", model)
        later = frozenset[str]() if host.airflow_is_parsing() else undefined_names(decorated)
        return Pipeline(PipelineDefinition(decorated, dag_id, model_of_all, options, later))

    return decorate if function is None else decorate(function)
