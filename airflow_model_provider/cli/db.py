"""``airflow model-registry db``."""

from __future__ import annotations

from typing import Any

from airflow_model_provider.cli.console import agreed, command, told
from airflow_model_provider.exceptions.base import quoted
from airflow_model_provider.hooks.model_registry import ModelRegistryHook
from airflow_model_provider.registry import schema


def _url(args: Any) -> str:
    return ModelRegistryHook(args.conn_id).get_address().url


@command
def upgrade(args: Any) -> None:
    """Bring the schema to this release."""
    schema.upgrade(_url(args))
    _tell(args, "The registry's schema is at {}.")


@command
def check(args: Any) -> None:
    """Say whether the schema fits."""
    schema.check(_url(args))
    _tell(args, "The registry's schema {} fits this release.")


@command
def downgrade(args: Any) -> None:
    """Take the schema back, after a question."""
    url = _url(args)
    if schema.current(url) is not None and not agreed(args, _question(args.to_revision)):
        raise SystemExit("Nothing was changed.")
    schema.downgrade(url, args.to_revision)
    _tell(args, "The registry's schema is at {}.")


def _question(revision: str) -> str:
    if revision == schema.BASE:
        lost = "all models, versions, stages and their history are lost, and no stored file can be found any more"
        return f"Remove the whole registry? With its tables {lost}."
    return f"Take the schema back to {quoted(revision)}? What newer tables hold is lost."


def _tell(args: Any, text: str) -> None:
    revision = schema.current(_url(args))
    told(args, {"revision": revision}, text.format(revision or schema.BASE))
