"""What a materializer is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path


class Reader(Protocol):
    """A stream whose bytes are verified when its block ends."""

    def read(self, size: int = -1, /) -> bytes | None:
        """Return up to ``size`` bytes."""

    def readinto(self, buffer: Any, /) -> int | None:
        """Fill a buffer and return how many bytes came."""


class Source(Protocol):
    """How a load gets the bytes of an artifact: always verified."""

    @property
    def digest(self) -> str:
        """SHA-256 of the bytes, hexadecimal."""

    @property
    def size(self) -> int:
        """Number of bytes."""

    @property
    def is_worth_another_try(self) -> bool:
        """Whether a load that met changed bytes may meet the right ones now: a damaged local copy is gone."""

    def read(self) -> bytes:
        """Return all bytes; the digest is that of the very bytes returned."""

    def open(self) -> AbstractContextManager[Reader]:
        """Give a reader; the digest is checked when the block ends."""

    def path(self) -> Path:
        """Return a verified local file, which may be mapped read-only."""


class ExactnessLost(Exception):
    """The format would change the value: it is stored another way."""


class Materializer(ABC):
    """
    Turns a Python object into one file and back.

    ``key`` and ``format_version`` are stored with the artifact and never change their meaning; they name a
    format, never a class. A change of the format gets the next version, and the older ones can still be read.
    ``airflow_model_provider.testing.MaterializerContract`` tests what is relied on.
    """

    #: The format's stable name, such as ``numpy.npy``.
    key: ClassVar[str]
    #: The version that ``save`` writes.
    format_version: ClassVar[int] = 1
    #: Whether loading can execute code that stands in the file.
    executes_code: ClassVar[bool] = False
    #: Whether it holds subclasses of the type that it is registered for; else these are stored another way.
    subclasses: ClassVar[bool] = False
    #: Earlier format versions and the classes that read them; those that are not here ``load`` reads itself.
    older: ClassVar[Mapping[int, type[Materializer]]] = {}

    @abstractmethod
    def save(self, value: Any, path: Path) -> Mapping[str, Any]:
        """
        Write the value to a file.

        :return: JSON attributes that ``load`` needs.
        :raises ExactnessLost: if what would come back isn't equal.
        """

    @abstractmethod
    def load(self, source: Source, attributes: Mapping[str, Any], *, mmap: bool = False) -> Any:
        """
        Return the value.

        :param mmap: map it read-only where the format allows.
        """
