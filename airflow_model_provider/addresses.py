"""Where the registry and its store are: which of the places that can say so was the first to do it (design, §3)."""

from __future__ import annotations

import configparser
import importlib
import json
import os
import re
import warnings
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from airflow_model_provider import host, settings
from airflow_model_provider.exceptions import InvalidConfiguration
from airflow_model_provider.exceptions.base import SOME_CONNECTION, did_you_mean, quoted
from airflow_model_provider.limits import is_address
from airflow_model_provider.selectors import check_conn_id
from airflow_model_provider.stage_uri import DEFAULT_CONN_ID

CONN_TYPE = "model_registry"
#: How the source of an address begins that Airflow was asked for.
STORED = "connection "
#: The source of an address that the configuration names.
_CONFIGURATION = f"[{settings.SECTION}]"
#: The source of an address that nothing names.
_NOTHING = "AIRFLOW_HOME"
_ARGUMENT = "argument"
_HALVES = {"url": "registry", "store": "artifact store"}
#: What each half has to be for workers that may be elsewhere, and on one machine.
_REACHED = {"url": "a database that all workers reach", "store": "a store that all workers reach"}
_ABSOLUTE = {"url": "sqlite:////folder/model_registry.db", "store": "/folder/model_artifacts"}
#: A SQLite file by a path that is neither absolute nor in somebody's home; and a folder.
_RELATIVE = {
    "url": re.compile(r"sqlite(\+\w+)?://[^/]*/(?![/~]|:memory:).", re.IGNORECASE),
    "store": re.compile(r"(?![/~])(?!.*://).*\S"),
}
#: A field that nobody renders: it would be the name of a file.
_TEMPLATE = re.compile(r"\{\{.*\}\}|\{%.*%\}", re.DOTALL)
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
        return SOME_CONNECTION if self.source == _ARGUMENT else self.conn_id

    def absolute(self) -> Address:
        """Return the same place for processes with other working folders."""
        url, store = _RELATIVE["url"].match(self.url), _RELATIVE["store"].match(self.store)
        return self._replace(
            url=f"{self.url[: url.end() - 1]}{Path(self.url[url.end() - 1 :]).absolute()}"
            if url
            else self.url,
            store=str(Path(self.store).absolute()) if store else self.store,
        )

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
    :raises InvalidConfiguration: for a named connection that doesn't exist or can't be read; for a default, or a
        relative path, under an executor whose workers may be elsewhere; for a relative path in a setting or connection.
    """
    _check_arguments(conn_id, url, store)
    if url is not None:
        return _reached_by_workers(_address(_text("url", url), _text("store", store), _ARGUMENT))
    if conn_id is not None:
        check_conn_id(conn_id)
    found = _connection(conn_id or DEFAULT_CONN_ID, ask_airflow=ask_airflow)
    if found is None and conn_id is not None:
        advice = f"Define it, or {connection_variable(conn_id)}."
        raise InvalidConfiguration(f"connection {conn_id!r}", "there is no such connection", advice)
    if found is not None:
        return _reached_by_workers(found._replace(conn_id=conn_id))
    return _reached_by_workers(_configured() or _default())


def _check_arguments(conn_id: str | None, url: str | None, store: str | None) -> None:
    """Refuse arguments of which one would be dropped."""
    if url is not None and conn_id is not None:
        problem = "url and conn_id both name a registry"
        raise InvalidConfiguration(_ARGUMENT, problem, "Pass one of them.")
    if store is not None and url is None:
        problem = (
            "a store alone names no registry, and others would look for its artifacts in the configured store"
        )
        raise InvalidConfiguration("argument store", problem, "Pass the registry's url= too, or neither.")


def _address(url: str, store: str, source: str, options: Mapping[str, Any] = MappingProxyType({})) -> Address:
    """Return an address whose halves are the default ones if they are empty."""
    said = {"url": url, "store": store}
    for name, value in said.items():
        if _TEMPLATE.search(value):
            problem = f"the {name} has a template in it, and nobody renders it"
            raise InvalidConfiguration(_place(source, name), problem, "Write the address itself.")
        if name == "store" and value.lower().startswith("memory:"):
            problem = "a store in memory is gone when this process ends"
            raise InvalidConfiguration(
                _place(source, name), problem, "Give a folder, or a URL such as s3://bucket/models."
            )
        if source != _ARGUMENT:
            _check_absolute(source, name, value)
    defaults = tuple(name for name, value in said.items() if not value)
    return Address(url or _default_url(), store or _default_store(), source, options, defaults)


def _check_absolute(source: str, name: str, value: str) -> None:
    if (found := _RELATIVE[name].match(value)) is not None:
        path = value[found.end() - 1 :].partition("?")[0] if name == "url" else value
        problem = f"{quoted(path)} is relative, so that each working folder has another {_HALVES[name]}"
        advice = f"Write an absolute path. Example: {_ABSOLUTE[name]}"
        raise InvalidConfiguration(_place(source, name), problem, advice)


def _reached_by_workers(address: Address) -> Address:
    """
    Return an address that every worker of this Airflow reaches.

    :raises InvalidConfiguration: if each worker would have a half of it for itself: a default, or a relative path.
    """
    if not address.defaults and address.source != _ARGUMENT:
        return address
    # A program on a worker is refused, too: it would make a registry that nobody else sees.
    executor = host.remote_executor(lambda: _airflow_cfg().get("core", "executor", fallback=None))
    if executor is None:
        return address
    for name in _HALVES:
        _check_absolute(address.source, name, getattr(address, name))
    if not address.defaults:
        return address
    missing = " and no ".join(_HALVES[name] for name in address.defaults)
    problem = f"no {missing} is configured, and workers of {executor} may not share this machine's disk"
    wanted = " and ".join(_REACHED[name] for name in address.defaults)
    raise InvalidConfiguration(
        _place(address.source, *address.defaults),
        problem,
        f"{_way(address.source, address.defaults)} {wanted}.",
    )


def _place(source: str, *names: str) -> str:
    """Return where parts of an address stand."""
    said = " and ".join(names)
    if source == _NOTHING:
        return f"{_CONFIGURATION} {said}"
    return f"{source} {said}" if source in (_ARGUMENT, _CONFIGURATION) else f"{source}, extra {said}"


def _way(source: str, names: Sequence[str]) -> str:
    """Return how to say parts of an address there."""
    variables = " and ".join(settings.variable(name) for name in names)
    if source == _ARGUMENT:
        return f"Pass {' and '.join(f'{name}=' for name in names)},"
    if source == _CONFIGURATION:
        return f"Set {variables} to"
    if source == _NOTHING:
        return f"Set {connection_variable(DEFAULT_CONN_ID)}, or {variables}, to"
    return f"Set {' and '.join(f'extra.{name}' for name in names)} of it to"


def _text(what: str, value: object, source: str = _ARGUMENT) -> str:
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
    return _address("", "", _NOTHING)


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
