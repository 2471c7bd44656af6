"""``airflow model-registry db``."""

from __future__ import annotations

from typing import Any

from airflow_model_provider.cli.console import agreed, command, say
from airflow_model_provider.exceptions.base import quoted
from airflow_model_provider.hooks.model_registry import ModelRegistryHook
from airflow_model_provider.registry import schema


def _url(args: Any) -> str:
    return ModelRegistryHook(args.conn_id).get_address().url


@command
def upgrade(args: Any) -> None:
    """Bring the schema to this release."""
    schema.upgrade(_url(args))
    say(args, f"The registry's schema is at {schema.current(_url(args))}.")


@command
def check(args: Any) -> None:
    """Say whether the schema fits."""
    schema.check(_url(args))
    say(args, f"The registry's schema {schema.current(_url(args))} fits this release.")


@command
def downgrade(args: Any) -> None:
    """Take the schema back, after a question."""
    if not agreed(
        args, f"Take the schema back to {quoted(args.to_revision)}? What newer tables hold is lost."
    ):
        raise SystemExit("Nothing was changed.")
    schema.downgrade(_url(args), args.to_revision)
    say(args, f"The registry's schema is at {schema.current(_url(args))}.")
