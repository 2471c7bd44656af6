"""A proxy in front of an S3 server that refuses a request, tears it or its answer apart, or loses the answer."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from http.client import HTTPConnection, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

from tests.support.plan import Plan
from tests.support.s3 import S3Bucket

_BUSY = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"


class Fault(Enum):
    """What becomes of a request that fails."""

    #: S3's own answer to too many requests: 503.
    SLOW_DOWN = "503"
    #: The connection breaks when half of the request's body is there; the server sees nothing of it.
    TORN = "torn request"
    #: The server does it, and the connection breaks before its answer.
    LOST = "lost answer"
    #: The connection breaks when half of the answer's body is there.
    TORN_ANSWER = "torn answer"


class S3Proxy:
    """
    Speaks for a server.

    :param bucket: what is there.
    """

    def __init__(self, bucket: S3Bucket) -> None:
        self._server = urlsplit(bucket.options["endpoint_url"]).netloc
        self.plan, self.fault = Plan(), Fault.SLOW_DOWN
        handler = type("Handler", (_Handler,), {"proxy": self})
        self._listener = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        Thread(target=self._listener.serve_forever, args=(0.01,), daemon=True).start()
        endpoint = f"http://127.0.0.1:{self._listener.server_address[1]}"
        # One attempt per call, so that a test need not wait; s3fs has attempts of its own.
        config = {"retries": {"max_attempts": 0}}
        self.options = {**bucket.options, "endpoint_url": endpoint, "config_kwargs": config}

    def close(self) -> None:
        """Take no more requests."""
        self._listener.shutdown()
        self._listener.server_close()

    def forward(
        self, command: str, path: str, body: bytes, headers: dict[str, str]
    ) -> tuple[HTTPResponse, bytes]:
        """Ask the server; return its answer and the answer's body."""
        connection = HTTPConnection(self._server)
        try:
            connection.request(command, path, body, headers)
            answer = connection.getresponse()
            return answer, answer.read()
        finally:
            connection.close()


class _Handler(BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"
    proxy: S3Proxy

    def pass_on(self) -> None:
        """Answer a request, or not."""
        proxy, length = self.proxy, int(self.headers.get("Content-Length", 0))
        fault = proxy.fault if proxy.plan.meets(f"{self.command} {self.path}") else None
        body = self.rfile.read(length // 2 if fault is Fault.TORN else length)
        if fault is Fault.TORN:
            self._hang_up()
        elif fault is Fault.SLOW_DOWN:
            self._say(503, {"Content-Type": "application/xml"}, b"" if self.command == "HEAD" else _BUSY)
        else:
            answer, data = proxy.forward(self.command, self.path, body, dict(self.headers))
            if fault is Fault.LOST:
                self._hang_up()
            else:
                self._say(answer.status, dict(answer.headers), data, torn=fault is Fault.TORN_ANSWER)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = pass_on  # noqa: N815 - as http.server calls them

    def _say(self, status: int, headers: dict[str, str], data: bytes, *, torn: bool = False) -> None:
        self.send_response_only(status)
        if self.command != "HEAD":
            headers = {**headers, "Content-Length": str(len(data))}
        for name, value in headers.items():
            if name.lower() not in ("connection", "transfer-encoding"):
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if torn else data)
        if torn:
            self._hang_up()

    def _hang_up(self) -> None:
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def s3_proxy(bucket: S3Bucket) -> Iterator[S3Proxy]:
    """A proxy in front of a server."""
    proxy = S3Proxy(bucket)
    yield proxy
    proxy.close()
