"""What is shown of an address and of what a file system says, and what is not (R40)."""

from __future__ import annotations

import logging
import traceback
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest

from airflow_model_provider import isolated
from airflow_model_provider.artifacts import patience
from airflow_model_provider.artifacts.store import ArtifactStore
from airflow_model_provider.artifacts.trouble import Secrets, without_secrets
from airflow_model_provider.exceptions import ModelRegistryError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECRET = "hunter2"
DIGEST = "ab" * 32
#: Addresses, and what may be shown of them.
ADDRESSES = {
    f"sftp://u:p@ss:w0rd{SECRET}@host/dir": "sftp://host/dir",
    f"sftp://u:{SECRET}@{SECRET}@host:22/dir": "sftp://host:22/dir",
    f"s3://key:se/cr@{SECRET}@bucket/m": "s3://bucket/m",
    f"s3://key:{SECRET}@bucket/a@b/c": "s3://bucket/a@b/c",
    f"simplecache::s3://key:p@{SECRET}@bucket/m": "simplecache::s3://bucket/m",
    f"https://u:p?{SECRET}@host/m?a={SECRET}": "https://host/m",
    f"s3://key:two {SECRET}@bucket/m": "s3://bucket/m",
    f"s3://key:it's {SECRET}@bucket/m": "s3://bucket/m",
    f"https://host/m?sig=it's {SECRET}": "https://host/m",
    "abfs://container@account.dfs.core.windows.net/m": "abfs://container@account.dfs.core.windows.net/m",
    "sftp://host:22/path@x/y": "sftp://host:22/path@x/y",
}
#: Arguments of file systems that hold a secret somewhere.
OPTIONS: list[dict[str, Any]] = [
    {"headers": {"Authorization": f"Bearer {SECRET}"}},
    {"client_kwargs": {"headers": {"X-Api": SECRET}}},
    {"auth": ["user", SECRET]},
    {"auth": ("user", SECRET)},
    {"cookies": {"session": SECRET}},
    {"passphrase": SECRET},
    {"password": SECRET.encode()},
    {"tokens": [SECRET]},
    {"endpoint_url": f"https://user:{SECRET}@host"},
    {"proxies": {"https": f"http://user:pw@{SECRET}@proxy:3128"}},
    {"endpoint_url": f"https://host/m?sig={SECRET}"},
]


@pytest.mark.parametrize("url", ADDRESSES)
def test_an_address_is_shown_without_its_secrets(url: str) -> None:
    """A password ends at the last ``@`` before the path; a path, a port and a container stay."""
    store = ArtifactStore(url, "registry")
    blob = f"{ADDRESSES[url]}/registry/sha256/ab/{DIGEST}"

    assert (store.url, store.uri(DIGEST)) == (ADDRESSES[url], blob)
    assert SECRET not in repr(store)
    assert SECRET not in Secrets(url, {}).mask(f"cannot reach {url}")


def test_a_text_keeps_all_but_the_secrets_of_its_addresses() -> None:
    """What stands around an address is not taken for a part of it."""
    text = f"no 'sftp://u:p@{SECRET}@host/a' or https://host:1/b?sig={SECRET}, ask me@example.com"

    assert without_secrets(text) == "no 'sftp://host/a' or https://host:1/b ask me@example.com"


@pytest.mark.parametrize("options", OPTIONS)
def test_the_secrets_among_options_are_masked(options: dict[str, Any]) -> None:
    """Whatever they are called, however they are nested; the rest of the text stays."""
    masked = Secrets("s3://bucket/m", options).mask(f"Forbidden for {SECRET}: ask the owner of the bucket")

    assert masked == "Forbidden for ***: ask the owner of the bucket"


def test_an_option_that_is_no_secret_is_not_masked() -> None:
    """Hiding must not hide what is wrong."""
    options = {
        "endpoint_url": "http://127.0.0.1:1",
        "anon": False,
        "client_kwargs": {"region_name": "north"},
        "headers": {"X-Retries": "1"},
        "auth": ["n", SECRET],
    }

    assert Secrets("s3://bucket/m", options).mask("no http://127.0.0.1:1 in north") == (
        "no http://127.0.0.1:1 in north"
    )


@pytest.mark.parametrize("url", ["models?a=b#c", "/models/a@b?c"])
def test_a_folder_has_no_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Signs in its name stay."""
    monkeypatch.chdir(tmp_path)

    assert ArtifactStore(url, "registry").url == url


@pytest.mark.parametrize("uri", ["a?b://c", "a#b://c/d/e", "://"])
def test_an_odd_address_is_refused(uri: str) -> None:
    """By the error that says what an address is."""
    with pytest.raises(ModelRegistryError, match=r"address|scheme|file system"):
        isolated.load(uri, DIGEST)


class _Answers(BaseHTTPRequestHandler):
    """A web server that knows nothing, or nobody: by the first part of the path."""

    def do_GET(self) -> None:
        self.send_error(404 if self.path.startswith("/404/") else 403, self.path)

    do_HEAD = do_GET  # noqa: N815 - of http.server

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of a web server."""
    with HTTPServer(("127.0.0.1", 0), _Answers) as found:
        thread = Thread(target=found.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{found.server_port}"
        found.shutdown()
        thread.join()


@pytest.mark.parametrize("status", ["403", "404"])
@pytest.mark.parametrize("query", [f"X-Amz-Signature={SECRET}&x=1", f"sig=a/{SECRET}/b", f"{SECRET}"])
@pytest.mark.parametrize("format", [None, '{"materializer":"json","version":1,"attributes":{},"size":3}'])
def test_a_presigned_address_keeps_its_signature(
    server: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    status: str,
    query: str,
    format: str | None,
) -> None:
    """Neither in the error and what led to it, nor in the log's lines between two tries."""
    monkeypatch.setenv("AIRFLOW__MODEL_REGISTRY__CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(patience, "ATTEMPTS", 2)
    caplog.set_level(logging.INFO, "airflow_model_provider")
    address = f"{server}/{status}/reg/sha256/ab/{DIGEST}"
    with pytest.raises(ModelRegistryError) as caught:
        isolated.load(f"{address}?{query}", DIGEST, format)
    shown = "".join(traceback.format_exception(caught.value))

    assert address in str(caught.value)
    assert [
        text for text in (str(caught.value), repr(caught.value), shown, caplog.text) if SECRET in text
    ] == []
