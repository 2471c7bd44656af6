"""Models and their cards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection, Row, select, update

from airflow_model_provider.exceptions import AlreadyExists, InvalidDefinition, ModelNotFound
from airflow_model_provider.exceptions.base import quoted
from airflow_model_provider.limits import check_limit, check_tags, check_text
from airflow_model_provider.registry import tables
from airflow_model_provider.registry.columns import now
from airflow_model_provider.registry.database import Database, insertion
from airflow_model_provider.registry.deletion import delete_versions
from airflow_model_provider.registry.rows import model_record
from airflow_model_provider.selectors import check_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_model_provider.registry.entities import ModelRecord

CARD: Final = ("license", "description", "audience", "use_cases", "limitations", "trade_offs", "ethics")
_model = tables.model


def create_model(database: Database, name: str, card: Mapping[str, Any]) -> ModelRecord:
    """
    Make a model; one that was deleted begins anew, its version numbers go on.

    :raises AlreadyExists: if there is one of this name.
    """
    check_name("model", name)
    said = _said(name, card)

    def work(connection: Connection) -> ModelRecord:
        row, made = _made(connection, name, said)
        if not made:
            raise AlreadyExists("model", name)
        return model_record(row)

    return database.write(work)


def get_model(database: Database, name: str) -> ModelRecord:
    """
    Return a model.

    :raises ModelNotFound: naming those that exist.
    """
    check_name("model", name)
    return database.read(lambda connection: model_record(_found(connection, name)))


def list_models(database: Database, limit: int | None = None) -> list[ModelRecord]:
    """Return models by name."""
    query = (
        select(_model).where(_model.c.deleted_at.is_(None)).order_by(_model.c.name).limit(check_limit(limit))
    )
    return database.read(lambda connection: [model_record(row) for row in connection.execute(query)])


def update_model(database: Database, name: str, card: Mapping[str, Any]) -> ModelRecord:
    """
    Change what is said about a model; what is not given stays.

    :raises ModelNotFound: naming those that exist.
    """
    check_name("model", name)
    said = _said(name, card)

    def work(connection: Connection) -> ModelRecord:
        row = _found(connection, name, lock=True)
        values = {"card": {**row.card, **said.get("card", {})}, "tags": said.get("tags", row.tags)}
        changed = update(_model).where(_model.c.id == row.id).values(values).returning(_model)
        return model_record(connection.execute(changed).one())

    return database.write(work)


def delete_model(database: Database, name: str, *, purge: bool = False, force: bool = False) -> None:
    """
    Delete a model and its versions; numbers and history stay.

    :param purge: also versions that once held a stage.
    :param force: also versions that are still being produced.
    :raises VersionInUse: if a version holds a stage, ever held one, is pinned by a run, or is still being produced.
    """
    check_name("model", name)

    def work(connection: Connection) -> None:
        row = _found(connection, name, lock=True)
        its = tables.version.c.model_id == row.id
        delete_versions(connection, name, its, purge=purge, force=force)
        connection.execute(update(_model).where(_model.c.id == row.id).values(deleted_at=now()))

    database.write(work)


def find_model(connection: Connection, name: str, *, lock: bool = False) -> Row[Any] | None:
    """Return a model's row or None; with ``lock``, nobody else makes or deletes versions of it until commit."""
    query = select(_model).where(_model.c.name == name, _model.c.deleted_at.is_(None))
    return connection.execute(query.with_for_update(key_share=True) if lock else query).one_or_none()


def locked_model(connection: Connection, name: str, card: Mapping[str, Any], *, create: bool) -> Row[Any]:
    """
    Return a model's row, locked until commit; it is made if it is missing and ``create`` says so.

    :raises ModelNotFound: naming those that exist.
    """
    row = find_model(connection, name, lock=True)
    if row is None and create:
        _made(connection, name, _said(name, card))
    return row or _found(connection, name, lock=True)


def complete_card(connection: Connection, row: Row[Any], card: Mapping[str, Any]) -> list[str]:
    """
    Bring what is said of a model, whose row is locked, to what a Dag says: texts are replaced, tags are added.

    :return: the parts that changed.
    """
    said = _said(row.name, card)
    texts = {key: text for key, text in said.get("card", {}).items() if row.card.get(key) != text}
    tags = [tag for tag in said.get("tags", ()) if tag not in row.tags]
    if texts or tags:
        values = {"card": {**row.card, **texts}, "tags": [*row.tags, *tags]}
        connection.execute(update(_model).where(_model.c.id == row.id).values(values))
    return [*texts, *(["tags"] if tags else [])]


def model_not_found(connection: Connection, name: str) -> ModelNotFound:
    """Return the error that names the models that exist."""
    query = select(_model.c.name).where(_model.c.deleted_at.is_(None)).order_by(_model.c.name).limit(1000)
    return ModelNotFound(name, tuple(connection.execute(query).scalars()))


def _found(connection: Connection, name: str, *, lock: bool = False) -> Row[Any]:
    row = find_model(connection, name, lock=lock)
    if row is None:
        raise model_not_found(connection, name)
    return row


def _made(connection: Connection, name: str, said: Mapping[str, Any]) -> tuple[Row[Any], bool]:
    """Make a model or bring back a deleted one, unless it is there; say which."""
    values = {"card": {}, "tags": [], **said}
    insert = insertion(connection, _model).values(name=name, last_number=0, created_at=now(), **values)
    anew = insert.on_conflict_do_update(
        index_elements=[_model.c.name],
        set_={
            "card": insert.excluded.card,
            "tags": insert.excluded.tags,
            "deleted_at": None,
            "created_at": now(),
        },
        where=_model.c.deleted_at.is_not(None),
    ).returning(_model)
    row = connection.execute(anew).one_or_none()
    return (row, True) if row is not None else (_found(connection, name, lock=True), False)


def _said(name: str, card: Mapping[str, Any]) -> dict[str, Any]:
    unknown = sorted(set(card) - {*CARD, "tags"})
    if unknown:
        known = ", ".join((*CARD, "tags"))
        raise InvalidDefinition(
            f"model {name!r}", f"{quoted(unknown[0])} is not part of a model's card", f"Known: {known}."
        )
    given = {key: value for key, value in card.items() if value is not None}
    tags = given.pop("tags", None)
    said: dict[str, Any] = {
        "card": {key: check_text(f"{key} of model {name!r}", text) for key, text in given.items()}
    }
    return said if tags is None else {**said, "tags": check_tags(f"tags of model {name!r}", tags)}
