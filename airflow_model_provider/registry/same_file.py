"""SQLite's file must not be removed or replaced while it is open: what is written then is lost without a word."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import event

from airflow_model_provider.exceptions import RegistryUnavailable

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Engine


class SameFile:
    """
    Sees to it that an engine's connections, old and new, are those of the file that it opened first.

    It looks when a connection is opened or taken from the pool, and before each COMMIT.

    :param engine: the engine.
    :param file: the database.
    :param url: how errors call it.
    """

    def __init__(self, engine: Engine, file: Path, url: str) -> None:
        self._file, self._url = file, url
        self._opened: tuple[int, int] | None = None
        event.listen(engine, "do_connect", self._look)
        event.listen(engine, "connect", self._note)
        event.listen(engine, "checkout", self._look)
        event.listen(engine, "commit", self._look)

    @property
    def was_replaced(self) -> bool:
        """Whether another file stands there now."""
        return self._opened is not None and self._identity() not in (None, self._opened)

    def _note(self, *_: Any) -> None:
        self._opened = self._opened or self._identity()

    def _look(self, *_: Any) -> None:
        if self._opened is None or (found := self._identity()) == self._opened:
            return
        happened = "removed" if found is None else "replaced"
        raise RegistryUnavailable(
            self._url, f"its file was {happened} while this process had it open; restore it and start again"
        )

    def _identity(self) -> tuple[int, int] | None:
        try:
            found = self._file.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino
