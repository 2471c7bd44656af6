"""Everywhere that a user's text can go before there is a registry: definitions, references, addresses, settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import pytest

from airflow_model_provider import Client, Gates, Model, load_artifact, pipeline, settings, step
from airflow_model_provider.addresses import address_from_fields, address_from_text, find_address
from airflow_model_provider.artifacts.store import ArtifactStore
from airflow_model_provider.isolated import environment
from airflow_model_provider.materializers.lookup import for_key
from airflow_model_provider.named_artifacts import read_reference
from airflow_model_provider.pipelines.outputs import ArtifactConfig
from airflow_model_provider.registry.entities import Attempt, Payload, RunKey
from airflow_model_provider.registry.registry import Registry
from airflow_model_provider.selectors import Selector

IRIS = Model("iris", version=1)
RUN = RunKey("default", "dag", "run")


def _back(model: Model) -> Any:
    return read_reference(model.to_json())


def selector(given: Any) -> Any:
    found = str(_back(Model("iris", version=given)).selector)
    return given if isinstance(given, int) or given.isdigit() else found


def substitution(given: Any) -> Any:
    def make() -> None: ...

    make.__annotations__["return"] = Annotated[None, ArtifactConfig(name="{word}")]
    (output,) = step(make).with_options(substitutions={"word": given}).definition.outputs
    return output.name


def as_of(given: Any) -> Any:
    Model("iris", version="production", as_of=given)
    return given


def kind_of_an_output(given: Any) -> Any:
    return ArtifactConfig(artifact_type=given).kind


def registry_url(given: Any) -> Any:
    Registry.open(given).close()


def sqlite_path(given: Any) -> Any:
    Registry.open(
        f"sqlite:////proc/nowhere/{given}" if isinstance(given, str) and "?" not in given else "sqlite://"
    ).close()


def store_url(given: Any) -> Any:
    address = find_address(url="sqlite:///x.db", store=given)
    store = ArtifactStore(address.store, "registry")
    assert all(text.isprintable() for text in (repr(address), repr(store), store.uri("0" * 64)))
    if "://" not in given and "::" not in given:
        store.exists("0" * 64, 1)
    return given


def connection_field(name: str) -> Callable[[Any], Any]:
    def put(given: Any) -> Any:
        address_from_fields(source="a connection", **{"host": "db.example.com", "login": "me", name: given})
        return given

    return put


def connection_text(given: Any) -> Any:
    address_from_text(given, source="AIRFLOW_CONN_MODEL_REGISTRY_DEFAULT")
    return given


def connection_extra(given: Any) -> Any:
    address_from_fields(source="a connection", extra={"url": given, "store": given})
    return given


@contextmanager
def _set(name: str, value: str) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(settings.variable(name), value)
        yield


def setting(name: str, read: Callable[[], Any]) -> Callable[[Any], Any]:
    def put(given: Any) -> Any:
        with _set(name, given):
            read()
        return given

    return put


def pipeline_option(given: Any) -> Any:
    return pipeline(model=given)(len) if given else given


def gate(name: str) -> Callable[[Any], Any]:
    def put(given: Any) -> Any:
        (gates,) = Gates.of({"better_than": "production", "metric": "f1", name: given})
        return getattr(Gates.of(gates.to_dict())[0], name)

    return put


GATE = ("better_than", "metric", "mode", "if_vacant", "check", "soft")

PLACES: dict[str, Callable[[Any], Any]] = {
    "model": lambda given: _back(Model(given, version="production")).model,
    "selector": selector,
    "selector by itself": lambda given: given if Selector.parse(given) else None,
    "artifact": lambda given: _back(IRIS.get_artifact(given)).name,
    "artifact version": lambda given: IRIS.get_artifact("x", given).artifact_version,
    "map index": lambda given: IRIS.get_artifact("x", map_index=given).map_index,
    "metadata key": lambda given: _back(IRIS.run_metadata[given]).name,
    "pin": lambda given: Model("iris", version=1, pin=given).pin,
    "on_missing": lambda given: Model("iris", version=1, on_missing=given).on_missing,
    "as_of": as_of,
    "card": lambda given: Model("iris", license=given, ethics=given).card.get("license", given),
    "tag": lambda given: Model("iris", tags=(given,)).card["tags"][0],
    "connection id": lambda given: Model("iris", version=1, conn_id=given).conn_id,
    "connection id of a client": lambda given: Client(conn_id=given).workspace,
    "output": lambda given: ArtifactConfig(name=given) and substitution(given),
    "kind": kind_of_an_output,
    "model of a pipeline": pipeline_option,
    "deployment": lambda given: RunKey(given, "dag", "run").deployment,
    "dag_id": lambda given: RunKey("default", given, "run").dag_id,
    "run_id": lambda given: RunKey("default", "dag", given).run_id,
    "task_id": lambda given: Attempt(RUN, given, "try").task_id,
    "attempt_id": lambda given: Attempt(RUN, "task", given).attempt_id,
    "map_index": lambda given: Attempt(RUN, "task", "try", map_index=given).map_index,
    "try_number": lambda given: Attempt(RUN, "task", "try", try_number=given).try_number,
    "uri": lambda given: load_artifact(given, digest="0" * 64),
    "digest": lambda given: load_artifact("x", digest=given),
    "format of bytes": lambda given: load_artifact("x", digest="0" * 64, format=given),
    "format": lambda given: for_key(given).key,
    "variable": lambda given: environment(given, "x", Payload("0" * 64, 1, "json", 1, ())) and given,
    "gates": lambda given: Gates.of(given) or given,
    "condition of a gate": lambda given: Gates(require={"x": given}) and given,
    "artifact of a gate": lambda given: Gates(artifacts=[given]).artifacts[0],
    "key of a gate": lambda given: Gates(metadata=[given]).metadata[0],
    "age of a gate": lambda given: Gates.of({"max_age": given}) and given,
    "min_delta of a gate": lambda given: gate("min_delta")(given) == given and given,
    "several of a gate": lambda given: Gates(artifacts=given) and given,
    **{f"gate: {name}": gate(name) for name in GATE},
    "url": registry_url,
    "path": sqlite_path,
    "store": store_url,
    "extra": connection_extra,
    **{
        f"connection: {name}": connection_field(name)
        for name in ("host", "login", "password", "port", "schema")
    },
    **{f"connection: {name}": connection_field(name) for name in ("conn_type", "extra")},
}
#: Settings come as text: the environment holds no NUL.
SETTINGS: dict[str, Callable[[Any], Any]] = {
    "connection": connection_text,
    "stages": setting("stages", settings.declared_stages),
    "protected_stages": setting("protected_stages", settings.protected_stages),
    "signing_keys": setting("signing_keys", settings.signing),
    "require_signature": setting(
        "require_signature", lambda: _set("signing_keys", "k" * 20) and settings.signing()
    ),
    "allow_pickle": setting("allow_pickle", settings.formats),
    "sklearn_format": setting("sklearn_format", settings.formats),
    "wait_timeout": setting("wait_timeout", settings.wait_timeout),
    "poll_interval": setting("poll_interval", settings.poll_interval),
    "cache_size_mb": setting("cache_size_mb", settings.cache),
    "cache_dir": setting("cache_dir", settings.cache),
}
