"""The user's private folder for copies and notes: nobody else may be able to plant a file in it."""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path

from airflow_model_provider.artifacts.trouble import reason
from airflow_model_provider.exceptions import InvalidConfiguration

_SETTING = "[model_registry] cache_dir"
_ADVICE = "Name a folder that only you can write to."
logger = logging.getLogger(__name__)


class PrivateFolder:
    """
    A folder shared by this user's processes, made on first use.

    :param given: where it is; None means ``airflow_model_provider`` in the user's cache folder, or in the
        folder for temporary files where there is no usable cache folder.
    """

    def __init__(self, given: Path | None) -> None:
        self._given = given
        self._made: Path | None = None

    def room(self, name: str) -> Path:
        """
        Return a folder in it that only this user can read or write.

        :raises InvalidConfiguration: if it can't be made, or others could plant files in it.
        """
        if self._made is None:
            self._made = _private(self._given.expanduser().absolute()) if self._given else _default()
        return _private(self._made / name)


def _default() -> Path:
    try:
        return _private(_cache_folder() / "airflow_model_provider")
    except InvalidConfiguration as err:
        import tempfile

        other = Path(tempfile.gettempdir()) / f"airflow_model_provider-{os.getuid()}"
        logger.warning("%s Using %s instead.", err, other)
        return _private(other)


def _cache_folder() -> Path:
    """
    Return the user's cache folder.

    :raises InvalidConfiguration: if there is none.
    """
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    # A relative XDG_CACHE_HOME is to be ignored, says the XDG specification.
    folder = base if base.is_absolute() else Path(os.path.expanduser("~/.cache"))  # noqa: PTH111 - never raises
    if not folder.is_absolute():  # '~' is left as it is where nobody knows what it means
        raise InvalidConfiguration(_SETTING, "this user has no home folder", _ADVICE)
    return folder


def _private(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        status = folder.stat()
    except OSError as err:
        raise InvalidConfiguration(_SETTING, f"{folder} cannot be made ({reason(err)})", _ADVICE) from err
    if status.st_uid != os.getuid():
        raise InvalidConfiguration(_SETTING, f"{folder} belongs to another user", _ADVICE)
    if stat.S_IMODE(status.st_mode) & 0o022:
        raise InvalidConfiguration(_SETTING, f"other users can write to {folder}", _ADVICE)
    return folder
