"""Trying again what may pass by waiting (R13)."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, TypeVar

from airflow_model_provider.artifacts.trouble import REFUSALS
from airflow_model_provider.exceptions import ModelRegistryError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
ATTEMPTS = 5
SECONDS = 30.0
#: NotImplementedError is what fsspec's file systems raise for what they can't do.
_HOPELESS = (
    ModelRegistryError,
    FileNotFoundError,
    PermissionError,
    IsADirectoryError,
    NotADirectoryError,
    ImportError,
    NotImplementedError,
    TypeError,
    ValueError,
)
_FULL = REFUSALS - {errno.EIO}
# Of libraries that are not imported here: credentials and requests that a second try does not make better.
_HOPELESS_NAMES = frozenset(
    {
        "NoCredentialsError",
        "PartialCredentialsError",
        "CredentialRetrievalError",
        "ParamValidationError",
        "ProfileNotFound",
        "DefaultCredentialsError",
        "RefreshError",
        "ClientAuthenticationError",
    }
)


def may_pass(err: BaseException) -> bool:
    """Return whether waiting may help: not where something is missing, forbidden, full or malformed."""
    if not isinstance(err, Exception) or isinstance(err, _HOPELESS):
        return False
    if any(kind.__name__ in _HOPELESS_NAMES for kind in type(err).__mro__):
        return False
    return not (isinstance(err, OSError) and err.errno in _FULL)


def patiently(call: Callable[[], T], announce: Callable[[BaseException, int, float], None]) -> T:
    """
    Call until it succeeds: up to 5 times, the last one begun within 30 s, waiting longer each time.

    :param announce: told the error, the number of the attempt and the seconds until the next one.
    """
    from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, stop_before_delay
    from tenacity import wait_random_exponential as exponential

    def told(state: RetryCallState) -> None:
        err = state.outcome.exception() if state.outcome else None
        if err is not None:
            announce(err, state.attempt_number, state.upcoming_sleep)

    return Retrying(
        stop=stop_after_attempt(ATTEMPTS) | stop_before_delay(SECONDS),
        wait=exponential(multiplier=0.5, max=8),
        retry=retry_if_exception(may_pass),
        before_sleep=told,
        reraise=True,
    )(call)
