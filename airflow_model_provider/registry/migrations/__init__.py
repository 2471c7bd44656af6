"""Alembic's scripts for the registry's tables."""
