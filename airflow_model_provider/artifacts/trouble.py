"""Trouble with a file system, told as this package's errors, without the secrets of the store's address."""

from __future__ import annotations

import errno
import re
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow_model_provider.exceptions import ModelRegistryError, StoreUnavailable

if TYPE_CHECKING:
    from pathlib import Path

#: What a disk answers when it takes no more bytes.
REFUSALS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO})
# numpy reports a short write without an error number.
_SHORT_WRITE = r"\d+ requested and \d+ written"  # not compiled at import: only trouble needs it
# A user, or a user and a password up to the last '@' before a '/', in which nobody has written '/' as '%2F'; not a port
# and a path, nor what Azure writes in the place of a user: the container.
_USER = r"(?<=://)(?<!abfs://)(?<!abfss://)(?:[^/{end}]*@|[^/@:{end}]*:(?!\d+/)[^@{end}]*@(?:[^/@{end}]*@)*)"
#: In a text an address ends where a word does.
_CREDENTIALS = re.compile(_USER.format(end=r"\s'\""))
_PARAMETERS = re.compile(r"(://[^?#\s'\"]*)[?#][^\s'\"]*")
_CREDENTIALS_OF_ADDRESS = re.compile(_USER.format(end=""))
_SHORTEST_PIECE = 4
_SENSITIVE = (
    r"(?i)key|secret|token|password|passwd|passphrase|credential|sas|connection_string|auth|headers|cookie"
)


def without_secrets(text: str) -> str:
    """
    Return a text whose URLs have neither user, password, query nor fragment.

    >>> without_secrets("s3://key:secret@bucket/models?token=x")
    's3://bucket/models'
    >>> without_secrets("abfs://container@account.dfs.core.windows.net/models")
    'abfs://container@account.dfs.core.windows.net/models'
    """
    return _PARAMETERS.sub(r"\1", _CREDENTIALS.sub("", text))


def shown(address: str) -> str:
    """
    Return one address without user, password, query and fragment, whatever signs are in them.

    >>> shown("sftp://me:it's p@ss?@host/models")
    'sftp://host/models'
    """
    return _CREDENTIALS_OF_ADDRESS.sub("", split_parameters(address)[0])


def split_parameters(address: str) -> tuple[str, str]:
    """Split an address where its query or fragment begins; in a password, and in a folder's name, none does."""
    credentials = _CREDENTIALS_OF_ADDRESS.search(address)
    host = credentials.end() if credentials else address.find("://")
    found = re.compile(r"[?#]").search(address, host) if host >= 0 else None
    end = found.start() if found else len(address)
    return address[:end], address[end:]


def reason(err: BaseException) -> str:
    """Return what an error says, in a few words."""
    said = err.strerror if isinstance(err, OSError) else None
    return without_secrets(str(said or err)) or type(err).__name__


@contextmanager
def reported(operation: str, uri: str, missing: Exception | None = None) -> Iterator[None]:
    """
    Turn what a file system raises in the block into one error.

    :param missing: raised instead where there is no such file.
    :raises StoreUnavailable: for everything else.
    """
    try:
        yield
    except ModelRegistryError:
        raise
    except OSError as err:
        if missing is not None and isinstance(err, FileNotFoundError | NotADirectoryError):
            raise missing from None
        raise StoreUnavailable(uri, operation, reason(err)) from err


def refusal(err: BaseException | None, path: Path) -> OSError | None:
    """
    Return the trouble with a file that led to an error while it was written, or None.

    What is raised as it is was not made an error of the value's by who writes it.
    """
    if isinstance(err, OSError) and not isinstance(err, ModelRegistryError):
        return err
    while err is not None:
        if isinstance(err, OSError) and (
            err.errno in REFUSALS or err.filename == str(path) or re.search(_SHORT_WRITE, str(err))
        ):
            return err
        err = err.__cause__ or err.__context__
    return None


class Secrets:
    """
    What must not be shown of a remote store's address.

    :param url: the store's URL, which may hold user and password.
    :param options: arguments of the file system.
    """

    def __init__(self, url: str, options: Mapping[str, Any]) -> None:
        found = {*_secrets_of_address(url), *_secret_options(options)}
        self._values = sorted((value for value in found if value), key=len, reverse=True)

    def mask(self, text: str) -> str:
        """Return a text without them."""
        for value in self._values:
            text = text.replace(value, "***")
        return without_secrets(text)

    def are_in(self, err: BaseException) -> bool:
        """Return whether the traceback of an error, its causes included, would show one."""
        text = "".join(traceback.format_exception(err))
        return any(value in text for value in self._values)


def _secrets_of_address(url: str) -> Iterator[str]:
    from urllib.parse import unquote

    for credentials in _CREDENTIALS_OF_ADDRESS.findall(url):
        whole = credentials.removesuffix("@")
        # Where a '/' or '#' stands in them a library may have taken a piece for something else.
        pieces = [piece for piece in re.split(r"[:/?#@]", whole) if len(piece) >= _SHORTEST_PIECE]
        for part in (*whole.split(":"), whole.partition(":")[2], *pieces):
            yield from (part, unquote(part))
    for parameter in re.split("[?#&]", split_parameters(url)[1]):
        name, _, value = parameter.partition("=")
        if len(value or name) >= _SHORTEST_PIECE:
            yield from (value or name, unquote(value or name))


def _secret_options(value: Any, *, is_secret: bool = False, shortest: int = 1) -> Iterator[str]:
    """
    Yield what must not be shown of arguments: all below a name that says so, and what stands in addresses.

    :param shortest: the characters of a secret, at least: not every part of a header is one.
    """
    if isinstance(value, Mapping):
        least = _SHORTEST_PIECE if is_secret else 1
        for name, part in value.items():
            named = is_secret or re.search(_SENSITIVE, str(name)) is not None
            yield from _secret_options(part, is_secret=named, shortest=least)
    elif isinstance(value, list | tuple | set | frozenset):
        for part in value:
            yield from _secret_options(part, is_secret=is_secret, shortest=_SHORTEST_PIECE)
    elif isinstance(value, str | bytes):
        text = value if isinstance(value, str) else value.decode(errors="backslashreplace")
        if is_secret and len(text) >= shortest:
            # Of 'Bearer <token>' the token may be shown alone.
            yield from (text, text.rpartition(" ")[2])
        if "://" in text:
            yield from _secrets_of_address(text)
