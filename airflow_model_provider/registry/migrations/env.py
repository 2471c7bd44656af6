"""How Alembic reaches the database: over the connection it is given, inside the transaction that holds the lock."""

from __future__ import annotations

from alembic import context

from airflow_model_provider.registry.schema import VERSION_TABLE
from airflow_model_provider.registry.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    render_as_batch=True,  # SQLite can't alter tables in place
)
with context.begin_transaction():
    context.run_migrations()
