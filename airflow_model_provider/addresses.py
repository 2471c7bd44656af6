"""Where the registry and its store are: which of the places that can say so was the first to do it (design, §3)."""

from __future__ import annotations

import configparser
import importlib
import json
import os
import re
import warnings
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from airflow_model_provider import host, references, settings
from airflow_model_provider.exceptions import InvalidConfiguration
from airflow_model_provider.exceptions.base import SOME_CONNECTION, did_you_mean, quoted
from airflow_model_provider.limits import check_key, is_address

CONN_TYPE = "model_registry"
DEFAULT_CONN_ID = references.DEFAULT_CONN_ID
#: How the source of an address begins that Airflow was asked for.
STORED = "connection "
#: The source of an address that the configuration names.
_CONFIGURATION = f"[{settings.SECTION}] url and store"
_HALVES = {"url": "registry", "store": "artifact store"}
#: Asked for connections inside Airflow; by name, because the core does not import what stands above it.
_AIRFLOW_CONNECTIONS = "airflow_model_provider.hooks.model_registry"


class Address(NamedTuple):
    """
    A registry and its store.

    :param url: SQLAlchemy URL of the registry.
    :param store: folder or fsspec URL of the artifacts.
    :param source: which setting said so, for messages.
    :param storage_options: arguments for fsspec.
    :param defaults: the halves (``url``, ``store``) that no setting names, and that are under AIRFLOW_HOME therefore.
    :param conn_id: the connection that was asked for; None for the default one.
    """

    url: str
    store: str
    source: str
    storage_options: Mapping[str, Any] = MappingProxyType({})
    defaults: tuple[str, ...] = ()
    conn_id: str | None = None

    def __repr__(self) -> str:
        """All but the source may hold secrets."""
        return f"Address(source={self.source!r})"

    @property
    def named(self) -> str | None:
        """Return what ``--conn-id`` of a command is for this registry; None where none is needed."""
        return SOME_CONNECTION if self.source == "argument" else self.conn_id

    @property
    def is_stored(self) -> bool:
        """Whether a connection that Airflow keeps says so."""
        return self.source.startswith(STORED)


def find_address(
    conn_id: str | None = None,
    *,
    url: str | None = None,
    store: str | None = None,
    ask_airflow: bool = True,
) -> Address:
    """
    Return the first registry that is given: argument, connection, configuration, default.

    :param ask_airflow: look among the connections that Airflow keeps, too.
    :raises InvalidConfiguration: for a named connection that doesn't exist or can't be read, and for a default under
        an executor whose workers may be elsewhere.
    """
    if url is not None:
        return _reached_by_workers(_address(_text("url", url), _text("store", store), "argument"))
    if conn_id is not None:
        check_key(conn_id, "connection id")
    found = _connection(conn_id or DEFAULT_CONN_ID, ask_airflow=ask_airflow)
    if found is None and conn_id is not None:
        advice = f"Define it, or {connection_variable(conn_id)}."
        raise InvalidConfiguration(f"connection {conn_id!r}", "there is no such connection", advice)
    if found is not None:
        return _reached_by_workers(found._replace(conn_id=conn_id))
    return _reached_by_workers(_configured() or _default())


def _address(url: str, store: str, source: str, options: Mapping[str, Any] = MappingProxyType({})) -> Address:
    """Return an address whose halves are the default ones if they are empty."""
    defaults = tuple(name for name, said in (("url", url), ("store", store)) if not said)
    return Address(url or _default_url(), store or _default_store(), source, options, defaults)


def _reached_by_workers(address: Address) -> Address:
    """
    Return an address that every worker of this Airflow reaches.

    :raises InvalidConfiguration: if a half of it is a default that each worker would have for itself.
    """
    if not address.defaults:
        return address
    # A program on a worker is refused, too: it would make a registry that nobody else sees.
    executor = host.remote_executor(lambda: _airflow_cfg().get("core", "executor", fallback=None))
    if executor is None:
        return address
    whole = len(address.defaults) == len(_HALVES)
    missing = " and ".join(_HALVES[name] for name in address.defaults)
    problem = f"no {missing} is configured, and workers of {executor} may not share this machine's disk"
    settings_named = " and ".join(f"{settings.variable(name)}" for name in address.defaults)
    if whole:
        advice = f"Set {connection_variable(DEFAULT_CONN_ID)}, or {settings_named}"
    elif address.source == "argument":
        advice = f"Pass {address.defaults[0]}="
    elif address.source == _CONFIGURATION:
        advice = f"Set {settings_named}"
    else:
        advice = f"Set extra.{address.defaults[0]} of it"
    raise InvalidConfiguration(
        f"[{settings.SECTION}] {address.defaults[0]}" if whole else address.source,
        problem,
        f"{advice}, to a database and a store that all workers reach.",
    )


def _text(what: str, value: object, source: str = "argument") -> str:
    """Return an address's part as text; nothing becomes empty text."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidConfiguration(source, f"the {what} is {type(value).__name__}, not text")
    if not is_address(value):
        raise InvalidConfiguration(source, f"the {what} is too long, or holds what can't be seen")
    return value


def connection_variable(conn_id: str) -> str:
    """Return the environment variable in which Airflow, too, looks for a connection."""
    return f"AIRFLOW_CONN_{conn_id.upper()}"


def _connection(conn_id: str, *, ask_airflow: bool) -> Address | None:
    variable = connection_variable(conn_id)
    if text := os.environ.get(variable):
        return address_from_text(text, source=variable)
    if ask_airflow and host.inside_airflow():
        address: Address | None = importlib.import_module(_AIRFLOW_CONNECTIONS).airflow_address(conn_id)
        return address
    return None


def _configured() -> Address | None:
    url, store = settings.option("url"), settings.option("store")
    if url is None and store is None:
        return None
    return _address(url or "", store or "", _CONFIGURATION)


def _default() -> Address:
    if not host.inside_airflow():
        _warn_of_airflow()
    return _address("", "", "AIRFLOW_HOME")


def _default_url() -> str:
    return f"sqlite:///{settings.airflow_home().absolute() / 'model_registry.db'}"


def _default_store() -> str:
    return str(settings.airflow_home().absolute() / "model_artifacts")


def _warn_of_airflow() -> None:
    """Outside Airflow only the environment is read; a registry that only Airflow knows would be missed."""
    config = _airflow_cfg()
    named = config.get(settings.SECTION, "url", fallback="").strip()
    if _has_connection(config):
        _warn(f"Airflow's connection {DEFAULT_CONN_ID!r}", connection_variable(DEFAULT_CONN_ID))
    elif named and named != _default_url():
        _warn(_airflow_cfg_path(), settings.variable("url"))


def _warn(named_by: object, variable: str) -> None:
    warnings.warn(
        f"{named_by} names another model registry than the one used here ({_default_url()}). Outside Airflow only "
        f"the environment is read: set {variable}.",
        stacklevel=2,
    )


def _airflow_cfg_path() -> Path:
    return Path(os.environ.get("AIRFLOW_CONFIG") or settings.airflow_home() / "airflow.cfg")


def _airflow_cfg() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    with suppress(configparser.Error, OSError, UnicodeDecodeError):
        parser.read(_airflow_cfg_path())
    return parser


def _has_connection(config: configparser.ConfigParser) -> bool:
    """Whether Airflow keeps the default connection; only a SQLite file can be looked into without Airflow."""
    default = f"sqlite:///{settings.airflow_home().absolute() / 'airflow.db'}"
    named = config.get("database", "sql_alchemy_conn", fallback=default)
    scheme, _, path = os.environ.get("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", named).partition(":///")
    if scheme != "sqlite" or not Path(path).is_file():
        return False
    import sqlite3

    query = "SELECT 1 FROM connection WHERE conn_id = ?"
    try:
        with closing(sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True, timeout=0.1)) as database:
            return database.execute(query, [DEFAULT_CONN_ID]).fetchone() is not None
    except sqlite3.Error:  # locked, or not yet migrated
        return False


def address_from_text(text: str, *, source: str) -> Address:
    """
    Read a connection as Airflow writes it into the environment: JSON, or a URI.

    >>> text = '{"conn_type": "model_registry", "extra": {"url": "sqlite:////r.db"}}'
    >>> address_from_text(text, source="AIRFLOW_CONN_MODEL_REGISTRY_DEFAULT").url
    'sqlite:////r.db'

    :raises InvalidConfiguration: if it is neither, or of another connection type.
    """
    if text.lstrip().startswith("{"):
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as err:
            raise InvalidConfiguration(source, f"this is not JSON ({err})") from None
        return address_from_fields(source=source, **_known_fields(data))
    try:
        parts = urlsplit(text)
    except ValueError:  # whose message holds the password
        raise InvalidConfiguration(source, "this is neither JSON nor a URI", _FORMS) from None
    if text.startswith(
        f"{CONN_TYPE}://"
    ):  # which RFC 3986 forbids, so that Airflow reads no type in it either
        problem = "a URI's scheme cannot have an underscore"
        raise InvalidConfiguration(source, problem, "Write model-registry:// instead.")
    if not parts.scheme:
        raise InvalidConfiguration(source, "this is neither JSON nor a URI", _FORMS)
    try:
        port = parts.port
    except ValueError:
        raise InvalidConfiguration(source, "the port is not a number", _FORMS) from None
    query = dict(parse_qsl(parts.query))
    extra = query.get("__extra__") or query
    return address_from_fields(
        source=source,
        conn_type=parts.scheme,
        host=unquote(parts.hostname or ""),
        login=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        port=port,
        schema=unquote(parts.path.lstrip("/")),
        extra=extra,
    )


#: What the extra field can have.
_EXTRAS = ("url", "store", "storage_options")
_FORMS = (
    'Examples: {"conn_type": "model_registry", "extra": {"url": "postgresql://...", "store": "s3://..."}} or '
    "model-registry://user:password@host:5432/database?store=s3%3A%2F%2Fbucket%2Fmodels."
)


def _known_fields(data: Mapping[str, Any]) -> dict[str, Any]:
    known = ("conn_type", "host", "login", "password", "port", "schema", "extra")
    return {key: data[key] for key in known if data.get(key) is not None}


def address_from_fields(
    *,
    source: str,
    conn_type: str = CONN_TYPE,
    host: str = "",
    login: str = "",
    password: str = "",
    port: int | str | None = None,
    schema: str = "",
    extra: Mapping[str, Any] | str | None = None,
) -> Address:
    """
    Make an address of a connection's fields: ``extra.url``, or those of a PostgreSQL database.

    :raises InvalidConfiguration: for another connection type, or extras that aren't a JSON object.
    """
    said = {
        "host": host,
        "login": login,
        "password": password,
        "schema": schema,
        "connection type": conn_type,
    }
    for what, value in said.items():
        _text(what, value, source)
    if conn_type.replace("-", "_") != CONN_TYPE:
        problem = f"the connection type is {quoted(conn_type)}, not {CONN_TYPE!r}"
        raise InvalidConfiguration(source, problem, _FORMS)
    if not (isinstance(port, int) and 0 <= port < 2**16) and not re.fullmatch(
        r"[0-9]{0,5}", _text("port", port)
    ):
        raise InvalidConfiguration(source, "the port is not a number", _FORMS)
    if re.search(r"[/?#@\\\s]", host):
        raise InvalidConfiguration(source, "the host is not one machine's name", _FORMS)
    try:
        extras = json.loads(extra) if isinstance(extra, str) and extra else (extra or {})
    except (ValueError, RecursionError):
        extras = None
    if not isinstance(extras, Mapping):
        raise InvalidConfiguration(source, "the extra field is not a JSON object", _FORMS)
    _check_extras(source, extras)
    url, store = _text("url", extras.get("url"), source), _text("store", extras.get("store"), source)
    if not url and host:
        user = f"{quote(login, safe='')}:{quote(password, safe='')}@" if login else ""
        url = f"postgresql+psycopg://{user}{host}{f':{port}' if port else ''}/{quote(schema, safe='')}"
    elif url and password and "://" in url and "@" not in url.split("://", 1)[1].split("/")[0]:
        scheme, rest = url.split("://", 1)
        url = f"{scheme}://{quote(login, safe='')}:{quote(password, safe='')}@{rest}" if login else url
    return _address(url, store, source, extras.get("storage_options") or {})


def _check_extras(source: str, extras: Mapping[str, Any]) -> None:
    if unknown := [name for name in extras if name not in _EXTRAS]:
        known = f"{did_you_mean(unknown[0], _EXTRAS)} Known: {', '.join(_EXTRAS)}.".strip()
        raise InvalidConfiguration(source, f"the extra {quoted(unknown[0])} does not exist", known)
    if not isinstance(extras.get("storage_options") or {}, Mapping):
        raise InvalidConfiguration(source, "storage_options is not a JSON object", _FORMS)
