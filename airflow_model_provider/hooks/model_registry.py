"""``ModelRegistryHook``: an Airflow connection → registry and store. It owns no rule."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from airflow_model_provider import host
from airflow_model_provider.addresses import (
    CONN_TYPE,
    STORED,
    Address,
    address_from_fields,
    find_address,
)
from airflow_model_provider.exceptions import ModelRegistryError
from airflow_model_provider.stage_uri import DEFAULT_CONN_ID

if TYPE_CHECKING:
    from airflow_model_provider.client import Client
    from airflow_model_provider.workspace import Workspace


#: Loaded in a process that runs ``airflow connections``.
_CONNECTION_COMMAND = "airflow.cli.commands.connection_command"


class ModelRegistryHook(BaseHook):
    """
    Connect to a model registry.

    The connection (type ``model_registry``) has ``extra.url``, a SQLAlchemy URL, and ``extra.store``, a
    folder or fsspec URL; or host, port, login, password and schema of a PostgreSQL database. Without a
    connection the
    ``[model_registry]`` configuration counts, else a file under AIRFLOW_HOME.

    :param model_registry_conn_id: the connection; None means the default one.
    """

    conn_name_attr = "model_registry_conn_id"
    default_conn_name = DEFAULT_CONN_ID
    conn_type = CONN_TYPE
    hook_name = "Model registry"

    def __init__(self, model_registry_conn_id: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model_registry_conn_id = model_registry_conn_id

    def get_address(self) -> Address:
        """
        Return where the registry and its store are.

        :raises InvalidConfiguration: for a connection that can't be used, or the default under an executor
            whose workers may be elsewhere.
        """
        host.enter_airflow()
        return find_address(self.model_registry_conn_id)

    def get_conn(self) -> Workspace:
        """Return the registry and store, opened once per process."""
        from airflow_model_provider.workspace import open_workspace

        return open_workspace(self.get_address())

    def get_client(self) -> Client:
        """
        Return the registry's client, which answers questions too.

        >>> ModelRegistryHook().get_client().list_resolutions(model="iris_classifier", number=7)  # doctest: +SKIP
        """
        from airflow_model_provider.client import Client

        host.enter_airflow()
        return Client(conn_id=self.model_registry_conn_id)

    def test_connection(self) -> tuple[bool, str]:
        """
        Open the registry and write, read and remove a probe in the store.

        :return: whether that went well, and which registry and store it was, or the error. Airflow's command shows the
            text of a failure only, as rich markup; so a success is logged, too.
        """
        from airflow_model_provider.workspace import connect

        try:
            workspace = connect(self.get_address())
            try:
                workspace.store.probe()
            finally:
                workspace.close()
        except ModelRegistryError as err:
            return False, _as_markup(str(err))
        registry = workspace.registry
        said = f"Connected to registry {registry.id} at {registry.url}, artifact store {workspace.store.url}"
        self.log.info("%s", said)
        return True, said


def _as_markup(text: str) -> str:
    """Return a text as Airflow's command for connections, which prints it as rich markup, shows all of it."""
    if _CONNECTION_COMMAND not in sys.modules:
        return text
    from rich.markup import escape

    return escape(text)


def airflow_address(conn_id: str) -> Address | None:
    """Return the address in an Airflow connection, or None if there is no such connection."""
    try:
        connection = BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        return None
    return address_from_fields(
        source=f"{STORED}{conn_id!r}",
        conn_type=connection.conn_type or CONN_TYPE,
        host=connection.host or "",
        login=connection.login or "",
        password=connection.password or "",
        port=connection.port,
        schema=connection.schema or "",
        extra=connection.extra,
    )
