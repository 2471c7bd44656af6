"""What helps with an error of the database, where it is not to wait for the server."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from airflow_model_provider.exceptions.connections import CHECK

if TYPE_CHECKING:
    from sqlalchemy.exc import DBAPIError

#: PostgreSQL: no such table, column or schema.
_NOT_THERE: Final = frozenset({"42P01", "42703", "3F000"})
_DENIED, _READ_ONLY = "42501", "25006"
#: What a statement does, by the right that it needs; rows are locked by whoever may change them.
_RIGHTS: Final = {"CREATE": "CREATE", "INSERT": "INSERT", "UPDATE": "UPDATE|SHARE", "DELETE": "DELETE"}
_TABLES_GONE = f"Its tables were removed or changed while they were in use. See what is there: {CHECK}."
_WRITE_ELSEWHERE = "The database, or its user, is set to read only: name one in the URL that can be written."
_OWN_FILE = (
    "Let the user of this process read and write the file and its folder, or name another file in the URL."
)


def state(err: BaseException) -> str | None:
    """Return PostgreSQL's code of an error, if it is one."""
    found: str | None = getattr(getattr(err, "orig", None), "sqlstate", None)
    return found


def is_of_rights_or_tables(err: BaseException) -> bool:
    """Whether PostgreSQL does not let its user, or does not know a table; both are a wrong statement to the driver."""
    return state(err) == _DENIED or state(err) in _NOT_THERE


def advice(err: DBAPIError) -> str:
    """Return what helps; empty where it is to look at the URL and the server."""
    if state(err) == _DENIED:
        rights = " and ".join(_rights(str(err.statement)))
        return f"Its user lacks a right ({rights}): grant it, or name another user in the URL."
    code = str(getattr(err.orig, "sqlite_errorname", ""))
    if state(err) in _NOT_THERE or (code == "SQLITE_ERROR" and "no such" in str(err.orig)):
        return _TABLES_GONE
    if state(err) == _READ_ONLY:
        return _WRITE_ELSEWHERE
    return _OWN_FILE if code.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")) else ""


def _rights(statement: str) -> list[str]:
    found = [right for right, words in _RIGHTS.items() if re.search(rf"\b({words})\b", statement)]
    return found or ["SELECT"]
