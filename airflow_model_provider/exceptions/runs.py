"""What became of a run as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_model_provider.exceptions.base import ModelRegistryError, listing

if TYPE_CHECKING:
    from collections.abc import Sequence


class PipelineFailed(ModelRegistryError, RuntimeError):
    """Tasks of a pipeline failed under ``dag.test()``. Whether a retry helps is said by their errors, in the log."""

    def __init__(self, pipeline: str, tasks: Sequence[str]) -> None:
        super().__init__(pipeline, tasks)
        self.pipeline, self.tasks = pipeline, tasks

    def __str__(self) -> str:
        return (
            f"Pipeline {self.pipeline!r} failed. Failed tasks: {listing(self.tasks)}. The log above says why."
        )


class NotMappable(ModelRegistryError, TypeError):
    """A step returned a value that the tasks behind it can't be mapped over. A retry cannot help; correct the step."""

    def __init__(self, what: str, tasks: Sequence[str], problem: str, advice: str) -> None:
        super().__init__(what, tasks, problem, advice)
        self.what, self.tasks, self.problem, self.advice = what, tasks, problem, advice

    def __str__(self) -> str:
        return (
            f"{self.what} cannot be mapped over: {self.problem}. Mapped over it: {listing(self.tasks)}. "
            f"{self.advice} None of the step's outputs was saved."
        )


class InvalidSelector(ModelRegistryError, ValueError):
    """What was given at run time names no version. A retry cannot help; correct the template or its input."""

    def __init__(self, subject: str, selector: str, problem: str) -> None:
        super().__init__(subject, selector, problem)
        self.subject, self.selector, self.problem = subject, selector, problem

    def __str__(self) -> str:
        return (
            f"{self.subject}: version={self.selector!r}: {self.problem}. "
            "Give a stage, 'latest', a number, or a version name."
        )


class NoRunDate(ModelRegistryError, ValueError):
    """The Dag run has none of the dates that ``as_of`` names. A retry cannot help."""

    def __init__(self, reference: str, dates: Sequence[str]) -> None:
        super().__init__(reference, dates)
        self.reference, self.dates = reference, dates

    def __str__(self) -> str:
        return (
            f"{self.reference}: this Dag run has no such date. It has: {listing(self.dates)}. "
            "Name one of these, several of which the first that is there counts: "
            "as_of=('logical_date', 'run_after')."
        )


class NothingClaimed(ModelRegistryError, LookupError):
    """The Dag run was started by no promotion of the model that is asked for. A retry cannot help."""

    def __init__(self, dag_id: str, run_id: str, model: str) -> None:
        super().__init__(dag_id, run_id, model)
        self.dag_id, self.run_id, self.model = dag_id, run_id, model

    def __str__(self) -> str:
        return (
            f"Run {self.run_id!r} of DAG {self.dag_id!r} has claimed no promotion of model {self.model!r}, so "
            "version='triggering' means none in it. Leave out on_missing='skip' to get the version that is in the "
            "stage now."
        )


class WaitTimedOut(ModelRegistryError, TimeoutError):
    """No version came while a task waited for one. Not retried, as Airflow doesn't retry a sensor's timeout."""

    def __init__(
        self, reference: str, seconds: float, missing: str, limit: str = "[model_registry] wait_timeout"
    ) -> None:
        super().__init__(reference, seconds, missing, limit)
        self.reference, self.seconds, self.missing, self.limit = reference, seconds, missing, limit

    def __str__(self) -> str:
        return (
            f"{self.reference} was waited for during {self.seconds:.0f} s ({self.limit}), and is not there. "
            f"{self.missing}"
        )


class UnknownAttribute(ModelRegistryError, NameError):
    """A template asks for something that a version or an artifact doesn't have. A retry cannot help."""

    def __init__(self, subject: str, attribute: str, known: Sequence[str]) -> None:
        super().__init__(subject, attribute, known)
        self.subject, self.attribute, self.known = subject, attribute, known

    def __str__(self) -> str:
        return f"{self.subject} has no {self.attribute!r}. It has: {listing(self.known, limit=20)}."
