"""SQLite's calls of the system, through its own interface for such tests, so that each can be made to fail."""

from __future__ import annotations

import _sqlite3
import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import CFUNCTYPE, POINTER, c_char_p, c_int, c_int64, c_void_p

from tests.support.plan import Plan

#: Reading, writing, making and removing. SQLite flushes without asking there, see ``test_sqlite.py``.
CALLS = (
    "open",
    "pread",
    "pread64",
    "read",
    "pwrite",
    "pwrite64",
    "write",
    "ftruncate",
    "unlink",
    "fallocate",
)
_Call = CFUNCTYPE(c_int64, c_int64, c_int64, c_int64, c_int64, c_int64, c_int64, use_errno=True)


class _Vfs(ctypes.Structure):
    """``sqlite3_vfs`` of sqlite3.h."""


_Vfs._fields_ = [
    ("version", c_int),
    ("file_size", c_int),
    ("longest_path", c_int),
    ("next", c_void_p),
    ("name", c_char_p),
    ("data", c_void_p),
    ("methods", c_void_p * 12),
    ("current_time_64", c_void_p),
    ("set_system_call", CFUNCTYPE(c_int, POINTER(_Vfs), c_char_p, c_void_p)),
    ("get_system_call", CFUNCTYPE(c_void_p, POINTER(_Vfs), c_char_p)),
    ("next_system_call", c_void_p),
]


@contextmanager
def sqlite_calls(plan: Plan, error: int) -> Iterator[None]:
    """
    Let a plan say which of SQLite's calls in this process fail.

    :param error: what the system says then, of :mod:`errno`.
    """
    library = ctypes.CDLL(_sqlite3.__file__)
    library.sqlite3_vfs_find.restype = POINTER(_Vfs)
    vfs = library.sqlite3_vfs_find(None)
    kept = []

    def faulty(name: str, real: int) -> object:
        call = _Call(real)

        def met(*arguments: int) -> int:
            if plan.meets(name):
                ctypes.set_errno(error)
                return -1
            return int(call(*arguments))

        return _Call(met)

    try:
        for name in CALLS:
            real = vfs.contents.get_system_call(vfs, name.encode())
            if real:
                kept.append(faulty(name, real))
                assert vfs.contents.set_system_call(vfs, name.encode(), ctypes.cast(kept[-1], c_void_p)) == 0
        yield
    finally:
        for name in CALLS:
            vfs.contents.set_system_call(vfs, name.encode(), None)
