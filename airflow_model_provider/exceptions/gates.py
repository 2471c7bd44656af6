"""What gates of a promotion say."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from airflow_model_provider.exceptions.base import ModelRegistryError

if TYPE_CHECKING:
    from collections.abc import Sequence


class PromotionRefused(ModelRegistryError, RuntimeError):
    """
    A version does not pass the gates of a promotion. A retry cannot help, unless the version or the holder changes.

    ``objections`` has one sentence of each gate that it does not pass; ``soft`` is true if all of these are soft.
    """

    def __init__(self, version: str, stage: str, objections: Sequence[str], soft: bool = False) -> None:
        super().__init__(version, stage, objections, soft)
        self.version, self.stage, self.objections, self.soft = version, stage, objections, soft

    def __str__(self) -> str:
        return (
            f"{self.version} was not promoted to {self.stage!r}: {'; '.join(self.objections)}. "
            "Promote another version, or change the gates."
        )


class GateFailed(ModelRegistryError, RuntimeError):
    """The function of a gate's ``check`` gave no answer. A retry helps if what it needs was away."""

    transient: ClassVar[bool] = True

    def __init__(self, check: str, version: str, reason: str) -> None:
        super().__init__(check, version, reason)
        self.check, self.version, self.reason = check, version, reason

    def __str__(self) -> str:
        return (
            f"Gate check {self.check} gave no answer for {self.version}: {self.reason}. Nothing was changed. "
            "It must return None or True to pass; False, or its objection as text, to refuse."
        )


class PromotionOvertaken(ModelRegistryError, RuntimeError):
    """Other promotions of the model came between a check and its promotion, each time. A retry helps."""

    transient: ClassVar[bool] = True

    def __init__(self, version: str, stage: str, tries: int) -> None:
        super().__init__(version, stage, tries)
        self.version, self.stage, self.tries = version, stage, tries

    def __str__(self) -> str:
        return (
            f"{self.version} was checked {self.tries} times for {self.stage!r}, and each time another promotion of the "
            "model came in between. Nothing was changed. Try again later, or make the check faster."
        )
