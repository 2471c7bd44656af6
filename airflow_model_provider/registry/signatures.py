"""Signatures of artifact versions: which ones consumers of a version need, and those given after the making."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Connection, select, update

from airflow_model_provider.registry import tables
from airflow_model_provider.registry.columns import ago
from airflow_model_provider.registry.rows import artifact_record, select_artifacts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_model_provider.registry.database import Database
    from airflow_model_provider.registry.entities import ArtifactRecord

_made, _link, _version, _model = tables.artifact_version, tables.link, tables.version, tables.model
#: Rows in one statement, at most.
_PAGE = 500


class Held(NamedTuple):
    """An artifact version, and its printed form: ``iris@3/trained_model@1``, or ``trained_model@1``."""

    label: str
    artifact: ArtifactRecord


def own_artifacts(connection: Connection, version_id: int) -> list[ArtifactRecord]:
    """Return the artifact versions that a version holds itself, those merely made with it left out."""
    query = select_artifacts().join(_link, _link.c.artifact_version_id == _made.c.id)
    query = query.where(_link.c.version_id == version_id, _link.c.own).order_by(_made.c.id)
    return [artifact_record(row) for row in connection.execute(query)]


def held(database: Database, model: str | None = None, number: int | None = None) -> Iterator[Held]:
    """Yield the artifact versions of a version, of a model, or all; in the order of their making."""
    after = 0
    while page := database.read(partial(_page, model=model, number=number, after=after)):
        yield from page
        after = page[-1].artifact.id


def _page(connection: Connection, model: str | None, number: int | None, after: int) -> list[Held]:
    query = select_artifacts().where(_made.c.deleted_at.is_(None), _made.c.id > after)
    if model is not None:
        its = select(_link.c.artifact_version_id).join(_version, _version.c.id == _link.c.version_id)
        its = its.join(_model, _model.c.id == _version.c.model_id).where(_model.c.name == model, _link.c.own)
        its = its if number is None else its.where(_version.c.number == number)
        query = query.where(_made.c.id.in_(its))
    rows = connection.execute(query.order_by(_made.c.id).limit(_PAGE))
    of = "" if model is None else f"{model}/" if number is None else f"{model}@{number}/"
    records = [artifact_record(row) for row in rows]
    return [Held(f"{of}{record}", record) for record in records]


def sign(
    database: Database, artifact_version_id: int, attributes: Mapping[str, Any], who: str | None
) -> None:
    """Give an artifact version a signature; who did that, and when, is kept beside it."""

    def work(connection: Connection) -> None:
        at = ago(connection, timedelta(0)).isoformat()
        signed = {"attributes": dict(attributes), "who": who, "at": at}
        connection.execute(update(_made).where(_made.c.id == artifact_version_id).values(signed=signed))

    database.write(work)
