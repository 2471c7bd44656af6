"""Passwords, keys and tokens are shown nowhere (R40)."""

from __future__ import annotations

import json
import logging
import traceback
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from sqlalchemy import make_url, text

from airflow_model_provider import Client, Model, pipeline, settings, step
from airflow_model_provider.addresses import Address, address_from_fields, address_from_text, find_address
from airflow_model_provider.artifacts import patience
from airflow_model_provider.artifacts.store import ArtifactStore
from airflow_model_provider.exceptions import (
    InvalidConfiguration,
    ModelRegistryError,
    RegistryUnavailable,
    StoreUnavailable,
)
from airflow_model_provider.pinned import PinnedArtifact, TaskSide
from airflow_model_provider.registry import tables
from airflow_model_provider.registry.database import Database
from airflow_model_provider.registry.registry import Registry
from airflow_model_provider.workspace import Workspace, close_workspaces
from tests.support.s3 import S3Bucket, s3_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.databases import PostgresServer

#: No other text holds it, whatever of it has to be escaped.
SECRET = "hunter2"
PASSWORD = f"{SECRET}/a:b%c?d#e"
QUOTED = quote(PASSWORD, safe="")
#: Where a password can stand, more or less as it should.
URLS = [
    f"postgresql://me:{QUOTED}@127.0.0.1:1/models",
    f"postgresql://me:{PASSWORD}@127.0.0.1:1/models",
    f"postgresql://127.0.0.1:1/models?user=me&password={QUOTED}",
    f"postgresql://me@127.0.0.1:1/models?sslpassword={QUOTED}&sslmode=require&sslcert=no&sslkey=no",
    f"postgresql://me:{SECRET}@127.0.0.1:1/models?passwrd={SECRET}&no_such_option=1",
    f"postgresql://me:{SECRET}@127.0.0.1:1,127.0.0.1:2/models",
    f"postgresql://me:{SECRET}@127.0.0.1:{SECRET}/models",
    f"postgresql://me:a@{SECRET}@127.0.0.1:1/models",
    f"mysql://me:{SECRET}@127.0.0.1:1/models",
    f"me:{SECRET}@127.0.0.1",
    f"postgresql://me:{SECRET}@no-such-host.invalid/models",
]
STORES = [
    f"s3://key:{SECRET}@bucket/models",
    f"s3://key:{PASSWORD}@bucket/models",
    f"s3://key:{QUOTED}@bucket/models?token={SECRET}#{SECRET}",
    f"https://{SECRET}@example.com/models",
    f"no-such-scheme://key:{SECRET}@bucket/models",
    f"simplecache::s3://key:{SECRET}@bucket/models",
]
OPTIONS = {
    "key": f"AK{SECRET}",
    "secret": SECRET,
    "token": SECRET,
    "endpoint_url": "http://127.0.0.1:1",
    "client_kwargs": {"aws_session_token": SECRET},
    "config_kwargs": {"retries": {"max_attempts": 0}},
}


def said(err: BaseException) -> str:
    """All that a log would show of an error."""
    return "".join([*traceback.format_exception(err), repr(err), str(err), *getattr(err, "__notes__", ())])


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Everything that is logged, by whomever."""
    caplog.set_level(logging.DEBUG)
    return caplog


@pytest.mark.parametrize("url", URLS)
def test_a_registry_that_does_not_answer_keeps_the_secret(lines: pytest.LogCaptureFixture, url: str) -> None:
    """Neither the error nor what led to it, nor the warnings, nor any object shows the password."""
    shown = []
    try:
        database = Database(url, patience=0.3)
    except ModelRegistryError as err:
        shown.append(said(err))
    else:
        registry = Registry(database, "id", settings.declared_stages())
        shown += [f"{item!r} {item}" for item in (database, database.engine, database.engine.url, registry)]
        shown += [database.url, registry.url]
        with pytest.raises(ModelRegistryError) as caught:
            database.read(lambda connection: connection.execute(text("SELECT 1")))
        assert isinstance(caught.value, RegistryUnavailable | InvalidConfiguration)
        shown.append(said(caught.value))

    assert [words for words in (*shown, lines.text) if SECRET in words] == []


@pytest.mark.parametrize("url", STORES)
@pytest.mark.parametrize("options", [{}, OPTIONS], ids=["", "options"])
def test_a_store_that_does_not_answer_keeps_the_secret(
    lines: pytest.LogCaptureFixture,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    url: str,
    options: dict[str, Any],
) -> None:
    """Nor do its addresses, which travel through XCom, or the log's lines between two tries."""
    monkeypatch.setattr(patience, "ATTEMPTS", 2)
    options = {**options} if "s3" in url else {}
    given = (
        {"config_kwargs": OPTIONS["config_kwargs"], "endpoint_url": "http://127.0.0.1:1"}
        if "s3" in url
        else {}
    )
    store = ArtifactStore(url, "registry", cache_dir=tmp_path, storage_options={**given, **options})
    shown = [repr(store), store.uri("0" * 64), store.url]
    with suppress(ModelRegistryError):  # a web server that isn't there has no such file
        store.exists("0" * 64, 1)
    with pytest.raises(ModelRegistryError) as caught:
        store.source("0" * 64, 1, what="iris@1/model").read()
    shown.append(said(caught.value))
    ours = [line.getMessage() for line in lines.records if line.name.startswith("airflow_model_provider")]

    assert [words for words in (*shown, *ours) if SECRET in words] == []
    assert "bucket/models" in store.url or "example.com/models" in store.url


def test_an_address_that_has_no_secret_stays_whole() -> None:
    """Ports, and signs in the names of folders, are no passwords."""
    for url in ("http://host:8080/a@b", "s3://bucket/a:b@c", "s3://bucket/a@b/c"):
        assert ArtifactStore(url, "registry").url == url


CONNECTIONS = [
    json.dumps(
        {"conn_type": "model_registry", "host": "127.0.0.1", "login": "me", "password": PASSWORD, "port": 1}
    ),
    f"model-registry://me:{QUOTED}@127.0.0.1:1/models?store=s3%3A%2F%2Fkey%3A{SECRET}%40bucket",
    f"model-registry://me:{SECRET}@127.0.0.1:{SECRET}/models",
    f"model-registry://me:{SECRET}@h\u2100st/models",
    f"postgres://me:{SECRET}@127.0.0.1/models",
    f"model-registry://me:{SECRET}@[127.0.0.1/models",
    json.dumps({"conn_type": "model_registry", "password": SECRET})[:-1],
    json.dumps({"conn_type": "model_registry", "password": [SECRET], "extra": {"url": [SECRET]}}),
    json.dumps({"conn_type": "model_registry", "password": SECRET, "port": SECRET, "host": "h"}),
    json.dumps({"conn_type": "model_registry", "extra": json.dumps({"storage_options": SECRET})}),
    json.dumps({"conn_type": "model_registry", "extra": f'{{"storage_options": {{"secret": "{SECRET}"'}),
    f"model-registry://?__extra__={quote(json.dumps({'url': URLS[0], 'store': STORES[0]}))}",
    f"model-registry://?__extra__={SECRET}",
]


@pytest.mark.parametrize("connection", CONNECTIONS)
def test_a_connection_keeps_the_secret(connection: str) -> None:
    """Whether it can be read or not."""
    try:
        address = address_from_text(connection, source="AIRFLOW_CONN_MODEL_REGISTRY_DEFAULT")
    except ModelRegistryError as err:
        shown = said(err)
    else:
        shown = f"{address!r} {address} {[address]}"

    assert SECRET not in shown


def test_no_object_shows_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is printed, or stands in the frames of a traceback."""
    monkeypatch.setenv(settings.variable("signing_keys"), f"{SECRET * 3}, {SECRET * 4}")
    address = Address(URLS[0], STORES[0], "a test", OPTIONS)
    store = ArtifactStore(address.store, "registry", storage_options=OPTIONS)
    registry = Registry(Database(address.url), "id", ())
    made = [
        *(address, address_from_fields(source="x", host="h", login="me", password=SECRET), registry, store),
        *(Workspace(address, registry, store), Client(address.url, store=address.store), settings.signing()),
        find_address(url=address.url, store=address.store),
    ]

    assert [f"{item!r} {item}" for item in made if SECRET in f"{item!r} {item} {[item]}"] == []


def test_a_short_signing_key_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what is wrong with it."""
    monkeypatch.setenv(settings.variable("signing_keys"), SECRET)
    with pytest.raises(ModelRegistryError, match="shorter than") as caught:
        settings.signing()

    assert SECRET not in said(caught.value)


@pytest.fixture(scope="module")
def bucket() -> Iterator[S3Bucket]:
    """An S3 protocol server, which takes any key."""
    with s3_server("secrets") as found:
        yield found


def test_a_run_leaves_its_secrets_nowhere(
    postgres: PostgresServer,
    bucket: S3Bucket,
    lines: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Not in the database, in XCom, in what isolated tasks get, in the log or on the screen."""
    url = make_url(postgres.new_database()).set(password=PASSWORD).update_query_dict({"sslpassword": SECRET})
    options = {**bucket.options, "key": f"AK{SECRET}", "secret": SECRET}
    extra = {
        "url": url.render_as_string(hide_password=False),
        "store": bucket.url,
        "storage_options": options,
    }
    connection = {"conn_type": "model_registry", "login": "me", "password": SECRET, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_MODEL_REGISTRY_DEFAULT", json.dumps(connection))
    monkeypatch.setenv(settings.variable("signing_keys"), SECRET * 3)
    monkeypatch.setenv(settings.variable("cache_dir"), str(tmp_path / "cache"))

    @step
    def train() -> object:
        return slice(1)  # a pickle, and so signed

    @pipeline(model=Model("iris"))
    def training() -> None:
        train()

    result = training()
    artifact = result.steps["train"].output
    task = TaskSide(lambda reference: None, lambda error: None)  # type: ignore[arg-type, return-value]
    told = [artifact.reference().to_json(), PinnedArtifact(artifact, task).env("MODEL"), repr(result)]
    artifact._workspace.store.delete(artifact.digest)
    with pytest.raises(ModelRegistryError) as caught:
        artifact.load()
    with Database(extra["url"]).engine.connect() as reading:
        rows = [reading.execute(text(f"SELECT * FROM {name}")).all() for name in tables.metadata.tables]
    close_workspaces()
    shown = json.dumps(told, default=str) + said(caught.value) + repr(rows) + capsys.readouterr().out

    assert "s3://secrets/prefix" in shown
    assert SECRET not in shown
    others = [line for line in lines.records if SECRET in f"{line.getMessage()}{line.exc_text or ''}"]
    # botocore shows the key's id, which is no secret, in the headers of its requests.
    assert [
        line.getMessage() for line in others if SECRET in line.getMessage().replace(f"AK{SECRET}", "")
    ] == []
    assert [line for line in others if line.name.startswith("airflow_model_provider")] == []


def test_an_error_of_a_store_has_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hiding must not hide what is wrong."""
    monkeypatch.setattr(patience, "ATTEMPTS", 1)
    store = ArtifactStore("s3://bucket/models", "registry", cache_dir=tmp_path, storage_options=OPTIONS)

    with pytest.raises(
        StoreUnavailable, match=r"could not read s3://bucket/models/registry/.*127\.0\.0\.1:1"
    ):
        store.exists("0" * 64, 1)
