"""What can be known wrong at parse time."""

from __future__ import annotations

import contextlib
import functools
import sys
from typing import TYPE_CHECKING, Final

from airflow_model_provider.exceptions.base import ModelRegistryError, did_you_mean, harmless, listing, quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Code that is nobody's own: this package, caches of properties, context managers, constructors of dataclasses.
_NOT_THE_USERS: Final = (
    __file__.rpartition("exceptions")[0],
    functools.__file__,
    contextlib.__file__,
    "<string>",
)
#: Nor is what Airflow wraps around the constructors of operators and decorated functions, and calls for ``>>``.
_AIRFLOWS: Final = ("/airflow/sdk/bases/", "/airflow/sdk/definitions/")


def _is_nobodys(file: str) -> bool:
    return file.startswith(_NOT_THE_USERS) or any(part in file for part in _AIRFLOWS)


class DefinitionError(ModelRegistryError):
    """
    Something is wrong where it is written, which a note names. A retry cannot help.

    Of a DAG file that can't be imported Airflow shows the last two frames only, and those are ours.
    """

    def __init__(self, *facts: object) -> None:
        super().__init__(*facts)
        frame = sys._getframe(1)
        while frame.f_back is not None and _is_nobodys(frame.f_code.co_filename):
            frame = frame.f_back
        self.add_note(harmless(f'File "{frame.f_code.co_filename}", line {frame.f_lineno}'))


class InvalidName(DefinitionError, ValueError):
    """A name that the registry does not accept. A retry cannot help."""

    def __init__(self, what: str, name: object, reason: str = "") -> None:
        super().__init__(what, name, reason)
        self.what, self.name, self.reason = what, name, reason

    def __str__(self) -> str:
        reason = self.reason or (
            "It must be 1 to 100 characters of letters, digits, '.', '_', '-' and space, "
            "starting with a letter or a digit."
        )
        what = f"{self.what} name" if self.what in ("model", "version", "artifact", "stage") else self.what
        return f"{quoted(self.name)} is not a valid {what}. {reason}"


class UnknownStage(DefinitionError, ValueError):
    """A stage that is not declared. A retry cannot help; declare it or correct the name."""

    def __init__(self, stage: object, declared: Sequence[str], nearest: str | None = None) -> None:
        super().__init__(stage, declared, nearest)
        self.stage, self.declared, self.nearest = stage, declared, nearest

    def __str__(self) -> str:
        hint = f" Did you mean {self.nearest!r}?" if self.nearest else ""
        return (
            f"{quoted(self.stage)} is not a declared stage.{hint} Declared: {listing(self.declared)}. "
            "Teams declare more in [model_registry] stages (AIRFLOW__MODEL_REGISTRY__STAGES)."
        )


class InvalidDefinition(DefinitionError, TypeError):
    """A pipeline or step is defined wrongly. A retry cannot help; correct the definition."""

    def __init__(self, subject: str, problem: str, advice: str = "") -> None:
        super().__init__(subject, problem, advice)
        self.subject, self.problem, self.advice = subject, problem, advice

    def __str__(self) -> str:
        return f"{self.subject}: {self.problem}." + (f" {self.advice}" if self.advice else "")


class AlreadyATask(DefinitionError, AttributeError):
    """``@task`` was put above a step, which is a task. A retry cannot help; leave one of the two out."""

    def __init__(self, subject: str, advice: str) -> None:
        super().__init__(subject, advice)
        self.subject, self.advice = subject, advice

    def __str__(self) -> str:
        return f"{self.subject}: it is a task already. {self.advice}"


class MissingModelContext(DefinitionError, RuntimeError):
    """A model was asked of a pipeline or step that has none, or outside of one. A retry cannot help."""

    def __init__(self, subject: str, advice: str, problem: str = "has no model") -> None:
        super().__init__(subject, advice, problem)
        self.subject, self.advice, self.problem = subject, advice, problem

    def __str__(self) -> str:
        return f"{self.subject} {self.problem}. {self.advice}"


class DeferredValueUsed(DefinitionError, TypeError):
    """A value that exists only when a task runs was used while the DAG is built. A retry cannot help."""

    def __init__(self, value: str, operation: str) -> None:
        super().__init__(value, operation)
        self.value, self.operation = value, operation

    def __str__(self) -> str:
        return (
            f"{self.value} has no value until a task runs, so {self.operation} is not possible here. "
            "Pass it to a step and compute there."
        )


class DeferredAttributeUsed(DeferredValueUsed, AttributeError):
    """An attribute was asked of a value that exists only when a task runs. A retry cannot help."""

    def __init__(self, value: str, attribute: str, known: Sequence[str] = ()) -> None:
        super().__init__(value, f"using its {attribute!r}")
        self.args = (value, attribute, known)
        self.attribute, self.known = attribute, known

    def __str__(self) -> str:
        # Code asks any value for attributes: only who reads the error has to know the nearest one.
        hint = did_you_mean(self.attribute, self.known, cutoff=0.75)
        return f"{self.value} has no {self.attribute!r}.{hint}" if hint else super().__str__()


class LoadingWhileBuilding(DefinitionError, RuntimeError):
    """Registry or store access was attempted in a pipeline or DAG body. A retry cannot help."""

    def __init__(self, operation: str) -> None:
        super().__init__(operation)
        self.operation = operation

    def __str__(self) -> str:
        return (
            f"{self.operation} reads the registry, which is not possible while a DAG is built. "
            "Pass the lazy reference to a step instead; it is resolved when the task runs."
        )
