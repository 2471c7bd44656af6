"""What became of a run, and of each of its steps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_model_provider.exceptions import InvalidDefinition

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_model_provider.handles import Artifact, ModelVersion


@dataclass
class StepResult:
    """
    What became of a step.

    :param state: ``success``, ``failed``, ``skipped`` or ``upstream_failed``.
    :param outputs: handles of what it saved, by output name; lists in the order of the index for a mapped
        step.
    :param error: what it raised.
    """

    task_id: str
    state: str = "success"
    outputs: dict[str, Any] = field(default_factory=dict)
    error: BaseException | None = None
    values: list[dict[str, Any]] = field(default_factory=list, repr=False)
    entries: Any = field(default=None, repr=False)
    mapped: bool = False
    instances: list[str] = field(default_factory=list, repr=False)

    @property
    def states(self) -> list[str]:
        """The states of its instances; its own if it never ran."""
        return self.instances or [self.state]

    @property
    def has_instances(self) -> bool:
        """Whether it is mapped and was expanded."""
        return self.mapped and bool(self.instances)

    @property
    def is_over_well(self) -> bool:
        """Whether nothing is to come of it, and nothing of it failed."""
        return not {"failed", "upstream_failed"} & set(self.states)

    @property
    def output(self) -> Artifact[Any] | Any:
        """
        The handle of its only output.

        :raises InvalidDefinition: if it has none, or several.
        """
        if len(self.outputs) != 1:
            raise InvalidDefinition(f"step {self.task_id!r}", *self._no_output())
        return next(iter(self.outputs.values()))

    def _no_output(self) -> tuple[str, str]:
        if self.outputs:
            names = list(self.outputs)
            return f"it has several outputs: {', '.join(names)}", f"Name one: outputs[{names[0]!r}]."
        if self.state == "success":
            return "it has no saved output", "It returned nothing, or a reference that it had received."
        said = (
            f"{type(self.error).__name__}: {self.error}"
            if self.error is not None
            else "Look at its state first."
        )
        return f"it has no output, because its state is {self.state!r}", said


@dataclass
class PipelineResult:
    """
    What became of a local run.

    :param state: ``success`` or ``failed``.
    :param model_version: the version that the run made or used, if the pipeline has a model.
    :param steps: results by task id.
    """

    run_id: str
    state: str
    logical_date: datetime
    model_version: ModelVersion | None
    steps: dict[str, StepResult]
