"""A real S3 protocol server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import s3fs
from moto.server import ThreadedMotoServer

CREDENTIALS = {"key": "access-key-id", "secret": "very-secret-access-key"}


@dataclass(frozen=True)
class S3Bucket:
    """A bucket, and what a file system needs to reach it."""

    url: str
    options: dict[str, Any]

    def file_system(self) -> s3fs.S3FileSystem:
        """A client beside the one that is tested."""
        return s3fs.S3FileSystem(**self.options, skip_instance_cache=True, use_listings_cache=False)


@contextmanager
def s3_server(bucket: str = "models") -> Iterator[S3Bucket]:
    """Run a server with one empty bucket."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    options = {**CREDENTIALS, "endpoint_url": f"http://{host}:{port}"}
    found = S3Bucket(f"s3://{bucket}/prefix", options)
    try:
        found.file_system().mkdir(bucket)
        yield found
    finally:
        server.stop()
