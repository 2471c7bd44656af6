"""A proxy in front of PostgreSQL that loses one call of a client, or the server's answer to it."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import parse_qs, urlsplit

from tests.support.plan import Plan

#: In the addresses given out; PostgreSQL trusts its socket, so that any password will do.
PASSWORD = "not-to-be-seen"
_READY, _QUERY, _PARSE, _BIND, _SYNC, _FLUSH, _END = b"Z", b"Q", b"P", b"B", b"S", b"H", b"X"
#: What a client may say once it has started.
_KINDS = frozenset(bytes([letter]) for letter in b"BCDEFHPQSXcdf")


class Lost(ConnectionError):
    """The other side is gone."""


class PostgresProxy:
    """
    Speaks for a server, one call at a time: a start, or all up to a query or a sync.

    :param url: of the database behind it.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._server = parse_qs(parts.query)["host"][0] + "/.s.PGSQL.5432"
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        settings = "sslmode=disable&gssencmode=disable"
        self.url = f"postgresql://postgres:{PASSWORD}@127.0.0.1:{port}{parts.path}?{settings}"
        #: Which call is lost; each is named by its statement.
        self.plan = Plan()
        #: Whether the server sees the call that is lost, and does what it says.
        self.answer_only = False
        #: Until it is set, the server does not learn that a connection broke.
        self.noticed = threading.Event()
        self.noticed.set()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as server, suppress(OSError):
            server.connect(self._server)
            statements: dict[bytes, str] = {}
            for said in _calls(client):
                lost = self.plan.meets(_name(said, statements))
                answer = b"" if lost and not self.answer_only else _answer(server, said)
                if lost:
                    client.close()
                    self.noticed.wait()
                    return
                client.sendall(answer)


def _calls(client: socket.socket) -> Iterator[bytes]:
    (length,) = struct.unpack("!i", head := _exactly(client, 4))
    yield head + _exactly(client, length - 4)
    said = b""
    while True:
        kind, message = _message(client)
        if kind == _END:
            return
        if kind == _FLUSH:
            continue  # in the midst of a call; what it asks for comes with the rest of the answer
        said += message
        if kind in (_QUERY, _SYNC):
            yield said
            said = b""


def _answer(server: socket.socket, said: bytes) -> bytes:
    """All up to the server's readiness for the next call; less where it hangs up before."""
    server.sendall(said)
    answer = b""
    with suppress(Lost):
        while True:
            kind, message = _message(server)
            answer += message
            if kind == _READY:
                break
    if not answer:
        raise Lost
    return answer


def _name(said: bytes, statements: dict[bytes, str]) -> str:
    """The statements of a call; ``statements`` remembers what was prepared under which name."""
    found, prepared = [], ""
    while said[:1] in _KINDS:
        (length,) = struct.unpack("!i", said[1:5])
        kind, (name, _, rest), said = said[:1], said[5 : 1 + length].partition(b"\0"), said[1 + length :]
        if kind == _QUERY:
            found.append(_words(name))
        if kind == _PARSE:
            statements[name] = prepared = _words(rest)
        if kind == _BIND:
            found.append(statements.get(rest.partition(b"\0")[0], "?"))
    return "; ".join(found) or prepared or "start"


def _words(text: bytes) -> str:
    return " ".join(text.partition(b"\0")[0].decode().split())


def _message(source: socket.socket) -> tuple[bytes, bytes]:
    head = _exactly(source, 5)
    (length,) = struct.unpack("!i", head[1:])
    return head[:1], head + _exactly(source, length - 4)


def _exactly(source: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        part = source.recv(count - len(found))
        if not part:
            raise Lost
        found += part
    return found


@contextmanager
def postgres_proxy(url: str) -> Iterator[PostgresProxy]:
    """A proxy in front of a database."""
    proxy = PostgresProxy(url)
    yield proxy
    proxy.close()
